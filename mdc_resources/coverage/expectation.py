"""What the archive should hold, and what it does: calendar x membership x listing against the ledger.

A session is due once its close (for events the end of its window) plus the dataset's settle delay
lies behind the given instant; before that its partition is ``pending`` and no gap. ``instruments``
expects one partition per symbol: the last due session of the range on which it was listed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home
from mdc_resources.coverage.listings import listings_of, within
from mdc_resources.coverage.universes import calendar_in, universes_of
from mdc_resources.domain.coverage import CoverageRow, CoverageSummary, Gap, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.lake import Lake
from mdc_resources.state import State

GAP_STATES = frozenset({PartitionState.MISSING, PartitionState.PARTIAL})


@dataclass(frozen=True, slots=True)
class Expectation:
    """Due sessions of one symbol, as ordinals of its calendar, and how many are still pending."""

    symbol: Symbol
    calendar: Calendar
    due: Intervals
    pending: int

    def sessions(self) -> Iterable[dt.date]:
        """The due session dates, ascending."""
        return (self.calendar.session_at(ordinal) for ordinal in self.due)


def expect(
    home: Home,
    state: State,
    dataset: Dataset,
    symbols: Sequence[Symbol],
    start: dt.date,
    end: dt.date,
    *,
    at: dt.datetime,
    listings: Mapping[Symbol, Listing] | None = None,
) -> dict[Symbol, Expectation]:
    """Expectation per symbol over ``start``..``end``, both inclusive, as of the instant ``at``.

    Sessions outside a symbol's listing (see :func:`~mdc_resources.coverage.listings.listings_of`) are
    not expected of it, neither due nor pending.

    Raises:
        UsageError: the range reaches beyond what the calendar knows; that never means "closed".
    """
    settle = home.settings.dataset(dataset).settle_delay
    known = listings or {}
    shared: dict[str, _Range] = {}
    found: dict[Symbol, Expectation] = {}
    for symbol, universe in universes_of(home, state, symbols).items():
        if universe not in shared:
            calendar = calendar_in(home, universe)
            due = calendar.final_sessions(start, end, at=at, settle=settle, whole_window=dataset.is_events)
            shared[universe] = _Range.of(calendar, start, end, len(due))
        found[symbol] = shared[universe].expectation(symbol, dataset, known.get(symbol))
    return found


@dataclass(frozen=True, slots=True)
class _Range:
    """A range of one calendar: its due and its pending sessions, as ordinals."""

    calendar: Calendar
    due: Intervals
    pending: Intervals

    @classmethod
    def of(cls, calendar: Calendar, start: dt.date, end: dt.date, final: int) -> _Range:
        first = calendar.first_from(start)
        stop = first + len(calendar.sessions(start, end))
        due = first + final
        return cls(calendar, Intervals.from_runs([(first, due)]), Intervals.from_runs([(due, stop)]))

    def expectation(self, symbol: Symbol, dataset: Dataset, listing: Listing | None) -> Expectation:
        due = within(self.calendar, listing, self.due)
        pending = len(within(self.calendar, listing, self.pending))
        if dataset is Dataset.INSTRUMENTS and due:
            last = due.hull()[1]
            due, pending = Intervals(((last - 1, last),)), 0
        return Expectation(symbol, self.calendar, due, pending)


def ledger(
    lake: Lake, dataset: Dataset, symbols: Sequence[Symbol], start: dt.date, end: dt.date
) -> dict[PartitionKey, CoverageRow]:
    """The newest ledger line of each partition in the range."""
    table = lake.coverage(dataset, symbols=symbols, start=start, end=end)
    fields = (
        "symbol",
        "session",
        "state",
        "reason",
        "source",
        "basis",
        "basis_asof",
        "row_count",
        "fingerprint",
        "attempt",
    )
    columns = [table.column(name).to_pylist() for name in fields]
    rows = {}
    for symbol, session, state, reason, source, basis, asof, count, fingerprint, attempt in zip(
        *columns, strict=True
    ):
        rows[PartitionKey(symbol, session)] = CoverageRow(
            dataset,
            symbol,
            session,
            PartitionState(state),
            reason,
            source,
            basis,
            asof,
            count,
            fingerprint,
            attempt,
        )
    return rows


def coverage_summary(
    home: Home,
    dataset: Dataset,
    symbols: Sequence[Symbol],
    start: dt.date,
    end: dt.date,
    *,
    at: dt.datetime | None = None,
) -> CoverageSummary:
    """Counts per state and the gaps of ``symbols`` over ``start``..``end``, both inclusive.

    Sessions outside a symbol's listing count nowhere, whatever the ledger holds of them.
    """
    state = State.open(home)
    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        listings = listings_of(home, lake, symbols)
        expected = expect(home, state, dataset, symbols, start, end, at=at or now(), listings=listings)
        return summarise(expected, ledger(lake, dataset, symbols, start, end))
    finally:
        lake.close()
        state.close()


def summarise(
    expected: Mapping[Symbol, Expectation], rows: Mapping[PartitionKey, CoverageRow]
) -> CoverageSummary:
    """Count the states of every expected partition; ``missing`` is what no row explains."""
    counts = dict.fromkeys(PartitionState, 0)
    gaps: list[Gap] = []
    for symbol, expectation in expected.items():
        open_ordinals: list[int] = []
        for ordinal in expectation.due:
            row = rows.get(PartitionKey(symbol, expectation.calendar.session_at(ordinal)))
            state = row.state if row else PartitionState.MISSING
            counts[state] += 1
            if state in GAP_STATES:
                open_ordinals.append(ordinal)
        gaps.extend(_gaps(expectation, Intervals.of(open_ordinals)))
    return CoverageSummary(
        expected=sum(len(expectation.due) for expectation in expected.values()),
        pending=sum(expectation.pending for expectation in expected.values()),
        gaps=tuple(gaps),
        **{str(s): counts[s] for s in PartitionState if s is not PartitionState.PENDING},
    )


def _gaps(expectation: Expectation, holes: Intervals) -> Iterable[Gap]:
    at = expectation.calendar.session_at
    return (Gap(expectation.symbol, at(start), at(end - 1), end - start) for start, end in holes.runs)
