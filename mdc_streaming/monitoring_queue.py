"""Frames that wait for the monitors: bounded in number and in bytes; the oldest go.

A quarter is shed at a time, so that what is left is whole stretches of each connection: a decoder
that begins anew after every frame would tell nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import LiveDialect, LiveFeed
from mdc_streaming.monitoring_sink import MonitorSink

_MOST_BYTES = 32 << 20


class Watched:
    """One open connection, and the decoder of its frames."""

    __slots__ = ("_dialect", "_feed", "closed", "decoder", "shard", "sink", "torn")

    def __init__(self, shard: str, live: LiveFeed, dialect: LiveDialect, sink: MonitorSink) -> None:
        self.shard = shard
        self.sink = sink
        self.torn = False  # frames of it were shed since the last one that was decoded
        self.closed = False
        self._feed = live
        self._dialect = dialect
        self.decoder = live.decoder(dialect)

    def mend(self, now: float) -> None:
        """Begin anew after shed frames: their absence must not look like a hole of the feed's."""
        self.torn = False
        self.decoder = self._feed.decoder(self._dialect)
        self.sink.books.all_unknown(now)


class Batch(NamedTuple):
    """What one read brought; ``symbol`` where it is a book snapshot that was fetched."""

    connection: Watched
    recv_ns: int
    frames: Sequence[bytes]
    symbol: Symbol | None

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.frames))


class FrameQueue:
    """Batches in the order of capture. ``put`` takes constant time per frame and never waits."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.frames = 0
        self.bytes = 0
        self.shed_at = float("-inf")  # when frames were last shed
        self._batches: deque[Batch] = deque()

    def __bool__(self) -> bool:
        return bool(self._batches)

    def put(self, batch: Batch) -> None:
        """Append ``batch``; sheds where there is no room."""
        self._batches.append(batch)
        self.frames += len(batch.frames)
        self.bytes += batch.size
        if self.frames > self.capacity or self.bytes > _MOST_BYTES:
            self._shed()

    def put_back(self, batch: Batch) -> None:
        """What could not be looked at yet goes first again."""
        self._batches.appendleft(batch)
        self.frames += len(batch.frames)
        self.bytes += batch.size

    def take(self) -> Batch:
        """The oldest; IndexError if there is none."""
        batch = self._batches.popleft()
        self.frames -= len(batch.frames)
        self.bytes -= batch.size
        return batch

    def _shed(self) -> None:
        self.shed_at = time.monotonic()
        frames, size = self.capacity - self.capacity // 4, _MOST_BYTES - _MOST_BYTES // 4
        while self.frames > frames or (self.bytes > size and len(self._batches) > 1):
            batch = self.take()
            batch.connection.torn = True
            batch.connection.sink.tally.shed += len(batch.frames)
