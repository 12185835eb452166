"""Those who watch live: what each wants, and a bounded queue of what it has not been sent yet.

An event is encoded once, whatever the number of subscribers. Whoever does not keep up loses the
oldest of its own events, is told how many, and costs nobody else anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import msgspec

BOOK = "book"  # not a dataset: the best levels of live books, for those who ask for them
_MOST_BYTES = 4 << 20  # of one queue, whatever the number of events in it
_CHUNK_BYTES = 64 << 10
_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, tag_field="type", omit_defaults=True, kw_only=True):
    """Base of all events; a line of JSON. Prices and sizes are text, instants nanoseconds UTC."""

    feed: str
    symbol: str
    ts_event: int | None = None
    ts_recv: int


class TradeEvent(Event, tag="trade"):
    """A trade; ``side`` is what the taker did."""

    price: str
    size: str
    side: str | None = None
    venue: str | None = None
    trade_id: str | None = None
    conditions: str | None = None
    sequence: int | None = None
    correction: str | None = None


class QuoteEvent(Event, tag="quote"):
    """Best bid and offer; size and price "0" where there is no such side."""

    bid_price: str
    bid_size: str
    ask_price: str
    ask_size: str
    sequence: int | None = None


class DepthEvent(Event, tag="depth"):
    """Levels as (price, size). ``action``: ``snapshot`` replaces the book, ``update`` sets levels.

    ``more`` says how many further levels the snapshot had.
    """

    action: str
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]
    more: int = 0


class BookEvent(Event, tag=BOOK):
    """The best levels of a live book; none, and a reason, while it is not valid."""

    valid: bool
    bids: tuple[tuple[str, str], ...] = ()
    asks: tuple[tuple[str, str], ...] = ()
    reason: str = ""


class HoleEvent(Event, tag="hole"):
    """A warning: by the feed's own rule something is missing. The archive's holes come from the log."""

    dataset: str
    reason: str
    detail: str


class Dropped(msgspec.Struct, tag="dropped", tag_field="type"):
    """So many events were dropped here, since this subscriber did not keep up."""

    count: int


@dataclass(frozen=True, slots=True)
class Filter:
    """What a subscriber wants; an empty set is everything (books only where they are named)."""

    symbols: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    feeds: frozenset[str] = frozenset()

    def wants(self, dataset: str, symbol: str, feed: str) -> bool:
        """True if such an event is asked for."""
        return (
            (not self.symbols or symbol in self.symbols)
            and (dataset in self.datasets if self.datasets else dataset != BOOK)
            and (not self.feeds or feed in self.feeds)
        )


class Subscriber:
    """One watcher's queue. ``put`` never waits; ``next_chunk`` does."""

    def __init__(self, wanted: Filter, capacity: int) -> None:
        self.wanted = wanted
        self.sent = 0
        self.dropped = 0
        self._capacity = capacity
        self._untold = 0
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()
        self._ended = False

    def put(self, line: bytes) -> None:
        """Queue ``line``; the oldest go where there is no room."""
        self._lines.append(line)
        self._bytes += len(line)
        while len(self._lines) > self._capacity or (self._bytes > _MOST_BYTES and len(self._lines) > 1):
            self._bytes -= len(self._lines.popleft())
            self.dropped += 1
            self._untold += 1
        self._ready.set()

    def end(self) -> None:
        """No more will come; what is queued can still be taken."""
        self._ended = True
        self._ready.set()

    async def next_lines(self) -> list[bytes]:
        """The lines to send now, at most about 64 KB of them; empty once it is over."""
        await self._ready.wait()
        taken: list[bytes] = []
        size = 0
        if self._untold:
            taken.append(_encode(Dropped(self._untold)) + b"\n")
            self._untold = 0
        while self._lines and size < _CHUNK_BYTES:
            line = self._lines.popleft()
            size += len(line)
            taken.append(line)
            self.sent += 1
        self._bytes -= size
        if not self._lines and not self._ended:
            self._ready.clear()
        return taken

    def as_dict(self) -> dict[str, object]:
        """For ``/status``."""
        return {"queued": len(self._lines), "sent": self.sent, "dropped": self.dropped}


class Fanout:
    """All subscribers of a process."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._subscribers: list[Subscriber] = []
        self.dropped_before = 0  # by those who have left

    def __bool__(self) -> bool:
        return bool(self._subscribers)

    def __len__(self) -> int:
        return len(self._subscribers)

    def join(self, wanted: Filter) -> Subscriber:
        """A new subscriber; it gets what is published from now on."""
        subscriber = Subscriber(wanted, self._capacity)
        self._subscribers.append(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Forget it, queue and all."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
            self.dropped_before += subscriber.dropped

    def wants(self, dataset: str, symbol: str, feed: str) -> bool:
        """True if anyone does: nobody builds an event for no one."""
        return any(s.wanted.wants(dataset, symbol, feed) for s in self._subscribers)

    def publish(self, dataset: str, event: Event) -> None:
        """Queue ``event`` for all who want it."""
        line = b""
        for subscriber in self._subscribers:
            if subscriber.wanted.wants(dataset, event.symbol, event.feed):
                line = line or _encode(event) + b"\n"
                subscriber.put(line)

    def end(self) -> None:
        """The process drains: every stream ends once it is read."""
        for subscriber in self._subscribers:
            subscriber.end()

    def as_dict(self) -> dict[str, object]:
        """For ``/status``."""
        dropped = self.dropped_before + sum(s.dropped for s in self._subscribers)
        shown = [s.as_dict() for s in self._subscribers]
        return {"count": len(shown), "dropped": dropped, "each": shown}
