"""What follows the last valid record of a file: a clean end, a torn tail, or damage.

* Zeros are space that was reserved: a clean end.
* Bytes with no valid record after them are a torn tail: a group that was being written when the process
  or the power went. So are those with valid records of that same group after them, where a sector
  between is still blank: a disk may write the parts of a group in any order.
* Everything else is damage. Each record says how many frames were appended before it since the last
  sync, so a later group proves that all before it was durable once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from mdc_resources.wal.errors import WalDamaged
from mdc_resources.wal.format import (
    FOOTER,
    HEAD_BYTES,
    HEAD_WITH_CRC,
    MAX_FRAMES,
    RECORD_BYTES,
    RECORD_MARK,
)
from mdc_resources.wal.scan import CHUNK, Scan

SECTOR = 512


@contextmanager
def opened(path: Path) -> Iterator[Scan]:
    """A scan of the uncompressed segment at ``path``; raises WalDamaged, NewerLog for its header."""
    with path.open("rb", buffering=0) as file:
        try:
            scan = Scan(path, file)
        except WalDamaged as error:
            file.seek(0)
            following = next((offset for offset, _, _ in _valid_records(file.read(), 0)), None)
            raise WalDamaged(path, 0, error.reason, following) from None
        yield scan


def judge_tail(scan: Scan) -> int:
    """How many torn bytes follow the end of ``scan``, a finished pass over an uncompressed file.

    Raises:
        WalDamaged: bytes that were durable, or had been, cannot be read any more.
    """
    with scan.path.open("rb") as file:
        written = _last_written(file.fileno(), scan.end, os.fstat(file.fileno()).st_size)
        if written == scan.end:
            return 0
        if scan.footer:
            raise WalDamaged(scan.path, scan.end, "there are bytes after the footer")
        file.seek(scan.end)
        tail = file.read()
    if _record_at(tail, 0):
        if _is_next(tail, scan.next_frame):  # appended since the scan came by: somebody is writing
            return 0
        raise WalDamaged(scan.path, scan.end, scan.fault, scan.end)
    following = _following(tail)
    if following:
        first = following[0][0]
        durable = any(number - since > scan.next_frame for _, number, since in following)
        if durable or not _unwritten(tail[:first], scan.end):
            raise WalDamaged(scan.path, scan.end, scan.fault, scan.end + first)
    return written - scan.end


def _following(tail: bytes) -> list[tuple[int, int, int]]:
    """The valid records after the broken one ``tail`` begins with; what its own body holds is none."""
    body = _body_at(tail, 0)
    return list(_valid_records(tail, RECORD_BYTES + body[0] if body else 1))


def _valid_records(data: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """(offset, number, frames since the last sync) of all valid records from ``start`` on."""
    at = data.find(RECORD_MARK, start)
    while at >= 0:
        length = _record_at(data, at)
        if length:
            *_, since, number, _ = HEAD_WITH_CRC.unpack_from(data, at)
            yield at, number, since
        at = data.find(RECORD_MARK, at + (length or 1))


def _record_at(data: bytes, at: int) -> int:
    """The length of the valid record at ``at``, or 0."""
    body = _body_at(data, at)
    start = at + RECORD_BYTES
    if body is None or start + body[0] > len(data):
        return 0
    return RECORD_BYTES + body[0] if crc32(data[start : start + body[0]]) == body[1] else 0


def _body_at(data: bytes, at: int) -> tuple[int, int] | None:
    """Length and checksum of the body, if a valid head is at ``at``."""
    if at + RECORD_BYTES > len(data) or data[at : at + 2] != RECORD_MARK:
        return None
    fields = HEAD_WITH_CRC.unpack_from(data, at)
    return (fields[3], fields[4]) if crc32(data[at : at + HEAD_BYTES]) == fields[-1] else None


def _is_next(tail: bytes, number: int) -> bool:
    """True if the valid record ``tail`` begins with is one that a scan up to ``number`` takes."""
    _, kind, count, *_, found, _ = HEAD_WITH_CRC.unpack_from(tail)
    return bool(found == number and kind <= FOOTER and 0 < count <= MAX_FRAMES)


def _last_written(handle: int, start: int, size: int) -> int:
    """The offset after the last byte that is not zero, at least ``start``; holes are not read."""
    last = at = start
    zeros = bytes(CHUNK)
    # Reserved space that was read ahead counts as data, and reading it reads ahead still more of it.
    os.posix_fadvise(handle, start, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(handle, start, 0, os.POSIX_FADV_RANDOM)
    while at < size:
        try:
            at = os.lseek(handle, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                break
            raise
        hole = os.lseek(handle, at, os.SEEK_HOLE)
        while at < hole and (found := os.pread(handle, min(CHUNK, hole - at), at)):
            if found != zeros[: len(found)]:
                last = at + len(found.rstrip(b"\0"))
            at += len(found)
    return last


def _unwritten(data: bytes, offset: int) -> bool:
    """True if a sector of ``data``, which lies at ``offset``, is zeros: it never reached the disk.

    Of its first sector only the rest can be: what stood before it in there was durable already.
    """
    first = -offset % SECTOR
    if first and not any(data[:first]):
        return True
    empty = bytes(SECTOR)
    return any(data[at : at + SECTOR] == empty for at in range(first, len(data) - SECTOR + 1, SECTOR))
