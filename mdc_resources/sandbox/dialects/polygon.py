"""Polygon (Massive): ``/v2/aggs``, ``/v3/trades``, ``/v3/quotes`` and ``/v3/reference``.

Aggregates carry the start of their window in ms, a day New York's midnight; ``from`` and ``to`` are
inclusive; split-adjusted unless ``adjusted=false``. ``limit`` (5,000, at most 50,000) counts *base*
aggregates: of minutes, all of the session's, traded or not, so that a page may be short and still
continue. Minutes before the open and after the close come along. No data is a document without
``results``, for an unknown ticker too. Volumes from ten million on are written ``6.3896155e+07``.
A ticker is itself alone: FB's bars end where META's begin. Sources: the vendor's OpenAPI document and
its clients' recorded bodies; error texts as quoted by their users.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass, replace
from fractions import Fraction

from mdc_resources.sandbox.adjust import split_ratios
from mdc_resources.sandbox.answers import TEXT, Answer, Page, Query, Row, cents_text
from mdc_resources.sandbox.dialects import polygon_facts, polygon_ticks, symbol_search
from mdc_resources.sandbox.dialects.polygon_request import (
    NEW_YORK,
    BadRequest,
    continued,
    error,
    next_url,
    read_limit,
    read_milliseconds,
    refusal,
    reply,
    request_id,
)
from mdc_resources.sandbox.market import Bars, Market
from mdc_resources.sandbox.tape import LiveTape

_AGGS = re.compile(r"/v2/aggs/ticker/([^/]+)/range/(\d+)/(\w+)/([^/]+)/([^/]+)")
_TICKS = re.compile(r"/v3/(trades|quotes)/([^/]+)")
_MILLION = 10**6
_TOO_MANY = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to "
    "continue. https://polygon.io/pricing"
)
_NOT_IN_PLAN = "Your plan doesn't include this data timeframe. Please upgrade your plan"


class Polygon:
    """Aggregates, ticks and reference data of stocks."""

    name = "polygon"
    paged = True

    def __init__(self, market: Market, *, live: LiveTape | None = None) -> None:
        self._market = market
        self._live = live

    def respond(self, query: Query) -> Page | Answer:
        """A page of aggregates, or a finished answer."""
        if refused := refusal(query):
            return refused
        try:
            if found := _AGGS.fullmatch(query.path):
                return self._aggregates(query, *found.groups())
            if found := _TICKS.fullmatch(query.path):
                return polygon_ticks.respond(self._market, query, found[1], found[2], self._live)
            if listed := symbol_search.answer(self.name, query, self._market):
                return listed
            if query.path.startswith("/v3/reference/"):
                return polygon_facts.respond(self._market, query) or _NOT_FOUND
        except BadRequest as wrong:
            return error(400, str(wrong))
        return _NOT_FOUND

    def failure(self, status: int) -> Answer:
        """``{"status": "ERROR" | "NOT_AUTHORIZED", ...}``."""
        if status == 403:
            return reply(_refused(), 403)
        texts = {401: "Unknown API Key", 429: _TOO_MANY}
        return error(status, texts.get(status, "Internal server error"))

    def hidden_error(self) -> Answer:
        """What the plan does not include, under a status of 200."""
        return reply(_refused(), 200)

    def missing(self, query: Query) -> Answer:
        """A document without results, or the reference endpoint's 404."""
        if found := _AGGS.fullmatch(query.path):
            adjusted = query.params.get("adjusted", "true") != "false"
            return Answer(
                200, _Document(found[1], adjusted=adjusted, rid=request_id(query.target)).encode([])
            )
        return polygon_facts.NOT_FOUND

    def _aggregates(
        self, query: Query, ticker: str, multiplier: str, unit: str, first: str, last: str
    ) -> Page:
        params = continued(query)
        if multiplier != "1" or unit not in ("day", "minute"):
            raise BadRequest(f"the sandbox has no aggregates of {multiplier} {unit}")
        limit = read_limit(params, default=5000, most=50_000)
        adjusted = params.get("adjusted", "true") != "false"
        start, end = read_milliseconds(first, last=False), read_milliseconds(last, last=True)
        rows = self._rows(ticker, unit, start, end, adjusted=adjusted)
        order = params.get("sort", "asc")
        if order == "desc":
            rows.reverse()
        size = self._base(rows, limit, unit)
        following = ""
        if size < len(rows):
            at = str(rows[size].start * 1000)
            ends = f"{first}/{at}" if order == "desc" else f"{at}/{last}"
            following = next_url(query, f"/v2/aggs/ticker/{ticker}/range/1/{unit}/{ends}", params)

        document = _Document(ticker, adjusted=adjusted, rid=request_id(query.target), following=following)

        def encode(page: Page) -> Answer:
            onward = next_url(query, query.path, params) if page.loop else following
            told = replace(document, ticker=page.label or ticker, following=onward, extra=page.extra)
            return Answer(200, told.encode(page.rows), headers={"x-request-id": document.rid})

        return Page(rows[:size], encode, null="null")

    def _base(self, rows: list[Row], limit: int, unit: str) -> int:
        """How many of ``rows`` a page of ``limit`` base aggregates holds."""
        if unit == "day" or not rows:
            return min(limit, len(rows))
        counted: dict[dt.date, int] = {}
        for row in rows:
            counted.setdefault(row.session, self._market.calendar.minutes(row.session))
        used = held = 0
        for session, minutes in counted.items():
            used += minutes
            if used > limit and held:
                break
            held += sum(row.session == session for row in rows)
        return min(held, limit)

    def _rows(self, ticker: str, unit: str, start: int, end: int, *, adjusted: bool) -> list[Row]:
        instrument = self._market.instrument(ticker)
        calendar = self._market.calendar
        if instrument is None or not ticker.isupper() or start > end:
            return []
        first, last = (_date_of(at, calendar.dates[0], calendar.dates[-1]) for at in (start, end))
        former = self._market.instrument(instrument.former) if instrument.former else None
        if former and former.last:
            first = max(first, former.last + dt.timedelta(days=1))
        if first > last:
            return []
        if unit == "day":
            bars = self._market.daily(ticker, first, last)
            starts = [_midnight(day) for day in bars.sessions]
        else:
            bars = self._market.minutes(ticker, first, last)
            starts = bars.starts
        ratios = split_ratios(self._market, ticker, bars.sessions) if adjusted else [Fraction(1)] * len(bars)
        rows = [_row(ticker, bars, i, starts[i], ratios[i]) for i in range(len(bars))]
        if unit == "minute":
            rows = self._with_extended_hours(rows)
        return [row for row in rows if start <= row.start * 1000 <= end]

    def _with_extended_hours(self, rows: list[Row]) -> list[Row]:
        """A minute before each open and one after each close that is over, traded at the bar beside it."""
        found: list[Row] = []
        for at, row in enumerate(rows):
            opened, closed = self._market.calendar.hours(row.session)
            if at == 0 or rows[at - 1].session != row.session:
                found.append(_beside(row, int(opened.timestamp()) - 60, row.open))
            found.append(row)
            if (at + 1 == len(rows) or rows[at + 1].session != row.session) and self._market.now() > closed:
                found.append(_beside(row, int(closed.timestamp()), row.close))
        return found


