"""Kraken Spot: daily candles of two years, the newest minutes, all trades, and what a pair is; no key.

Coverage    spot pairs; ``KRAKEN:BTC-USD`` is asked for as ``XBTUSD`` and answered as ``XXBTZUSD``. Trades
            since 2013; candles only as far back as 720 of them reach: two years of days, and twelve hours
            of minutes, so that a whole session of minutes cannot be had (what there is, is partial). A
            range before that is out of range, never empty.
Basis       raw; coins have no splits and no dividends.
Timestamps  a candle's start in seconds. Trades in seconds with up to nine decimals, read from the text to
            exact nanoseconds.
Numbers     decimal text. Candles without a trade come with volume 0 and a VWAP of 0.0, which is none.
            ``b``/``s`` is what the taker did; market or limit order (``m``, ``l``) is kept as condition.
Page        candles: one answer, oldest first. Trades: 1,000, oldest first, after ``since`` (nanoseconds,
            exclusive); ``last`` is the next page's ``since``.
Live        the last candle is still running: it is left out, and its session is incomplete.
Empty       the exchange is the only source of its own trades: an answer through the close without any of
            them means that there were none.
Limits      about one request a second and address. Every error is a 200 with ``error: ["EGeneral:..."]``.
Terms       https://www.kraken.com/legal
Checked     2026-11-20, against recorded pairs and the vendor's documents, not live.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import (
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
    TransportError,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.providers.decoding.bodies import classify_common, load_small, refused, snippet
from mdc_resources.providers.decoding.json_rows import load_rows
from mdc_resources.providers.kraken import candles, pairs, trades
from mdc_resources.providers.spec import Dialect, Offer, Page, ProviderSpec

_OFFER = Offer(
    market="kraken", basis=Basis.RAW, encoding=NumberEncoding.DECIMAL, empty_is_proof=True
)  # fmt: skip
SPEC = ProviderSpec(
    name="kraken",
    title="Kraken Spot",
    base_url="https://api.kraken.com",
    rank=10,
    limits=Limits(second=1, minute=45),
    offers={
        Dataset.BARS_1D: replace(_OFFER, history_days=candles.KEPT - 1),
        Dataset.BARS_1M: replace(_OFFER, history_days=1),
        Dataset.TRADES: replace(
            _OFFER,
            max_sessions=1,
            page_rows=trades.PAGE_ROWS,
            history_start=dt.date(2013, 9, 10),
            carries_prices=False,
        ),
        Dataset.INSTRUMENTS: replace(_OFFER, carries_prices=False),
    },
    asset_classes=frozenset({"crypto"}),
    venue="KRAKEN",
    checked_on=dt.date(2026, 11, 20),
)
_BUSY = (
    "EService:Unavailable",
    "EService:Busy",
    "EService:Timeout",
    "EService:Deadline",
    "EGeneral:Internal",
)
_TOO_MANY = ("EAPI:Rate limit", "EGeneral:Too many requests", "EService: Throttled", "EService:Throttled")
_LOCKED_OUT = ("EGeneral:Temporary lockout",)


class Kraken:
    """The dialect of ``/0/public``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The first page; raises UnknownSymbol for what is no pair of this venue."""
        pair = pairs.pair_of(request.symbols[0])
        if request.dataset is Dataset.INSTRUMENTS:
            return HttpRequest(f"{dialect.base_url}/0/public/AssetPairs", params=(("pair", pair),))
        if request.dataset is Dataset.TRADES:
            return trades.first(pair, request, dialect)
        return candles.first(pair, request, dialect)

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """Kraken's errors are a list of words under ``error``, with a status of 200."""
        document = load_small(response.body)
        errors = _errors(document.get("error")) if isinstance(document, dict) else []
        if errors:
            return _named(errors, response.status)
        if common := classify_common("kraken", response):
            return common
        if response.status in (401, 403, 429) or response.status >= 500:
            return None
        return refused("kraken", response) if response.status >= 300 else None

    def decode(
        self, request: FetchRequest, dialect: Dialect, sent: HttpRequest, response: HttpResponse
    ) -> Page:
        """Decode one page; raises PayloadError (also for another pair), OutOfRange for what is too old."""
        error = self.classify(response)
        if isinstance(error, UnknownSymbol):
            error.symbol = request.symbols[0]
        if error:
            raise error
        document = load_rows(response.body, provider="kraken")
        result = document.get("result") if isinstance(document, dict) else None
        if not isinstance(result, dict):
            raise PayloadError(
                f"kraken sent a document without a result: {snippet(response.body)}", provider="kraken"
            )
        if request.dataset is Dataset.INSTRUMENTS:
            return pairs.decode(result, request=request, dialect=dialect)
        last = result.get("last")
        rows = _rows_of(result, request)
        if request.dataset is Dataset.TRADES:
            return trades.decode(rows, last, request=request, dialect=dialect, sent=sent)
        return candles.decode(rows, last, request=request, dialect=dialect, received_at=response.received_at)


def _rows_of(result: dict[str, Any], request: FetchRequest) -> Sequence[Any]:
    """The rows of the one pair in the answer; PayloadError where it is another's."""
    symbol = request.symbols[0]
    names = [name for name in result if name != "last"]
    if len(names) != 1 or not pairs.means(names[0], symbol):
        raise PayloadError(
            f"kraken answered for {', '.join(names)[:60]!a} when asked for {symbol}", provider="kraken"
        )
    rows = result[names[0]]
    if not isinstance(rows, list):
        raise PayloadError(f"kraken sent no list of rows for {symbol}", provider="kraken")
    return rows


def _errors(found: object) -> list[str]:
    """Errors by name; what begins with W is a warning and no error."""
    if isinstance(found, list):
        return [str(said)[:200] for said in found if not str(said).startswith("W")]
    return [str(found)[:200]] if found else []


def _named(errors: list[str], status: int) -> ProviderError:
    said, first = f"kraken says {', '.join(errors)[:300]!a}", errors[0]
    if "Unknown asset pair" in first or "Unknown asset" in first:
        return UnknownSymbol(said, symbol="", provider="kraken", status=status)
    if first.startswith(_TOO_MANY):
        return RateLimited(said, provider="kraken", status=status)
    if first.startswith(_LOCKED_OUT):
        return RateLimited(said, provider="kraken", status=status, retry_after=900.0)
    if first.startswith(_BUSY):
        return TransportError(said, provider="kraken", status=status)
    if first.startswith("EGeneral:Permission denied"):
        return NotEntitled(said, provider="kraken", status=status)
    return PayloadError(said, provider="kraken", status=status)


PROVIDER = Kraken()
