"""Stooq: daily bars as CSV, one symbol per request.

Coverage    US equities (``.us``), several European and Asian markets, currencies; decades back.
Basis       split+dividend: prices *and volume* are adjusted, and a new dividend rewrites all history.
Timestamps  a bare session date of the exchange. The last row may be a session still in progress: it is
            dropped, and its partition stays open.
History     is rewritten by every dividend and split, so two downloads of different days disagree about
            the same session: each row carries the day of its download (``basis_asof``), ``bars_1d``
            shows a row only where no dividend lies between, a refetch is a new version.
Numbers     decimal text; volumes may be fractional. Currencies have no Volume column.
Page        the whole range in one body, no paging; line ends are CRLF or LF.
Limits      an unpublished number of downloads a day (a 200 saying so); no key. Since 2026 some
            addresses get a page that asks for an API key or a proof of work instead.
Terms       personal use: https://stooq.com/terms.html
Checked     2026-11-20, against recorded downloads, not live.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa

from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import (
    NotEntitled,
    ProviderError,
    QuotaExhausted,
    UnknownSymbol,
    UsageError,
)
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import parse_session
from mdc_resources.providers.decoding.bars import BarColumns, assemble
from mdc_resources.providers.decoding.bodies import classify_common, is_html, refused, says
from mdc_resources.providers.decoding.delimited import Delimited, read_delimited
from mdc_resources.providers.decoding.numbers import read_texts
from mdc_resources.providers.decoding.sessions import NO_DAY, Days, day_of
from mdc_resources.providers.decoding.unfinished import finished
from mdc_resources.providers.spec import DERIVED_BARS, Dialect, Offer, Page, ProviderSpec, Rejected
from mdc_resources.schema.arrow import PRICE, SIZE

SPEC = ProviderSpec(
    name="stooq",
    title="Stooq (daily CSV)",
    base_url="https://stooq.com",
    rank=20,
    limits=Limits(minute=60),
    offers={
        Dataset.BARS_1D: Offer(
            market="us-consolidated", basis=Basis.TOTAL, encoding=NumberEncoding.DECIMAL, derived=DERIVED_BARS
        )
    },
    checked_on=dt.date(2026, 11, 20),
)
# Stooq's market suffix by exchange calendar; "" where its symbols carry none.
SUFFIXES = {
    "XNYS": ".us", "XNAS": ".us", "XLON": ".uk", "XETR": ".de", "XFRA": ".de", "XTKS": ".jp", "XHKG": ".hk",
    "XBUD": ".hu", "XWAR": "", "24/5": "", "24/7": "",
}  # fmt: skip
_ENGLISH = {
    "Date": "date",
    "Open": "open",
    "High": "high",
    "Low": "low",
    "Close": "close",
    "Volume": "volume",
}
_POLISH = {
    "Data": "date", "Otwarcie": "open", "Najwyzszy": "high", "Najnizszy": "low", "Zamkniecie": "close",
    "Wolumen": "volume",
}  # fmt: skip
_HEADER = {**_ENGLISH, **_POLISH}
_REQUIRED = ("date", "open", "high", "low", "close")


class Stooq:
    """The dialect of ``/q/d/l/``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """One download of the range; raises UnknownSymbol where Stooq has no market for it."""
        params = (
            ("s", vendor_symbol(request.symbols[0], dialect.calendar.name)),
            ("d1", request.start.strftime("%Y%m%d")),
            ("d2", request.end.strftime("%Y%m%d")),
            ("i", "d"),
        )
        return HttpRequest(f"{dialect.base_url}/q/d/l/", params=params)

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """Stooq's errors are short texts and web pages, nearly all with status 200."""
        body = response.body
        if says(body, b"exceeded the daily hits limit", b"przekroczony dzienny limit"):
            return QuotaExhausted(
                "stooq's daily download limit is used up", provider="stooq", status=response.status
            )
        if is_html(body) and b"apikey" in body.lower():
            return NotEntitled(
                "stooq asks for an API key",
                provider="stooq",
                status=response.status,
                hint="Its site hands keys out to people; until then set providers.stooq.enabled = false",
            )
        if common := classify_common("stooq", response):
            return common
        if says(body[:64], b"no data", b"brak danych"):
            return UnknownSymbol(
                "stooq has no data for this symbol and range (it says the same of unknown symbols)",
                symbol="",
                provider="stooq",
                status=response.status,
            )
        return (
            refused("stooq", response)
            if 300 <= response.status < 400 or response.status in (400, 404, 410)
            else None
        )

    def decode(
        self,
        request: FetchRequest,
        dialect: Dialect,
        sent: HttpRequest,  # noqa: ARG002 - the protocol names it
        response: HttpResponse,
    ) -> Page:
        """Decode the download; raises PayloadError unless it starts with a known header."""
        if error := self.classify(response):
            raise about(error, request.symbols[0])
        symbol = request.symbols[0]
        lines = read_delimited(response.body, header=_HEADER, required=_REQUIRED, provider="stooq")
        # The last row may be a session in progress.
        over = finished(
            assemble(_columns(lines, symbol, dialect), request=request, dialect=dialect),
            request=request, dialect=dialect, received_at=response.received_at,
        )  # fmt: skip
        found = over.bars
        broken = tuple(
            Rejected(symbol, _session_of(line, request), reason, line) for reason, line in lines.broken
        )
        return Page(
            tables={Dataset.BARS_1D: found.table},
            rejected=found.rejected + broken,
            dropped=found.dropped,
            rounded=found.rounded,
            incomplete=over.incomplete + tuple((symbol, row.session) for row in broken if row.session),
            warnings=(f"new columns left out: {', '.join(lines.ignored)!a}",) if lines.ignored else (),
        )


