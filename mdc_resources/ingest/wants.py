"""What a backfill is asked for, and what it answers. Plain values; no I/O."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol

Prior = Mapping[tuple[Dataset, PartitionKey], CoverageRow]  # the ledger's lines before a run


@dataclass(frozen=True, slots=True)
class Want:
    """``symbols`` of ``dataset`` over the sessions ``start``..``end``, both inclusive.

    ``keys`` narrows the product of the two to exact partitions. ``refetch`` asks again for what is
    already settled; ``provider`` restricts failover to one. ``patient`` leaves a provider alone about a
    partition it failed lately: repairs are patient, a person who asks is not.
    """

    dataset: Dataset
    symbols: tuple[Symbol, ...]
    start: dt.date
    end: dt.date
    provider: str | None = None
    refetch: bool = False
    keys: frozenset[PartitionKey] | None = None
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a backfill is: partitions answered of those asked for, and what it cost so far."""

    done: int
    total: int
    requests: int
    rows: int
    failovers: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Committed:
    """One commit that is durable: the ledger lines it appended."""

    snapshot_id: int
    rows: Sequence[CoverageRow]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a backfill left behind.

    ``states`` has every due partition of the want. ``requests_minimum`` is what the best provider
    would have needed without a fault. ``retryable_missing`` counts partitions that are missing for
    a reason that may pass; ``busy`` those another process was fetching at the time. ``waiting`` ones
    were not asked for by a patient run, because the pause after a failure is not over (or because they
    were given up): nothing failed, and a later run does the rest.
    """

    dataset: Dataset
    run_id: str
    states: Mapping[PartitionKey, CoverageRow]
    fetched: frozenset[PartitionKey]
    pending: int
    busy: int
    retryable_missing: int
    requests_sent: int
    requests_minimum: int
    failovers: int
    rows: int
    snapshots: tuple[int, ...]
    errors: tuple[str, ...]
    seconds: float
    waiting: int = 0

    @property
    def counts(self) -> Counter[PartitionState]:
        """Partitions per state."""
        return Counter(row.state for row in self.states.values())

    @property
    def expected(self) -> int:
        """Due partitions of the want."""
        return len(self.states)

    def as_dict(self) -> dict[str, object]:
        """The JSON form printed by ``mdc backfill --json``."""
        return {
            "run_id": self.run_id,
            "dataset": str(self.dataset),
            "expected": self.expected,
            **{str(state): self.counts[state] for state in PartitionState if state != PartitionState.PENDING},
            "pending": self.pending,
            "busy": self.busy,
            "retryable_missing": self.retryable_missing,
            "waiting": self.waiting,
            "fetched": len(self.fetched),
            "rows": self.rows,
            "requests_sent": self.requests_sent,
            "requests_minimum": self.requests_minimum,
            "failovers": self.failovers,
            "snapshots": list(self.snapshots),
            "errors": list(self.errors),
            "seconds": round(self.seconds, 3),
        }
