"""How symbols stand between their first and their last session in the ledger, for whole assets at once.

States are counted by column and holes come from the ledger's bits, so a hundred thousand partitions
cost what a query costs. What was never begun is no hole here, and what is newer than a symbol's last
session is the business of the schedules.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pyarrow.compute as pc

from mdc_resources.config import Home
from mdc_resources.coverage.gaps import open_sessions
from mdc_resources.domain.coverage import CoverageSummary, Gap, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.state import State

_COUNTED = (
    PartitionState.PRESENT,
    PartitionState.EMPTY,
    PartitionState.QUARANTINED,
    PartitionState.EXPIRED,
)


def standing(
    home: Home, lake: Lake, state: State, dataset: Dataset, symbols: Sequence[Symbol], *, at: dt.datetime
) -> CoverageSummary:
    """Counts per state and the gaps of ``symbols`` as of ``at``; ``pending`` is always 0.

    Raises:
        UsageError, ConfigError: see :func:`~mdc_resources.coverage.gaps.open_sessions`.
    """
    table = lake.coverage(dataset, symbols=symbols).select(["symbol", "session", "state"])
    last = table.group_by("symbol").aggregate([("session", "max")])
    newest = dict(zip(last["symbol"].to_pylist(), last["session_max"].to_pylist(), strict=True))
    counted = {str(entry["values"]): entry["counts"] for entry in pc.value_counts(table["state"]).to_pylist()}
    counts = {state: int(counted.get(str(state), 0)) for state in _COUNTED}
    gaps: list[Gap] = []
    missing = partial = 0
    for symbol, found in open_sessions(home, lake, state, dataset, symbols, at=at).items():
        calendar = found.calendar
        inside = Intervals(((0, calendar.first_from(newest[symbol]) + 1),))
        missing += len(found.missing & inside)
        partial += len(found.partial & inside)
        gaps += [
            Gap(symbol, calendar.session_at(start), calendar.session_at(end - 1), end - start)
            for start, end in (found.all & inside).runs
        ]
    return CoverageSummary(
        expected=sum(counts.values()) + missing + partial,
        present=counts[PartitionState.PRESENT],
        partial=partial,
        empty=counts[PartitionState.EMPTY],
        missing=missing,
        quarantined=counts[PartitionState.QUARANTINED],
        expired=counts[PartitionState.EXPIRED],
        pending=0,
        gaps=tuple(gaps),
    )
