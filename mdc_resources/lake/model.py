"""What goes into the lake and what it says back: plain frozen values.

A :class:`CommitBatch` is everything one commit makes visible at once: rows, the coverage that
explains them, the requests that were sent for them. A batch holds either all of a partition's rows
or none of them, or says that it appends. Rows that are too many to be held come as finished files
(:class:`PreparedFile`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from mdc_resources.domain.coverage import CoverageRow, PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import Attempt
from mdc_resources.domain.symbols import Symbol


def _allow() -> None:
    """The default ``before_commit``: nothing to check."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Summary of an answer that was not chosen: enough to compare it with what was."""

    dataset: Dataset
    symbol: Symbol
    session: dt.date
    source: str
    row_count: int
    first: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    last: Decimal | None = None
    volume: Decimal | None = None
    basis: str = ""
    fingerprint: str = ""
    fetch_id: str = ""


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """One row, partition or payload that was refused. ``raw`` is what was received, cut short."""

    dataset: Dataset
    symbol: Symbol | None
    session: dt.date | None
    source: str
    reason: str
    raw: str
    fetch_id: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something a person should be able to find later: an outage, a conflict, a restated history."""

    kind: str
    message: str
    started_at: dt.datetime
    ended_at: dt.datetime | None = None
    provider: str = ""
    dataset: Dataset | None = None
    symbol: Symbol | None = None
    session: dt.date | None = None


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """All ``rows`` of one partition, written and closed at ``path``, which the commit takes away.

    Sorted by the dataset's row key, every row of ``source``: whoever wrote it has seen to that.
    """

    path: Path
    dataset: Dataset
    key: PartitionKey
    rows: int
    source: str


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one event partition, ``start_ns`` inclusive, ``end_ns`` exclusive, and its source."""

    dataset: Dataset
    key: PartitionKey
    start_ns: int
    end_ns: int
    source: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HoleRow:
    """A time a live feed did not deliver, within one session. The newest row of a ``hole_id`` counts.

    ``state`` is ``open``, ``unrepairable`` (no history to refill it from) or ``repaired``.
    """

    dataset: Dataset
    key: PartitionKey
    hole_id: str
    provider: str
    connection: str
    channel: str
    start_ns: int
    end_ns: int
    reason: str
    state: str = "open"


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One sealed segment of a captured log, and what landing it came to."""

    shard: str
    number: int
    feed: str
    first_ns: int
    last_ns: int
    records: int
    frames: int
    bytes: int
    rows: int
    rejected: int
    state: str = "landed"
    reason: str = ""
    decoder_version: int = 1


@dataclass(frozen=True, slots=True)
class Score:
    """A finding about one partition, for the ``quality`` ledger; ``value`` is a statistic, not a price."""

    dataset: Dataset
    symbol: Symbol
    session: dt.date
    metric: str
    value: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class CommitBatch:
    """One atomic change.

    ``tables`` carry the canonical schema. ``coverage`` explains every partition the batch is
    about; one without rows in ``tables`` and not in ``replaces`` keeps the rows it has.
    ``replaces`` are partitions that hold rows now and lose them. ``appends`` are partitions that hold
    rows and keep them: ``tables`` carry only the new ones, coverage counts and hashes all of them.
    ``before_commit`` runs under the commit lock right before the catalog commits, and stops the commit
    by raising.
    """

    run_id: str
    attempt: int
    tables: Mapping[Dataset, pa.Table]
    coverage: Sequence[CoverageRow]
    replaces: frozenset[tuple[Dataset, PartitionKey]] = frozenset()
    appends: frozenset[tuple[Dataset, PartitionKey]] = frozenset()
    attempts: Sequence[Attempt] = ()
    observations: Sequence[Observation] = ()
    quarantine: Sequence[QuarantineRow] = ()
    incidents: Sequence[Incident] = ()
    files: Sequence[PreparedFile] = ()
    spans: Sequence[Span] = ()
    holes: Sequence[HoleRow] = ()
    segments: Sequence[SegmentRow] = ()
    scores: Sequence[Score] = ()
    before_commit: Callable[[], None] = field(default=_allow, repr=False)


@dataclass(frozen=True, slots=True)
class CommitReceipt:
    """What a commit did. ``snapshot_id`` is also the ``commit_seq`` of its ledger rows."""

    snapshot_id: int
    rows: int
    files: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of the lake."""

    snapshot_id: int
    committed_at: dt.datetime
    run_id: str
    message: str


@dataclass(frozen=True, slots=True)
class TableStatus:
    """Size of one table as of now. ``inlined_rows`` still lie in the catalog."""

    name: str
    rows: int
    files: int
    bytes: int
    inlined_rows: int


@dataclass(frozen=True, slots=True)
class LakeStatus:
    """Size and identity of a lake."""

    root: str
    lake_id: str
    sandbox: bool
    catalog: str
    snapshot_id: int
    snapshots: int
    oldest_snapshot: int
    tables: tuple[TableStatus, ...]

    @property
    def rows(self) -> int:
        """Rows in all tables, ledgers included."""
        return sum(table.rows for table in self.tables)

    @property
    def files(self) -> int:
        """Data files the catalog names."""
        return sum(table.files for table in self.tables)

    @property
    def bytes(self) -> int:
        """Bytes of those files."""
        return sum(table.bytes for table in self.tables)

    @property
    def inlined_rows(self) -> int:
        """Ledger rows not yet flushed to files."""
        return sum(table.inlined_rows for table in self.tables)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing ``verify`` found wrong. ``severity`` is ``error`` or ``warning``."""

    severity: str
    kind: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Damage:
    """What a deep verification came to for one dataset.

    ``files`` are those of the table that cannot be read; ``keys`` the partitions whose rows are lost
    or wrong, those of the files among them.
    """

    dataset: Dataset
    files: tuple[str, ...]
    keys: tuple[PartitionKey, ...]


@dataclass(frozen=True, slots=True)
class CompactReceipt:
    """What a compaction did: ``files_before`` became ``files_after``; rows are untouched."""

    dataset: Dataset
    month: str
    files_before: int
    files_after: int
    rows: int
