"""Reading segments, live (``.wal``) or sealed (``.wal.zst``): all of one or an error, never a silent part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mdc_resources.wal.errors import WalDamaged
from mdc_resources.wal.format import KINDS, Record, SegmentFooter, SegmentHeader, split_frames
from mdc_resources.wal.scan import Scan
from mdc_resources.wal.sealed import SEALED, check_sealed, decompressed
from mdc_resources.wal.tail import judge_tail, opened


class Verdict(NamedTuple):
    """What a segment holds, after every byte of it was checked.

    ``torn_bytes`` were being written when the writer died: no record, never acknowledged.
    ``valid_bytes`` is the uncompressed length up to the end of the last valid record.
    """

    path: Path
    header: SegmentHeader
    footer: SegmentFooter | None
    records: int
    frames: int
    frame_bytes: int
    first_ns: int
    last_ns: int
    sealed: bool
    torn_bytes: int
    valid_bytes: int


def read_segment(path: Path) -> Iterator[Record]:
    """The records of a segment in the order of capture, without its footer.

    A segment that is being written ends at the last whole record.

    Raises:
        WalDamaged: a byte changed. Of a sealed segment that is known before the first record.
        NewerLog: a later release wrote it.
    """
    make, kinds = Record._make, KINDS
    with _scan(path) as scan:
        for offset, kind, count, recv_ns, connection, number, body in scan:
            frames = split_frames(body, count)
            if frames is None:
                raise WalDamaged(path, offset, "the lengths of a record's frames do not add up")
            yield make((offset, kinds[kind], recv_ns, connection, number, frames))
        _judge(scan)


def read_header(path: Path) -> SegmentHeader:
    """The header alone; raises WalDamaged, NewerLog."""
    with _opened(path) as scan:
        return scan.header


def verify_segment(path: Path) -> Verdict:
    """Check every byte of a segment; raises WalDamaged, NewerLog."""
    with _scan(path) as scan:
        scan.run()
        torn = _judge(scan)
        found = scan.found()
        return Verdict(
            path,
            scan.header,
            scan.footer,
            found.records,
            found.frames,
            found.frame_bytes,
            found.first_ns,
            found.last_ns,
            scan.footer is not None,
            torn,
            scan.end,
        )


@contextmanager
def _scan(path: Path) -> Iterator[Scan]:
    if path.name.endswith(SEALED):
        check_sealed(path)
    with _opened(path) as scan:
        yield scan


@contextmanager
def _opened(path: Path) -> Iterator[Scan]:
    if path.name.endswith(SEALED):
        with decompressed(path) as source:
            yield Scan(path, source)
    else:
        with opened(path) as scan:
            yield scan


def _judge(scan: Scan) -> int:
    """Torn bytes at the end; raises WalDamaged where the end is none."""
    if not scan.path.name.endswith(SEALED):
        return judge_tail(scan)
    if scan.footer is None:
        raise WalDamaged(scan.path, scan.end, scan.fault or "a sealed segment has no footer")
    return 0
