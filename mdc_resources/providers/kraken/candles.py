"""Kraken's OHLC: ``[seconds, "o", "h", "l", "c", "vwap", "volume", trades]``, 720 and the running one.

Whatever ``since`` says, an answer never reaches further back than 720 candles. Sessions before its
first row are then unknown, not empty: out of range where all of them are, else incomplete.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import OutOfRange, PayloadError
from mdc_resources.domain.requests import FetchRequest, HttpRequest
from mdc_resources.providers.decoding.bars import BarColumns, assemble
from mdc_resources.providers.decoding.json_rows import JsonRows, number_text, unseen
from mdc_resources.providers.decoding.sessions import NO_DAY, SessionColumns, date_of, micros_of
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE

KEPT = 720
_DAY, _MINUTE = 86_400, 60
_LATEST = 2**35  # seconds; far beyond any calendar
_NEVER = np.int64(-(2**62))
_CELLS = {"open": 1, "high": 2, "low": 3, "close": 4}


def first(pair: str, request: FetchRequest, dialect: Dialect) -> HttpRequest:
    """The only page. ``since`` lies one second early: whether it is inclusive does not matter then."""
    opened = int(SessionColumns.of(dialect.calendar, request).opens[0]) // 1_000_000
    params = (
        ("pair", pair),
        ("interval", "1440" if request.dataset is Dataset.BARS_1D else "1"),
        ("since", str(opened - 1)),
    )
    return HttpRequest(f"{dialect.base_url}/0/public/OHLC", params=params)


def decode(
    document: Sequence[Any],
    last: object,
    *,
    request: FetchRequest,
    dialect: Dialect,
    received_at: dt.datetime,
) -> Page:
    """The finished candles; OutOfRange where they all begin after what was asked for."""
    rows = JsonRows(document)
    seconds = rows.integers(0)
    timed = rows.readable("kraken")
    step = _DAY if request.dataset is Dataset.BARS_1D else _MINUTE
    for number in timed.tolist():
        if seconds[number] % step or not 0 <= seconds[number] < _LATEST:
            rows.errors[number] = f"{seconds[number]} is not the start of a candle"
    seconds = np.clip(seconds, 0, _LATEST)
    running = (seconds > _committed(last)) | ((seconds + step) * 1_000_000 > micros_of(received_at))
    sessions = SessionColumns.of(dialect.calendar, request)
    placed = np.where(running, _NEVER, seconds * 1_000_000)
    daily = request.dataset is Dataset.BARS_1D
    counts = rows.integers(7)
    bars = assemble(
        BarColumns(
            names=request.symbols,
            codes=np.zeros(len(rows), np.int32),
            numbers={
                **{name: rows.decimals(at, PRICE, quoted=True) for name, at in _CELLS.items()},
                "volume": rows.decimals(6, SIZE, quoted=True),
            },
            days=np.where(running, NO_DAY, seconds // _DAY).astype(np.int32) if daily else None,
            instants=None if daily else placed,
            counts=pa.array(counts),
            vwap=pa.array([value or None for value in rows.doubles(5)], pa.float64()),
            raw=rows.raw,
            errors=rows.errors,
        ),
        request=request,
        dialect=dialect,
        sessions=sessions,
    )
    at, inside = sessions.find_instants(seconds * 1_000_000)
    cut = {date_of(sessions.days[at[number]]) for number in np.flatnonzero(running & inside).tolist()}
    cut |= _before(seconds[timed], sessions, request, kept=len(rows) - int(running.sum()))
    if len(timed) < len(rows):
        cut |= unseen(bars.table, sessions)
    return Page(
        tables={request.dataset: bars.table},
        rejected=bars.rejected,
        dropped=bars.dropped,
        incomplete=tuple((request.symbols[0], session) for session in sorted(cut)),
    )


def _committed(last: object) -> int:
    """Start of the last finished candle, as the answer says; PayloadError where it says none."""
    text = number_text(last)
    if text is None or not text.isdecimal() or len(text) > 11:
        raise PayloadError(f"kraken sent candles whose last is {str(last)[:40]!a}", provider="kraken")
    return int(text)


def _before(
    seconds: npt.NDArray[np.int64], sessions: SessionColumns, request: FetchRequest, *, kept: int
) -> set[dt.date]:
    """Sessions that begin before a full answer does: it says nothing, or not all, about them."""
    if kept < KEPT - 1 or not len(seconds):
        return set()
    earliest = int(seconds.min()) * 1_000_000
    cut = {
        date_of(day) for day, opened in zip(sessions.days, sessions.opens, strict=True) if opened < earliest
    }
    if len(sessions.closes) and int(sessions.closes[-1]) <= earliest:
        raise OutOfRange(
            f"kraken keeps {KEPT} candles: {request.dataset} from "
            f"{dt.datetime.fromtimestamp(int(seconds.min()), dt.UTC):%Y-%m-%d %H:%M} on",
            provider="kraken",
        )
    return cut