def _row(ticker: str, bars: Bars, i: int, start: int, ratio: Fraction) -> Row:
    cents = (bars.open[i], bars.high[i], bars.low[i], bars.close[i])
    if ratio == 1:
        o, h, low, c = (cents_text(value) for value in cents)
    else:
        o, h, low, c = (_plain(round(float(value / ratio) / 100, 4)) for value in cents)
    vwap = _plain(round(float(sum(cents) / ratio) / 400, 4))
    volume = _volume(int(bars.volume[i] * ratio))
    return Row(ticker, bars.sessions[i], start, o, h, low, c, volume, str(bars.trades[i]), vwap)


def _beside(row: Row, start: int, price: str) -> Row:
    return Row(row.symbol, row.session, start, price, price, price, price, "100", "1", price)


def _volume(shares: int) -> str:
    """``6.3896155e+07`` from ten million on, as recorded."""
    if shares < 10 * _MILLION:
        return str(shares)
    digits = str(shares)
    fraction = digits[1:].rstrip("0")
    return f"{digits[0]}{'.' + fraction if fraction else ''}e+{len(digits) - 1:02d}"


@dataclass(frozen=True, slots=True)
class _Document:
    """A page of aggregates without its rows."""

    ticker: str
    adjusted: bool
    rid: str
    following: str = ""
    extra: bool = False

    def encode(self, rows: list[Row]) -> bytes:
        """The page as JSON; without rows it has no ``results``."""
        extra = ',"zz":1' if self.extra else ""
        texts = [
            f'{{"v":{row.volume},"vw":{row.vwap},"o":{row.open},"c":{row.close},"h":{row.high},'
            f'"l":{row.low},"t":{row.start * 1000},"n":{row.trades}{extra}}}'
            for row in rows
        ]
        parts = [f'"ticker":{json.dumps(self.ticker)}', f'"queryCount":{len(rows)}']
        parts += [f'"resultsCount":{len(rows)}', f'"adjusted":{json.dumps(self.adjusted)}']
        parts += [f'"results":[{",".join(texts)}]'] if rows else []
        parts += ['"status":"OK"', f'"request_id":"{self.rid}"', f'"count":{len(rows)}']
        parts += [f'"next_url":{json.dumps(self.following)}'] if self.following else []
        return f"{{{','.join(parts)}}}".encode()


def _refused() -> dict[str, str]:
    return {"status": "NOT_AUTHORIZED", "request_id": request_id("plan"), "message": _NOT_IN_PLAN}


def _plain(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _midnight(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), NEW_YORK).timestamp())


def _date_of(milliseconds: int, earliest: dt.date, latest: dt.date) -> dt.date:
    at = dt.datetime.fromtimestamp(min(milliseconds, 4_000_000_000_000) / 1000, NEW_YORK).date()
    return max(earliest, min(at, latest))


_NOT_FOUND = Answer(404, b"404 page not found\n", TEXT)
