"""Binance Spot: daily and one-minute candles, trades, and what an instrument is; no key.

Coverage    spot pairs since 2017-07, ``BINANCE:BTC-USDT`` is the vendor's ``BTCUSDT``. One exchange of its
            own: nobody else's volume stands in for it. ``base_url`` may name another of its houses.
Basis       raw; coins have no splits and no dividends.
Timestamps  a candle's start and its last millisecond; trades when they happened. Milliseconds, or
            microseconds where a proxy asks for them: told apart by size, a mix of both is refused.
Numbers     decimal text. Candles without a trade are sent with the last price and volume 0. VWAP is quote
            volume by volume. Trades are aggregates: fills of one taker order at one price are one row,
            ``m`` true means that the taker sold. Ids are text here, they may pass 2^53.
Page        1,000 rows, oldest first. Candles go on at the last one's start plus its length; trades are
            found by time (one hour at most between startTime and endTime), then followed by id.
Live        the newest candle is still running: it is left out, and its session is incomplete.
Empty       the exchange is the only source of its own trades: no candle of a session that is over means
            that nothing was traded.
Limits      6,000 weights a minute and address; a page of candles weighs 2, of trades 4. 429, then 418
            (banned, with Retry-After); 451 where the law of the place forbids it.
Terms       https://www.binance.com/en/terms
Checked     2026-11-20, against recorded answers and the vendor's documents, not live.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    OutOfRange,
    PayloadError,
    ProviderError,
    RateLimited,
    TransportError,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.binance import candles, trades
from mdc_resources.providers.decoding.actions import instrument_row
from mdc_resources.providers.decoding.bodies import classify_common, load_small, refused, snippet
from mdc_resources.providers.decoding.json_rows import load_rows
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.spec import Dialect, Offer, Page, ProviderSpec

_MARKET = "binance"
_OFFER = Offer(
    market=_MARKET,
    basis=Basis.RAW,
    encoding=NumberEncoding.DECIMAL,
    page_rows=candles.PAGE_ROWS,
    history_start=dt.date(2017, 7, 14),
    empty_is_proof=True,
)
SPEC = ProviderSpec(
    name="binance",
    title="Binance Spot",
    base_url="https://api.binance.com",
    rank=10,
    limits=Limits(minute=1200),
    offers={
        Dataset.BARS_1D: replace(_OFFER, max_sessions=1000),
        Dataset.BARS_1M: replace(_OFFER, max_sessions=30),
        Dataset.TRADES: replace(_OFFER, max_sessions=1, carries_prices=False),
        Dataset.INSTRUMENTS: replace(_OFFER, page_rows=None, carries_prices=False),
    },
    asset_classes=frozenset({"crypto"}),
    venue="BINANCE",
    checked_on=dt.date(2026, 11, 20),
)
_PAIR = re.compile(r"BINANCE:([A-Z0-9]+)-([A-Z0-9]+)")
# https://developers.binance.com/docs/binance-spot-api-docs/errors
_BUSY = frozenset({-1000, -1001, -1004, -1006, -1007, -1008, -1016})
_TOO_MANY = frozenset({-1003, -1015, -1034})
_KEYS = frozenset({-1002, -2014, -2015})
_WAF_PAUSE_SECONDS = 60.0


class Binance:
    """The dialect of ``/api/v3``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The first page; raises UnknownSymbol for what is no pair of this venue."""
        symbol = vendor_symbol(request.symbols[0])
        if request.dataset is Dataset.INSTRUMENTS:
            return HttpRequest(f"{dialect.base_url}/api/v3/exchangeInfo", params=(("symbol", symbol),))
        if request.dataset is Dataset.TRADES:
            return trades.first(symbol, request, dialect)
        return candles.first(symbol, request, dialect)

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """Binance's errors are ``{"code": -1121, "msg": ...}``; 403 is its firewall, 418 a ban."""
        document = load_small(response.body)
        code, said = _said(document)
        status = response.status
        if status in (403, 418):
            wait = _seconds(response) or (_WAF_PAUSE_SECONDS if status == 403 else None)
            return RateLimited(
                f"binance answered {status}: {said}", provider="binance", status=status, retry_after=wait
            )
        if status == 451:
            return NotEntitled(
                f"binance does not serve this place: {said}",
                provider="binance",
                status=status,
                hint="Where its US house may be used: base_url = https://api.binance.us",
            )
        if code is not None and status != 429:
            return _named(code, said, response)
        if common := classify_common("binance", response):
            return common
        if status in (401, 429) or status >= 500:
            return None
        return refused("binance", response) if status >= 300 else None

    def decode(
        self, request: FetchRequest, dialect: Dialect, sent: HttpRequest, response: HttpResponse
    ) -> Page:
        """Decode one page; raises PayloadError, also for mixed units and another symbol's facts."""
        error = self.classify(response)
        if isinstance(error, UnknownSymbol):
            error.symbol = request.symbols[0]
        if error:
            raise error
        document = load_rows(response.body, provider="binance")
        if request.dataset is Dataset.INSTRUMENTS:
            return _instrument(document, request, dialect)
        if not isinstance(document, list):
            raise PayloadError(
                f"binance sent no list but {snippet(response.body)}",
                provider="binance",
                status=response.status,
            )
        if request.dataset is Dataset.TRADES:
            return trades.decode(document, request=request, dialect=dialect, sent=sent)
        return candles.decode(
            document, request=request, dialect=dialect, sent=sent, received_at=response.received_at
        )


