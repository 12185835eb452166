"""One page of Binance klines: ``[open, "o", "h", "l", "c", "volume", close, "quote", trades, ...]``.

``open`` and ``close`` are instants in one unit; ``close`` is the last unit before the next candle, and
a row for which that does not hold is not the candle that was asked for.
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
from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import FetchRequest, HttpRequest
from mdc_resources.providers.decoding.bars import BarColumns, assemble
from mdc_resources.providers.decoding.json_rows import JsonRows, unseen
from mdc_resources.providers.decoding.sessions import NO_DAY, SessionColumns, date_of, micros_of
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE

PAGE_ROWS = 1000
_DAY, _MINUTE = 86_400_000_000, 60_000_000
_NEVER = np.int64(-(2**62))
_MILLIS = (10**11, 10**14)  # 1973 to 5138 in milliseconds
_MICROS = (10**14, 10**17)
_CELLS = {"open": 1, "high": 2, "low": 3, "close": 4}


def step_of(dataset: Dataset) -> int:
    """Length of a candle in µs."""
    return _DAY if dataset is Dataset.BARS_1D else _MINUTE


def first(symbol: str, request: FetchRequest, dialect: Dialect) -> HttpRequest:
    """The first page of the sessions asked for; both instants are inclusive, milliseconds."""
    sessions = SessionColumns.of(dialect.calendar, request)
    params = (
        ("symbol", symbol),
        ("interval", "1d" if request.dataset is Dataset.BARS_1D else "1m"),
        ("startTime", str(int(sessions.opens[0]) // 1000)),
        ("endTime", str(int(sessions.closes[-1]) // 1000 - 1)),
        ("limit", str(PAGE_ROWS)),
    )
    return HttpRequest(f"{dialect.base_url}/api/v3/klines", params=params)


def decode(
    document: Sequence[Any],
    *,
    request: FetchRequest,
    dialect: Dialect,
    sent: HttpRequest,
    received_at: dt.datetime,
) -> Page:
    """The page's finished candles, and where it goes on; PayloadError for mixed units."""
    rows = JsonRows(document)
    opens = rows.integers(0)
    timed = rows.readable("binance")
    closes = rows.integers(6)
    both = rows.good()
    scale = unit_of(np.concatenate([opens[timed], closes[both]]))
    step = step_of(request.dataset)
    starts = opens * scale
    for number in both.tolist():
        if closes[number] != opens[number] + step // scale - 1:
            rows.errors[number] = f"its close {closes[number]} is not the last instant before the next candle"
        elif starts[number] % step:
            rows.errors[number] = f"its open {opens[number]} is not the start of a candle"
    running = starts + step > micros_of(received_at) + received_at.microsecond
    volume = rows.decimals(5, SIZE, quoted=True)
    sessions = SessionColumns.of(dialect.calendar, request)
    placed = np.where(running, _NEVER, starts)
    bars = assemble(
        BarColumns(
            names=request.symbols,
            codes=np.zeros(len(rows), np.int32),
            numbers={
                **{name: rows.decimals(at, PRICE, quoted=True) for name, at in _CELLS.items()},
                "volume": volume,
            },
            days=_days(placed) if request.dataset is Dataset.BARS_1D else None,
            instants=None if request.dataset is Dataset.BARS_1D else placed,
            counts=pa.array(rows.integers(8)),
            vwap=_vwap(rows, volume.values),
            raw=rows.raw,
            errors=rows.errors,
        ),
        request=request,
        dialect=dialect,
        sessions=sessions,
    )
    at, inside = sessions.find_instants(starts)
    cut = {date_of(sessions.days[at[number]]) for number in np.flatnonzero(running & inside).tolist()}
    if len(timed) < len(rows):
        cut |= unseen(bars.table, sessions)
    return Page(
        tables={request.dataset: bars.table},
        rejected=bars.rejected,
        dropped=bars.dropped,
        incomplete=tuple((request.symbols[0], session) for session in sorted(cut)),
        next=_next(starts[timed], sent, step),
    )


def unit_of(stamps: npt.NDArray[np.int64]) -> int:
    """µs per unit of ``stamps``: 1000 (milliseconds) or 1 (microseconds); PayloadError for a mix."""
    if not len(stamps):
        return 1000
    for (least, most), scale in ((_MILLIS, 1000), (_MICROS, 1)):
        if bool(((stamps >= least) & (stamps < most)).all()):
            return scale
    raise PayloadError(
        f"binance mixes units of time, or sends another: {stamps.min()} to {stamps.max()}", provider="binance"
    )


def _days(starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    days = starts // _DAY
    return np.where(starts < 0, NO_DAY, np.clip(days, 0, 2**30)).astype(np.int32)


def _vwap(rows: JsonRows, volume: pa.Array) -> pa.Array:
    """Quote volume by volume; null where nothing was traded."""
    found = [
        quote / float(amount) if quote and amount else None
        for quote, amount in zip(rows.doubles(7), volume.to_pylist(), strict=True)
    ]
    return pa.array(found, pa.float64())


def _next(starts: npt.NDArray[np.int64], sent: HttpRequest, step: int) -> HttpRequest | None:
    """The page after the newest candle of this one; PayloadError where it would be this one again."""
    params = dict(sent.params)
    asked, end = int(params["startTime"]), int(params["endTime"])
    if not len(starts):
        return None
    following = (int(starts.max()) + step) // 1000
    if following > end:
        return None
    if following <= asked:
        raise PayloadError(
            "binance answers with candles from before what was asked: a loop", provider="binance"
        )
    return replace(sent, params=tuple({**params, "startTime": str(following)}.items()))
