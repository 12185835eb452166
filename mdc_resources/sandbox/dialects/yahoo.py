"""Yahoo's chart v8: ``GET /v8/finance/chart/{symbol}?period1=&period2=&interval=&events=``.

``period1`` is inclusive, ``period2`` exclusive, epoch seconds; a daily bar carries the session's
open. Prices are split-adjusted as of today and sent as a float32 widened to double
(34.099998474121094); dividends are restated by later splits. A range without bars has no
``timestamp`` and ``quote: [{}]``; a halted session is a row of nulls. Minutes: at most 8 days a
request, within the last 30. Class shares are spelled ``BRK-B``. Shapes: recorded answers of 2025.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from mdc_resources.sandbox.adjust import dividend_factors, split_ratios
from mdc_resources.sandbox.answers import JSON, TEXT, Answer, Page, Query, Row
from mdc_resources.sandbox.instruments import Instrument
from mdc_resources.sandbox.market import Bars, Market

_PATH = re.compile(r"/v8/finance/chart/([^/]+)")
_CLASS_SHARE = re.compile(r"([A-Z]+)-([A-Z])")
_CONTENT = f"{JSON};charset=utf-8"
_DAY = 86_400
_MINUTE_DAYS_PER_REQUEST = 8
_MINUTE_HISTORY_DAYS = 30
_RANGES = {"1d": 1, "5d": 5, "1mo": 31, "3mo": 92, "6mo": 183, "1y": 365, "2y": 731, "5y": 1827, "10y": 3653}
_CODES = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 422: "Unprocessable Entity"}


class Yahoo:
    """The chart endpoint."""

    name = "yahoo"
    paged = False

    def __init__(self, market: Market) -> None:
        self._market = market

    def respond(self, query: Query) -> Page | Answer:
        """A chart, or Yahoo's error for what was asked."""
        path = _PATH.fullmatch(query.path)
        if not path:
            return Answer(404, b"<html><body>Not Found</body></html>", "text/html")
        asked = path[1].upper()
        instrument = self._market.instrument(_CLASS_SHARE.sub(r"\1.\2", asked))
        if instrument is None or instrument.successor:
            return self.missing(query)
        try:
            start, end = self._period(query)
        except ValueError:
            return _error(400, "Invalid input - period1 and period2 must be epoch seconds")
        interval = query.params.get("interval", "1d")
        if start >= end:
            return _error(
                400,
                f"Invalid input - start date cannot be after end date. startDate = {start}, endDate = {end}",
            )
        if interval == "1m":
            refusal = self._refuse_minutes(start, end)
            if refusal:
                return refusal
        elif interval != "1d":
            return _error(
                422, f"Invalid input - interval={interval} is not supported. Valid intervals: [1m, 1d]"
            )
        if not self._listed_within(instrument, start, end):
            return _error(400, f"Data doesn't exist for startDate = {start}, endDate = {end}")
        return self._chart(asked, instrument, query, interval, (start, end))

    def failure(self, status: int) -> Answer:
        """Plain text for 429 and 5xx, a ``finance`` error for the rest."""
        if status == 429:
            return Answer(status, b"Too Many Requests\r\n", TEXT)
        if status >= 500:
            return Answer(status, b"<html><body>Service Unavailable</body></html>", "text/html")
        return _finance_error(status, "Invalid Crumb" if status == 401 else "Forbidden")

    def hidden_error(self) -> Answer:
        """The crumb error under a status of 200."""
        return _finance_error(200, "Invalid Crumb")

    def missing(self, query: Query) -> Answer:  # noqa: ARG002 - the same for every symbol
        """404 with the sentence about delisting."""
        return _error(404, "No data found, symbol may be delisted")

    def _period(self, query: Query) -> tuple[int, int]:
        params = query.params
        if "period1" in params:
            end = int(params["period2"]) if "period2" in params else int(self._market.now().timestamp())
            return int(params["period1"]), end
        now = int(self._market.now().timestamp())
        if params.get("range") == "max":
            return 0, now
        return now - _RANGES.get(params.get("range", "1d"), 1) * _DAY, now

    def _refuse_minutes(self, start: int, end: int) -> Answer | None:
        asked = f"1m data not available for startTime={start} and endTime={end}."
        if end - start > _MINUTE_DAYS_PER_REQUEST * _DAY:
            return _error(
                422,
                f"{asked} Only 8 days worth of 1m granularity data are allowed to be fetched per request.",
            )
        if start < self._market.now().timestamp() - _MINUTE_HISTORY_DAYS * _DAY:
            return _error(422, f"{asked} The requested range must be within the last 30 days.")
        return None

    def _listed_within(self, instrument: Instrument, start: int, end: int) -> bool:
        first = _epoch(self._market, instrument.listed)
        last = _epoch(self._market, instrument.last) if instrument.last else end
        return end > first and start <= last

    def _chart(
        self, asked: str, instrument: Instrument, query: Query, interval: str, period: tuple[int, int]
    ) -> Page:
        market, (start, end) = self._market, period
        first = dt.datetime.fromtimestamp(max(start, 0), dt.UTC).date() - dt.timedelta(days=1)
        last = dt.datetime.fromtimestamp(min(end, 4_000_000_000), dt.UTC).date()
        name = instrument.symbol
        if interval == "1m":
            rows = _rows(asked, market.minutes(name, first, last), market, name, daily=False)
        else:
            rows = _rows(asked, market.daily(name, first, last), market, name, daily=True)
            halted = [day for day in market.sessions(name, first, last) if day in instrument.halts]
            rows += [_null_row(asked, day, _epoch(market, day)) for day in halted]
            rows.sort(key=lambda row: row.start)
            self._move_live_row(rows)
        rows = [row for row in rows if start <= row.start < end]
        meta = self._meta(asked, instrument, interval, rows)
        events = self._events(instrument, query.params.get("events", ""), period)

        def encode(page: Page) -> Answer:
            return _encode(page, meta, events, daily=interval == "1d")

        return Page(rows, encode, null="null")

    def _move_live_row(self, rows: list[Row]) -> None:
        """The running session's daily row carries the time of its last trade, not the open (recorded so)."""
        if rows and rows[-1].session == self._market.calendar.session_of(self._market.now()):
            rows[-1].start = int(self._market.now().timestamp()) - 1

    def _meta(self, asked: str, instrument: Instrument, interval: str, rows: Sequence[Row]) -> dict[str, Any]:
        market = self._market
        today = market.today()
        year = market.daily(instrument.symbol, today - dt.timedelta(days=365), today)
        latest = market.sessions(instrument.symbol, instrument.listed, today)[-1]
        opened, closed = (int(at.timestamp()) for at in market.calendar.hours(latest))
        before = market.previous_close(instrument.symbol, rows[0].session) if rows else None
        offset = int(
            (market.now().astimezone(market.calendar.tz).utcoffset() or dt.timedelta()).total_seconds()
        )
        zone = market.now().astimezone(market.calendar.tz).tzname()
        period = {"timezone": zone, "start": opened, "end": closed, "gmtoffset": offset}
        meta: dict[str, Any] = {
            "currency": "USD",
            "symbol": asked,
            "exchangeName": "NYQ",
            "fullExchangeName": "NYSE",
            "instrumentType": "EQUITY",
            "firstTradeDate": _epoch(market, instrument.listed),
            "regularMarketTime": min(closed, int(market.now().timestamp())),
            "hasPrePostMarketData": True,
            "gmtoffset": offset,
            "timezone": zone,
            "exchangeTimezoneName": market.calendar.tz.key,
        }
        if year:
            meta |= {
                "regularMarketPrice": year.close[-1] / 100,
                "fiftyTwoWeekHigh": max(year.high) / 100,
                "fiftyTwoWeekLow": min(year.low) / 100,
                "regularMarketDayHigh": year.high[-1] / 100,
                "regularMarketDayLow": year.low[-1] / 100,
                "regularMarketVolume": year.volume[-1],
            }
        meta |= {"longName": f"{asked} Synthetic Inc.", "shortName": f"{asked} Synthetic"}
        if before is not None:
            ratio = split_ratios(market, instrument.symbol, [rows[0].session - dt.timedelta(days=1)])[0]
            meta["chartPreviousClose"] = round(float(before / (100 * ratio)), 3)
        meta |= {
            "priceHint": 2,
            "currentTradingPeriod": {"pre": period, "regular": period, "post": period},
            "dataGranularity": interval,
            "range": "",
            "validRanges": [*_RANGES, "ytd", "max"],
        }
        return meta

    def _events(self, instrument: Instrument, asked: str, period: tuple[int, int]) -> dict[str, Any]:
        market, (start, end), today = self._market, period, self._market.today()
        wanted = set(re.split(r"[|,]", asked))
        events: dict[str, Any] = {}
        if wanted & {"div", "dividends"}:
            dividends = {}
            for paid in market.known_dividends(instrument.symbol):
                at = _epoch(market, paid.ex_date)
                if start <= at < end:
                    restated = Fraction(paid.amount) / instrument.split_ratio(paid.ex_date, today)
                    dividends[str(at)] = {"amount": round(float(restated), 6), "date": at}
            events |= {"dividends": dividends} if dividends else {}
        if wanted & {"split", "splits"}:
            splits = {
                str(at): {
                    "date": at,
                    "numerator": s.to,
                    "denominator": s.old,
                    "splitRatio": f"{s.to}:{s.old}",
                }
                for s in instrument.splits
                if s.ex_date <= today and start <= (at := _epoch(market, s.ex_date)) < end
            }
            events |= {"splits": splits} if splits else {}
        return events


