"""Tiingo: daily bars with splits and dividends, minutes of IEX, and what a ticker is.

Coverage    daily: US stocks, ETFs and funds, some back to 1962, composed from several sources. Minutes:
            trades on IEX alone since 2016-12, another market than the consolidated tape.
Basis       raw: ``open`` .. ``volume``, as traded. The ``adj...`` columns beside them (CRSP, splits and
            dividends) are not stored: they are rewritten with each dividend.
Actions     each daily row tells ``divCash`` and ``splitFactor`` of its date, which is the ex-date: a row with
            0 and 1 says that nothing happened. A session without a row says nothing.
Timestamps  a daily ``date`` looks like an instant at midnight UTC and is a date. A minute's is its start, an
            instant in UTC; extended hours are not asked for. A day appears about 17:30 in New York and may
            be corrected until 20:00: until then its absence means nothing.
Numbers     JSON numbers. ``divCash`` and ``splitFactor`` may be derived, with up to 16 digits. Minutes have a
            ``volume`` only where ``columns`` asks for it.
Absent      days without data are left out. An unknown ticker is a 404 with a ``detail``.
Page        the whole range in one body; of minutes the newest 2,000, so five sessions a request. A body does
            not name its ticker.
Symbols     a share class takes a dash: ``BRK-B``.
Limits      50 requests an hour, 1,000 a day on the free plan; 429 with a ``detail`` that says which. The hour
            begins anew on the clock; no header says so.
Terms       https://www.tiingo.com/about/terms: personal use on the free plan.
Checked     2026-11-20, against its client's recorded answers and its documentation, not live.
"""

from __future__ import annotations

import datetime as dt
import re

