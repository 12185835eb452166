"""Alpaca market data v2: ``GET /v2/stocks/bars`` (many symbols, paged), ticks, ``/v1/corporate-actions``.

Prices are raw as traded unless ``adjustment`` says otherwise; ``start`` and ``end`` are inclusive,
RFC 3339 or dates of New York. A daily bar carries New York's midnight in UTC. ``limit`` (default
1000, at most 10000) is for the whole page, sorted by symbol, then time; ``next_page_token`` resumes
after the last bar. Unknown symbols are absent from the answer, malformed ones a 400, missing keys
a 401, wrong ones a 403. Source: the vendor's OpenAPI document and recorded answers.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache

from mdc_resources.sandbox.adjust import dividend_factors, split_ratios
from mdc_resources.sandbox.answers import TEXT, Answer, Page, Query, Row, cents_text
from mdc_resources.sandbox.dialects import alpaca_actions, alpaca_ticks, symbol_search
from mdc_resources.sandbox.dialects.alpaca_request import NEW_YORK, Asked, BadRequest, read, token_of
from mdc_resources.sandbox.instruments import Instrument
from mdc_resources.sandbox.market import Bars, Market
from mdc_resources.sandbox.tape import LiveTape

_MESSAGES = {
    401: "unauthorized.",
    403: "forbidden.",
    429: "too many requests.",
    500: "internal server error.",
}


class Alpaca:
    """Historical bars, trades, quotes and corporate actions."""

    name = "alpaca"
    paged = True

    def __init__(
        self, market: Market, *, keys: Mapping[str, str] | None = None, live: LiveTape | None = None
    ) -> None:
        self._market = market
        self._live = live
        self._keys = keys  # key id -> secret; None accepts anything that is not empty

    def respond(self, query: Query) -> Page | Answer:
        """A page of bars, corporate actions, or Alpaca's error for what was asked."""
        refusal = self._refuse(query.headers)
        if refusal:
            return refusal
        if found := symbol_search.answer(self.name, query, self._market):
            return found
        try:
            if query.path == "/v2/stocks/bars":
                return self._bars(read(query.params, self._market))
            if query.path in ("/v2/stocks/trades", "/v2/stocks/quotes"):
                kind = query.path.rpartition("/")[2]
                return alpaca_ticks.respond(self._market, query.params, kind, _rate_limit(), self._live)
            if query.path == "/v1/corporate-actions":
                return alpaca_actions.respond(self._market, query.params)
        except BadRequest as error:
            return _message(400, str(error))
        return _message(404, "endpoint not found.")

    def failure(self, status: int) -> Answer:
        """Plain text for 429, ``{"message": ...}`` otherwise."""
        if status == 429:
            return Answer(429, b"Too Many Requests", TEXT, _rate_limit(remaining=0))
        return _message(status, _MESSAGES.get(status, "service unavailable."))

    def hidden_error(self) -> Answer:
        """A message under a status of 200."""
        return _message(200, "too many requests.")

    def missing(self, query: Query) -> Answer:
        """An empty answer."""
        kind = query.path.rpartition("/")[2]
        name = kind if kind in ("trades", "quotes") else "bars"
        return Answer(200, f'{{"{name}":{{}},"next_page_token":null}}'.encode(), headers=_rate_limit())

    def _refuse(self, headers: Mapping[str, str]) -> Answer | None:
        key, secret = headers.get("apca-api-key-id", ""), headers.get("apca-api-secret-key", "")
        if not key or not secret or key.startswith("bad"):
            return _message(401, _MESSAGES[401])
        if self._keys is not None and self._keys.get(key) != secret:
            return _message(403, _MESSAGES[403])
        return None

    def _bars(self, asked: Asked) -> Page:
        rows: list[Row] = []
        token = None
        for row in self._rows(asked):
            if len(rows) == asked.limit:
                token = token_of(rows[-1], asked.kind)
                break
            rows.append(row)

        def encode(page: Page) -> Answer:
            again = asked.token or (token_of(rows[-1], asked.kind) if rows else None)
            return _encode(page, again if page.loop else token)

        return Page(rows, encode, null="null")

    def _rows(self, asked: Asked) -> Iterator[Row]:
        for symbol in sorted(set(asked.symbols)):
            if asked.after and symbol < asked.after[0]:
                continue
            rows = self._rows_of(symbol, asked)
            if asked.descending:
                rows.reverse()
            for row in rows:
                if asked.after and symbol == asked.after[0]:
                    seen = row.start >= asked.after[1] if asked.descending else row.start <= asked.after[1]
                    if seen:
                        continue
                yield row

    def _rows_of(self, symbol: str, asked: Asked) -> list[Row]:
        instrument = self._market.instrument(symbol)
        if instrument is None:
            return []
        first = (asked.start.astimezone(NEW_YORK)).date()
        last = asked.end.astimezone(NEW_YORK).date()
        name, first, last = self._named(instrument, asked.asof, first, last)
        if first > last:
            return []
        if asked.kind == "D":
            bars = self._market.daily(name, first, last)
            starts = [_midnight(day) for day in bars.sessions]
        else:
            bars = self._market.minutes(name, first, last)
            starts = bars.starts
        units = self._units(symbol, bars, asked.adjustment)
        low, high = asked.start.timestamp(), asked.end.timestamp()
        return [
            _row(symbol, bars, i, starts[i], units[i]) for i in range(len(bars)) if low <= starts[i] <= high
        ]

    def _named(
        self, instrument: Instrument, asof: str, first: dt.date, last: dt.date
    ) -> tuple[str, dt.date, dt.date]:
        """Whose bars are meant, and in which part of the range.

        A ticker stands for the company that had it on the ``asof`` date, whose other names' bars come
        along under this one. With ``-``, or where nobody had it that day, it stands for itself alone.
        """
        former = self._market.instrument(instrument.former) if instrument.former else None
        begun = former.last + dt.timedelta(days=1) if former and former.last else dt.date.min
        by = dt.date.fromisoformat(asof) if asof not in ("", "-") else self._market.today()
        listed = begun <= by <= (instrument.last or by)
        if asof != "-" and listed:
            return instrument.successor or instrument.symbol, first, last
        return instrument.symbol, max(first, begun), last

    def _units(self, symbol: str, bars: Bars, adjustment: frozenset[str]) -> list[tuple[float, float] | None]:
        """Per bar what to multiply price and volume by; None where nothing changes."""
        units: list[tuple[float, float] | None] = [None] * len(bars)
        if adjustment & {"split", "all"}:
            ratios = split_ratios(self._market, symbol, bars.sessions)
            units = [(1 / float(ratio), float(ratio)) if ratio != 1 else None for ratio in ratios]
        if adjustment & {"dividend", "all"}:
            factors = dividend_factors(self._market, symbol, bars.sessions)
            units = [
                ((unit or (1.0, 1.0))[0] * factor, (unit or (1.0, 1.0))[1]) if factor != 1.0 else unit
                for unit, factor in zip(units, factors, strict=True)
            ]
        return units


