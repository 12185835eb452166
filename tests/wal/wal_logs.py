"""Logs for the tests: small ones whose every byte is known, and writers in a process of their own."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mdc_resources.config.sections import SidecarSettings
from mdc_resources.wal import Kind, LogWriter, SegmentHeader, read_segment, sealed_segments
from mdc_resources.wal.format import encode_header, encode_record

SHARD = "coinbase-0"
SMALL = SidecarSettings(segment_mb=0.05, reserve_mb=0, segment_seconds=3600)
HEADER = SegmentHeader(SHARD, "coinbase", 7, 1_700_000_000_000_000_000, "boot", "0.1.0", 1, 100)


@dataclass(frozen=True, slots=True)
class Home:
    """Where a log lies."""

    root: Path

    @property
    def wal(self) -> Path:
        """Live logs."""
        return self.root / "wal"

    @property
    def segments(self) -> Path:
        """Sealed ones."""
        return self.root / "segments"

    @property
    def shard(self) -> Path:
        """The folder of the live log."""
        return self.wal / SHARD

    def open(self, settings: SidecarSettings = SMALL, *, clock: Callable[[], int] | None = None) -> LogWriter:
        """Take over the log."""
        more = {"clock": clock} if clock else {}
        return LogWriter.open(self.wal, self.segments, SHARD, "coinbase", 1, settings, **more)

    def files(self) -> list[Path]:
        """All segments in the order of their numbers, sealed or not."""
        sealed = [segment.path for segment in sealed_segments(self.segments)]
        names = {path.name for path in sealed}
        live = [path for path in sorted(self.shard.glob("*.wal")) if f"{path.name}.zst" not in names]
        return sorted([*sealed, *live], key=lambda path: path.name.partition(".")[0])

    def frames(self) -> list[bytes]:
        """All received frames, in order."""
        return [
            frame
            for path in self.files()
            for record in read_segment(path)
            if record.kind is Kind.FRAMES
            for frame in record.frames
        ]


def abandon(writer: LogWriter) -> None:
    """Leave the log as a killed process does: nothing is written, the lock is free."""
    os.close(writer._process_lock)
    writer._process_lock = -1
    if writer._live:
        writer._live.close()


def records(count: int, *, group: int = 1, size: int = 24) -> list[bytes]:
    """``count`` records of one frame each, synced every ``group`` of them, as a live log has them."""
    made = []
    for at in range(count):
        frame = b'{"n":%d,"x":"%s"}' % (at, b"a" * size)
        head, body = encode_record(
            Kind.FRAMES, 1_000 + at, 3, HEADER.first_frame + at, (frame,), since_sync=at % group
        )
        made.append(head + body)
    return made


def write_log(path: Path, pieces: list[bytes], *, zeros: int = 256) -> list[int]:
    """Write header, ``pieces`` and reserved space; where each piece begins, and the last one's end."""
    start = encode_header(HEADER)
    offsets = [len(start)]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(start + b"".join(pieces) + bytes(zeros))
    return offsets


def fork(body: Callable[[int], None]) -> tuple[int, int]:
    """Run ``body`` in a child with the writing end of a pipe; (pid, reading end). It never returns here."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        os.close(reading)
        body(writing)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)
    os._exit(0)


def drain(reading: int) -> bytes:
    """All that a dead child wrote."""
    parts = []
    while part := os.read(reading, 1 << 16):
        parts.append(part)
    os.close(reading)
    return b"".join(parts)


def kill(pid: int) -> int:
    """SIGKILL, and wait for it; the wait status."""
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def write_for_ever(home: Home, start: int, writing: int) -> None:
    """Append numbered frames from ``start`` on, commit, and only then say so on ``writing``.

    Groups, records and frames differ in size; segments are small, so the log rolls and seals all the time.
    """
    writer = home.open()
    number = start
    while True:
        for _ in range(1 + number % 5):
            count = 1 + number % 7
            writer.append(
                Kind.FRAMES,
                number,
                1,
                [b"%d %s" % (at, b"." * (at % 311)) for at in range(number, number + count)],
            )
            number += count
        writer.commit()
        os.write(writing, b"%d\n" % (number - 1))
        if writer.due_to_roll(0):
            writer.roll()
            writer.seal_finished()


def last_acknowledged(said: bytes, otherwise: int) -> int:
    """The last whole line of what a writer said."""
    lines = said.split(b"\n")[:-1]
    return int(lines[-1]) if lines else otherwise
