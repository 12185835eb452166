"""Which holes to fill next: what is open in the ledger, as a few repairs of bounded size.

Left out is what somebody is at already, what pauses after a failure, and what was given up. Splits
and instruments come along with bars: they are planned by themselves only where the bars of the same
sessions are not about to be fetched. The same ledger and state give the same repairs, in whatever
order they are read. Nothing is launched here.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home
from mdc_resources.coverage.gaps import open_sessions
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset, parse_dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.priorities import Priority
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want
from mdc_resources.lake import Lake
from mdc_resources.recovery.openings import Holes, Openings, openings_of, size
from mdc_resources.recovery.order import Chunk, blocks_of, by_age, chunks_of
from mdc_resources.state import State

# What fell due this moment is left to the end-of-day schedule, which asks for it at high priority.
HEAD_START = dt.timedelta(minutes=5)
_LOOK_BACK = dt.timedelta(days=60)  # no exchange is closed for longer


@dataclass(frozen=True, slots=True)
class Repair:
    """One run's worth of holes of a universe; the same holes always have the same ``fingerprint``."""

    want: Want
    universe: str
    fingerprint: str
    priority: Priority


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What to launch, and the partitions behind it.

    Of the ``open`` ones, ``waiting`` pause after a failure, ``gave_up`` wait for a person, ``busy`` are
    queued or being fetched, ``along`` come with their bars. The rest is in ``repairs``, or comes later.
    """

    repairs: tuple[Repair, ...]
    open: int
    waiting: int
    gave_up: int
    busy: int
    along: int = 0

    @property
    def asked(self) -> int:
        """Partitions of the repairs."""
        return sum(len(repair.want.keys or ()) for repair in self.repairs)

    @property
    def later(self) -> int:
        """What could be fetched, and is left to a later look."""
        return self.open - self.waiting - self.gave_up - self.busy - self.along - self.asked


_Place = tuple[bool, int, int, str]  # old, newest session (negated), dataset, universe


def plan_repairs(
    home: Home,
    lake: Lake,
    state: State,
    *,
    at: dt.datetime,
    in_flight: Mapping[Dataset, Collection[PartitionKey]],
    limit: int,
    queued: int = 0,
    resting: Callable[[str], bool] = lambda _: False,
) -> RepairPlan:
    """At most ``limit`` repairs of what is open at the instant ``at``, the most urgent first.

    What holds one of the newest sessions is of normal priority, the rest low. Low repairs are planned
    only while fewer than ``limit`` of them wait, the ``queued`` ones included. A repair for whose
    fingerprint ``resting`` holds is left for later.

    Raises:
        UsageError: ``recovery.datasets`` names none.
    """
    datasets = [parse_dataset(name) for name in dict.fromkeys(home.settings.recovery.datasets)]
    found = _openings(home, lake, state, datasets, in_flight, at=at)
    universes = {member.symbol: member.universe for member in state.members()}
    uses = state.uses()
    ranked = merge(
        *(
            _repairs(home, dataset, rank, universe, found[dataset], holes, uses, at=at)
            for rank, dataset in enumerate(datasets)
            for universe, holes in _by_universe(found[dataset].free, universes).items()
        ),
        key=lambda pair: pair[0],
    )
    chosen: list[Repair] = []
    rested = 0
    for _, repair in ranked:
        low = repair.priority is Priority.LOW
        if len(chosen) == limit or (low and queued >= limit):
            break
        if resting(repair.fingerprint):
            rested += len(repair.want.keys or ())
            continue
        queued += low
        chosen.append(repair)
    return RepairPlan(
        repairs=tuple(chosen),
        open=sum(len(sessions.all) for each in found.values() for sessions in each.opened.values()),
        waiting=sum(size(each.waiting) for each in found.values()) + rested,
        gave_up=sum(size(each.gave_up) for each in found.values()),
        busy=sum(size(each.busy) for each in found.values()),
        along=sum(size(each.along) for each in found.values()),
    )


def fingerprint_of(dataset: Dataset, keys: Iterable[PartitionKey]) -> str:
    """16 hex digits that depend on the dataset and the set of ``keys`` alone."""
    lines = (f"{symbol}|{session.isoformat()}" for symbol, session in sorted(set(keys)))
    return hashlib.sha256("\n".join((dataset.value, *lines)).encode()).hexdigest()[:16]


def _openings(
    home: Home,
    lake: Lake,
    state: State,
    datasets: Iterable[Dataset],
    in_flight: Mapping[Dataset, Collection[PartitionKey]],
    *,
    at: dt.datetime,
) -> dict[Dataset, Openings]:
    due = at - HEAD_START if home.settings.schedule.end_of_day else at
    found: dict[Dataset, Openings] = {}
    for dataset in sorted(datasets, key=lambda each: not each.is_bars):
        opened = open_sessions(home, lake, state, dataset, at=due)
        bars = [] if dataset.is_bars else [found[other] for other in found if other.is_bars]
        mine = in_flight.get(dataset, ())
        found[dataset] = openings_of(state, dataset, opened, at=at, in_flight=mine, bars=bars)
    return found


def _by_universe(free: Holes, universes: Mapping[Symbol, str]) -> dict[str, Holes]:
    """Symbols with something to fetch, by universe: the symbols of one share a calendar."""
    found: dict[str, dict[Symbol, Intervals]] = defaultdict(dict)
    for symbol, holes in free.items():
        if holes and symbol in universes:
            found[universes[symbol]][symbol] = holes
    return dict(found)


def _repairs(
    home: Home,
    dataset: Dataset,
    rank: int,
    universe: str,
    openings: Openings,
    holes: Holes,
    uses: Mapping[Symbol, int],
    *,
    at: dt.datetime,
) -> Iterator[tuple[_Place, Repair]]:
    """The repairs of one universe with their place among all, in that order."""
    calendar = openings.opened[next(iter(holes))].calendar
    settings = home.settings.dataset(dataset)
    room = settings.max_partitions_per_run
    newest = _newest(calendar, at=at, settle=settings.settle_delay)
    sides = by_age(blocks_of(holes, uses, longest=room), newest=newest)
    for side, priority in zip(sides, (Priority.NORMAL, Priority.LOW), strict=True):
        for chunk in chunks_of(side, room=room):
            last = calendar.session_at(chunk[0].end - 1)
            place = (priority is Priority.LOW, -last.toordinal(), rank, universe)
            want = _want(dataset, calendar, chunk)
            yield place, Repair(want, universe, fingerprint_of(dataset, want.keys or ()), priority)


def _want(dataset: Dataset, calendar: Calendar, chunk: Chunk) -> Want:
    return Want(
        dataset=dataset,
        symbols=tuple(sorted({symbol for block in chunk for symbol in block.symbols})),
        start=calendar.session_at(min(block.start for block in chunk)),
        end=calendar.session_at(max(block.end for block in chunk) - 1),
        keys=frozenset(
            PartitionKey(symbol, session)
            for block in chunk
            for session in calendar.dates[block.start : block.end]
            for symbol in block.symbols
        ),
        patient=True,
    )


def _newest(calendar: Calendar, *, at: dt.datetime, settle: dt.timedelta) -> int:
    """Ordinal of the newest due session."""
    first = at.date() - _LOOK_BACK
    due = calendar.final_sessions(first, at.date() + dt.timedelta(days=1), at=at, settle=settle)
    return calendar.ordinal(due[-1]) if due else 0
