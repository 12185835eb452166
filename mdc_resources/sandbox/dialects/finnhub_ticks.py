"""Finnhub's ``GET /api/v1/stock/tick``: trades of one date as parallel arrays, at most 25,000 a page.

``date`` is New York's; ``skip`` and ``limit`` (500) page through it. Times are milliseconds, there is no id.
``count`` is of the page, ``total`` of the day. Source: the vendor's documents of the endpoint.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from mdc_resources.sandbox.answers import cents_text
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.tape import SECOND, LiveTape
from mdc_resources.sandbox.ticks import Ticks, trades_of

_NEW_YORK = ZoneInfo("America/New_York")
_VENUES = "PQDKNZVJ"
_MOST = 25_000


def respond(market: Market, symbol: str, params: Mapping[str, str], live: LiveTape | None) -> bytes:
    """One page; raises ValueError or KeyError for what is not understood."""
    day = dt.date.fromisoformat(params["date"])
    skip, limit = int(params.get("skip", "0")), int(params.get("limit", "500"))
    if skip < 0 or not 1 <= limit <= _MOST:
        raise ValueError
    parts = list(_parts(market, symbol, day, live))
    total = sum(stop - first for _, first, stop in parts)
    columns: dict[str, list[str]] = {name: [] for name in "cptvx"}
    for found, first, stop in parts:
        dropped = min(skip, stop - first)
        skip -= dropped
        last = min(stop, first + dropped + limit - len(columns["t"]))
        for at in range(first + dropped, last):
            _add(columns, found, at)
    arrays = ",".join(f'"{name}":[{",".join(cells)}]' for name, cells in columns.items())
    count = len(columns["t"])
    said = f'"count":{count},"s":"{symbol}","skip":{params.get("skip", "0")},"total":{total}'
    return f"{{{arrays},{said}}}".encode()


def conditions_of(size: int) -> list[str]:
    """The conditions of a trade: odd lots have one."""
    return ["1", "12"] if size < 100 else ["1"]


def _parts(
    market: Market, symbol: str, day: dt.date, live: LiveTape | None
) -> Iterator[tuple[Ticks, int, int]]:
    """Trades and which of them are of the day."""
    ends = [dt.datetime.combine(at, dt.time(), _NEW_YORK) for at in (day, day + dt.timedelta(days=1))]
    start, end = (int(at.timestamp()) * SECOND for at in ends)
    border = live.since_second * SECOND if live else end
    for session in market.sessions(symbol, day, day) if start < border else ():
        found = trades_of(market, symbol, session)
        first, stop = found.times.searchsorted([start, min(end, border)]).tolist()
        yield found, first, stop
    if live:
        for _, columns in live.hours("finnhub", symbol, start, end):
            first, stop = columns.trades.times.searchsorted([start, end]).tolist()
            yield columns.trades, first, stop


def _add(columns: dict[str, list[Any]], found: Ticks, at: int) -> None:
    size = int(found.sizes[at])
    columns["c"].append(json.dumps(conditions_of(size), separators=(",", ":")))
    columns["p"].append(cents_text(int(found.prices[at])))
    columns["t"].append(str(int(found.times[at]) // 10**6))
    columns["v"].append(str(size))
    columns["x"].append(f'"{_VENUES[found.venues[at]]}"')
