"""Alpaca Market Data v2: bars of many US stocks per request, trades, quotes and corporate actions.

Coverage    US equities since 2016. Feed ``sip`` is the consolidated tape, ``iex`` one exchange (2-5 % of
            its volume): two different markets. Free plans may ask ``sip`` for what is older than 15 minutes.
Basis       raw by default; ``basis = "split"`` or ``"split+dividend"`` asks for adjusted prices.
Timestamps  RFC-3339; a daily bar's is midnight in New York, a minute bar's its start. Minutes of
            extended hours come along and are dropped and counted.
            Trades and quotes have nanoseconds; those of extended hours belong to their session.
Numbers     decimal text. ``n`` and ``vw`` are absent in old data; ``v`` may be ``6.38e+07``. Quote sizes
            are round lots before 2025-11-03 and are stored as shares.
Page        at most 10,000 rows of all symbols together, sorted by symbol and time; a short page with
            a ``next_page_token`` still continues. ``start`` and ``end`` are both inclusive.
Symbols     as listed (``BRK.B``); an unknown one is silently absent. ``asof=-`` turns the following of
            renames off: what FB traded is FB's, and not META's.
Limits      200 requests a minute on the free plan; key and secret in headers.
Terms       https://alpaca.markets/disclosures
Checked     2026-11-20, against the vendor's OpenAPI description and its clients' test bodies, not live.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import NotEntitled, PayloadError, ProviderError, UnknownSymbol
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.time import UTC
from mdc_resources.providers.alpaca import actions as alpaca_actions
from mdc_resources.providers.alpaca import bars as alpaca_bars
from mdc_resources.providers.alpaca import events
from mdc_resources.providers.decoding.bodies import classify_common, load_small, refused
from mdc_resources.providers.decoding.events import window_of
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.spec import Dialect, Offer, Page, ProviderSpec

PAGE_ROWS = 10_000
_MARKET = "us-consolidated"
_BARS = Offer(
    market=_MARKET,
    basis=Basis.RAW,
    encoding=NumberEncoding.DECIMAL,
    max_symbols=100,
    page_rows=PAGE_ROWS,
    history_start=dt.date(2016, 1, 1),
)
_EVENTS = replace(_BARS, max_symbols=1, max_sessions=1, carries_prices=False)
SPEC = ProviderSpec(
    name="alpaca",
    title="Alpaca Market Data v2",
    base_url="https://data.alpaca.markets",
    rank=5,
    limits=Limits(minute=200),
    offers={
        Dataset.BARS_1D: _BARS,
        Dataset.BARS_1M: _BARS,
        Dataset.TRADES: _EVENTS,
        Dataset.QUOTES: _EVENTS,
        Dataset.CORPORATE_ACTIONS: Offer(
            market=_MARKET,
            basis=Basis.RAW,
            encoding=NumberEncoding.DECIMAL,
            max_symbols=100,
            page_rows=alpaca_actions.PAGE_ROWS,
            history_start=dt.date(2016, 1, 1),
            carries_prices=False,
        ),
    },
    credentials=("ALPACA_KEY_ID", "ALPACA_SECRET_KEY"),
    feeds={"sip": _MARKET, "iex": "iex"},
    default_feed="sip",
    bases=frozenset({Basis.SPLIT, Basis.TOTAL}),
    checked_on=dt.date(2026, 11, 20),
)
_ADJUSTMENT = {Basis.RAW: "raw", Basis.SPLIT: "split", Basis.TOTAL: "split,dividend"}


class Alpaca:
    """The dialect of ``/v2/stocks/bars`` and ``/v1/corporate-actions``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The first page; raises UnknownSymbol for a symbol of a named venue."""
        for symbol in request.symbols:
            if ":" in symbol or "_" in symbol:
                raise UnknownSymbol(f"alpaca cannot spell {symbol}", symbol=symbol, provider="alpaca")
        if request.dataset is Dataset.CORPORATE_ACTIONS:
            return self._authorised("/v1/corporate-actions", alpaca_actions.params_of(request), dialect)
        if request.dataset.is_events:
            return self._authorised(f"/v2/stocks/{request.dataset}", _event_params(request, dialect), dialect)
        start, end = _bounds(request, dialect)
        params = (
            ("symbols", ",".join(request.symbols)),
            ("timeframe", "1Day" if request.dataset is Dataset.BARS_1D else "1Min"),
            ("start", _rfc3339(start)),
            ("end", _rfc3339(end)),
            ("limit", str(PAGE_ROWS)),
            ("adjustment", _ADJUSTMENT[dialect.offer(request.dataset).basis]),
            ("asof", "-"),
            ("feed", dialect.settings.feed or SPEC.default_feed),
            ("sort", "asc"),
        )
        return self._authorised("/v2/stocks/bars", params, dialect)

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """Alpaca's errors are ``{"message": ...}`` with a status, or plain text."""
        document = load_small(response.body)
        message = str(document.get("message") or "") if isinstance(document, dict) else ""
        said = f"alpaca says {quoted(message)}"
        lower = message.lower()
        if response.status == 403 and ("subscription" in lower or "not permit" in lower):
            return NotEntitled(
                said,
                provider="alpaca",
                status=403,
                hint="Use feed iex, ask for older data, or upgrade the plan",
            )
        if common := classify_common("alpaca", response):
            return common
        if response.status in (400, 404, 422) and "invalid symbol" in lower:
            return UnknownSymbol(
                said,
                symbol=message.rpartition(":")[2].strip()[:32],
                provider="alpaca",
                status=response.status,
            )
        if response.status in (401, 403, 429) or response.status >= 500:
            return None
        if message:
            return PayloadError(said, provider="alpaca", status=response.status)
        return refused("alpaca", response) if response.status >= 300 else None

    def decode(
        self, request: FetchRequest, dialect: Dialect, sent: HttpRequest, response: HttpResponse
    ) -> Page:
        """Decode one page; raises PayloadError, also for symbols that were not asked for."""
        if error := self.classify(response):
            raise error
        if request.dataset is Dataset.CORPORATE_ACTIONS:
            page, token = alpaca_actions.decode(response, request=request, dialect=dialect)
        elif request.dataset.is_events:
            page, token = events.decode(response.body, request=request, dialect=dialect)
        else:
            page, token = alpaca_bars.decode(response.body, request=request, dialect=dialect)
        return _continued(page, token, sent)

    def _authorised(self, path: str, params: tuple[tuple[str, str], ...], dialect: Dialect) -> HttpRequest:
        settings = dialect.settings
        names = (settings.key_env or SPEC.credentials[0], settings.secret_env or SPEC.credentials[1])
        auth = tuple(zip(("APCA-API-KEY-ID", "APCA-API-SECRET-KEY"), names, strict=True))
        return HttpRequest(f"{dialect.base_url}{path}", params=params, auth=auth)


