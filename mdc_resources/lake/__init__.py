"""The lake: Parquet files we write, a DuckLake catalog that names them, ledgers that explain them.

Promises: a commit is all or nothing and durable when it returns; a reader sees one snapshot.
Refuses a directory without its marker, synthetic rows in a real lake, rows without coverage.
"""

from mdc_resources.lake.fingerprint import fingerprints
from mdc_resources.lake.lake import Lake
from mdc_resources.lake.model import (
    CommitBatch,
    CommitReceipt,
    CompactReceipt,
    Damage,
    Finding,
    Incident,
    LakeStatus,
    Observation,
    QuarantineRow,
    Snapshot,
    TableStatus,
)

__all__ = [
    "CommitBatch",
    "CommitReceipt",
    "CompactReceipt",
    "Damage",
    "Finding",
    "Incident",
    "Lake",
    "LakeStatus",
    "Observation",
    "QuarantineRow",
    "Snapshot",
    "TableStatus",
    "fingerprints",
]