def vendor_symbol(symbol: Symbol, calendar: str) -> str:
    """Stooq's spelling: ``BRK.B`` on XNYS is ``brk-b.us``."""
    if calendar not in SUFFIXES or ":" in symbol:
        raise UnknownSymbol(
            f"stooq has no market for {symbol} on calendar {calendar}", symbol=symbol, provider="stooq"
        )
    return symbol.lower().replace(".", "-") + SUFFIXES[calendar]


def about(error: ProviderError, symbol: Symbol) -> ProviderError:
    """``error`` with the symbol that ``classify`` could not know."""
    if isinstance(error, UnknownSymbol) and not error.symbol:
        return UnknownSymbol(
            f"{symbol}: {error.message}", symbol=symbol, provider=error.provider, status=error.status
        )
    return error


def _columns(lines: Delimited, symbol: Symbol, dialect: Dialect) -> BarColumns:
    derived = dialect.offer(Dataset.BARS_1D).derived
    days, errors = _days(lines.columns["date"])
    kinds = {name: SIZE if name == "volume" else PRICE for name in lines.columns if name != "date"}
    return BarColumns(
        names=(symbol,),
        codes=np.zeros(len(days), np.int32),
        days=days,
        numbers={
            name: read_texts(lines.columns[name], kind, derived=name in derived)
            for name, kind in kinds.items()
        },
        errors=errors,
        raw=lines.raw,
    )


def _days(texts: pa.Array) -> tuple[Days, dict[int, str]]:
    days = np.full(len(texts), NO_DAY, np.int32)
    errors: dict[int, str] = {}
    for row, text in enumerate(texts.to_pylist()):
        try:
            days[row] = day_of(parse_session(text or ""))
        except UsageError as error:
            errors[row] = error.message
    return days, errors


def _session_of(line: str, request: FetchRequest) -> dt.date | None:
    """The session a broken line is about, where its date can still be read and was asked for."""
    try:
        session = parse_session(line[:10])
    except UsageError:
        return None
    return session if request.start <= session <= request.end else None


PROVIDER = Stooq()
