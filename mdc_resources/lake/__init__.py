"""The lake: Parquet files we write, a DuckLake catalog that names them, ledgers that explain them.

Promises: a commit is all or nothing and durable when it returns; a reader sees one snapshot.
Refuses a directory without its marker, synthetic rows in a real lake, rows without coverage.
"""

from mdc_resources.lake.fingerprint import Accumulator, fingerprints
from mdc_resources.lake.lake import Lake
from mdc_resources.lake.model import (
    CommitBatch,
    CommitReceipt,
    CompactReceipt,
    Damage,
    Finding,
    HoleRow,
    Incident,
    LakeStatus,
    Observation,
    PreparedFile,
    QuarantineRow,
    Score,
    SegmentRow,
    Snapshot,
    Span,
    TableStatus,
)

__all__ = [
    "Accumulator",
    "CommitBatch",
    "CommitReceipt",
    "CompactReceipt",
    "Damage",
    "Finding",
    "HoleRow",
    "Incident",
    "Lake",
    "LakeStatus",
    "Observation",
    "PreparedFile",
    "QuarantineRow",
    "Score",
    "SegmentRow",
    "Snapshot",
    "Span",
    "TableStatus",
    "fingerprints",
]
