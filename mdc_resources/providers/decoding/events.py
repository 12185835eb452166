"""From a page's columns to the canonical table of trades or quotes: range, identity, order.

Promises: times stay integer nanoseconds; rows outside the request (its sessions, and its window where
it has one) are dropped and counted; a row that cannot be read is rejected with its reason; the same trade
told twice (equal session, venue and trade id) is one row, two different ones with one identity are both
rejected. Rows without an identity are never taken for repetitions of each other. ``ordinal`` is the
position in the page, oldest first; whoever joins pages adds what came before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bodies import RAW_LIMIT
from mdc_resources.providers.decoding.numbers import Numbers
from mdc_resources.providers.decoding.sessions import Days, date_of, micros_of
from mdc_resources.providers.spec import Dialect, Rejected
from mdc_resources.schema.arrow import schema_of

Nanos = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class EventColumns:
    """One page's events, oldest first, nothing checked yet; all columns of one length.

    ``codes`` index ``names``; ``times`` are nanoseconds UTC. ``numbers`` holds the decimals of the
    canonical schema by name (``price``, ``bid_size`` ...), ``columns`` the rest that the vendor has
    (``venue``, ``trade_id``, ``sequence`` ...), already of the canonical type. ``errors`` are rows
    that could not be read at all; ``raw`` shows a row as received.
    """

    names: Sequence[Symbol]
    codes: npt.NDArray[np.int32]
    times: Nanos
    numbers: Mapping[str, Numbers]
    columns: Mapping[str, pa.Array]
    raw: Callable[[int], str]
    errors: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True)
class AssembledEvents:
    """Canonical rows, and what became of the others."""

    table: pa.Table
    rejected: tuple[Rejected, ...]
    dropped: int


def window_of(request: FetchRequest, dialect: Dialect) -> tuple[int, int]:
    """What to ask a vendor for, nanoseconds UTC, half-open: all sessions of ``request``, or its window."""
    sessions = dialect.calendar.sessions(request.start, request.end)
    instants = dialect.calendar.window(sessions[0])[0], dialect.calendar.window(sessions[-1])[1]
    start, end = (micros_of(instant) * 1000 for instant in instants)
    if request.window is None:
        return start, end
    return max(start, request.window[0]), min(end, request.window[1])


def assemble_events(events: EventColumns, *, request: FetchRequest, dialect: Dialect) -> AssembledEvents:
    """The canonical table of ``events`` for ``request``, by symbol, time and order of the page."""
    days, inside = _sessions(events.times, request, dialect)
    errors = dict(events.errors)
    for name, numbers in events.numbers.items():
        for row, reason in numbers.errors.items():
            errors.setdefault(row, f"{name}: {reason}")
        if numbers.values.null_count:
            for row in np.flatnonzero(numbers.values.is_null().to_numpy(zero_copy_only=False)).tolist():
                errors.setdefault(row, f"{name} is missing")
    repeated, conflicts = _repetitions(events, days, errors)
    for row, reason in conflicts.items():
        errors.setdefault(row, reason)
    wrong = np.zeros(len(events), bool)
    wrong[list(errors)] = True
    unreadable = np.zeros(len(events), bool)
    unreadable[list(events.errors)] = True
    good = np.flatnonzero(inside & ~wrong & ~repeated)
    order = good[np.lexsort((good, events.times[good], _ranks(events)[good]))]
    shown = [
        Rejected(
            events.names[events.codes[row]],
            date_of(days[row]) if inside[row] else None,
            errors[row],
            events.raw(row)[:RAW_LIMIT],
        )
        for row in np.flatnonzero(wrong & (inside | unreadable)).tolist()
    ]
    return AssembledEvents(
        _table(events, order, days, request, dialect), tuple(shown), int((~inside & ~unreadable).sum())
    )


def _sessions(times: Nanos, request: FetchRequest, dialect: Dialect) -> tuple[Days, npt.NDArray[np.bool_]]:
    """Each row's session (days since 1970), and whether it is one that was asked for."""
    calendar = dialect.calendar
    sessions = calendar.sessions(request.start, request.end)
    if not sessions:
        return np.zeros(len(times), np.int32), np.zeros(len(times), bool)
    starts, ends = zip(*(calendar.window(session) for session in sessions), strict=True)
    begins, stops = (np.array([micros_of(i) * 1000 for i in column]) for column in (starts, ends))
    at = np.searchsorted(begins, times, side="right") - 1
    found = np.maximum(at, 0)
    days: Days = pa.array(sessions, pa.date32()).view(pa.int32()).to_numpy()
    inside = (at >= 0) & (times < stops[found])
    if request.window is not None:
        inside &= (times >= request.window[0]) & (times < request.window[1])
    return days[found], inside


