"""What was received and is not durable yet: appended by one thread, taken by another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from zlib import crc32

from mdc_resources.wal.format import LENGTHS, MAX_FRAMES
from mdc_resources.wal.tally import Group

_LENGTH = LENGTHS[1]


class Pending:
    """The group that grows, and the one before the cut where a roll is under way."""

    def __init__(self, first_frame: int, last_ns: int) -> None:
        self.before_cut: Group | None = None
        self._group = Group(first_frame)
        self._last_ns = last_ns
        self._underway = 0  # bytes that were taken and are not durable yet
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that are not durable yet."""
        return self._group.size + self._underway

    @property
    def waiting(self) -> int:
        """Bytes that :meth:`take` would give out."""
        return self._group.size

    @property
    def last_ns(self) -> int:
        """The newest receive time, durable or not."""
        return max(self._last_ns, self._group.last_ns)

    def append(self, kind: int, recv_ns: int, connection: int, frames: Sequence[bytes]) -> None:
        """Add frames as one record; more than 64 as several."""
        count = len(frames)
        if count == 1:
            frame = frames[0]
            body = _LENGTH.pack(len(frame)) + frame
        elif 0 < count <= MAX_FRAMES:
            body = b"".join((LENGTHS[count].pack(*map(len, frames)), *frames))
        else:
            for start in range(0, count, MAX_FRAMES):
                self.append(kind, recv_ns, connection, frames[start : start + MAX_FRAMES])
            return
        body_crc = crc32(body)
        with self._lock:
            self._group.add(kind, recv_ns, connection, count, body, body_crc)

    def cut(self) -> None:
        """Keep what is there apart from what comes; nothing where it is apart already."""
        with self._lock:
            if self.before_cut is None:
                self.before_cut = self._swap()

    def take(self, fits: Callable[[int], bool]) -> Group | None:
        """What is there, under way from now on; None where its size does not fit."""
        with self._lock:
            return self._swap() if fits(self._group.size) else None

    def durable(self, group: Group) -> None:
        """``group`` was taken and is on disk."""
        with self._lock:
            self._underway -= group.size

    def _swap(self) -> Group:
        group = self._group
        self._underway += group.size
        self._last_ns = max(self._last_ns, group.last_ns)
        self._group = Group(group.next_frame)
        return group
