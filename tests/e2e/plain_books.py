"""Books and the rows of ``depth`` told a second time, without the code under test.

A book is two plain dictionaries, sorted anew for each look; rows are read as the tables' reference says a
reader may. Prices and sizes are exact: integers of 10^-9. Updates are compared one by one: whatever
rows an update has, a reader who applied them holds the best levels of the book, no more and no less.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

PLACES = 9
Level = Sequence[str]
Key = tuple[int, int, int | None]  # ts_event, ts_recv, sequence: of one update


def exact(text: str | Decimal) -> int:
    """A number of at most nine decimals as an integer; AssertionError for a finer one."""
    scaled = Decimal(text).scaleb(PLACES)
    assert scaled == int(scaled)
    return int(scaled)


def clock_nanos(text: str) -> int:
    """RFC 3339 with at most six decimals."""
    since = dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000


class PlainBook:
    """A book as the vendors' documents describe it; ``depth`` levels a side, all where it is None."""

    def __init__(self, depth: int | None = None) -> None:
        self.depth = depth
        self.sides: dict[str, dict[int, tuple[str, str, int]]] = {"bid": {}, "ask": {}}

    def change(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Absolute sizes, zero removes; then only the best levels are kept."""
        for side, levels in (("bid", bids), ("ask", asks)):
            held = self.sides[side]
            for price, size, *_ in levels:
                if exact(size):
                    held[exact(price)] = (price, size, exact(size))
                else:
                    held.pop(exact(price), None)
            if self.depth is not None and len(held) > self.depth:
                for key in self.order(side)[self.depth :]:
                    del held[key]

    def order(self, side: str) -> list[int]:
        """Prices, best first."""
        return sorted(self.sides[side], reverse=side == "bid")

    def top(self, count: int) -> dict[tuple[str, int], int]:
        """Sizes of the best ``count`` levels of both sides."""
        return {
            (side, price): self.sides[side][price][2]
            for side in self.sides
            for price in self.order(side)[:count]
        }

    def checksum(self) -> int:
        """CRC-32 of ten asks upwards, then ten bids downwards: no points, no leading zeros."""
        said = ""
        for side in ("ask", "bid"):
            for key in self.order(side)[:10]:
                price, size, _ = self.sides[side][key]
                said += price.replace(".", "").lstrip("0") + size.replace(".", "").lstrip("0")
        return zlib.crc32(said.encode("ascii"))

    def is_crossed(self) -> bool:
        """True where somebody bids what another one asks."""
        bids, asks = self.sides["bid"], self.sides["ask"]
        return bool(bids and asks) and max(bids) >= min(asks)


class DepthReader:
    """Follows the rows of ``depth`` of one symbol, update by update."""

    def __init__(self, found: Sequence[tuple[Any, ...]]) -> None:
        """Rows are ts_event, ts_recv, sequence, action, side, price, size."""
        self.updates = [(key, list(group)) for key, group in groupby(found, key=lambda row: row[:3])]
        self.at = 0
        self.book: dict[tuple[str, int], int] = {}
        self.is_valid = False
        self.snapshots = self.breaks = 0

    def take(self, key: Key) -> bool:
        """Apply the rows of the update ``key``; False if it has none."""
        if self.at == len(self.updates) or self.updates[self.at][0] != key:
            return False
        for _, _, _, action, side, price, size in self.updates[self.at][1]:
            match action:
                case "snapshot_begin":
                    self.book, self.is_valid = {}, True
                    self.snapshots += 1
                case "invalid":
                    self.book, self.is_valid = {}, False
                    self.breaks += 1
                case "set":
                    self.book[side, exact(price)] = exact(size)
                case _:
                    assert action == "delete"
                    del self.book[side, exact(price)]
        self.at += 1
        return True

    def agrees(self, book: PlainBook, levels: int) -> bool:
        """True if it holds the best levels of ``book``, no more and no less."""
        return self.is_valid and self.book == book.top(levels)

    @property
    def is_over(self) -> bool:
        """True if no row is left."""
        return self.at == len(self.updates)


class BinanceBook:
    """The recipe of Binance's documents: deltas wait for a snapshot, then follow it and each other."""

    def __init__(self, reader: DepthReader, levels: int) -> None:
        self.reader, self.levels = reader, levels
        self.book: PlainBook | None = None
        self.reached = self.applied = self.old = 0
        self._waiting: list[Mapping[str, Any]] = []
        self._is_bridged = False

    def snapshot(self, at_ns: int, found: Mapping[str, Any]) -> None:
        """The answer over HTTP, and the deltas that waited for it."""
        self.book, self.reached = PlainBook(), int(found["lastUpdateId"])
        self.book.change(found["bids"], found["asks"])
        for delta in self._waiting:
            self._follow(delta)
        told = int(found["E"]) * 10**6 if "E" in found else at_ns
        assert self.reader.take((told, at_ns, self.reached))
        assert self.reader.agrees(self.book, self.levels)

    def delta(self, at_ns: int, found: Mapping[str, Any]) -> None:
        """The next delta of the stream."""
        if self.book is None:
            self._waiting.append(found)
        elif self._follow(found):
            self.reader.take((int(found["E"]) * 10**6, at_ns, self.reached))
            assert not self.book.is_crossed()
        if self.book is not None:
            assert self.reader.agrees(self.book, self.levels)

    def _follow(self, delta: Mapping[str, Any]) -> bool:
        first, last, before = int(delta["U"]), int(delta["u"]), delta.get("pu")
        assert self.book is not None
        if last <= self.reached:
            self.old += 1
            return False
        if not self._is_bridged:
            assert (first - 1 if before is None else int(before)) <= self.reached
        else:
            assert (first - 1 if before is None else int(before)) == self.reached
        self.book.change(delta["b"], delta["a"])
        self.reached, self._is_bridged = last, True
        self.applied += 1
        return True


class Update(NamedTuple):
    """A frame of a Kraken book; ``told`` is its checksum, where it has one."""

    pair: str
    ts_event: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    told: int | None
    is_snapshot: bool


def kraken_update(document: Any) -> Update | None:
    """A book or its change in either version of the feed; None for every other frame."""
    if isinstance(document, dict):
        if document.get("channel") != "book":  # every event of version 1, too
            return None
        (part,) = document["data"]
        bids, asks = ([(each["price"], each["qty"]) for each in part[side]] for side in ("bids", "asks"))
        at, told = clock_nanos(part["timestamp"]), int(part["checksum"])
        return Update(part["symbol"], at, bids, asks, told, document["type"] == "snapshot")
    if not document[-2].startswith("book-"):
        return None
    both = {name: value for payload in document[1:-2] for name, value in payload.items()}
    is_snapshot = "as" in both
    bids, asks = both.get("bs" if is_snapshot else "b", []), both.get("as" if is_snapshot else "a", [])
    at = max(exact(when) for _, _, when, *_ in (*bids, *asks))
    told = None if is_snapshot else int(both["c"])
    sides = ([(price, size) for price, size, *_ in levels] for levels in (bids, asks))
    return Update(document[-1], at, *sides, told, is_snapshot)


class KrakenBook:
    """One book of Kraken, every checksum of it computed anew. ``wrong`` are instants of those that differ."""

    def __init__(self, reader: DepthReader, levels: int) -> None:
        self.reader, self.levels = reader, levels
        self.book = PlainBook(levels)
        self.is_valid = False
        self.verified = self.snapshots = self.ignored = 0
        self.wrong: list[int] = []
        self.healed: list[int] = []

    def take(self, at_ns: int, update: Update) -> None:
        """The next frame of the book."""
        if update.is_snapshot:
            self.book = PlainBook(self.levels)
            self.snapshots += 1
            self.healed += [at_ns] if self.wrong else []
        elif not self.is_valid:
            self.ignored += 1
            return
        self.book.change(update.bids, update.asks)
        self.is_valid = update.told is None or self.book.checksum() == update.told
        if not self.is_valid:
            self.wrong.append(at_ns)
        elif update.told is not None:
            self.verified += 1
        self.reader.take((update.ts_event, at_ns, None))
        if self.is_valid:
            assert self.reader.agrees(self.book, self.levels)
        else:
            assert not self.reader.is_valid