def vendor_symbol(symbol: Symbol) -> str:
    """``BTCUSDT`` for ``BINANCE:BTC-USDT``; raises UnknownSymbol for anything else."""
    pair = _PAIR.fullmatch(symbol)
    if not pair:
        raise UnknownSymbol(
            f"binance cannot spell {symbol}",
            symbol=symbol,
            provider="binance",
            hint="Its pairs look like BINANCE:BTC-USDT",
        )
    return pair[1] + pair[2]


def _instrument(document: object, request: FetchRequest, dialect: Dialect) -> Page:
    symbol = request.symbols[0]
    listed = document.get("symbols") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise PayloadError("binance sent a document without symbols", provider="binance")
    wanted = vendor_symbol(symbol)
    found = [facts for facts in listed if isinstance(facts, dict) and facts.get("symbol") == wanted]
    if len(found) != 1:
        raise PayloadError(
            f"binance answered with {len(found)} instruments called {wanted}", provider="binance"
        )
    base, quote = (found[0].get(key) for key in ("baseAsset", "quoteAsset"))
    if not isinstance(base, str) or not isinstance(quote, str) or base + quote != wanted:
        raise PayloadError(f"binance sent facts of {wanted} without its two assets", provider="binance")
    facts: dict[str, object] = {
        "name": f"{base}/{quote}",
        "instrument_type": "spot",
        "currency": quote,
        "venue": _MARKET,
        "timezone": "UTC",
        "first_trade": None,
    }
    return Page({Dataset.INSTRUMENTS: instrument_row(symbol, request=request, dialect=dialect, facts=facts)})


def _said(document: object) -> tuple[int | None, str]:
    """Code and message of an error document; no code where it is none."""
    if not isinstance(document, dict):
        return None, ""
    code, said = document.get("code"), f"{quoted(document.get('msg') or '')}"
    return (code, said) if isinstance(code, int) and not isinstance(code, bool) else (None, said)


def _seconds(response: HttpResponse) -> float | None:
    text = response.headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _named(code: int, said: str, response: HttpResponse) -> ProviderError:
    message, status = f"binance says {said} ({code})", response.status
    if code in (-1121, -1122):
        return UnknownSymbol(message, symbol="", provider="binance", status=status)
    if code in _TOO_MANY:
        return RateLimited(message, provider="binance", status=status, retry_after=_seconds(response))
    if code in _BUSY:
        return TransportError(message, provider="binance", status=status)
    if code in _KEYS:
        return BadCredentials(message, provider="binance", status=status)
    if code == -1127:
        return OutOfRange(message, provider="binance", status=status)
    return PayloadError(message, provider="binance", status=status)


PROVIDER = Binance()
