"""Finnhub: ``GET /api/v1/stock/candle``, ``/tick``, ``/split``, ``/dividend`` and ``/profile2``.

Candles are parallel arrays, ``from`` and ``to`` inclusive epoch seconds. Daily ones carry midnight
UTC of their date, prices over later splits and volume as traded, and leave out the day that is not
over; minutes are as traded. No data is ``{"s":"no_data"}``, for unknown symbols too. Facts are
arrays, ``from`` and ``to`` dates. A wrong key is a 401; one that starts with ``free`` is of the
free plan, which has profiles only (403). Source: the vendor's client docs and quoted answers.
"""

from __future__ import annotations

import datetime as dt
import json
from fractions import Fraction
from typing import Any

from mdc_resources.sandbox.adjust import split_ratios
from mdc_resources.sandbox.answers import JSON, Answer, Page, Query, Row, cents_text
from mdc_resources.sandbox.dialects import finnhub_ticks, symbol_search
from mdc_resources.sandbox.instruments import Instrument
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.tape import LiveTape

_CONTENT = f"{JSON}; charset=utf-8"
_MESSAGES = {
    401: "Invalid API key",
    403: "You don't have access to this resource.",
    429: "API limit reached. Please try again later. Remaining Limit: 0",
}
_LATEST = 7_258_118_400


class Finnhub:
    """Candles, splits, dividends and profiles."""

    name = "finnhub"
    paged = False

    def __init__(self, market: Market, *, live: LiveTape | None = None) -> None:
        self._market = market
        self._live = live

    def respond(self, query: Query) -> Page | Answer:
        """What was asked for, or Finnhub's error."""
        key = query.headers.get("x-finnhub-token") or query.params.get("token", "")
        if not key:
            return _error(401, "Please use an API key.")
        if key.startswith("bad"):
            return self.failure(401)
        if found := symbol_search.answer(self.name, query, self._market):
            return found
        what = query.path.removeprefix("/api/v1/stock/")
        if key.startswith("free") and what != "profile2":
            return self.failure(403)
        instrument = self._market.instrument(query.params.get("symbol", "").upper())
        if instrument is not None and instrument.successor:
            instrument = None
        try:
            if what == "candle":
                return self._candles(instrument, query)
            if what == "tick" and instrument is not None:
                symbol = instrument.symbol
                return Answer(
                    200, finnhub_ticks.respond(self._market, symbol, query.params, self._live), _CONTENT
                )
            if what in ("split", "dividend"):
                return self._facts(instrument, what, query)
        except (KeyError, ValueError, OverflowError):
            return _error(422, "Wrong arguments")
        if what == "profile2":
            return _sent(self._profile(instrument) if instrument else {})
        return Answer(404, b"404 page not found", "text/plain")

    def failure(self, status: int) -> Answer:
        """``{"error": sentence}``, also for the limit."""
        return _error(status, _MESSAGES.get(status, "Internal server error"))

    def hidden_error(self) -> Answer:
        """The limit's sentence under a status of 200."""
        return _error(200, _MESSAGES[429])

    def missing(self, query: Query) -> Answer:
        """``no_data``, an empty list or an empty object."""
        if query.path.endswith("/candle"):
            return _sent({"s": "no_data"})
        return _sent({} if query.path.endswith("/profile2") else [])

    def _candles(self, instrument: Instrument | None, query: Query) -> Page | Answer:
        start, end = (int(query.params[name]) for name in ("from", "to"))
        resolution = query.params["resolution"]
        if resolution not in ("1", "D") or not 0 <= start <= _LATEST or not 0 <= end <= _LATEST:
            raise ValueError
        if instrument is None:
            return self.missing(query)
        rows = (
            self._daily(instrument, start, end)
            if resolution == "D"
            else self._minutes(instrument, start, end)
        )
        return Page([row for row in rows if start <= row.start <= end], _encode, null="null")

    def _daily(self, instrument: Instrument, start: int, end: int) -> list[Row]:
        market, name = self._market, instrument.symbol
        bars = market.daily(name, _date(start), _date(end))
        ratios = split_ratios(market, name, bars.sessions)
        rows = []
        for i, session in enumerate(bars.sessions):
            if market.calendar.hours(session)[1] > market.now():
                continue
            cents = (bars.open[i], bars.high[i], bars.low[i], bars.close[i])
            o, h, low, c = (_number(value, ratios[i].numerator, ratios[i].denominator) for value in cents)
            at = int(dt.datetime.combine(session, dt.time(), dt.UTC).timestamp())
            rows.append(Row(name, session, at, o, h, low, c, str(bars.volume[i])))
        return rows

    def _minutes(self, instrument: Instrument, start: int, end: int) -> list[Row]:
        bars = self._market.minutes(instrument.symbol, _date(start), _date(end))
        return [
            Row(instrument.symbol, bars.sessions[i], bars.starts[i], o, h, low, c, str(bars.volume[i]))
            for i, (o, h, low, c) in enumerate(
                tuple(map(cents_text, prices))
                for prices in zip(bars.open, bars.high, bars.low, bars.close, strict=True)
            )
        ]

    def _facts(self, instrument: Instrument | None, what: str, query: Query) -> Answer:
        first, last = (dt.date.fromisoformat(query.params[name]) for name in ("from", "to"))
        if instrument is None:
            return _sent([])
        symbol, today = instrument.symbol, self._market.today()
        if what == "split":
            return _sent(
                [
                    {"symbol": symbol, "date": s.ex_date.isoformat(), "fromFactor": s.old, "toFactor": s.to}
                    for s in instrument.splits
                    if first <= s.ex_date <= min(last, today)
                ]
            )
        return _sent(
            [
                {
                    "symbol": symbol,
                    "date": paid.ex_date.isoformat(),
                    "amount": float(paid.amount),
                    "adjustedAmount": float(
                        Fraction(paid.amount) / instrument.split_ratio(paid.ex_date, today)
                    ),
                    "payDate": (paid.ex_date + dt.timedelta(days=14)).isoformat(),
                    "recordDate": paid.ex_date.isoformat(),
                    "declarationDate": (paid.ex_date - dt.timedelta(days=14)).isoformat(),
                    "currency": "USD",
                    "freq": "2",
                }
                for paid in reversed(self._market.known_dividends(symbol))
                if first <= paid.ex_date <= last
            ]
        )

    def _profile(self, instrument: Instrument) -> dict[str, Any]:
        return {
            "country": "US",
            "currency": "USD",
            "estimateCurrency": "USD",
            "exchange": "NEW YORK STOCK EXCHANGE, INC.",
            "finnhubIndustry": "Technology",
            "ipo": instrument.listed.isoformat(),
            "logo": "",
            "marketCapitalization": 1234.5,
            "name": f"{instrument.symbol} Synthetic Inc",
            "phone": "",
            "shareOutstanding": 100.25,
            "ticker": instrument.symbol,
            "weburl": "",
        }


