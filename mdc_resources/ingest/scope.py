"""What a want comes to: due partitions, what the ledger says of them, and which are open."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home
from mdc_resources.coverage.expectation import Expectation, expect, ledger
from mdc_resources.coverage.listings import listings_of
from mdc_resources.coverage.universes import universes_of
from mdc_resources.domain.coverage import CoverageRow, PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.symbols import Symbol, venue_of
from mdc_resources.ingest.planner import Holes
from mdc_resources.ingest.wants import Want
from mdc_resources.lake import Lake
from mdc_resources.state import State


@dataclass(frozen=True, slots=True)
class Scope:
    """A want measured against the calendar and the ledger at the instant ``at``."""

    want: Want
    at: dt.datetime
    expected: Mapping[Symbol, Expectation]
    due: tuple[PartitionKey, ...]
    prior: Mapping[PartitionKey, CoverageRow]

    @property
    def pending(self) -> int:
        """Sessions of the range that are not due yet."""
        return sum(expectation.pending for expectation in self.expected.values())

    @property
    def open(self) -> list[PartitionKey]:
        """Due partitions to fetch: all of them on a refetch, else those the ledger does not settle.

        A quarantined partition is asked for again: the vendor may have mended it.
        """
        if self.want.refetch:
            return list(self.due)
        return [key for key in self.due if key not in self.prior or not self.prior[key].state.is_settled]

    def calendar(self, symbol: Symbol) -> Calendar:
        """The symbol's calendar."""
        return self.expected[symbol].calendar


def measure(home: Home, lake: Lake, state: State, want: Want, *, at: dt.datetime) -> Scope:
    """Measure ``want`` as of ``at``; what lies outside a symbol's listing is not due."""
    listings = listings_of(home, lake, want.symbols)
    expected = expect(home, state, want.dataset, want.symbols, want.start, want.end, at=at, listings=listings)
    keys = (
        PartitionKey(symbol, session)
        for symbol, expectation in expected.items()
        for session in expectation.sessions()
    )
    due = tuple(key for key in keys if want.keys is None or key in want.keys)
    return Scope(want, at, expected, due, ledger(lake, want.dataset, want.symbols, want.start, want.end))


class Group(NamedTuple):
    """What symbols that the same providers can be asked for have in common."""

    calendar: str
    asset_class: str
    venue: str


def groups(home: Home, state: State, scope: Scope) -> dict[Group, list[Symbol]]:
    """Symbols of the scope by calendar, asset class and venue: each group is planned on its own."""
    found: dict[Group, list[Symbol]] = defaultdict(list)
    for symbol, name in universes_of(home, state, list(scope.expected)).items():
        universe = home.settings.universes.get(name)
        asset_class = universe.asset_class if universe else "equity"
        group = Group(scope.expected[symbol].calendar.name, asset_class, venue_of(symbol))
        found[group].append(symbol)
    return found


def holes(calendar: Calendar, keys: Iterable[PartitionKey]) -> Holes:
    """``keys`` as intervals of ordinals per symbol."""
    ordinals: dict[Symbol, list[int]] = defaultdict(list)
    for key in keys:
        ordinals[key.symbol].append(calendar.ordinal(key.session))
    return Holes(calendar, {symbol: Intervals.of(values) for symbol, values in ordinals.items()})


def series_basis(lake: Lake, dataset: Dataset, symbols: Collection[Symbol]) -> dict[Symbol, str]:
    """The basis of the newest stored session of each symbol that has one."""
    table = lake.coverage(dataset, symbols=list(symbols))
    found: dict[Symbol, tuple[dt.date, str]] = {}
    columns = (table[name].to_pylist() for name in ("symbol", "session", "basis"))
    for symbol, session, basis in zip(*columns, strict=True):
        if basis and (symbol not in found or found[symbol][0] < session):
            found[symbol] = (session, basis)
    return {symbol: basis for symbol, (_, basis) in found.items()}
