"""The hub: a live view of what is being captured. It never holds capture up and is never the archive.

Frames are taken in by one append to a bounded queue; when that is full the oldest quarter of it is
shed, which is a counter and never a hole. They are decoded in slices of at most 5 ms, shorter while
the loop has other work, so that under load the hub samples and capture goes on. Books that shed
frames may have touched are unknown until their next snapshot.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from itertools import islice

from mdc_resources.books import book_rule
from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import LiveDialect, feed
from mdc_resources.telemetry import get_logger
from mdc_streaming.monitoring_books import LiveBook, LiveBooks
from mdc_streaming.monitoring_lag import Percentiles
from mdc_streaming.monitoring_queue import Batch, FrameQueue, Watched
from mdc_streaming.monitoring_sink import FeedTally, MonitorSink
from mdc_streaming.monitoring_subscribers import BOOK, BookEvent, Fanout

Resync = Callable[[str, Symbol], None]

_SLICE = 0.005
_SHORTEST_SLICE = 0.0002
_IDLE_TURN = 0.0003  # a turn of the loop that took no longer had nothing else to do
_SHARE = 0.25  # of the loop's time, while it has other work
_LOOK = 0.25  # between two looks at lag, books and subscribers
_CALM = 5.0  # after shedding, before new snapshots are asked for
_SHOWN = 100
_TOP = 10


class Hub:
    """All live monitors of a process. Not thread-safe: everything is called in the loop's thread.

    ``on_resync`` is told the shard and symbol of a book that needs a new snapshot; calls are paced.
    """

    def __init__(self, settings: SidecarSettings, *, on_resync: Resync | None = None) -> None:
        self.fanout = Fanout(settings.subscriber_events)
        self._queue = FrameQueue(settings.monitor_frames)
        self._on_resync = on_resync
        self._open: dict[Hashable, Watched] = {}
        self._tallies: dict[str, FeedTally] = {}
        self._defects = 0
        self._waiting = False
        self._woken = asyncio.Event()

    def opened(self, connection_id: Hashable, shard: str, feed_name: str, dialect: LiveDialect) -> None:
        """A connection is open; frames are known by its id until :meth:`closed`.

        Ids are unique in a process: where several shards count their own, pass ``(shard, number)``.
        """
        if connection_id in self._open:
            raise ValueError(f"connection {connection_id!r} is open already")
        tally = self._tallies.get(feed_name)
        if tally is None:
            tally = self._tallies[feed_name] = FeedTally(feed_name, time.monotonic())
        tally.connections += 1
        sink = MonitorSink(tally, LiveBooks(book_rule(feed_name), dialect.levels), self.fanout)
        self._open[connection_id] = Watched(shard, feed(feed_name), dialect, sink)

    def frame(self, connection_id: Hashable, recv_ns: int, frame: bytes) -> None:
        """Take in one frame; of a connection that is not open, nothing happens."""
        self._take(connection_id, recv_ns, (frame,), None)

    def frames(self, connection_id: Hashable, recv_ns: int, frames: Sequence[bytes]) -> None:
        """Take in what one read brought; cheaper than one by one."""
        self._take(connection_id, recv_ns, frames, None)

    def fetched(self, connection_id: Hashable, recv_ns: int, symbol: Symbol, body: bytes) -> None:
        """Take in a book snapshot that was fetched over HTTP."""
        self._take(connection_id, recv_ns, (body,), symbol)

    def closed(self, connection_id: Hashable) -> None:
        """The connection is over: its books are gone; its queued frames are still decoded."""
        connection = self._open.pop(connection_id, None)
        if connection is not None:
            connection.closed = True
            connection.sink.tally.connections -= 1
            connection.sink.books.clear()

    async def run(self) -> None:
        """Decode and watch until cancelled; a vendor's frame never ends it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._decode())
                tasks.create_task(self._watch())
        finally:
            self.end()

    def end(self) -> None:
        """End every subscriber's stream, once what is queued for it is sent."""
        self.fanout.end()

    def lag(self, feed_name: str) -> Percentiles | None:
        """How late ``feed_name`` has been during the last minute; None if nothing arrived."""
        tally = self._tallies.get(feed_name)
        return tally.lag.percentiles() if tally else None

    def events(self) -> dict[str, dict[str, int]]:
        """Events decoded so far, by feed and dataset."""
        return {name: dict(tally.events) for name, tally in self._tallies.items()}

    def book(self, feed_name: str, symbol: Symbol) -> LiveBook | None:
        """The live book of ``symbol``, a valid one where connections overlap."""
        found = [live for name, at, live in self._books() if name == feed_name and at == symbol]
        return min(found, key=lambda live: bool(live.reason), default=None)

    def snapshot(self) -> dict[str, object]:
        """The state of everything, as plain JSON of bounded size, for ``/status``."""
        tallies, waiting, books = list(self._tallies.values()), self._queue, self._books()
        bad = [{"feed": name, "symbol": symbol, "reason": b.reason} for name, symbol, b in books if b.reason]
        return {
            "queue": {"frames": waiting.frames, "bytes": waiting.bytes, "capacity": waiting.capacity},
            "frames": sum(tally.frames for tally in tallies),
            "decoded": sum(tally.decoded for tally in tallies),
            "shed": sum(tally.shed for tally in tallies),
            "defects": self._defects,
            "subscribers": self.fanout.as_dict(),
            "books": {"total": len(books), "valid": len(books) - len(bad), "not_valid": bad[:_SHOWN]},
            "feeds": {tally.name: tally.as_dict() for tally in tallies},
            "last": {tally.name: _last(tally) for tally in tallies},
        }

    def _take(
        self, connection_id: Hashable, recv_ns: int, frames: Sequence[bytes], symbol: Symbol | None
    ) -> None:
        connection = self._open.get(connection_id)
        if connection is None or not frames:
            return
        connection.sink.tally.frames += len(frames)
        self._queue.put(Batch(connection, recv_ns, frames, symbol))
        if self._waiting:
            self._woken.set()

    async def _decode(self) -> None:
        budget = _SLICE
        while True:
            if not self._queue:
                self._woken.clear()
                self._waiting = True
                await self._woken.wait()
                self._waiting = False
            self._slice(time.monotonic() + budget)
            began = time.monotonic()
            await asyncio.sleep(0)
            others = time.monotonic() - began
            share = others * _SHARE / (1 - _SHARE)
            budget = _SLICE if others < _IDLE_TURN else min(max(share, _SHORTEST_SLICE), _SLICE)

    def _slice(self, until: float) -> None:
        now = 0.0
        while self._queue and now < until:
            batch = self._queue.take()
            connection, sink = batch.connection, batch.connection.sink
            for at, frame in enumerate(batch.frames, start=1):
                now = time.monotonic()
                if connection.torn:
                    connection.mend(now)
                sink.recv_ns, sink.now = batch.recv_ns, now
                sink.tally.decoded += 1
                try:
                    if batch.symbol is None:
                        connection.decoder.decode(frame, sink)
                    else:
                        connection.decoder.fetched(batch.symbol, frame, sink)
                except Exception as error:  # a defect of ours; capture must not end with its live view
                    self._defect(connection, error, now)
                if now >= until and at < len(batch.frames):
                    self._queue.put_back(batch._replace(frames=batch.frames[at:]))
                    break
            if connection.closed:
                sink.books.clear()

    def _defect(self, connection: Watched, error: Exception, now: float) -> None:
        self._defects += 1
        name = type(error).__name__
        connection.sink.tally.reject(f"defect: {name}")
        if self._defects in (1, 10, 100, 1000):
            get_logger().error("stream.monitor_defect", feed=connection.sink.tally.name, exc_info=error)
        connection.mend(now)

    async def _watch(self) -> None:
        while True:
            now = time.monotonic()
            for tally in self._tallies.values():
                tally.lag.turn(now)
            for connection in self._open.values():
                connection.sink.books.tend(now)
            self._ask_if_calm(now)
            if self.fanout:
                self._publish_books()
            await asyncio.sleep(_LOOK)

    def _ask_if_calm(self, now: float) -> None:
        """Ask for new snapshots, unless frames are being shed: that would make even more work."""
        if self._on_resync is None or now - self._queue.shed_at < _CALM:
            return
        for connection in list(self._open.values()):
            for symbol in connection.sink.books.due(now):
                self._on_resync(connection.shard, symbol)

    def _publish_books(self) -> None:
        for name, symbol, live in self._books():
            if live.changed and self.fanout.wants(BOOK, symbol, name):
                live.changed = False
                bids, asks = live.book.top(_TOP) if not live.reason else ((), ())
                event = BookEvent(
                    feed=name,
                    symbol=symbol,
                    ts_recv=time.time_ns(),
                    valid=not live.reason,
                    bids=tuple(bids),
                    asks=tuple(asks),
                    reason=live.reason,
                )
                self.fanout.publish(BOOK, event)

    def _books(self) -> list[tuple[str, Symbol, LiveBook]]:
        return [
            (connection.sink.tally.name, symbol, live)
            for connection in self._open.values()
            for symbol, live in connection.sink.books
        ]


def _last(tally: FeedTally) -> dict[str, dict[str, object]]:
    """The last trade and quote of the first symbols seen."""
    found: dict[str, dict[str, object]] = {}
    for symbol, (ts_event, ts_recv, price, size, side) in islice(tally.trades.items(), _SHOWN):
        trade = {"ts_event": ts_event, "ts_recv": ts_recv, "price": price, "size": size, "side": side}
        found.setdefault(symbol, {})["trade"] = trade
    for symbol, (ts_event, ts_recv, bid, ask) in islice(tally.quotes.items(), _SHOWN):
        quote = {"ts_event": ts_event, "ts_recv": ts_recv, "bid": bid, "ask": ask}
        found.setdefault(symbol, {})["quote"] = quote
    return found
