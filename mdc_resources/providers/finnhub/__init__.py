"""Finnhub: daily and one-minute candles, splits and dividends, company profiles; one symbol per request.

Coverage    US equities, decades of daily and some years of one-minute candles. Candles, splits and
            dividends need a paid plan since 2023 (403 on the free one); profiles are free. Which tape the
            minutes are of is not documented; they are taken for the consolidated one, as the daily
            volumes are within 5 % of it.
Basis       daily prices are over later splits, daily *volumes are as traded*: to put them beside the
            prices one would have to know all later splits, so daily volume is left out (null) with a
            warning that counts the bars. Minutes are as traded, prices and volumes. Dividends are the
            ``amount`` as paid, not the ``adjustedAmount``.
Timestamps  epoch seconds; a daily candle carries 00:00 **UTC** of its session's date, a minute its
            start. The current day is absent until after the close. Extended hours are dropped.
Numbers     JSON numbers; daily prices are divided doubles (14.621410714285714), rounded half-even.
Page        parallel arrays in one body; none is ``{"s":"no_data"}``, which also answers an unknown
            symbol and therefore proves nothing. At most a month of minutes per request. Candles do not
            name their symbol: an answer about another one cannot be told apart.
            Corporate actions are two requests: splits, then dividends.
Limits      60 requests a minute and 30 a second on the free plan; key in a header.
Terms       https://finnhub.io/terms-of-service
Checked     2026-11-20, against the vendor's client documentation, its issue tracker and quoted bodies
            (candle: issues 439, 445, 473, 494, 532), not live.
"""

from __future__ import annotations

import datetime as dt

from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import UTC
from mdc_resources.providers.decoding.bodies import classify_common, load_small, refused
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.finnhub import candles, facts
from mdc_resources.providers.spec import DERIVED_BARS, Dialect, Offer, Page, ProviderSpec

_MARKET = "us-consolidated"
SPEC = ProviderSpec(
    name="finnhub",
    title="Finnhub",
    base_url="https://finnhub.io",
    rank=18,
    limits=Limits(second=30, minute=60),
    offers={
        Dataset.BARS_1D: Offer(
            market=_MARKET, basis=Basis.SPLIT, encoding=NumberEncoding.DECIMAL, derived=DERIVED_BARS
        ),
        # A longer answer would be cut at its old end without a word; fifteen sessions never span more
        # than the 28 days of the shortest month.
        Dataset.BARS_1M: Offer(
            market=_MARKET, basis=Basis.RAW, encoding=NumberEncoding.DECIMAL, max_sessions=15
        ),
        Dataset.CORPORATE_ACTIONS: Offer(
            market=_MARKET, basis=Basis.RAW, encoding=NumberEncoding.DECIMAL, carries_prices=False
        ),
        Dataset.INSTRUMENTS: Offer(
            market=_MARKET, basis=Basis.RAW, encoding=NumberEncoding.DECIMAL, carries_prices=False
        ),
    },
    credentials=("FINNHUB_API_KEY",),
    checked_on=dt.date(2026, 11, 20),
)


class Finnhub:
    """The dialect of ``/api/v1/stock/...``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The first request; raises UnknownSymbol for a symbol of a named venue."""
        symbol = vendor_symbol(request.symbols[0])
        if request.dataset is Dataset.INSTRUMENTS:
            return self._authorised("profile2", (("symbol", symbol),), dialect)
        if request.dataset is Dataset.CORPORATE_ACTIONS:
            return self._authorised("split", _dates(symbol, request), dialect)
        start, end = _bounds(request, dialect)
        params = (
            ("symbol", symbol),
            ("resolution", "D" if request.dataset is Dataset.BARS_1D else "1"),
            ("from", str(int(start.timestamp()))),
            ("to", str(int(end.timestamp()) - 1)),
        )
        return self._authorised("candle", params, dialect)

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """Finnhub's errors are ``{"error": sentence}``; the limit's may come with status 200."""
        status = response.status
        document = load_small(response.body)
        message = document.get("error") if isinstance(document, dict) else None
        lower = message.lower() if isinstance(message, str) else ""
        said = f"finnhub says {quoted(message)}"
        if "limit reached" in lower and status < 500:
            return RateLimited(said, provider="finnhub", status=status)
        if status in (200, 403) and "access" in lower:
            return NotEntitled(
                said,
                provider="finnhub",
                status=status,
                hint="Candles, splits and dividends need a paid plan: https://finnhub.io/pricing",
            )
        if status in (200, 400) and "api key" in lower:
            return BadCredentials(said, provider="finnhub", status=status, hint="Check FINNHUB_API_KEY")
        if common := classify_common("finnhub", response):
            return common
        if status in (401, 403, 429) or status >= 500:
            return None
        if message:
            return PayloadError(said, provider="finnhub", status=status)
        return refused("finnhub", response) if status >= 300 else None

    def decode(
        self, request: FetchRequest, dialect: Dialect, sent: HttpRequest, response: HttpResponse
    ) -> Page:
        """Decode one answer; raises PayloadError where the body is not the documented one."""
        if error := self.classify(response):
            raise error
        if request.dataset is Dataset.INSTRUMENTS:
            return facts.profile(response.body, request=request, dialect=dialect)
        if request.dataset is not Dataset.CORPORATE_ACTIONS:
            return candles.decode(response, request=request, dialect=dialect)
        if sent.url.endswith("/dividend"):
            return facts.dividends(response, request=request, dialect=dialect)
        dividends = self._authorised("dividend", _dates(vendor_symbol(request.symbols[0]), request), dialect)
        return facts.splits(response, request=request, dialect=dialect, then=dividends)

    def _authorised(self, what: str, params: tuple[tuple[str, str], ...], dialect: Dialect) -> HttpRequest:
        name = dialect.settings.key_env or SPEC.credentials[0]
        return HttpRequest(
            f"{dialect.base_url}/api/v1/stock/{what}", params=params, auth=(("X-Finnhub-Token", name),)
        )


def vendor_symbol(symbol: Symbol) -> str:
    """Finnhub's spelling: US symbols as listed (``BRK.B``)."""
    if ":" in symbol or "_" in symbol:
        raise UnknownSymbol(f"finnhub cannot spell {symbol}", symbol=symbol, provider="finnhub")
    return symbol


def _dates(symbol: str, request: FetchRequest) -> tuple[tuple[str, str], ...]:
    return (("symbol", symbol), ("from", request.start.isoformat()), ("to", request.end.isoformat()))


def _bounds(request: FetchRequest, dialect: Dialect) -> tuple[dt.datetime, dt.datetime]:
    """Half-open instants to ask for: whole UTC days of daily candles, regular hours of minutes."""
    sessions = dialect.calendar.sessions(request.start, request.end)
    if request.dataset is Dataset.BARS_1M and sessions:
        return dialect.calendar.hours(sessions[0])[0], dialect.calendar.hours(sessions[-1])[1]
    first = dt.datetime.combine(request.start, dt.time(), UTC)
    return first, dt.datetime.combine(request.end + dt.timedelta(days=1), dt.time(), UTC)


PROVIDER = Finnhub()
