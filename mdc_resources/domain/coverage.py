"""Partitions and their states: the vocabulary of the coverage ledger.

    expected = present + partial + empty + missing + quarantined + expired
    gaps     = missing + partial

``pending`` partitions are not due yet and not counted as expected. ``missing`` has no ledger row:
it is what the calendar expects and no row explains.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol


class PartitionState(StrEnum):
    """State of one (symbol, session) of a dataset."""

    PENDING = "pending"
    MISSING = "missing"
    PARTIAL = "partial"
    PRESENT = "present"
    EMPTY = "empty"
    QUARANTINED = "quarantined"
    EXPIRED = "expired"

    @property
    def is_settled(self) -> bool:
        """True where nothing is left to fetch and Dagster shows the partition as materialised."""
        return self in (PartitionState.PRESENT, PartitionState.EMPTY, PartitionState.EXPIRED)


class PartitionKey(NamedTuple):
    """One (symbol, session); the session is the exchange's date."""

    symbol: Symbol
    session: dt.date


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One line of the coverage ledger, as of its commit.

    ``basis_asof`` is the date of the fetch that stored the rows. A later fetch that gave the same
    content sets ``basis_confirmed_asof`` to its own date; None means the same as ``basis_asof``.
    """

    dataset: Dataset
    symbol: Symbol
    session: dt.date
    state: PartitionState
    reason: str = ""
    source: str = ""
    basis: str = ""
    basis_asof: dt.date | None = None
    row_count: int = 0
    fingerprint: str = ""
    attempt: int = 0
    basis_confirmed_asof: dt.date | None = None

    @property
    def key(self) -> PartitionKey:
        """The partition this line is about."""
        return PartitionKey(self.symbol, self.session)


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of consecutive sessions that lack data; both ends inclusive."""

    symbol: Symbol
    start: dt.date
    end: dt.date
    sessions: int


@dataclass(frozen=True, slots=True)
class CoverageSummary:
    """Counts per state over a range, and its gaps."""

    expected: int
    present: int
    partial: int
    empty: int
    missing: int
    quarantined: int
    expired: int
    pending: int
    gaps: tuple[Gap, ...]
