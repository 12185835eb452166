"""Ledgers written by hand: what a home holds, and the holes in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from contextlib import closing

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import CommitBatch, Lake

AHEAD = 3  # sessions not due yet: a test that runs across a close finds no new hole


def recent(home: Home, count: int, *, at: dt.datetime) -> tuple[dt.date, ...]:
    """The newest ``count`` sessions that were due at ``at``, and the :data:`AHEAD` that follow."""
    calendar = get_calendar("XNYS", home.root)
    due = calendar.final_sessions(
        at.date() - dt.timedelta(days=2 * count + 30), at.date(), at=at, settle=dt.timedelta(hours=6)
    )
    last = calendar.ordinal(due[-1])
    return calendar.dates[last - count + 1 : last + 1 + AHEAD]


def append(
    lake: Lake, dataset: Dataset, keys: Iterable[PartitionKey], state: PartitionState = PartitionState.EMPTY
) -> None:
    """Append ledger rows of ``state``; one of ``missing`` opens a partition that was settled."""
    rows = [
        CoverageRow(dataset, key.symbol, key.session, state, reason="by the test")
        for key in sorted(set(keys))
    ]
    if rows:
        lake.commit(CommitBatch(run_id="by-hand", attempt=1, tables={}, coverage=rows))


def write(
    home: Home, dataset: Dataset, keys: Iterable[PartitionKey], state: PartitionState = PartitionState.EMPTY
) -> None:
    """:func:`append` to the lake of ``home``."""
    with closing(Lake.open(home.lake_dir)) as lake:
        append(lake, dataset, keys, state)


def product(symbols: Iterable[str], sessions: Iterable[dt.date]) -> set[PartitionKey]:
    """Every partition of ``symbols`` over ``sessions``."""
    days = tuple(sessions)
    return {PartitionKey(Symbol(symbol), day) for symbol in symbols for day in days}


def open_up(home: Home, dataset: Dataset, keys: Iterable[PartitionKey]) -> None:
    """Make ``keys`` missing."""
    write(home, dataset, keys, PartitionState.MISSING)
