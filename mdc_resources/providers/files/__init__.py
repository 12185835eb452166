"""Files in a drop folder: bars of your own, as CSV or Parquet, under a declared mapping.

Coverage    what is in the folder: one file holds all history of one symbol.
Layout      ``<drop_folder>/<dataset>/<SYMBOL>.csv`` (or ``.parquet`` with ``format = "parquet"``); in a
            file name ``:`` is written ``=``.
Settings    ``drop_folder`` (an absolute path), ``format``, ``mapping`` (canonical name = your column),
            ``market`` (what the data measure), ``basis`` (raw unless said otherwise), ``timezone``.
Columns     open, high, low, close; ``session`` for bars_1d, ``ts`` for bars_1m; optionally volume,
            trade_count, vwap, and symbol, which must then be the file's.
Timestamps  ``session`` is a date; ``ts`` needs a zone, its own or the declared one.
Numbers     CSV text and Parquet decimals and integers exactly; Parquet floats as the shortest decimal
            that round-trips. A number that does not fit is an error of its row, never rounded.
Page        the whole file. Limits and cost: none. Terms: yours.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import quote

import pyarrow as pa

from mdc_resources.config import Limits, ProviderSettings
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import ConfigError, PayloadError, ProviderError, UnknownSymbol
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bars import PRICES, assemble
from mdc_resources.providers.decoding.delimited import read_delimited
from mdc_resources.providers.files.columns import bars_of, read_parquet
from mdc_resources.providers.spec import ANY_VENUE, Dialect, Offer, Page, ProviderSpec, Rejected

_OFFER = Offer(market="files", basis=Basis.RAW, encoding=NumberEncoding.DECIMAL)
SPEC = ProviderSpec(
    name="files",
    title="Files in a drop folder (CSV, Parquet)",
    base_url="",
    rank=1,
    limits=Limits(),
    offers={Dataset.BARS_1D: _OFFER, Dataset.BARS_1M: _OFFER},
    asset_classes=frozenset({"equity", "crypto", "fx", "future"}),
    venue=ANY_VENUE,
    bases=frozenset({Basis.SPLIT, Basis.TOTAL}),
    checked_on=dt.date(2026, 11, 20),
)
_CANONICAL = ("session", "ts", *PRICES, "volume", "trade_count", "vwap", "symbol")


class Files:
    """A drop folder, read by ``file://`` requests."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The request for the symbol's file; raises ConfigError where no folder is declared."""
        suffix = dialect.settings.format or "csv"
        name = f"{file_stem(request.symbols[0])}.{suffix}"
        return HttpRequest(f"{_folder_url(dialect.settings)}/{request.dataset}/{quote(name)}")

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """A file that is not there is a symbol the folder does not know."""
        if response.status == 404:
            return UnknownSymbol(
                "there is no file for it in the drop folder", symbol="", provider="files", status=404
            )
        if response.status >= 300:
            return PayloadError(f"the file cannot be read (status {response.status})", provider="files")
        return None

    def decode(
        self,
        request: FetchRequest,
        dialect: Dialect,
        sent: HttpRequest,  # noqa: ARG002 - the protocol names it
        response: HttpResponse,
    ) -> Page:
        """Decode one file; raises PayloadError where a mapped column is missing."""
        symbol = request.symbols[0]
        error = self.classify(response)
        if isinstance(error, UnknownSymbol):
            raise UnknownSymbol(f"{symbol}: {error.message}", symbol=symbol, provider="files", status=404)
        if error:
            raise error
        if not response.body:
            raise PayloadError(f"the file of {symbol} is empty", provider="files")
        columns, broken = _read(response.body, request.dataset, dialect.settings)
        bars = assemble(
            bars_of(columns, symbol, request=request, dialect=dialect), request=request, dialect=dialect
        )
        lines = tuple(Rejected(symbol, None, reason, line) for reason, line in broken)
        return Page(
            tables={request.dataset: bars.table},
            rejected=bars.rejected + lines,
            dropped=bars.dropped,
            rounded=bars.rounded,
        )


def file_stem(symbol: Symbol) -> str:
    """A symbol as a file name without its suffix: ``COINBASE:BTC-USD`` is ``COINBASE=BTC-USD``.

    Reversible, since no symbol contains ``=``; a colon is not allowed in every file system.
    """
    return symbol.replace(":", "=")


def mapping_of(dataset: Dataset, settings: ProviderSettings) -> dict[str, str]:
    """Canonical name -> column, what is not mapped under its own name; ConfigError on unknown names."""
    given = settings.mapping or {}
    for name in given:
        if name not in _CANONICAL:
            near = difflib.get_close_matches(name, _CANONICAL, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_CANONICAL)}"
            raise ConfigError(
                f"mapping names {ascii(name)[:40]}", key=f"providers.files.mapping.{name[:40]}", hint=hint
            )
    unused = "ts" if dataset is Dataset.BARS_1D else "session"
    return {name: given.get(name, name) for name in _CANONICAL if name != unused}


def _read(
    body: bytes, dataset: Dataset, settings: ProviderSettings
) -> tuple[dict[str, pa.Array], tuple[tuple[str, str], ...]]:
    mapping = mapping_of(dataset, settings)
    required = ("session" if dataset is Dataset.BARS_1D else "ts", *PRICES, *(settings.mapping or {}))
    wanted = tuple(dict.fromkeys(name for name in required if name in mapping))
    if settings.format == "parquet":
        return read_parquet(body, mapping=mapping, required=wanted), ()
    lines = read_delimited(
        body,
        header={column: name for name, column in mapping.items()},
        required=wanted,
        provider="files",
        quoted=True,
        ends_with_newline=False,
    )
    return dict(lines.columns), lines.broken


def _folder_url(settings: ProviderSettings) -> str:
    if settings.base_url:
        return settings.base_url.rstrip("/")
    folder = settings.drop_folder or ""
    if PurePosixPath(folder).is_absolute():
        return "file://" + quote(folder.rstrip("/"))
    if PureWindowsPath(folder).is_absolute():
        return "file:///" + quote(PureWindowsPath(folder).as_posix().rstrip("/"), safe="/:")
    raise ConfigError(
        f"drop_folder = {json.dumps(folder)} is not an absolute path",
        key="providers.files.drop_folder",
        hint="Name the folder from its root, as in /data/drop",
    )


PROVIDER = Files()
