"""The file a log is being written to: room reserved ahead, then written and synced group by group."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Self
from zlib import crc32

from mdc_resources.domain.errors import StorageFailed
from mdc_resources.wal.errors import NoSpace
from mdc_resources.wal.files import move, space, storage, write_all
from mdc_resources.wal.format import SegmentFooter, SegmentHeader, encode_footer, encode_header
from mdc_resources.wal.tally import Group, Tally

FOOTER_ROOM = 4096


class LiveSegment:
    """One writer, one call at a time. After a failure it must not be used again."""

    def __init__(self, path: Path, handle: int, header: SegmentHeader, start: bytes, reserved: int) -> None:
        self.path = path
        self.header = header
        self.end = len(start)
        self.tally = Tally(next_connection=header.first_connection)
        self.crc = crc32(start)
        self.next_frame = header.first_frame
        self._handle = handle
        self._reserved = reserved

    @classmethod
    def create(cls, path: Path, header: SegmentHeader, size: int, *, reserve: int) -> Self:
        """Begin a segment of ``size`` bytes and make it durable; it is there with its header or not at all.

        Raises:
            NoSpace: less than ``size`` plus ``reserve`` bytes are free. Nothing changed.
        """
        start = encode_header(header)
        size = max(size, len(start) + FOOTER_ROOM)
        temporary = path.with_name(f"{path.name}.tmp")
        _require(path.parent, size + reserve)
        with storage("open", temporary):
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            with storage("write", temporary):
                with space(path):
                    os.posix_fallocate(handle, 0, size)
                    write_all(handle, start, 0)
                os.fsync(handle)
            move(temporary, path)
        except StorageFailed:
            os.close(handle)
            with suppress(OSError):
                temporary.unlink()
            raise
        return cls(path, handle, header, start, size)

    def reserve(self, size: int) -> None:
        """Make sure that ``size`` more bytes and a footer fit; raises NoSpace, then nothing changed."""
        if self.fits(size):
            return
        wanted = self.end + size + FOOTER_ROOM
        with storage("reserving", self.path), space(self.path):
            os.posix_fallocate(self._handle, self._reserved, wanted - self._reserved)
        self._reserved = wanted

    def fits(self, size: int) -> bool:
        """True if ``size`` more bytes and a footer have their room already."""
        return self.end + size + FOOTER_ROOM <= self._reserved

    def write(self, group: Group, data: bytes) -> None:
        """Write ``group``, whose bytes are ``data``, and sync."""
        with storage("write", self.path):
            write_all(self._handle, data, self.end)
        with storage("fdatasync", self.path):
            os.fdatasync(self._handle)
        self.end += len(data)
        self.crc = crc32(data, self.crc)
        self.tally.add(group.tally())
        self.next_frame = group.next_frame

    def footer(self) -> SegmentFooter:
        """What stands in it so far."""
        return self.tally.footer(self.next_frame, self.crc)

    def finish(self) -> None:
        """Write the footer, give back what was reserved, sync and close."""
        finish(self._handle, self.path, self.end, self.footer())
        self.close()

    def close(self) -> None:
        """Close the file as it is."""
        with suppress(OSError):
            os.close(self._handle)


def finish(handle: int, path: Path, end: int, footer: SegmentFooter) -> None:
    """Put ``footer`` at ``end``, cut the file after it, sync."""
    data = encode_footer(footer, footer.last_ns)
    with storage("write", path):
        write_all(handle, data, end)
        os.ftruncate(handle, end + len(data))
    with storage("fsync", path):
        os.fsync(handle)


def _require(folder: Path, size: int) -> None:
    """Raise NoSpace unless ``size`` bytes are free where ``folder`` is."""
    with storage("statvfs", folder):
        state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    if free < size:
        raise NoSpace(
            f"a log segment needs {size} bytes free in {folder}, there are {free}",
            hint="Free space: writing goes on by itself, and nothing was lost",
        )
