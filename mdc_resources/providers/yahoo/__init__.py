"""Yahoo Finance: chart v8, one symbol per request, daily and one-minute bars.

Coverage    most listed equities of the world; daily history to the listing, minutes of about 30 days.
Basis       split: prices, volumes and dividends are restated by every later split, never by dividends
            (``adjclose``, which is, is not stored: it is rewritten with each dividend).
Timestamps  epoch seconds; a daily bar's is its session's open, or for the newest one the moment of the
            last trade. The session is the date in ``exchangeTimezoneName`` (``gmtoffset`` is today's).
Numbers     prices are singles widened to doubles (34.099998474121094); volumes are integers.
            The newest row may be of a session in progress: it is dropped, and its partition stays open.
Absent      a row of nulls is a day without data; no ``timestamp`` at all is an empty range.
Defects     histories with wrong units (pence for pounds), splits applied twice or not at all, dividends
            missing: nothing in a chart tells them from the truth, so they are stored as delivered; what
            contradicts itself (high below low) is quarantined, wrong events show up as conflicts with
            a second source.
Page        the whole range in one body; at most 8 days of minutes per request.
Limits      unpublished; about 2,000 requests an hour before 429 ``Too Many Requests``. No key.
Terms       personal use: https://legal.yahoo.com/us/en/yahoo/terms/otos/
Checked     2026-11-20, against recorded responses, not live.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pyarrow as pa

from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import OutOfRange, PayloadError, ProviderError, UnknownSymbol
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.actions import assemble_actions, instrument_row
from mdc_resources.providers.decoding.bars import assemble
from mdc_resources.providers.decoding.bodies import classify_common, load_small, refused, snippet
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.decoding.sessions import SessionColumns, micros_of
from mdc_resources.providers.decoding.unfinished import finished
from mdc_resources.providers.spec import DERIVED_BARS, Dialect, Offer, Page, ProviderSpec, Rejected
from mdc_resources.providers.yahoo.bars import bars_of
from mdc_resources.providers.yahoo.chart import Chart, parse
from mdc_resources.providers.yahoo.facts import actions_of, facts_of

_MARKET = "us-consolidated"
_FACTS = Offer(
    market=_MARKET, basis=Basis.SPLIT, encoding=NumberEncoding.FLOAT32, derived=frozenset({"amount"}),
    empty_is_proof=True, carries_prices=False,
)  # fmt: skip
SPEC = ProviderSpec(
    name="yahoo",
    title="Yahoo Finance (chart v8)",
    base_url="https://query2.finance.yahoo.com",
    rank=10,
    limits=Limits(minute=100, hour=2000),
    offers={
        Dataset.BARS_1D: Offer(
            market=_MARKET,
            basis=Basis.SPLIT,
            encoding=NumberEncoding.FLOAT32,
            derived=DERIVED_BARS,
            carries=(Dataset.CORPORATE_ACTIONS, Dataset.INSTRUMENTS),
        ),
        Dataset.BARS_1M: Offer(
            market=_MARKET,
            basis=Basis.SPLIT,
            encoding=NumberEncoding.FLOAT32,
            derived=DERIVED_BARS,
            max_sessions=5,  # five sessions never span more than the eight days it allows
            history_days=29,
        ),
        Dataset.CORPORATE_ACTIONS: _FACTS,
        Dataset.INSTRUMENTS: _FACTS,
    },
    checked_on=dt.date(2026, 11, 20),
)
# Requests without a browser's name are answered with 429.
_USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
)
_US_CALENDARS = frozenset({"XNYS", "XNAS", "XASE", "ARCX", "BATS", "NYSE", "NASDAQ"})


class Yahoo:
    """The dialect of ``/v8/finance/chart``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The chart of whole local days; raises UnknownSymbol for a symbol of a named venue."""
        tz = dialect.calendar.tz
        first = dt.datetime.combine(request.start, dt.time(), tz)
        after = dt.datetime.combine(request.end + dt.timedelta(days=1), dt.time(), tz)
        params = (
            ("period1", str(micros_of(first) // 1_000_000)),
            ("period2", str(micros_of(after) // 1_000_000)),
            ("interval", "1m" if request.dataset is Dataset.BARS_1M else "1d"),
            ("includePrePost", "false"),
            ("events", "div,splits"),
        )
        symbol = vendor_symbol(request.symbols[0], dialect.calendar.name)
        return HttpRequest(
            f"{dialect.base_url}/v8/finance/chart/{symbol}",
            params=params,
            headers=(("User-Agent", _USER_AGENT),),
        )

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """Yahoo's errors are documents under ``chart.error``, also with status 200."""
        if common := classify_common("yahoo", response):
            return common
        if response.status in (401, 403, 429) or response.status >= 500:
            return None
        code, description = _error_of(load_small(response.body))
        if code or description:
            return _named(code, description, response.status)
        if response.status == 404:
            return UnknownSymbol("yahoo answered 404", symbol="", provider="yahoo", status=404)
        if response.status >= 300:
            return refused("yahoo", response)
        if not response.body.lstrip().startswith(b"{"):
            return PayloadError(f"yahoo sent no JSON object but {snippet(response.body)}", provider="yahoo")
        return None

    def decode(
        self,
        request: FetchRequest,
        dialect: Dialect,
        sent: HttpRequest,  # noqa: ARG002 - the protocol names it
        response: HttpResponse,
    ) -> Page:
        """Decode one chart; raises PayloadError, also where it is another symbol's."""
        symbol = request.symbols[0]
        error = self.classify(response)
        if isinstance(error, UnknownSymbol):
            raise UnknownSymbol(
                f"{symbol}: {error.message}", symbol=symbol, provider="yahoo", status=error.status
            )
        if error:
            raise error
        chart = parse(response.body)
        wanted = vendor_symbol(symbol, dialect.calendar.name)
        if str(chart.meta.get("symbol", "")).upper() != wanted.upper():
            raise PayloadError(
                f"yahoo answered for {ascii(chart.meta.get('symbol'))[:40]} when asked for {wanted}",
                provider="yahoo",
            )
        return _page_of(chart, symbol, request=request, dialect=dialect, known_at=response.received_at)