def _row(symbol: str, bars: Bars, i: int, start: int, unit: tuple[float, float] | None) -> Row:
    cents = (bars.open[i], bars.high[i], bars.low[i], bars.close[i])
    typical = sum(cents) / 400
    volume = bars.volume[i]
    if unit is None:
        texts = [cents_text(value) for value in cents]
    else:
        texts = [_plain(round(value * unit[0] / 100, 4)) for value in cents]
        typical, volume = typical * unit[0], round(volume * unit[1])
    vwap = _plain(round(typical, 6))
    o, h, low, c = texts
    return Row(symbol, bars.sessions[i], start, o, h, low, c, str(volume), str(bars.trades[i]), vwap)


def _plain(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _encode(page: Page, token: str | None) -> Answer:
    bars: dict[str, list[str]] = {}
    extra = ',"zz":1' if page.extra else ""
    for row in page.rows:
        at = dt.datetime.fromtimestamp(row.start, dt.UTC).isoformat()[:19]
        text = (
            f'{{"t":"{at}Z","o":{row.open},"h":{row.high},"l":{row.low},"c":{row.close},'
            f'"v":{row.volume},"n":{row.trades},"vw":{row.vwap}{extra}}}'
        )
        bars.setdefault(page.label or row.symbol, []).append(text)
    inner = ",".join(f"{json.dumps(symbol)}:[{','.join(rows)}]" for symbol, rows in bars.items())
    body = f'{{"bars":{{{inner}}},"next_page_token":{json.dumps(token)}}}'
    return Answer(200, body.encode(), headers=_rate_limit())


@lru_cache(maxsize=20_000)
def _midnight(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), NEW_YORK).timestamp())


def _message(status: int, message: str) -> Answer:
    headers = _rate_limit(remaining=0 if status == 429 else 9999) if status in (200, 400, 429) else {}
    return Answer(status, json.dumps({"message": message}).encode(), headers=headers)


def _rate_limit(*, remaining: int = 9999) -> dict[str, str]:
    """The vendor's three headers; the sandbox counts nothing against them."""
    reset = int(dt.datetime.now(dt.UTC).timestamp()) // 60 * 60 + 60
    return {
        "X-RateLimit-Limit": "10000",
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset),
    }
