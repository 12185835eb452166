"""The write-ahead log: what was received, as it was received, durable before anything looks at it.

A *shard* (``coinbase-0``) is one log with one writer. Its live segment is ``wal/<shard>/<number>.wal``,
its finished ones are compressed into ``segments/<shard>/<number>.wal.zst`` and never change again.
The format and what it survives: docs/reference/wal.md.
"""

from mdc_resources.wal.errors import LogTaken, NewerLog, NoSpace, WalDamaged
from mdc_resources.wal.format import Kind, Record, SegmentFooter, SegmentHeader
from mdc_resources.wal.reader import Verdict, read_header, read_segment, verify_segment
from mdc_resources.wal.recovery import Recovery
from mdc_resources.wal.sealed import SealedSegment, sealed_segments
from mdc_resources.wal.writer import Durable, LogWriter

__all__ = [
    "Durable",
    "Kind",
    "LogTaken",
    "LogWriter",
    "NewerLog",
    "NoSpace",
    "Record",
    "Recovery",
    "SealedSegment",
    "SegmentFooter",
    "SegmentHeader",
    "Verdict",
    "WalDamaged",
    "read_header",
    "read_segment",
    "sealed_segments",
    "verify_segment",
]
