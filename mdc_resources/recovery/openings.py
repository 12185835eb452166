"""The open sessions of a dataset by what may be done about each: nothing, wait, or fetch it.

Every open session is exactly one of: ``busy`` (claimed, or held by a run under way), ``gave_up`` (a
person's turn), ``waiting`` (it failed and pauses), ``along`` (its bars bring it), ``free``.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from mdc_resources.coverage.gaps import OpenSessions
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import State

Holes = Mapping[Symbol, Intervals]
_NOTHING = Intervals()


@dataclass(slots=True)
class Openings:
    """Ordinals per symbol; a symbol without any of a kind may have an empty set or none."""

    opened: Mapping[Symbol, OpenSessions]
    free: dict[Symbol, Intervals] = field(default_factory=dict)
    busy: dict[Symbol, Intervals] = field(default_factory=dict)
    waiting: dict[Symbol, Intervals] = field(default_factory=dict)
    gave_up: dict[Symbol, Intervals] = field(default_factory=dict)
    along: dict[Symbol, Intervals] = field(default_factory=dict)

    def about_to_be_fetched(self, symbol: Symbol) -> Intervals:
        """Sessions of ``symbol`` that are being fetched or will be next."""
        return self.free.get(symbol, _NOTHING) | self.busy.get(symbol, _NOTHING)


def openings_of(
    state: State,
    dataset: Dataset,
    opened: Mapping[Symbol, OpenSessions],
    *,
    at: dt.datetime,
    in_flight: Collection[PartitionKey] = (),
    bars: Iterable[Openings] = (),
) -> Openings:
    """``opened`` sorted out as of ``at``; what ``bars`` are about to bring along is left to them."""
    tries = state.tries(dataset).values()
    busy = ordinals(opened, (*state.claimed(dataset), *in_flight))
    gave_up = ordinals(opened, (each.key for each in tries if each.gave_up))
    waiting = ordinals(opened, (each.key for each in tries if each.next_at > at))
    found = Openings(opened)
    for symbol, sessions in opened.items():
        left = sessions.all
        for kind, these in ((found.busy, busy), (found.gave_up, gave_up), (found.waiting, waiting)):
            kind[symbol] = left & these.get(symbol, _NOTHING)
            left = left - kind[symbol]
        found.along[symbol] = _NOTHING
        for other in bars:
            found.along[symbol] |= left & other.about_to_be_fetched(symbol)
        found.free[symbol] = left - found.along[symbol]
    return found


def ordinals(opened: Mapping[Symbol, OpenSessions], keys: Iterable[PartitionKey]) -> dict[Symbol, Intervals]:
    """``keys`` of symbols with open sessions, as ordinals; a day that is no session is left out."""
    found: dict[Symbol, list[int]] = defaultdict(list)
    for symbol, session in keys:
        if symbol in opened:
            dates = opened[symbol].calendar.dates
            ordinal = bisect_left(dates, session)
            if ordinal < len(dates) and dates[ordinal] == session:
                found[symbol].append(ordinal)
    return {symbol: Intervals.of(each) for symbol, each in found.items()}


def size(holes: Holes) -> int:
    """Partitions."""
    return sum(len(each) for each in holes.values())
