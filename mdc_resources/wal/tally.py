"""Counts of what a segment holds, and the group of records between two syncs."""

from __future__ import annotations

from zlib import crc32

from mdc_resources.wal.format import CRC, HEAD, MARK, RECORD_BYTES, RECORD_MARK, SegmentFooter

FOREVER = (1 << 63) - 1


class Tally:
    """Counts of records, as a footer has them."""

    __slots__ = ("first_ns", "frame_bytes", "frames", "last_ns", "marks", "next_connection", "records")

    def __init__(
        self,
        records: int = 0,
        frames: int = 0,
        frame_bytes: int = 0,
        marks: int = 0,
        first_ns: int = FOREVER,
        last_ns: int = 0,
        next_connection: int = 1,
    ) -> None:
        self.records = records
        self.frames = frames
        self.frame_bytes = frame_bytes
        self.marks = marks
        self.first_ns = first_ns
        self.last_ns = last_ns
        self.next_connection = next_connection

    def add(self, other: Tally) -> None:
        """Count what ``other`` has counted."""
        self.records += other.records
        self.frames += other.frames
        self.frame_bytes += other.frame_bytes
        self.marks += other.marks
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)
        self.next_connection = max(self.next_connection, other.next_connection)

    def footer(self, next_frame: int, crc: int) -> SegmentFooter:
        """As a footer."""
        return SegmentFooter(
            records=self.records,
            frames=self.frames,
            frame_bytes=self.frame_bytes,
            marks=self.marks,
            first_ns=self.first_ns if self.records else 0,
            last_ns=self.last_ns,
            next_frame=next_frame,
            crc=crc,
            next_connection=self.next_connection,
        )


class Group:
    """Records that are written and synced at once. ``first`` is the number of the first frame.

    ``parts`` has three pieces of bytes per record; ``other_*`` count what is not received frames.
    """

    __slots__ = (
        "first",
        "first_ns",
        "last_ns",
        "marks",
        "newest_ns",
        "next_connection",
        "next_frame",
        "other_bytes",
        "other_frames",
        "parts",
        "size",
    )

    def __init__(self, first: int) -> None:
        self.first = self.next_frame = first
        self.parts: list[bytes] = []
        self.size = self.marks = self.other_frames = self.other_bytes = 0
        self.first_ns, self.last_ns, self.next_connection = FOREVER, 0, 1
        self.newest_ns = 0  # receive time of the last record: a clock may have stepped back

    def add(self, kind: int, recv_ns: int, connection: int, count: int, body: bytes, body_crc: int) -> None:
        """Add a record of ``count`` frames."""
        number, size = self.next_frame, len(body)
        head = HEAD.pack(
            RECORD_MARK, kind, count, size, body_crc, recv_ns, connection, number - self.first, number
        )
        self.parts += (head, CRC.pack(crc32(head)), body)
        self.next_frame = number + count
        self.size += RECORD_BYTES + size
        self.newest_ns = recv_ns
        if recv_ns > self.last_ns:
            self.last_ns = recv_ns
        if recv_ns < self.first_ns:
            self.first_ns = recv_ns
        if connection >= self.next_connection:
            self.next_connection = connection + 1
        if kind:
            self.marks += kind == MARK
            self.other_frames += count
            self.other_bytes += size - 4 * count

    def tally(self) -> Tally:
        """The counts of its records."""
        records, frames = len(self.parts) // 3, self.next_frame - self.first
        return Tally(
            records,
            frames - self.other_frames,
            self.size - RECORD_BYTES * records - 4 * frames - self.other_bytes,
            self.marks,
            self.first_ns,
            self.last_ns,
            self.next_connection,
        )
