"""Coinbase trades: ``{"trade_id", "side", "size", "price", "time"}``, newest first, found by id alone.

The vendor only pages from now backwards, but its ids count up by one, and ``after`` takes any of them.
So the first answer is the newest page. If it does not reach back to the session, the largest id
before the session is found bit by bit: ``after = id + 1, limit = 1`` tells the time of the trade at
``id``, and the number of its trailing zeros which bit was tried. From there pages are read upwards, each
the thousand ids below its ``after``. What a page shows of other ids belongs to other pages. Where a page
shows none of its own before a trade lies behind the session, the newest id of all tells whether the
present was reached, or a gap in the ids: then the session is incomplete. A window inside the session is
searched for in the same way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError, UsageError
from mdc_resources.domain.requests import FetchRequest, HttpRequest
from mdc_resources.domain.time import parse_instant
from mdc_resources.providers.decoding.bodies import NumberText
from mdc_resources.providers.decoding.events import EventColumns, assemble_events, window_of
from mdc_resources.providers.decoding.json_rows import JsonRows, untold
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE, empty

PAGE_ROWS = 1000
_NEAR = 9  # bits: closer than half a page, reading is cheaper than halving
_AHEAD = 1 << 45  # beyond every id
_TAKER = {"sell": "buy", "buy": "sell"}  # of the maker's side


def first(sent: HttpRequest) -> HttpRequest:
    """The newest page."""
    return replace(sent, url=f"{sent.url}/trades", params=(("limit", str(PAGE_ROWS)),))


def decode(
    document: Sequence[Any], *, request: FetchRequest, dialect: Dialect, sent: HttpRequest, older: bool
) -> Page:
    """The page's trades, oldest first, or the next step of the search; ``older``: the answer names more."""
    rows = JsonRows(list(reversed(document)))
    ids, times = rows.integers("trade_id"), _nanos(rows)
    timed = rows.readable("coinbase")
    start, end = window_of(request, dialect)
    params = dict(sent.params)
    after = int(params.get("after", 0))
    if params["limit"] == "1":
        return _searched(ids[timed], times[timed], after - 1, start=start, sent=sent)
    if params["limit"] == "2":
        gap = bool(len(timed)) and int(ids[timed].max()) >= after - _AHEAD
        cut = untold(request, dialect) if gap else ()
        return Page({Dataset.TRADES: empty(Dataset.TRADES)}, incomplete=cut)
    if not after and older and len(timed) and int(times[timed].min()) >= start:
        newest = int(ids[timed].max())
        return Page({Dataset.TRADES: empty(Dataset.TRADES)}, next=_try(newest.bit_length() - 1, 0, sent))
    floor = after - 1 - PAGE_ROWS if after else -1
    events = assemble_events(
        _columns(rows, ids, times, request, floor=floor), request=request, dialect=dialect
    )
    return Page(
        tables={Dataset.TRADES: events.table},
        rejected=events.rejected,
        dropped=events.dropped,
        incomplete=untold(request, dialect) if len(timed) < len(rows) else (),
        next=_onward(ids[timed], times[timed], after, end=end, sent=sent) if after else None,
    )


def _columns(
    rows: JsonRows,
    ids: npt.NDArray[np.int64],
    times: npt.NDArray[np.int64],
    request: FetchRequest,
    *,
    floor: int,
) -> EventColumns:
    sides = rows.column("side")
    for number, side in enumerate(sides):
        if not isinstance(side, str) or side not in _TAKER:
            rows.errors.setdefault(number, f"side: {str(side)[:40]!a} is neither buy nor sell")
    return EventColumns(
        names=request.symbols,
        codes=np.zeros(len(rows), np.int32),
        times=np.where(ids > floor, times, 0),  # at 0 it is outside every session: another page's
        numbers={
            "price": rows.decimals("price", PRICE, quoted=True),
            "size": rows.decimals("size", SIZE, quoted=True),
        },
        columns={
            "side": pa.array(
                [_TAKER.get(side) if isinstance(side, str) else None for side in sides], pa.string()
            ),
            "trade_id": pa.array(ids).cast(pa.string()),
        },
        raw=rows.raw,
        errors=rows.errors,
    )


def _searched(
    ids: npt.NDArray[np.int64], times: npt.NDArray[np.int64], tried: int, *, start: int, sent: HttpRequest
) -> Page:
    """One step: ``tried`` lies before the session, or not; its lowest bit is the one in question."""
    if len(ids) and int(ids.max()) > tried:
        raise PayloadError("coinbase answers with a trade from after what was asked", provider="coinbase")
    bit = (tried & -tried).bit_length() - 1
    before = not len(ids) or int(times.max()) < start
    found = tried if before else tried - (1 << bit)
    onward = _try(bit - 1, found, sent) if bit > _NEAR else _read(found + PAGE_ROWS + 1, sent)
    return Page({Dataset.TRADES: empty(Dataset.TRADES)}, next=onward)


def _try(bit: int, found: int, sent: HttpRequest) -> HttpRequest:
    """Ask when the trade ``found`` plus one more bit happened; read on where that is near enough."""
    if bit < _NEAR:
        return _read(found + PAGE_ROWS + 1, sent)
    return replace(sent, params=(("limit", "1"), ("after", str(found + (1 << bit) + 1))))


def _read(after: int, sent: HttpRequest) -> HttpRequest:
    return replace(sent, params=(("limit", str(PAGE_ROWS)), ("after", str(after))))


def _onward(
    ids: npt.NDArray[np.int64], times: npt.NDArray[np.int64], after: int, *, end: int, sent: HttpRequest
) -> HttpRequest | None:
    """The page above this one; None once a trade lies behind the session."""
    if len(ids) and int(times.max()) >= end:
        return None
    if not len(ids) or int(ids.max()) < after - PAGE_ROWS:
        return replace(sent, params=(("limit", "2"), ("after", str(after + _AHEAD))))
    if int(ids.max()) >= after:
        raise PayloadError("coinbase answers with trades from after what was asked", provider="coinbase")
    return _read(after + PAGE_ROWS, sent)


def _nanos(rows: JsonRows) -> npt.NDArray[np.int64]:
    """RFC 3339 as nanoseconds, up to nine decimals; what cannot be read is its row's error."""
    found = np.zeros(len(rows), np.int64)
    for number, cell in enumerate(rows.column("time")):
        try:
            if not isinstance(cell, str) or isinstance(cell, NumberText):
                raise ValueError("no text")
            found[number] = nanos_of(cell)
        except (ValueError, UsageError, OverflowError) as error:
            rows.errors.setdefault(number, f"time: {str(cell)[:40]!a}: {str(error)[:80]}")
    return found


def nanos_of(text: str) -> int:
    """``2021-04-17T16:43:36.481712Z`` as nanoseconds since 1970; ValueError or UsageError."""
    head, dot, tail = text.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    if dot and not 0 < len(digits) <= 9:
        raise ValueError("more than nine decimals, or none")
    instant: dt.datetime = parse_instant(head + tail[len(digits) :])
    return int(instant.timestamp()) * 10**9 + int(digits.ljust(9, "0") or 0)
