"""One page of Coinbase candles: ``[seconds, low, high, open, close, volume]``, newest first.

A page is a span of time, not a number of rows: intervals without a trade are absent, so a short or
even empty page says nothing about the next. Rows outside the span belong to other pages.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import FetchRequest, HttpRequest
from mdc_resources.providers.decoding.bars import BarColumns, assemble
from mdc_resources.providers.decoding.json_rows import JsonRows, unseen
from mdc_resources.providers.decoding.sessions import NO_DAY, SessionColumns, date_of, micros_of
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE

PAGE_ROWS = 300
_DAY, _MINUTE = 86_400, 60
_LATEST = 2**35  # seconds; far beyond any calendar
_NEVER = np.int64(-(2**62))
_CELLS = {"low": 1, "high": 2, "open": 3, "close": 4}


def first(sent: HttpRequest, request: FetchRequest, dialect: Dialect) -> HttpRequest:
    """The oldest page of the sessions asked for."""
    start, _ = _bounds(request, dialect)
    return _span(replace(sent, url=f"{sent.url}/candles"), start, request, dialect)


def decode(
    document: Sequence[Any],
    *,
    request: FetchRequest,
    dialect: Dialect,
    sent: HttpRequest,
    received_at: dt.datetime,
) -> Page:
    """The page's finished candles, and the page after it."""
    rows = JsonRows(document)
    seconds = rows.integers(0)
    timed = rows.readable("coinbase")
    step = _step(request)
    for number in timed.tolist():
        if seconds[number] % step or not 0 <= seconds[number] < _LATEST:
            rows.errors[number] = f"{seconds[number]} is not the start of a candle"
    seconds = np.clip(seconds, 0, _LATEST)
    begin, end = (_seconds(dict(sent.params)[name]) for name in ("start", "end"))
    running = (seconds + step) * 1_000_000 > micros_of(received_at)
    out = running | (seconds < begin) | (seconds > end)
    daily = request.dataset is Dataset.BARS_1D
    sessions = SessionColumns.of(dialect.calendar, request)
    derived = dialect.offer(request.dataset).derived
    bars = assemble(
        BarColumns(
            names=request.symbols,
            codes=np.zeros(len(rows), np.int32),
            numbers={
                **{name: rows.decimals(at, PRICE, quoted=False) for name, at in _CELLS.items()},
                "volume": rows.decimals(5, SIZE, quoted=False, derived="volume" in derived),
            },
            days=np.where(out, NO_DAY, seconds // _DAY).astype(np.int32) if daily else None,
            instants=None if daily else np.where(out, _NEVER, seconds * 1_000_000),
            raw=rows.raw,
            errors=rows.errors,
        ),
        request=request,
        dialect=dialect,
        sessions=sessions,
    )
    at, inside = sessions.find_instants(seconds * 1_000_000)
    cut = {date_of(sessions.days[at[number]]) for number in np.flatnonzero(running & inside).tolist()}
    if len(timed) < len(rows):
        cut |= unseen(bars.table, sessions)
    _, last = _bounds(request, dialect)
    following = begin + PAGE_ROWS * step
    return Page(
        tables={request.dataset: bars.table},
        rejected=bars.rejected,
        dropped=bars.dropped,
        rounded=bars.rounded,
        incomplete=tuple((request.symbols[0], session) for session in sorted(cut)),
        next=_span(sent, following, request, dialect) if following < last else None,
    )


def _step(request: FetchRequest) -> int:
    return _DAY if request.dataset is Dataset.BARS_1D else _MINUTE


def _bounds(request: FetchRequest, dialect: Dialect) -> tuple[int, int]:
    """The sessions asked for, epoch seconds, half-open."""
    sessions = SessionColumns.of(dialect.calendar, request)
    return int(sessions.opens[0]) // 1_000_000, int(sessions.closes[-1]) // 1_000_000


def _span(sent: HttpRequest, start: int, request: FetchRequest, dialect: Dialect) -> HttpRequest:
    """The page that begins at ``start``; its end is the last second of its last candle."""
    step = _step(request)
    _, last = _bounds(request, dialect)
    end = min(start + PAGE_ROWS * step, last) - 1
    params = (("granularity", str(step)), ("start", _rfc3339(start)), ("end", _rfc3339(end)))
    return replace(sent, params=params)


def _rfc3339(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp())
