"""Alpha Vantage: daily and one-minute series, splits, dividends, company overviews; one symbol a request.

Coverage    US equities, 20 years and more. A free key gets daily bars of the last 100 sessions
            (``compact``), splits, dividends and overviews; the whole daily history (``full``) and
            minutes need a paid plan.
Basis       raw: daily bars as traded; minutes with ``adjusted=false``. Dividends as paid.
Timestamps  a bare date; minutes are naive local times of the body's own "Time Zone" (US/Eastern) and
            start their minute (since 2023; older recordings carry its end).
Numbers     decimal text throughout; splits as a rounded factor (0.0333 is 1:30).
Page        newest first, a JSON object keyed by time. Daily: the whole of it in one body. Minutes: one
            calendar month per body (``month=YYYY-MM``), followed month by month. Corporate actions are
            two requests: all splits ever, then all dividends ever.
Limits      25 requests a day and one a second on the free plan. Every refusal is a 200 whose
            *sentence* says which; some repeat the caller's key.
            The key goes in the URL: no header is accepted.
Terms       https://www.alphavantage.co/terms_of_service/
Checked     2026-11-20, against recorded and quoted bodies and the vendor's documentation, not live.
"""

from __future__ import annotations

import datetime as dt

from mdc_resources.calendars import Calendar
from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import ProviderError, UnknownSymbol
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.alphavantage import facts, series
from mdc_resources.providers.alphavantage.errors import classify
from mdc_resources.providers.spec import Dialect, Offer, Page, ProviderSpec

COMPACT_ROWS = 100
MONTH_ROWS = 21 * 390
_MARKET = "us-consolidated"
_DECIMAL = NumberEncoding.DECIMAL
_FACTS = Offer(market=_MARKET, basis=Basis.RAW, encoding=_DECIMAL, carries_prices=False)
SPEC = ProviderSpec(
    name="alphavantage",
    title="Alpha Vantage",
    base_url="https://www.alphavantage.co",
    rank=25,
    limits=Limits(second=1, day=25),
    offers={
        Dataset.BARS_1D: Offer(market=_MARKET, basis=Basis.RAW, encoding=_DECIMAL),
        # Three months touch four bodies at most.
        Dataset.BARS_1M: Offer(
            market=_MARKET, basis=Basis.RAW, encoding=_DECIMAL, max_sessions=63, page_rows=MONTH_ROWS
        ),
        Dataset.CORPORATE_ACTIONS: _FACTS,
        Dataset.INSTRUMENTS: _FACTS,
    },
    credentials=("ALPHA_VANTAGE_API_KEY",),
    checked_on=dt.date(2026, 11, 20),
)


class AlphaVantage:
    """The dialect of ``/query``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The first request; raises UnknownSymbol for a symbol of a named venue."""
        symbol = vendor_symbol(request.symbols[0])
        if request.dataset is Dataset.INSTRUMENTS:
            return self._query("OVERVIEW", symbol, dialect)
        if request.dataset is Dataset.CORPORATE_ACTIONS:
            return self._query("SPLITS", symbol, dialect)
        if request.dataset is Dataset.BARS_1M:
            return self._month(request, dialect, request.start)
        size = "compact" if _is_recent(request, dialect.calendar) else "full"
        return self._query("TIME_SERIES_DAILY", symbol, dialect, outputsize=size, datatype="json")

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """By sentence: nearly every refusal has status 200, and one key stands for many things."""
        return classify(response)

    def decode(
        self, request: FetchRequest, dialect: Dialect, sent: HttpRequest, response: HttpResponse
    ) -> Page:
        """Decode one body.

        Raises:
            PayloadError: it is not what was asked for, or another symbol's.
            OutOfRange: a compact answer that does not reach back to the start of the range.
        """
        if error := classify(response, symbol=request.symbols[0]):
            raise error
        wanted = vendor_symbol(request.symbols[0])
        if request.dataset is Dataset.INSTRUMENTS:
            return facts.overview(response.body, wanted, request=request, dialect=dialect)
        if request.dataset is Dataset.BARS_1D:
            return series.daily(response, wanted, request=request, dialect=dialect)
        if request.dataset is Dataset.BARS_1M:
            following = self._following(request, dialect, sent)
            return series.minutes(response, wanted, request=request, dialect=dialect, following=following)
        if dict(sent.params).get("function") == "DIVIDENDS":
            return facts.dividends(response, wanted, request=request, dialect=dialect)
        then = self._query("DIVIDENDS", wanted, dialect)
        return facts.splits(response, wanted, request=request, dialect=dialect, then=then)

    def _following(self, request: FetchRequest, dialect: Dialect, sent: HttpRequest) -> HttpRequest | None:
        """The request for the month after the one that ``sent`` asked for; None past the range."""
        first = dt.date.fromisoformat(f"{dict(sent.params)['month']}-01")
        following = (first + dt.timedelta(days=31)).replace(day=1)
        return self._month(request, dialect, following) if following <= request.end else None

    def _month(self, request: FetchRequest, dialect: Dialect, day: dt.date) -> HttpRequest:
        return self._query(
            "TIME_SERIES_INTRADAY",
            vendor_symbol(request.symbols[0]),
            dialect,
            interval="1min",
            adjusted="false",
            extended_hours="false",
            month=day.strftime("%Y-%m"),
            outputsize="full",
            datatype="json",
        )

    def _query(self, function: str, symbol: str, dialect: Dialect, **more: str) -> HttpRequest:
        name = dialect.settings.key_env or SPEC.credentials[0]
        return HttpRequest(
            f"{dialect.base_url}/query",
            params=(("function", function), ("symbol", symbol), *more.items()),
            query_auth=(("apikey", name),),
        )


def vendor_symbol(symbol: Symbol) -> str:
    """Alpha Vantage's spelling: a US share class takes a dash (``BRK-B``), a dot starts an exchange."""
    if ":" in symbol or "_" in symbol:
        raise UnknownSymbol(f"alphavantage cannot spell {symbol}", symbol=symbol, provider="alphavantage")
    return symbol.replace(".", "-")


def _is_recent(request: FetchRequest, calendar: Calendar) -> bool:
    """True if the newest 100 rows as of the fetch reach back to the start of the range."""
    end = max(request.asof, request.end)
    return len(calendar.sessions(request.start, end)) <= COMPACT_ROWS


PROVIDER = AlphaVantage()
