"""When each wanted (dataset, symbol) was live, and when it was not: derived from marks alone.

Pure: takes the marks of one shard in the order of its log, and what decoders say is missing between
two frames; gives stretches of holes and of live capture. A hole is what was wanted while no
connection that counts had it confirmed. It starts where the last one was last heard, so that a
connection that died silently is not believed. Two times are none: before the first confirmation of a
log that only begins (unless that takes long), and after an orderly stop, until the service is back.
State is plain data, so that it can be kept between segments; where logs are cut changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from mdc_resources.providers.live import Gone
from mdc_resources.wal import marks

FOREVER = 1 << 62
FIRST_WAIT_NS = 60 * 10**9  # within it a capture that has never been before may begin without a hole
BOOK = "depth "  # names of books begin with it
STOPPED = "stopped"  # the reason of connections that an orderly stop closed


def name_of(dataset: str, symbol: str) -> str:
    """A pair as one word, a key of plain JSON: ``trades AAPL``."""
    return f"{dataset} {symbol}"


class Stretch(NamedTuple):
    """From ``start_ns`` until ``end_ns`` of one pair; a hole has a ``reason``, live capture has none."""

    name: str
    start_ns: int
    end_ns: int
    reason: str
    connection: int
    feed: str


class Held(msgspec.Struct):
    """An open connection: since when it has what confirmed, and when it last said something."""

    feed: str
    probe: bool
    last_ns: int
    pairs: dict[str, int] = {}


class Down(msgspec.Struct):
    """A hole that has not ended. ``ended`` says that the service itself unsubscribed, ``stopped`` that it
    was told to stop, ``first`` that nothing was captured before."""

    start_ns: int
    reason: str
    connection: int = 0
    feed: str = ""
    ended: bool = False
    stopped: bool = False
    first: bool = False


class Up(msgspec.Struct):
    """Live capture that has not ended."""

    start_ns: int
    connection: int
    feed: str
    heard_ns: int = 0  # the newest word of connections that had it and are gone


class Tracker(msgspec.Struct):
    """The state of one shard's marks. Feed it with :meth:`mark`, collect with :meth:`take`."""

    feed: str
    wanted: dict[str, int] = {}
    connections: dict[int, Held] = {}
    down: dict[str, Down] = {}
    up: dict[str, Up] = {}
    broken: dict[str, Down] = {}  # books that are not known, or cannot be believed
    whole: dict[str, int] = {}  # books that are known, and by which connection
    fresh: bool = True  # nothing is known of what was before
    before: int = 0  # where the log before is unknown: until when it went, before this process
    begins: bool = False  # there is no log before, and nothing was wanted yet
    ready: list[Stretch] = []

    def mark(self, at: int, connection: int, mark: marks.AnyMark) -> None:
        """Take in one mark of the log, received at ``at``."""
        if isinstance(mark, marks.Started):
            self._started(at, mark.last_ns)
        elif isinstance(mark, marks.Wanted):
            self._wanted(at, {name_of(*pair) for pair in mark.pairs})
        elif isinstance(mark, marks.Opened):
            self.connections[connection] = Held(mark.feed, mark.probe, at)
        elif isinstance(mark, marks.Carried):
            if connection not in self.connections:
                self.connections[connection] = Held(mark.feed, mark.probe, mark.last_ns)
                self._confirmed(at, connection, mark.pairs)
        elif isinstance(mark, marks.Confirmed):
            self._confirmed(at, connection, mark.pairs)
        elif isinstance(mark, marks.Refused):
            self._refused(at, connection, mark.pairs)
        elif isinstance(mark, marks.Ended):
            self._ended(at, connection, mark.pairs)
        elif isinstance(mark, marks.Closed):
            self._closed(connection, mark.last_ns, stopped=mark.reason == STOPPED)
        elif isinstance(mark, marks.Stopped):
            self._all_down(at, Gone.START)
        self.fresh = False

    def heard(self, at: int, connection: int) -> int:
        """The connection said something at ``at``; when it had before that."""
        held = self.connections.get(connection)
        if held is None:
            self.connections[connection] = Held(self.feed, False, at)
            return at
        before, held.last_ns = held.last_ns, at
        return before

    def lost(self, since: int) -> None:
        """The log itself is missing from ``since`` on: nothing is known until its next segment's head."""
        self._all_down(since, Gone.DAMAGED)

    def missing(self, at: int, connection: int, name: str, reason: str, since: int, *, union: bool) -> None:
        """A feed's own rule: something is missing between ``since`` and ``at``.

        ``union``: events of all connections are kept, so that another one that was live covers it.
        """
        if name not in self.wanted:
            return
        others = (held for number, held in self.connections.items() if number != connection)
        if union and any(not held.probe and held.pairs.get(name, FOREVER) <= since for held in others):
            return
        self._hole(name, Down(since, reason, connection, self._feed_of(connection)), at, least=1)

    def book_broken(self, connection: int, name: str, reason: str, since: int) -> None:
        """The book of ``name`` cannot be believed from ``since`` on, until :meth:`book_whole`."""
        self.whole.pop(name, None)
        if name in self.wanted:
            self.broken.setdefault(name, Down(since, reason, connection, self._feed_of(connection)))

    def book_whole(self, at: int, name: str, connection: int) -> None:
        """A snapshot of ``connection`` made the book true."""
        self.whole[name] = connection
        self._settle(name, at)

    def take(self, until: int) -> tuple[list[Stretch], list[Stretch]]:
        """(holes, live stretches) since the last call.

        For now, holes that go on end at ``until``, and live capture where it was last heard.
        """
        found, self.ready = self.ready, []
        holes = [stretch for stretch in found if stretch.reason]
        live = [stretch for stretch in found if not stretch.reason]
        for name, hole in (*self.down.items(), *self.broken.items()):
            waits = hole.stopped or (hole.first and until - hole.start_ns <= FIRST_WAIT_NS)
            if hole.start_ns < until and not waits:
                holes.append(
                    Stretch(name, hole.start_ns, until, hole.reason, hole.connection, hole.feed or self.feed)
                )
        for name, up in self.up.items():
            # Not until now: what has been silent since may turn out to be dead since.
            heard = max((held.last_ns for _, held in self._carriers(name)), default=0)
            end = min(until, max(heard, up.heard_ns))
            if up.start_ns < end:
                live.append(Stretch(name, up.start_ns, end, "", up.connection, up.feed))
        return holes, live

    # -- what marks do -------------------------------------------------------------------------

    def _started(self, at: int, last_ns: int) -> None:
        """A new process: whatever was open is not; what was wanted is, until it says otherwise."""
        if self.fresh:
            self.before, self.begins = last_ns, not last_ns
            return
        self._all_down(last_ns or at, Gone.START)

    def _wanted(self, at: int, names: set[str]) -> None:
        before, self.before = self.before, 0
        first, self.begins = self.begins, False
        for name in [name for name in self.wanted if name not in names]:
            del self.wanted[name]
            self._unwanted(at, name)
        for name in sorted(names - self.wanted.keys()):
            since = before or at
            self.wanted[name] = since
            carriers = self._carriers(name)
            if carriers:
                self._rise(name, since, *carriers[0])
            else:
                self.down[name] = Down(since, Gone.START, first=first)

    def _unwanted(self, at: int, name: str) -> None:
        self.whole.pop(name, None)
        self._settle(name, at)
        if (hole := self.down.pop(name, None)) and not (hole.ended or hole.stopped):
            self._hole(name, hole, at)
        self._fall(name, at)

    def _confirmed(self, at: int, connection: int, pairs: Iterable[marks.Pair]) -> None:
        held = self.connections.setdefault(connection, Held(self.feed, False, at))
        for pair in pairs:
            name = name_of(*pair)
            held.pairs.setdefault(name, at)
            if held.probe or name not in self.wanted:
                continue
            hole = self.down.pop(name, None)
            if hole and name.startswith(BOOK) and self.whole.get(name) != connection:
                self.broken[name] = hole  # updates without the snapshot they change are worth nothing
            elif hole:
                self._over(name, hole, at)
            if name not in self.up:
                self._rise(name, at, connection, held)

    def _refused(self, at: int, connection: int, pairs: Iterable[marks.Pair]) -> None:
        held = self.connections.get(connection)
        if held is not None and held.probe:
            return
        for pair in pairs:
            name = name_of(*pair)
            if held is not None:
                held.pairs.pop(name, None)
            if name not in self.wanted or self._carriers(name):
                continue
            self._fall(name, at)
            hole = self.down.get(name)
            if hole is not None and hole.reason == Gone.REFUSED:
                continue
            if hole is not None:
                self._hole(name, hole, at)
            self.down[name] = Down(at, Gone.REFUSED, connection, self._feed_of(connection))

    def _ended(self, at: int, connection: int, pairs: Iterable[marks.Pair]) -> None:
        held = self.connections.get(connection)
        for pair in pairs:
            name = name_of(*pair)
            if held is None or held.pairs.pop(name, None) is None or held.probe:
                continue
            if name in self.wanted and not self._carriers(name):
                self._drop(name, at, Gone.DISCONNECT, connection, held.feed, ended=True)

    def _closed(self, connection: int, last_ns: int, *, stopped: bool) -> None:
        held = self.connections.pop(connection, None)
        if held is None or held.probe:
            return
        for name, since in held.pairs.items():
            if name not in self.wanted:
                continue
            carriers = self._carriers(name)
            up = self.up.get(name)
            if not carriers:
                end = max(last_ns, since, up.heard_ns if up else 0)
                self._drop(name, end, Gone.DISCONNECT, connection, held.feed)
                self.down[name].stopped = stopped
                continue
            if up is not None:
                up.heard_ns = max(up.heard_ns, last_ns)
            if self.whole.get(name) == connection:  # the heir has no snapshot yet
                self.book_broken(connection, name, Gone.DISCONNECT, max(last_ns, since))
            heir = min(other.pairs[name] for _, other in carriers)
            if max(last_ns, since) < heir:  # it was silent before the other one was there
                hole = Down(max(last_ns, since), Gone.DISCONNECT, connection, held.feed)
                self._hole(name, hole, heir)

    def _all_down(self, at: int, reason: str) -> None:
        for name in self.wanted:
            if name not in self.down:
                up = self.up.get(name)
                self._drop(name, at, reason, up.connection if up else 0, up.feed if up else "")
        self.connections.clear()

    # -- what becomes of a pair ----------------------------------------------------------------

    def _carriers(self, name: str) -> list[tuple[int, Held]]:
        return [
            (number, held)
            for number, held in sorted(self.connections.items())
            if not held.probe and name in held.pairs
        ]

    def _feed_of(self, connection: int) -> str:
        held = self.connections.get(connection)
        return held.feed if held else self.feed

    def _rise(self, name: str, at: int, connection: int, held: Held) -> None:
        self.up[name] = Up(at, connection, held.feed)

    def _drop(
        self, name: str, at: int, reason: str, connection: int, feed: str, *, ended: bool = False
    ) -> None:
        self.whole.pop(name, None)
        self._settle(name, at)
        self._fall(name, at)
        self.down[name] = Down(at, reason, connection, feed, ended)

    def _fall(self, name: str, at: int) -> None:
        up = self.up.pop(name, None)
        if up is not None and up.start_ns < at:
            self.ready.append(Stretch(name, up.start_ns, at, "", up.connection, up.feed))

    def _settle(self, name: str, at: int) -> None:
        """The hole of a book is over."""
        if broken := self.broken.pop(name, None):
            self._over(name, broken, at, least=1)

    def _over(self, name: str, hole: Down, at: int, *, least: int = 0) -> None:
        """Note a hole that ended at ``at``, unless it is only the beginning of all capture."""
        if not (hole.first and at - hole.start_ns <= FIRST_WAIT_NS):
            self._hole(name, hole, at, least=least)

    def _hole(self, name: str, hole: Down, end_ns: int, *, least: int = 0) -> None:
        """Note a hole that is over. A clock that was set back does not make one vanish."""
        if end_ns < hole.start_ns:
            least = 1
        end = max(end_ns, hole.start_ns + least)
        if end > hole.start_ns:
            feed = hole.feed or self.feed
            self.ready.append(Stretch(name, hole.start_ns, end, hole.reason, hole.connection, feed))