def _repetitions(
    events: EventColumns, days: Days, errors: Mapping[int, str]
) -> tuple[npt.NDArray[np.bool_], dict[int, str]]:
    """Rows that repeat an earlier one of the same session and identity, and those that contradict it."""
    repeated = np.zeros(len(events), bool)
    identity = events.columns.get("trade_id")
    if identity is None or not len(events) or _rising(identity):
        return repeated, {}
    columns = {"symbol": pa.array(events.codes), "id": identity, "session": pa.array(days)}
    if (venue := events.columns.get("venue")) is not None:
        columns["venue"] = venue
    keys = pa.table({**columns, "at": pa.array(np.arange(len(events)))})
    several = keys.group_by(list(columns), use_threads=False).aggregate([("at", "count")])
    if several.num_rows + identity.null_count >= len(events):
        return repeated, {}
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(*(keys[name].to_pylist() for name in columns), strict=True)):
        if key[1] is not None and row not in errors:
            groups[key].append(row)
    conflicts: dict[int, str] = {}
    for rows in groups.values():
        if len(rows) > 1 and len({_content(events, row) for row in rows}) > 1:
            conflicts |= dict.fromkeys(rows, f"{len(rows)} different trades with one identity")
        else:
            repeated[rows[1:]] = True
    return repeated, conflicts


def _rising(identity: pa.Array) -> bool:
    """True for whole numbers that rise from row to row, as most feeds count: none of them repeats."""
    if identity.null_count:
        return False
    try:
        numbers = identity.cast(pa.uint64()).to_numpy()
    except pa.ArrowInvalid:
        return False
    return bool((numbers[1:] > numbers[:-1]).all())


def _content(events: EventColumns, row: int) -> tuple[object, ...]:
    values = [numbers.values[row].as_py() for numbers in events.numbers.values()]
    return (int(events.times[row]), *values, *(column[row].as_py() for column in events.columns.values()))


def _ranks(events: EventColumns) -> npt.NDArray[np.int64]:
    """Per row, the alphabetical position of its symbol."""
    rank_of = np.empty(len(events.names), np.int64)
    rank_of[sorted(range(len(events.names)), key=lambda code: events.names[code])] = np.arange(
        len(events.names)
    )
    ranks: npt.NDArray[np.int64] = rank_of[events.codes]
    return ranks


def _table(events: EventColumns, rows: Rows, days: Days, request: FetchRequest, dialect: Dialect) -> pa.Table:
    schema = schema_of(request.dataset)
    indices = pa.array(rows)
    whole = len(rows) == len(events) and bool((rows[1:] > rows[:-1]).all())

    def chosen(column: pa.Array) -> pa.Array:
        return column if whole else column.take(indices)

    found: dict[str, pa.Array] = {
        "symbol": _symbols(events, rows),
        "session": pa.array(days[rows]).view(pa.date32()),
        "ts_event": pa.array(events.times[rows]),
        "ordinal": pa.array(np.asarray(rows, np.int64)),
        "source": pa.repeat(pa.scalar(dialect.source), len(rows)),
        **{name: chosen(numbers.values) for name, numbers in events.numbers.items()},
        **{name: chosen(column) for name, column in events.columns.items()},
    }
    for field_ in schema:
        found.setdefault(field_.name, pa.nulls(len(rows), field_.type))
    return pa.table([found[name] for name in schema.names], schema=schema)


def _symbols(events: EventColumns, rows: Rows) -> pa.Array:
    if len(events.names) == 1:
        return pa.repeat(pa.scalar(str(events.names[0])), len(rows))
    names = pa.array(list(events.names), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(events.codes[rows]), names).cast(pa.string())
