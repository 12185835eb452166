"""Merging history into a captured partition, by span: pure, on tables of the canonical schema.

A hole is widened to the last event captured before it and the first one after it. Of that stretch
history is the truth: its rows replace what is there. Only at the two edges, where capture and
history meet, are rows told apart: by the feed's identity, else its sequence numbers, else as
multisets of time (at the coarser precision of the two), price and size. Captured rows that history
tells as well stay as they were captured. Nothing outside the stretch is touched, merging the same
twice changes nothing, and holes may be merged in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Flags = npt.NDArray[np.bool_]
Nanos = npt.NDArray[np.int64]
_UNITS = (10**6, 10**3)  # what vendors cut times to, coarsest first
COARSEST = _UNITS[0]
IN_FLIGHT = 5 * 10**9
"""How long an event may be under way: one that happened before a hole can have been lost in it."""
_AMOUNTS = ("price", "size", "bid_price", "bid_size", "ask_price", "ask_size")


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a refill replaces: event times ``start_ns`` to ``end_ns``, both included.

    ``at`` is where in the order of capture its rows belong. ``meets`` says whether an event was
    captured after the hole: history that reaches it is known to be complete up to there.
    """

    start_ns: int
    end_ns: int
    at: int
    meets: bool

    @property
    def window(self) -> tuple[int, int]:
        """What to ask history for, half-open: whole milliseconds, the coarsest time that vendors tell."""
        return self.start_ns // COARSEST * COARSEST, (self.end_ns // COARSEST + 1) * COARSEST


@dataclass(frozen=True, slots=True)
class Merged:
    """The partition after a refill, in the order of capture; so many rows were added, so many are gone."""

    table: pa.Table
    added: int
    gone: int


def stretch_of(stored: pa.Table, start_ns: int, end_ns: int, *, in_flight: int = IN_FLIGHT) -> Stretch:
    """The hole ``start_ns`` .. ``end_ns`` (receive clock), widened to the events captured around it.

    ``stored`` is the partition in the order of capture. Where nothing was captured after the hole, its
    own end counts; where nothing was before it, its start and what was ``in_flight`` then.
    """
    times, received = _nanos(stored, "ts_event"), stored["ts_recv"]
    captured = pc.is_valid(received).to_numpy()
    clock = received.fill_null(0).to_numpy()
    before = np.flatnonzero(captured & (clock <= start_ns))
    after = np.flatnonzero(captured & (clock >= end_ns))
    first = int(times[before[-1]]) if len(before) else start_ns - in_flight
    last = int(times[after[0]]) if len(after) else end_ns
    if len(before):
        at = int(before[-1]) + 1
    else:
        at = int(after[0]) if len(after) else int((times < start_ns).sum())
    return Stretch(min(first, last), max(first, last), at, meets=bool(len(after)))


def together(stretches: Sequence[Stretch]) -> list[list[int]]:
    """Which of ``stretches`` touch: they are asked for together. Groups of positions, in order of time."""
    groups: list[list[int]] = []
    end = 0
    for at in sorted(range(len(stretches)), key=lambda at: (stretches[at].start_ns, stretches[at].end_ns)):
        start, stop = stretches[at].window
        if groups and start <= end:
            groups[-1].append(at)
        else:
            groups.append([at])
        end = max(end, stop)
    return groups


def joined(stretches: Sequence[Stretch]) -> Stretch:
    """One stretch over all of ``stretches``."""
    furthest = max(stretches, key=lambda one: one.end_ns)
    start, at = min(one.start_ns for one in stretches), min(one.at for one in stretches)
    return Stretch(start, furthest.end_ns, at, furthest.meets)


