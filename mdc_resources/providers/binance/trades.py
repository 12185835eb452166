"""One page of Binance aggregate trades: ``{a: id, p: price, q: size, T: time, m: buyer was maker}``.

The first trade of a session is found by time, an hour at a time; from there each page begins at the
id after the last one. A short page still goes on: only an empty one, or a later trade, is the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import FetchRequest, HttpRequest
from mdc_resources.providers.binance.candles import unit_of
from mdc_resources.providers.decoding.events import EventColumns, assemble_events, window_of
from mdc_resources.providers.decoding.json_rows import JsonRows, untold
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE

PAGE_ROWS = 1000
_MILLI = 10**6  # nanoseconds
_HOUR = 3_600_000  # the two times may be less than an hour apart


def first(symbol: str, request: FetchRequest, dialect: Dialect) -> HttpRequest:
    """The first hour of the sessions asked for."""
    start, _ = _bounds(request, dialect)
    sent = HttpRequest(f"{dialect.base_url}/api/v3/aggTrades", params=(("symbol", symbol),))
    return _hour(sent, start, request, dialect)


def decode(document: Sequence[Any], *, request: FetchRequest, dialect: Dialect, sent: HttpRequest) -> Page:
    """The page's trades, oldest first, and where it goes on; PayloadError for mixed units or a loop."""
    rows = JsonRows(document)
    ids, stamps = rows.integers("a"), rows.integers("T")
    timed = rows.readable("binance")
    sides = rows.column("m")
    for number, side in enumerate(sides):
        if not isinstance(side, bool):
            rows.errors.setdefault(number, f"m: {str(side)[:40]!a} is neither true nor false")
    micros = stamps * unit_of(stamps[timed])
    events = assemble_events(
        EventColumns(
            names=request.symbols,
            codes=np.zeros(len(rows), np.int32),
            times=micros * 1000,
            numbers={
                "price": rows.decimals("p", PRICE, quoted=True),
                "size": rows.decimals("q", SIZE, quoted=True),
            },
            columns={
                "side": pa.array([side_of(side) for side in sides], pa.string()),
                "trade_id": pa.array(ids).cast(pa.string()),
            },
            raw=rows.raw,
            errors=rows.errors,
        ),
        request=request,
        dialect=dialect,
    )
    return Page(
        tables={Dataset.TRADES: events.table},
        rejected=events.rejected,
        dropped=events.dropped,
        incomplete=untold(request, dialect) if len(timed) < len(rows) else (),
        next=_next(ids[timed].tolist(), micros[timed].tolist(), request, dialect, sent),
    )


def side_of(buyer_was_maker: object) -> str | None:
    """What the taker did: sold into a resting bid, or bought."""
    if not isinstance(buyer_was_maker, bool):
        return None
    return "sell" if buyer_was_maker else "buy"


def _bounds(request: FetchRequest, dialect: Dialect) -> tuple[int, int]:
    """What is asked for in milliseconds, half-open; at least that where it is cut finer."""
    start, end = window_of(request, dialect)
    return start // _MILLI, -(-end // _MILLI)


def _hour(sent: HttpRequest, start: int, request: FetchRequest, dialect: Dialect) -> HttpRequest:
    _, end = _bounds(request, dialect)
    last = min(start + _HOUR, end) - 1
    times = (("startTime", str(start)), ("endTime", str(last)), ("limit", str(PAGE_ROWS)))
    return replace(sent, params=(sent.params[0], *times))


def _next(
    ids: list[int], micros: list[int], request: FetchRequest, dialect: Dialect, sent: HttpRequest
) -> HttpRequest | None:
    _, end = _bounds(request, dialect)
    params = dict(sent.params)
    if not ids:
        following = int(params["endTime"]) + 1 if "endTime" in params else end
        return _hour(sent, following, request, dialect) if following < end else None
    if max(micros) // 1000 >= end:
        return None
    if max(ids) < int(params.get("fromId", 0)):
        raise PayloadError(
            "binance answers with trades from before what was asked: a loop", provider="binance"
        )
    onward = (("fromId", str(max(ids) + 1)), ("limit", str(PAGE_ROWS)))
    return replace(sent, params=(sent.params[0], *onward))
