"""Which holes history can be asked for now: open, over, of a market that somebody keeps, not pausing.

Holes are grouped by partition, for a partition is what is read, merged and committed. A hole counts
as over once it ended ``SETTLE`` ago: until then the vendor's history may not have it. What pauses
after a failure waits, what was given up is left to a person.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home
from mdc_resources.coverage.universes import calendar_in, universes_of
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import HoleRow, Lake
from mdc_resources.landing.covering import OPEN
from mdc_resources.landing.feeds import Feeds
from mdc_resources.providers.live import LiveSpec, feed_names
from mdc_resources.state import State

SETTLE = dt.timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Torn:
    """A partition with open holes, the feed that has them, and where its symbol trades."""

    dataset: Dataset
    key: PartitionKey
    holes: tuple[HoleRow, ...]
    spec: LiveSpec
    calendar: Calendar
    asset_class: str


@dataclass(frozen=True, slots=True)
class Torns:
    """What to ask for now. ``waiting`` holes are left for later, each for the reason it is counted by."""

    due: tuple[Torn, ...] = ()
    young: int = 0
    pausing: int = 0
    gave_up: int = 0
    unoffered: int = 0

    @property
    def open(self) -> int:
        """All open holes."""
        asked = sum(len(each.holes) for each in self.due)
        return asked + self.young + self.pausing + self.gave_up + self.unoffered


def look(
    home: Home,
    lake: Lake,
    state: State,
    *,
    at: dt.datetime,
    settle: dt.timedelta = SETTLE,
    symbols: Collection[Symbol] | None = None,
    patient: bool = True,
) -> Torns:
    """The partitions whose holes are due at ``at``, oldest first; pauses count for the ``patient``."""
    ripe = int((at - settle).timestamp() * 10**9)
    found = lake.holes(symbols=symbols, states=(OPEN,))
    over = [hole for hole in found if hole.end_ns <= ripe]
    groups: dict[tuple[Dataset, PartitionKey], list[HoleRow]] = defaultdict(list)
    for hole in over:
        groups[hole.dataset, hole.key].append(hole)
    tries = {dataset: state.tries(dataset) for dataset in {dataset for dataset, _ in groups}}
    universes = universes_of(home, state, sorted({key.symbol for _, key in groups}))
    counts = dict.fromkeys(("pausing", "gave_up", "unoffered"), 0)
    due: list[Torn] = []
    for (dataset, key), holes in sorted(groups.items(), key=lambda group: group[1][0].start_ns):
        known, spec = tries[dataset].get(key), spec_of(home, holes[0])
        if spec is None or dataset not in spec.refillable:
            counts["unoffered"] += len(holes)
        elif patient and known is not None and (known.gave_up or known.next_at > at):
            counts["gave_up" if known.gave_up else "pausing"] += len(holes)
        else:
            name = universes[key.symbol]
            universe = home.settings.universes.get(name)
            asset_class = universe.asset_class if universe else "equity"
            due.append(Torn(dataset, key, tuple(holes), spec, calendar_in(home, name), asset_class))
    return Torns(tuple(due), young=len(found) - len(over), **counts)


def spec_of(home: Home, hole: HoleRow) -> LiveSpec | None:
    """The feed that has ``hole``, under the home's settings; None where it is not installed any more."""
    feeds = Feeds(home, "")
    shard = hole.connection.partition("/")[0]
    # A shard is named after its feed; while a backup stands in, the hole may be another vendor's.
    names = [shard.rpartition("-")[0], *feed_names()]
    known = (feeds[name].spec for name in names if name in feed_names())
    return next((spec for spec in known if spec.provider == hole.provider), None)