def merge(stored: pa.Table, history: pa.Table, stretch: Stretch, *, identity: Sequence[str] = ()) -> Merged:
    """``stored`` (in the order of capture) with the stretch told by ``history`` (in its own order).

    ``identity`` names the columns that tell two events of the feed apart, none if there are none.
    """
    unit = max(unit_of(stored.filter(pc.is_valid(stored["ts_recv"]))), unit_of(history))
    first, last = stretch.start_ns // unit, stretch.end_ns // unit
    buckets = _nanos(stored, "ts_event") // unit
    within = (buckets >= first) & (buckets <= last)
    captured = pc.is_valid(stored["ts_recv"]).to_numpy()
    edge = within & captured & ((buckets == first) | (buckets == last))
    told_at = _nanos(history, "ts_event") // unit
    told = history.filter(pa.array((told_at >= first) & (told_at <= last)))
    mine = np.flatnonzero(within & captured)
    known, repeated = _matches(stored.take(pa.array(mine)), told, edge[mine], identity, unit)
    stays = ~within | edge
    stays[mine[known]] = True
    fresh = told.filter(pa.array(~repeated))
    at = int(stays[: stretch.at].sum())
    kept = stored.filter(pa.array(stays))
    table = pa.concat_tables([kept.slice(0, at), fresh, kept.slice(at)])
    return Merged(_renumbered(table), fresh.num_rows, int((~stays).sum()))


def reaches(history: pa.Table, stretch: Stretch) -> bool:
    """True unless an event was captured after the hole that history does not come up to."""
    if not stretch.meets:
        return True
    unit = unit_of(history)
    newest = pc.max(history["ts_event"]).as_py() if history.num_rows else None
    return newest is not None and newest // unit >= stretch.end_ns // unit


def unit_of(rows: pa.Table) -> int:
    """The precision of ``ts_event`` in nanoseconds: a millisecond, a microsecond, or one."""
    times = _nanos(rows, "ts_event")
    if not len(times):
        return 1
    return next((unit for unit in _UNITS if not (times % unit).any()), 1)


def _matches(
    stored: pa.Table, told: pa.Table, edge: Flags, identity: Sequence[str], unit: int
) -> tuple[Flags, Flags]:
    """Which rows of ``stored`` history tells as well, and which rows of ``told`` those are.

    The first way to tell events apart that finds something at an edge counts: some vendors number
    their history otherwise than their feed.
    """
    found = (np.zeros(stored.num_rows, bool), np.zeros(told.num_rows, bool))
    best: tuple[Flags, Flags] | None = None
    for keys in _keys(stored, told, identity, unit):
        matched = _paired(*keys)
        if matched[0][edge].any():
            return matched
        best = best or matched
    return best or found


def _keys(
    stored: pa.Table, told: pa.Table, identity: Sequence[str], unit: int
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Both tables by what tells their rows apart, best first."""
    for names in (tuple(identity), ("sequence",)):
        there = [name for name in names if name in stored.column_names]
        if there and all(table[there[-1]].null_count == 0 for table in (stored, told)):
            yield stored.select(there), told.select(there)
    yield _content(stored, unit), _content(told, unit)


def _content(table: pa.Table, unit: int) -> pa.Table:
    """What an event is where nothing names it: its amounts, and its time as far as both tell it."""
    amounts = table.select([name for name in _AMOUNTS if name in table.column_names])
    return amounts.append_column("bucket", pa.array(_nanos(table, "ts_event") // unit))


def _paired(stored: pa.Table, told: pa.Table) -> tuple[Flags, Flags]:
    """Rows of the one that are in the other, as multisets."""
    mine, theirs = np.zeros(stored.num_rows, bool), np.zeros(told.num_rows, bool)
    if not stored.num_rows or not told.num_rows:
        return mine, theirs
    name = stored.column_names[-1]  # few of the many can be meant: those with a value that is wanted
    near = np.flatnonzero(pc.is_in(told[name], stored[name].combine_chunks()).to_numpy())
    left = Counter(rows := list(_rows(stored)))
    for at, row in zip(near.tolist(), _rows(told.take(pa.array(near))), strict=True):
        if left[row]:
            left[row] -= 1
            theirs[at] = True
    used = Counter(rows)
    used.subtract(left)
    for at, row in enumerate(rows):
        if used[row]:
            used[row] -= 1
            mine[at] = True
    return mine, theirs


def _rows(table: pa.Table) -> Iterator[tuple[object, ...]]:
    return zip(*(table[name].to_pylist() for name in table.column_names), strict=True)


def _renumbered(table: pa.Table) -> pa.Table:
    at = table.column_names.index("ordinal")
    return table.set_column(at, table.schema.field(at), pa.array(np.arange(table.num_rows)))


def _nanos(table: pa.Table, name: str) -> Nanos:
    found: Nanos = table[name].to_numpy()
    return found