def _page_of(
    chart: Chart, symbol: Symbol, *, request: FetchRequest, dialect: Dialect, known_at: dt.datetime
) -> Page:
    """The tables that ``request`` and its offer name, from a chart of ``symbol``."""
    zone = _zone(chart, dialect)
    offer = dialect.offer(request.dataset)
    wanted = {request.dataset, *offer.carries}
    tables: dict[Dataset, pa.Table] = {}
    rejected: list[Rejected] = []
    warnings: list[str] = []
    incomplete: tuple[tuple[Symbol, dt.date], ...] = ()
    dropped = rounded = 0
    if request.dataset.is_bars:
        sessions = SessionColumns.of(dialect.calendar, request)
        columns = bars_of(chart, symbol, zone, sessions=sessions, dataset=request.dataset, offer=offer)
        over = finished(
            assemble(columns, request=request, dialect=dialect, sessions=sessions),
            request=request, dialect=dialect, received_at=known_at,
        )  # fmt: skip
        bars, incomplete = over.bars, over.incomplete
        tables[request.dataset] = bars.table
        rejected, dropped, rounded = list(bars.rejected), bars.dropped, bars.rounded
    if Dataset.CORPORATE_ACTIONS in wanted:
        actions, wrong = actions_of(chart, symbol, zone)
        asked = request.dataset is Dataset.CORPORATE_ACTIONS
        if wrong and asked and any(row.session is None for row in wrong):
            raise PayloadError(f"yahoo sent an event without a date: {wrong[0].reason}", provider="yahoo")
        if wrong and not asked:
            # Without all of them an empty session would pass for one where nothing happened.
            warnings.append(f"events of {symbol} left out, one cannot be read: {wrong[0].reason}")
        else:
            facts = assemble_actions(
                actions, request=request, dialect=dialect, basis=Basis.SPLIT, known_at=known_at
            )
            tables[Dataset.CORPORATE_ACTIONS] = facts.table
            rejected += [*facts.rejected, *wrong]
            dropped, rounded = dropped + facts.dropped, rounded + facts.rounded
    if Dataset.INSTRUMENTS in wanted:
        tables[Dataset.INSTRUMENTS] = instrument_row(
            symbol, request=request, dialect=dialect, facts=facts_of(chart, zone)
        )
    return Page(
        tables=tables,
        rejected=tuple(rejected),
        incomplete=incomplete,
        dropped=dropped,
        rounded=rounded,
        warnings=tuple(warnings),
    )


def _zone(chart: Chart, dialect: Dialect) -> ZoneInfo:
    try:
        return ZoneInfo(str(chart.meta["exchangeTimezoneName"]))
    except (KeyError, ValueError, OSError):
        return dialect.calendar.tz


def vendor_symbol(symbol: Symbol, calendar: str) -> str:
    """Yahoo's spelling: a US share class takes a dash (``BRK-B``), elsewhere a dot starts the venue."""
    if ":" in symbol or "_" in symbol:
        raise UnknownSymbol(f"yahoo cannot spell {symbol}", symbol=symbol, provider="yahoo")
    return symbol.replace(".", "-") if calendar in _US_CALENDARS else symbol


def _error_of(document: object) -> tuple[str, str]:
    """Code and description of an error document; empty where it is none."""
    if not isinstance(document, dict):
        return "", ""
    inner = document.get("chart", document.get("finance"))
    error = inner.get("error") if isinstance(inner, dict) else document.get("error")
    if isinstance(error, dict):
        return str(error.get("code") or "unnamed"), str(error.get("description") or "")
    return ("unnamed", str(error)) if error else ("", "")


def _named(code: str, description: str, status: int) -> ProviderError:
    said = f"yahoo says {code[:40]!a}: {quoted(description)}"
    lower = description.lower()
    if (
        "data doesn't exist for startdate" in lower
        or "must be within the last" in lower
        or "not available for" in lower
    ):
        return OutOfRange(said, provider="yahoo", status=status)
    if "no data found" in lower or "delisted" in lower or code == "Not Found":
        return UnknownSymbol(said, symbol="", provider="yahoo", status=status)
    return PayloadError(said, provider="yahoo", status=status)


PROVIDER = Yahoo()
