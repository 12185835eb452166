"""Polygon's aggregates: ``/v2/aggs/ticker/{T}/range/1/{day|minute}/{from}/{to}``.

``from`` and ``to`` are inclusive: dates for days, milliseconds for minutes. A row is
``{t, o, h, l, c, v, n?, vw?}``.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import FetchRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bars import AssembledBars, BarColumns, assemble
from mdc_resources.providers.decoding.sessions import NO_DAY, Days, SessionColumns, day_of
from mdc_resources.providers.decoding.unfinished import finished
from mdc_resources.providers.polygon.rows import Rows, read
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE

PAGE_ROWS = 50_000
Params = tuple[tuple[str, str], ...]
_KEYS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
_ROW = pa.struct(
    [("t", pa.int64()), *((key, SIZE if key == "v" else PRICE) for key in _KEYS), ("n", pa.int64()),
     ("vw", pa.float64())]
)  # fmt: skip
_NEW_YORK = ZoneInfo("America/New_York")
_MILLIS = (10**11, 10**14)  # 1973 to 5138; what lies outside is no instant in milliseconds
_MINUTE = 60_000


def question(request: FetchRequest, dialect: Dialect) -> tuple[str, Params]:
    """Path and parameters of the first page: whole days, or minutes from the open to the last close."""
    unit, first, last = "day", request.start.isoformat(), request.end.isoformat()
    if request.dataset is Dataset.BARS_1M:
        sessions = SessionColumns.of(dialect.calendar, request)
        unit = "minute"
        if len(sessions.opens):
            first, last = str(int(sessions.opens[0]) // 1000), str(int(sessions.closes[-1]) // 1000 - _MINUTE)
    adjusted = "true" if _is_adjusted(request, dialect) else "false"
    params = (("adjusted", adjusted), ("sort", "asc"), ("limit", str(PAGE_ROWS)))
    return f"/v2/aggs/ticker/{request.symbols[0]}/range/1/{unit}/{first}/{last}", params


def decode(response: HttpResponse, *, request: FetchRequest, dialect: Dialect) -> tuple[Page, str | None]:
    """One page and its ``next_url``; PayloadError for another ticker or another adjustment."""
    derived = dialect.offer(request.dataset).derived
    keys = frozenset(key for key, name in _KEYS.items() if name in derived)
    envelope, rows = read(response.body, _ROW, derived=keys)
    symbol = request.symbols[0]
    if envelope.ticker != symbol:
        raise PayloadError(
            f"polygon answered for {ascii(envelope.ticker)[:40]} when asked for {symbol}", provider="polygon"
        )
    if envelope.adjusted is not _is_adjusted(request, dialect):
        raise PayloadError(
            f"polygon sent adjusted={envelope.adjusted} when asked for the other", provider="polygon"
        )
    bars = finished(
        assemble(_columns(rows, request), request=request, dialect=dialect),
        request=request,
        dialect=dialect,
        received_at=response.received_at,
    )
    page = Page(
        tables={request.dataset: bars.bars.table},
        rejected=bars.bars.rejected,
        dropped=bars.bars.dropped,
        rounded=bars.bars.rounded,
        incomplete=bars.incomplete + _unplaced(bars.bars, request, dialect),
    )
    return page, envelope.next_url


def _is_adjusted(request: FetchRequest, dialect: Dialect) -> bool:
    return dialect.offer(request.dataset).basis is Basis.SPLIT


def _columns(rows: Rows, request: FetchRequest) -> BarColumns:
    errors = dict(rows.errors)
    stamps = rows.columns["t"].fill_null(0).to_numpy(zero_copy_only=False)
    wrong = (stamps < _MILLIS[0]) | (stamps >= _MILLIS[1])
    for row in np.flatnonzero(wrong).tolist():
        errors.setdefault(row, f"t: {stamps[row]} is no instant in milliseconds")
    stamps = np.where(wrong, 0, stamps)
    daily = request.dataset is Dataset.BARS_1D
    return BarColumns(
        names=request.symbols[:1],
        codes=np.zeros(len(rows), np.int32),
        numbers={name: rows.numbers[key] for key, name in _KEYS.items()},
        raw=rows.raw,
        days=_days(stamps, errors) if daily else None,
        instants=None if daily else stamps * 1000,
        counts=rows.columns["n"],
        vwap=rows.columns["vw"],
        errors=errors,
    )


def _days(stamps: npt.NDArray[np.int64], errors: dict[int, str]) -> Days:
    """The dates of New York's midnights; another moment is an error of its row, never a guess."""
    days = np.full(len(stamps), NO_DAY, np.int32)
    for row, stamp in enumerate(stamps.tolist()):
        if row in errors:
            continue
        at = dt.datetime.fromtimestamp(stamp / 1000, _NEW_YORK)
        if stamp % 1000 or at.time() != dt.time():
            errors[row] = f"t: {stamp} is {at:%H:%M:%S} in New York, where a day starts at midnight"
        else:
            days[row] = day_of(at.date())
    return days


def _unplaced(
    found: AssembledBars, request: FetchRequest, dialect: Dialect
) -> tuple[tuple[Symbol, dt.date], ...]:
    """Partitions without rows, where a row was rejected that may be theirs: they are not empty."""
    if all(row.session for row in found.rejected):
        return ()
    held = set(found.table["session"].to_pylist())
    asked = dialect.calendar.sessions(request.start, request.end)
    return tuple((request.symbols[0], session) for session in asked if session not in held)