def _bounds(request: FetchRequest, dialect: Dialect) -> tuple[dt.datetime, dt.datetime]:
    """First and last instant to ask for, both inclusive: whole local days, or regular hours of minutes."""
    sessions = dialect.calendar.sessions(request.start, request.end)
    if request.dataset is Dataset.BARS_1M and sessions:
        opened, _ = dialect.calendar.hours(sessions[0])
        _, closed = dialect.calendar.hours(sessions[-1])
        return opened, closed - dt.timedelta(seconds=1)
    tz = dialect.calendar.tz
    return (
        dt.datetime.combine(request.start, dt.time(), tz),
        dt.datetime.combine(request.end, dt.time(23, 59, 59), tz),
    )


def _event_params(request: FetchRequest, dialect: Dialect) -> tuple[tuple[str, str], ...]:
    """The window of the sessions, or what is asked for of it; ``end`` is inclusive: its last nanosecond."""
    start, end = window_of(request, dialect)
    return (
        ("symbols", ",".join(request.symbols)),
        ("start", _rfc3339_of(start)),
        ("end", _rfc3339_of(end - 1)),
        ("limit", str(PAGE_ROWS)),
        ("asof", "-"),
        ("feed", dialect.settings.feed or SPEC.default_feed),
        ("sort", "asc"),
    )


def _rfc3339(instant: dt.datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rfc3339_of(nanos: int) -> str:
    """Nanoseconds since 1970 with all their digits, where there are any."""
    seconds, fraction = divmod(nanos, 10**9)
    text = _rfc3339(dt.datetime.fromtimestamp(seconds, UTC))
    return f"{text[:-1]}.{fraction:09d}Z" if fraction else text


def _continued(page: Page, token: str | None, sent: HttpRequest) -> Page:
    """``page`` with the request for the next one; a token that repeats itself is refused."""
    if not token:
        return page
    if ("page_token", token) in sent.params:
        raise PayloadError("alpaca answers with the page token it was asked for: a loop", provider="alpaca")
    params = (*(pair for pair in sent.params if pair[0] != "page_token"), ("page_token", token))
    return replace(page, next=replace(sent, params=params))


PROVIDER = Alpaca()
