"""Coinbase Exchange: daily and one-minute candles, trades, and what a product is; no key.

Coverage    spot products, ``COINBASE:BTC-USD`` is the vendor's ``BTC-USD``; since 2015. This is the Exchange,
            not Advanced Trade: same market, other documents.
Basis       raw; coins have no splits and no dividends.
Timestamps  a candle's start in seconds; trades in RFC 3339 with microseconds.
Numbers     candles are JSON numbers ``[time, low, high, open, close, volume]``: prices are the number as
            written, volumes are sums that the vendor made in floats, rounded to 8 decimals and flagged.
            Trades are decimal text. ``side`` is what the *maker* did: it is turned round here.
Page        candles: NEWEST first, 300 at most, some may lie before ``start``; a range is cut into pages
            by time. Trades: NEWEST first, 1,000 at most, ``after`` an id; nothing asks by time. The id at
            which a session begins is found by halving (about twenty small requests), then pages are read
            upwards, oldest first.
Live        the newest candle is still running: it is left out, and its session is incomplete.
Empty       intervals without a trade are absent; the exchange is the only source of its own trades.
Limits      10 requests a second and address, ``{"message": "Public rate limit exceeded"}``.
Terms       https://www.coinbase.com/legal/market_data
Checked     2026-11-20, against the vendor's documents and its recorded feed, not live.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import PayloadError, ProviderError, UnknownSymbol
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.coinbase import candles, trades
from mdc_resources.providers.decoding.actions import instrument_row
from mdc_resources.providers.decoding.bodies import classify_common, load_small, refused, snippet
from mdc_resources.providers.decoding.json_rows import load_rows
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.spec import Dialect, Offer, Page, ProviderSpec

_OFFER = Offer(
    market="coinbase",
    basis=Basis.RAW,
    encoding=NumberEncoding.DECIMAL,
    history_start=dt.date(2015, 1, 1),
    empty_is_proof=True,
)
_CANDLES = replace(_OFFER, derived=frozenset({"volume"}), page_rows=candles.PAGE_ROWS)
SPEC = ProviderSpec(
    name="coinbase",
    title="Coinbase Exchange",
    base_url="https://api.exchange.coinbase.com",
    rank=10,
    limits=Limits(second=8),
    offers={
        Dataset.BARS_1D: replace(_CANDLES, max_sessions=3000),
        Dataset.BARS_1M: replace(_CANDLES, max_sessions=30),
        Dataset.TRADES: replace(_OFFER, max_sessions=1, page_rows=trades.PAGE_ROWS, carries_prices=False),
        Dataset.INSTRUMENTS: replace(_OFFER, carries_prices=False),
    },
    asset_classes=frozenset({"crypto"}),
    venue="COINBASE",
    checked_on=dt.date(2026, 11, 20),
)
_PRODUCT = re.compile(r"COINBASE:([A-Z0-9]+-[A-Z0-9]+)")
# The vendor asks for a name; requests without one are refused with 400.
USER_AGENT = (("User-Agent", "mdc"),)


class Coinbase:
    """The dialect of ``/products/<id>``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The first page; raises UnknownSymbol for what is no product of this venue."""
        url = f"{dialect.base_url}/products/{product_of(request.symbols[0])}"
        sent = HttpRequest(url, headers=USER_AGENT)
        if request.dataset is Dataset.INSTRUMENTS:
            return sent
        if request.dataset is Dataset.TRADES:
            return trades.first(sent)
        return candles.first(sent, request, dialect)

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """Coinbase's errors are ``{"message": ...}`` with a status."""
        document = load_small(response.body)
        message = document.get("message") if isinstance(document, dict) else None
        status = response.status
        if status == 404 and isinstance(message, str):
            return UnknownSymbol(
                f"coinbase says {quoted(message)}", symbol="", provider="coinbase", status=status
            )
        if common := classify_common("coinbase", response):
            return common
        if status in (401, 403, 429) or status >= 500:
            return None
        if isinstance(message, str):
            return PayloadError(f"coinbase says {quoted(message)}", provider="coinbase", status=status)
        return refused("coinbase", response) if status >= 300 else None

    def decode(
        self, request: FetchRequest, dialect: Dialect, sent: HttpRequest, response: HttpResponse
    ) -> Page:
        """Decode one page; raises PayloadError, also for another product's facts."""
        error = self.classify(response)
        if isinstance(error, UnknownSymbol):
            error.symbol = request.symbols[0]
        if error:
            raise error
        document = load_rows(response.body, provider="coinbase")
        if request.dataset is Dataset.INSTRUMENTS:
            return _instrument(document, request, dialect)
        if not isinstance(document, list):
            raise PayloadError(f"coinbase sent no list but {snippet(response.body)}", provider="coinbase")
        if request.dataset is Dataset.TRADES:
            older = bool(response.headers.get("cb-after"))
            return trades.decode(document, request=request, dialect=dialect, sent=sent, older=older)
        return candles.decode(
            document, request=request, dialect=dialect, sent=sent, received_at=response.received_at
        )


def product_of(symbol: Symbol) -> str:
    """``BTC-USD`` for ``COINBASE:BTC-USD``; raises UnknownSymbol for anything else."""
    product = _PRODUCT.fullmatch(symbol)
    if not product:
        raise UnknownSymbol(
            f"coinbase cannot spell {symbol}",
            symbol=symbol,
            provider="coinbase",
            hint="Its products look like COINBASE:BTC-USD",
        )
    return product[1]


def _instrument(document: object, request: FetchRequest, dialect: Dialect) -> Page:
    symbol = request.symbols[0]
    wanted = product_of(symbol)
    if not isinstance(document, dict) or document.get("id") != wanted:
        said = document.get("id") if isinstance(document, dict) else document
        raise PayloadError(
            f"coinbase answered for {str(said)[:40]!a} when asked for {wanted}", provider="coinbase"
        )
    name = document.get("display_name")
    facts: dict[str, object] = {
        "name": name if isinstance(name, str) else wanted,
        "instrument_type": "spot",
        "currency": wanted.partition("-")[2],
        "venue": "coinbase",
        "timezone": "UTC",
        "first_trade": None,
    }
    return Page({Dataset.INSTRUMENTS: instrument_row(symbol, request=request, dialect=dialect, facts=facts)})


PROVIDER = Coinbase()
