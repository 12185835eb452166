"""One pass over a segment: every record checked and counted, and where it ends, why.

A :class:`Scan` stops at the first byte that is no record. What that means is for
:func:`~mdc_resources.wal.tail.judge_tail`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Protocol
from zlib import crc32

import msgspec

from mdc_resources.wal.errors import NewerLog, WalDamaged
from mdc_resources.wal.format import (
    CRC,
    FOOTER,
    HEAD_BYTES,
    HEAD_WITH_CRC,
    MAGIC,
    MARK,
    MAX_FRAMES,
    PREAMBLE,
    RECORD_BYTES,
    RECORD_MARK,
    VERSION,
    SegmentFooter,
    SegmentHeader,
    decode_footer_json,
    decode_header_json,
    split_frames,
)
from mdc_resources.wal.tally import FOREVER, Tally

CHUNK = 1 << 20
_MAX_HEADER = 1 << 16


class Source(Protocol):
    """What a scan reads: a file, or a decompressor's output."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most ``size``; empty at the end."""
        ...


# A checked record: offset, kind, frames, receive time, connection, number, and the body as it is.
Raw = tuple[int, int, int, int, int, int, bytes]


def parse_header(path: Path, start: bytes) -> tuple[SegmentHeader, int]:
    """The header at the ``start`` of a segment and its length; raises WalDamaged, NewerLog."""
    front = PREAMBLE.size + CRC.size
    if len(start) < front or start[: len(MAGIC)] != MAGIC:
        raise WalDamaged(path, 0, "it does not begin as a segment does")
    _, version, _, length = PREAMBLE.unpack_from(start)
    text = start[front : front + length]
    stored = CRC.unpack_from(start, PREAMBLE.size)[0]
    if len(text) != length or crc32(text, crc32(start[: PREAMBLE.size])) != stored:
        raise WalDamaged(path, 0, "the segment's header does not match its checksum")
    if version > VERSION:
        raise NewerLog(path, version, VERSION)
    try:
        return decode_header_json(text), front + length
    except msgspec.DecodeError as error:
        raise WalDamaged(path, 0, f"the segment's header cannot be read: {error}") from None


class Scan:
    """Reads a segment's records in order. After the iteration its fields hold what was found.

    ``end`` is where the first byte lies that belongs to no valid record, ``fault`` why it is none
    (empty at the end of the file), ``footer`` the footer if that was the last record.
    """

    def __init__(self, path: Path, source: Source) -> None:
        self.path = path
        self._source = source
        start = b""
        while len(start) < PREAMBLE.size + CRC.size and (more := source.read(CHUNK)):
            start += more
        if len(start) >= PREAMBLE.size:
            length = PREAMBLE.unpack_from(start)[3]
            wanted = PREAMBLE.size + CRC.size + min(length, _MAX_HEADER)
            while len(start) < wanted and (more := source.read(CHUNK)):
                start += more
        self.header, self.end = parse_header(path, start)
        self._buffer = start
        self.tally = Tally(next_connection=self.header.first_connection)
        self.next_frame = self.header.first_frame
        self.crc = 0
        self.footer: SegmentFooter | None = None
        self.fault = ""

    def __iter__(self) -> Iterator[Raw]:
        """Every valid record but the footer."""
        buffer, base, wanted = self._buffer, 0, 0
        try:
            while True:
                wanted = yield from self._records(buffer, base)
                at = self.end - base
                if self.fault or self.footer:
                    return
                more = self._source.read(max(CHUNK, wanted - (len(buffer) - at)))
                if not more:
                    self.fault = "a record is cut short" if at < len(buffer) else ""
                    return
                self._sum(buffer, at)
                base, buffer = base + at, buffer[at:] + more
        finally:
            if not self.footer:
                self._sum(buffer, self.end - base)

    def run(self) -> None:
        """Read to the end for the counts alone."""
        deque(self, maxlen=0)

    def found(self) -> SegmentFooter:
        """The footer that fits what was found."""
        return self.tally.footer(self.next_frame, self.crc)

    def _records(self, buffer: bytes, base: int) -> Generator[Raw, None, int]:
        """The records in ``buffer``, from ``end`` on; returns how many bytes the next one needs.

        Passed a million times a second, so everything is local and the counts are stored at its end.
        """
        unpack, checksum, head_bytes, front = HEAD_WITH_CRC.unpack_from, crc32, HEAD_BYTES, RECORD_BYTES
        record_mark, last_kind, most = RECORD_MARK, FOOTER, MAX_FRAMES
        begin = at = self.end - base
        first_frame = next_frame = self.next_frame
        least, greatest, connections = FOREVER, 0, 0
        records = marks = other_frames = other_bytes = 0
        wanted, size, footer = front, len(buffer), b""
        try:
            while size - at >= front:
                mark, kind, count, length, body_crc, recv_ns, connection, _, number, head_crc = unpack(
                    buffer, at
                )
                if mark != record_mark or checksum(buffer[at : at + head_bytes]) != head_crc:
                    self.fault = "the head of a record does not match its checksum"
                    break
                start = at + front
                after = start + length
                if after > size:
                    wanted = front + length
                    break
                body = buffer[start:after]
                if checksum(body) != body_crc:
                    self.fault = "the body of a record does not match its checksum"
                    break
                if number != next_frame or kind > last_kind or not 0 < count <= most:
                    self.fault = f"a record of kind {kind} with frame {number} cannot be next"
                    break
                if kind:
                    if kind == last_kind:
                        footer = body
                        break
                    marks += kind == MARK
                    other_frames += count
                    other_bytes += length - 4 * count
                records += 1
                next_frame += count
                if recv_ns < least:
                    least = recv_ns
                if recv_ns > greatest:
                    greatest = recv_ns
                if connection >= connections:
                    connections = connection + 1
                offset, at = at + base, after
                yield offset, kind, count, recv_ns, connection, number, body
        finally:
            self.end, self.next_frame = base + at, next_frame
            frames = next_frame - first_frame
            content = at - begin - front * records - 4 * frames - other_bytes
            self.tally.add(
                Tally(records, frames - other_frames, content, marks, least, greatest, connections)
            )
        if footer:
            self._sum(buffer, at)
            self._end(base + at, base + at + front + len(footer), footer)
        return wanted

    def _sum(self, buffer: bytes, end: int) -> None:
        self.crc = crc32(memoryview(buffer)[:end], self.crc)

    def _end(self, offset: int, after: int, body: bytes) -> None:
        frames = split_frames(body, 1)
        try:
            footer = decode_footer_json(frames[0] if frames else b"")
        except msgspec.DecodeError as error:
            raise WalDamaged(self.path, offset, f"the footer cannot be read: {error}") from None
        if footer != self.found():
            raise WalDamaged(self.path, offset, "the footer does not say what the segment holds")
        self.footer, self.end = footer, after