from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import (
    NotEntitled,
    PayloadError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bodies import classify_common, load_small, refused
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.spec import Dialect, Offer, Page, ProviderSpec
from mdc_resources.providers.tiingo import rows

_MARKET = "us-consolidated"
_DAILY = Offer(
    market=_MARKET,
    basis=Basis.RAW,
    encoding=NumberEncoding.DECIMAL,
    carries=(Dataset.CORPORATE_ACTIONS,),
)
SPEC = ProviderSpec(
    name="tiingo",
    title="Tiingo",
    base_url="https://api.tiingo.com",
    rank=15,
    limits=Limits(hour=50, day=1000),
    offers={
        Dataset.BARS_1D: _DAILY,
        Dataset.BARS_1M: Offer(
            market="iex",
            basis=Basis.RAW,
            encoding=NumberEncoding.DECIMAL,
            max_sessions=5,  # 1,950 minutes: never more than an answer holds
            history_start=dt.date(2016, 12, 12),
        ),
        Dataset.CORPORATE_ACTIONS: Offer(
            market=_MARKET,
            basis=Basis.RAW,
            encoding=NumberEncoding.DECIMAL,
            derived=frozenset({"amount"}),
            empty_is_proof=True,
            carries_prices=False,
        ),
        Dataset.INSTRUMENTS: Offer(
            market=_MARKET, basis=Basis.RAW, encoding=NumberEncoding.DECIMAL, carries_prices=False
        ),
    },
    credentials=("TIINGO_API_TOKEN",),
    checked_on=dt.date(2026, 11, 20),
)
_US_CALENDARS = frozenset({"XNYS", "XNAS", "XASE", "ARCX", "BATS", "NYSE", "NASDAQ"})
_SPELLED = re.compile(r"[A-Z0-9.-]+")


class Tiingo:
    """The dialect of ``/tiingo/daily`` and ``/iex``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The one request of a range; raises UnknownSymbol for what is no US ticker."""
        ticker = vendor_symbol(request.symbols[0], dialect.calendar.name)
        params: tuple[tuple[str, str], ...] = (
            ("startDate", request.start.isoformat()),
            ("endDate", request.end.isoformat()),
            ("format", "json"),
        )
        path = f"/tiingo/daily/{ticker}/prices"
        if request.dataset is Dataset.INSTRUMENTS:
            path, params = f"/tiingo/daily/{ticker}", ()
        elif request.dataset is Dataset.BARS_1M:
            path = f"/iex/{ticker}/prices"
            params += (("resampleFreq", "1min"), ("columns", "open,high,low,close,volume"))
            params += (("afterHours", "false"), ("forceFill", "false"))
        else:
            params += (("resampleFreq", "daily"),)
        name = dialect.settings.key_env or SPEC.credentials[0]
        return HttpRequest(f"{dialect.base_url}{path}", params=params, auth=(("Authorization: Token", name),))

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """Tiingo's errors are ``{"detail": ...}``, or that sentence alone, also with status 200."""
        detail, status = _detail(response.body), response.status
        if error := _named(detail, response):
            return error
        if status in (401, 403, 429) or status >= 500:
            return None
        if detail:
            return PayloadError(f"tiingo says {quoted(detail)}", provider="tiingo", status=status)
        if common := classify_common("tiingo", response):
            return common
        return refused("tiingo", response) if status >= 300 else None

    def decode(
        self,
        request: FetchRequest,
        dialect: Dialect,
        sent: HttpRequest,  # noqa: ARG002 - the protocol names it
        response: HttpResponse,
    ) -> Page:
        """Decode the range; raises PayloadError where the body is not the documented one."""
        if error := self.classify(response):
            raise _about(error, request.symbols[0])
        if request.dataset is Dataset.INSTRUMENTS:
            ticker = vendor_symbol(request.symbols[0], dialect.calendar.name)
            return rows.instrument(response, ticker, request=request, dialect=dialect)
        if request.dataset is Dataset.BARS_1M:
            return rows.minutes(response, request=request, dialect=dialect)
        return rows.days(response, request=request, dialect=dialect)


def vendor_symbol(symbol: Symbol, calendar: str) -> str:
    """Tiingo's spelling of a US ticker: ``BRK.B`` is ``BRK-B``; UnknownSymbol for anything else."""
    if calendar not in _US_CALENDARS or not _SPELLED.fullmatch(symbol):
        raise UnknownSymbol(
            f"tiingo has no {symbol} on calendar {calendar}", symbol=symbol, provider="tiingo"
        )
    return symbol.replace(".", "-")


def _detail(body: bytes) -> str:
    """The sentence of an error document; empty where it is none."""
    document = load_small(body)
    if isinstance(document, dict) and set(document) <= {"detail", "message", "error"}:
        return " ".join(str(value) for value in document.values())
    text = body[:300].decode("utf-8", "replace").strip().strip('"')
    return text if text.startswith("Error:") else ""


def _named(detail: str, response: HttpResponse) -> ProviderError | None:
    """The error that Tiingo's sentence stands for, whatever the status says."""
    said, status, lower = f"tiingo says {quoted(detail)}", response.status, detail.lower()
    if "allocation" in lower and "hourly" not in lower:
        return QuotaExhausted(said, provider="tiingo", status=status)
    if "hourly" in lower and "retry-after" not in response.headers:
        at = response.received_at
        wait = 3600 - at.minute * 60 - at.second
        return RateLimited(said, provider="tiingo", status=status, retry_after=float(wait))
    if "not found" in lower and "ticker" in lower:
        return UnknownSymbol(said, symbol="", provider="tiingo", status=status)
    if status == 403 and ("permission" in lower or "upgrade" in lower or "subscri" in lower):
        return NotEntitled(said, provider="tiingo", status=status, hint="Upgrade the plan")
    return None


def _about(error: ProviderError, symbol: Symbol) -> ProviderError:
    """``error`` with the symbol that ``classify`` could not know."""
    if not isinstance(error, UnknownSymbol):
        return error
    return UnknownSymbol(f"{symbol}: {error.message}", symbol=symbol, provider="tiingo", status=error.status)


PROVIDER = Tiingo()