def _encode(page: Page) -> Answer:
    """Candles do not name their symbol, so a ``label`` changes nothing."""
    rows = page.rows
    if not rows:
        return _sent({"s": "no_data"})
    names = {"c": "close", "h": "high", "l": "low", "o": "open"}
    parts = [f'"{key}":{_array([getattr(row, name) for row in rows])}' for key, name in names.items()]
    parts += ['"s":"ok"', f'"t":{_array([str(row.start) for row in rows])}']
    parts.append(f'"v":{_array([row.volume for row in rows])}')
    if page.extra:
        parts.append(f'"zz":{_array(["1"] * len(rows))}')
    return Answer(200, f"{{{','.join(parts)}}}".encode(), _CONTENT)


def _array(texts: list[str]) -> str:
    return f"[{','.join(texts)}]"


def _number(cents: int, new: int, old: int) -> str:
    """A price over later splits, divided as doubles (14.621410714285714)."""
    return cents_text(cents) if new == old else repr(cents / 100 / (new / old)).removesuffix(".0")


def _date(seconds: int) -> dt.date:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date()


def _error(status: int, message: str) -> Answer:
    return Answer(status, json.dumps({"error": message}).encode(), _CONTENT)


def _sent(document: object) -> Answer:
    return Answer(200, json.dumps(document, separators=(",", ":")).encode(), _CONTENT)
