"""One page of Kraken's trades: ``["price", "volume", seconds, "b|s", "m|l", "misc", id]``, and ``last``.

Seconds are read from their text: 1688669597.8277369 is 1688669597827736900 nanoseconds, a number that
no double holds. A page goes on at ``last`` until a trade lies behind what is asked for, or none is left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import FetchRequest, HttpRequest
from mdc_resources.providers.decoding.events import EventColumns, assemble_events, window_of
from mdc_resources.providers.decoding.json_rows import JsonRows, number_text, untold
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE

PAGE_ROWS = 1000
_SECONDS = re.compile(r"(\d{1,10})(?:\.(\d{1,9})0*)?", re.ASCII)
_NANOS = re.compile(r"\d{1,19}", re.ASCII)
_SIDES = {"b": "buy", "s": "sell"}


def first(pair: str, request: FetchRequest, dialect: Dialect) -> HttpRequest:
    """The first page; ``since`` is exclusive, so it lies one nanosecond before what is asked for."""
    start, _ = window_of(request, dialect)
    params = (("pair", pair), ("since", str(start - 1)), ("count", str(PAGE_ROWS)))
    return HttpRequest(f"{dialect.base_url}/0/public/Trades", params=params)


def decode(
    document: Sequence[Any], last: object, *, request: FetchRequest, dialect: Dialect, sent: HttpRequest
) -> Page:
    """The page's trades, oldest first, and where it goes on; PayloadError for a cursor that loops."""
    rows = JsonRows(document)
    times = nanos_of(rows)
    timed = rows.readable("kraken")
    sides = rows.column(3)
    for number, side in enumerate(sides):
        if not isinstance(side, str) or side not in _SIDES:
            rows.errors.setdefault(number, f"{str(side)[:40]!a} is neither b nor s")
    events = assemble_events(
        EventColumns(
            names=request.symbols,
            codes=np.zeros(len(rows), np.int32),
            times=times,
            numbers={
                "price": rows.decimals(0, PRICE, quoted=True),
                "size": rows.decimals(1, SIZE, quoted=True),
            },
            columns={
                "side": pa.array(
                    [_SIDES.get(side) if isinstance(side, str) else None for side in sides], pa.string()
                ),
                "trade_id": pa.array([_id(row) for row in document], pa.string()),
                "conditions": pa.array([_conditions(row) for row in document], pa.string()),
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
        next=_next(times[timed], last, request, dialect, sent),
    )


def nanos_of(rows: JsonRows) -> npt.NDArray[np.int64]:
    """The times of ``rows`` in exact nanoseconds; what cannot be read is its row's error."""
    found = np.zeros(len(rows), np.int64)
    for number, cell in enumerate(rows.column(2)):
        text = number_text(cell)
        parts = None if text is None else _SECONDS.fullmatch(text)
        if parts is None or int(parts[1]) > 9_000_000_000:
            rows.errors.setdefault(number, f"{str(cell)[:40]!a} is no time in seconds")
        else:
            found[number] = int(parts[1]) * 10**9 + int((parts[2] or "0").ljust(9, "0"))
    return found


def _id(row: Any) -> str | None:
    """The trade's id; answers before 2022 had none."""
    cell = row[6] if isinstance(row, list) and len(row) > 6 else None
    text = number_text(cell)
    return None if text is None else str(text)


def _conditions(row: Any) -> str | None:
    cells = row[4:6] if isinstance(row, list) else []
    return ",".join(cell for cell in cells if isinstance(cell, str) and cell) or None


def _next(
    times: npt.NDArray[np.int64], last: object, request: FetchRequest, dialect: Dialect, sent: HttpRequest
) -> HttpRequest | None:
    if not isinstance(last, str) or number_text(last) or not _NANOS.fullmatch(last):
        raise PayloadError(f"kraken sent trades whose last is {str(last)[:40]!a}", provider="kraken")
    _, end = window_of(request, dialect)
    if not len(times) or int(times.max()) >= end:
        return None
    params = dict(sent.params)
    if int(last) <= int(params["since"]):
        raise PayloadError(f"kraken goes on at {last}, which it was asked for: a loop", provider="kraken")
    return replace(sent, params=tuple({**params, "since": last}.items()))
