"""What the archive should hold, and what it does: calendar x membership against the ledger.

A session is due once its close plus the dataset's settle delay lies behind the given instant;
before that its partition is ``pending`` and no gap. ``instruments`` expects one partition per
symbol: the last due session of the range.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mdc_resources.calendars import Calendar, get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, CoverageSummary, Gap, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
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


def calendar_of(home: Home, state: State, symbol: Symbol) -> Calendar:
    """The calendar of the symbol's universe; that of the default universe if it is in none."""
    member = state.member(symbol)
    name = member.universe if member else home.settings.ingest.default_universe
    universe = home.settings.universes.get(name)
    return get_calendar(universe.calendar if universe else "XNYS", home.root)


def expect(
    home: Home,
    state: State,
    dataset: Dataset,
    symbols: Sequence[Symbol],
    start: dt.date,
    end: dt.date,
    *,
    at: dt.datetime,
) -> dict[Symbol, Expectation]:
    """Expectation per symbol over ``start``..``end``, both inclusive, as of the instant ``at``."""
    settle = home.settings.dataset(dataset).settle_delay
    shared: dict[str, tuple[Intervals, int]] = {}
    found: dict[Symbol, Expectation] = {}
    for symbol, calendar in _calendars(home, state, symbols).items():
        if calendar.name not in shared:
            shared[calendar.name] = _due(calendar, dataset, start, end, at, settle)
        due, pending = shared[calendar.name]
        found[symbol] = Expectation(symbol, calendar, due, pending)
    return found


def _calendars(home: Home, state: State, symbols: Sequence[Symbol]) -> dict[Symbol, Calendar]:
    universe_of = {member.symbol: member.universe for member in state.members(active_only=False)}
    default = home.settings.ingest.default_universe
    found = {}
    for symbol in symbols:
        universe = home.settings.universes.get(universe_of.get(symbol, default))
        found[symbol] = get_calendar(universe.calendar if universe else "XNYS", home.root)
    return found


def _due(
    calendar: Calendar, dataset: Dataset, start: dt.date, end: dt.date, at: dt.datetime, settle: dt.timedelta
) -> tuple[Intervals, int]:
    sessions = calendar.sessions(start, end)
    final = calendar.final_sessions(start, end, at=at, settle=settle)
    if not final:
        return Intervals(), len(sessions)
    first, last = calendar.ordinal(final[0]), calendar.ordinal(final[-1])
    if dataset is Dataset.INSTRUMENTS:
        return Intervals(((last, last + 1),)), 0
    return Intervals(((first, last + 1),)), len(sessions) - len(final)


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
    """Counts per state and the gaps of ``symbols`` over ``start``..``end``, both inclusive."""
    state = State.open(home)
    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        expected = expect(home, state, dataset, symbols, start, end, at=at or now())
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