def _rows(asked: str, bars: Bars, market: Market, name: str, *, daily: bool) -> list[Row]:
    if not bars:
        return []
    ratios = split_ratios(market, name, bars.sessions)
    divisor = np.array([100.0 * ratio.numerator / ratio.denominator for ratio in ratios])
    columns = [_widened(np.array(c) / divisor) for c in (bars.open, bars.high, bars.low, bars.close)]
    volumes = [str(v * r.numerator // r.denominator) for v, r in zip(bars.volume, ratios, strict=True)]
    adjusted = [""] * len(bars)
    if daily:
        factors = np.array(dividend_factors(market, name, bars.sessions))
        adjusted = _widened(np.array(bars.close) / divisor * factors)
    return [
        Row(asked, session, at, o, h, low, c, v, adjusted_close=a)
        for session, at, o, h, low, c, v, a in zip(
            bars.sessions, bars.starts, *columns, volumes, adjusted, strict=True
        )
    ]


def _widened(values: np.typing.NDArray[np.float64]) -> list[str]:
    """Texts of ``values`` as singles widened to double, integers without a fraction."""
    return [
        text.removesuffix(".0") for text in map(repr, values.astype(np.float32).astype(np.float64).tolist())
    ]


def _null_row(asked: str, session: dt.date, at: int) -> Row:
    nothing = "null"
    return Row(asked, session, at, nothing, nothing, nothing, nothing, nothing, adjusted_close=nothing)


def _encode(page: Page, meta: dict[str, Any], events: dict[str, Any], *, daily: bool) -> Answer:
    label = {"symbol": page.label} if page.label else {}
    parts = [f'"meta":{json.dumps(meta | label, separators=(",", ":"))}']
    rows = page.rows
    if rows:
        parts.append(f'"timestamp":{_array([str(row.start) for row in rows])}')
    if events:
        parts.append(f'"events":{json.dumps(events, separators=(",", ":"))}')
    names = ("open", "high", "low", "close", "volume") if rows else ()
    columns = [f'"{name}":{_array([getattr(row, name) for row in rows])}' for name in names]
    if page.extra and rows:
        columns.append(f'"openInterest":{_array(["1"] * len(rows))}')
    indicators = f'"quote":[{{{",".join(columns)}}}]'
    if daily:
        closes = f'"adjclose":{_array([row.adjusted_close for row in rows])}' if rows else ""
        indicators += f',"adjclose":[{{{closes}}}]'
    parts.append(f'"indicators":{{{indicators}}}')
    body = f'{{"chart":{{"result":[{{{",".join(parts)}}}],"error":null}}}}'
    return Answer(200, body.encode(), _CONTENT)


def _array(texts: list[str]) -> str:
    return f"[{','.join(texts)}]"


def _epoch(market: Market, session: dt.date) -> int:
    return int(market.calendar.hours(session)[0].timestamp())


def _error(status: int, description: str) -> Answer:
    error = {"code": _CODES[status], "description": description}
    return Answer(status, json.dumps({"chart": {"result": None, "error": error}}).encode(), _CONTENT)


def _finance_error(status: int, description: str) -> Answer:
    error = {"code": "Unauthorized", "description": description}
    return Answer(status, json.dumps({"finance": {"result": None, "error": error}}).encode(), _CONTENT)
