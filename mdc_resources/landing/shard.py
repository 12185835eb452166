"""One shard's log read segment by segment: records in, rows and holes out, state between them.

The same records give the same rows wherever the log is cut. State can be kept after each segment
(:class:`Kept`) and gone on from; what is kept holds sequence numbers, books and open holes, no rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from mdc_resources.domain.symbols import parse_symbol
from mdc_resources.landing.columns import Tables, tables_of
from mdc_resources.landing.feeds import Feeds
from mdc_resources.landing.holes import Stretch, Tracker, name_of
from mdc_resources.landing.sessions import Sessions
from mdc_resources.landing.taking import Connection, Events, Refusal, Shared, Taken
from mdc_resources.wal import Kind, Record, SealedSegment, WalDamaged, marks, read_segment

CHUNK = 100_000  # events that are held as tuples


class Kept(msgspec.Struct):
    """A shard's state after segment ``number``."""

    shard: str
    number: int
    last_ns: int
    tracker: Tracker
    leaders: dict[str, int]
    connections: dict[int, Taken]
    versions: dict[str, int]  # of the feeds' decoders: another one's numbers mean nothing


@dataclass(slots=True)
class Portion:
    """What one segment came to. Capture is known from ``since`` to ``until``; ``damage`` ended it early."""

    segment: SealedSegment
    since: int
    until: int = 0
    tables: list[Tables] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    holes: list[Stretch] = field(default_factory=list)
    live: list[Stretch] = field(default_factory=list)
    records: int = 0
    frames: int = 0
    damage: str = ""

    @property
    def rows(self) -> int:
        """Rows of all datasets."""
        return sum(tables.rows for tables in self.tables)

    @property
    def rejected(self) -> int:
        """What could not be decoded or stored."""
        return len(self.refused) + sum(len(tables.unfit) for tables in self.tables)


class Shard:
    """The state machine of one shard; hand it its segments in order."""

    def __init__(self, shard: str, feeds: Feeds, sessions: Sessions) -> None:
        self.shard = shard
        self.number = 0
        self.last_ns = 0
        self._feeds = feeds
        self._feed = shard.rpartition("-")[0] or shard
        self._shared = Shared(Tracker(self._feed), sessions)
        self._connections: dict[int, Connection] = {}
        self._probes: set[int] = set()
        self._damaged = False

    def read(self, segment: SealedSegment, *, silently: bool = False) -> Portion:
        """Read ``segment``, the one after those read before (a number left out is a loss).

        ``silently`` for the state alone: without rows. A damaged segment gives what is readable before
        the damage; what follows is a hole until the head of the next one. Raises NewerLog, StorageFailed.
        """
        self._shared.events = Events()
        if self.number and segment.number > self.number + 1 and not self._damaged:
            self._lost(self.last_ns)
        portion = Portion(segment, self.last_ns or segment.footer.first_ns)
        self._damaged = False
        try:
            for record in read_segment(segment.path):
                self._take(record)
                portion.records += 1
                portion.frames += len(record.frames)
                self.last_ns = max(self.last_ns, record.recv_ns)
                if len(self._shared.events) >= CHUNK:
                    self._hand_over(portion, silently=silently)
        except WalDamaged as error:
            portion.damage = f"{error.reason} at offset {error.offset}"
            self._lost(self.last_ns or segment.footer.first_ns)
            self.last_ns = max(self.last_ns, segment.footer.last_ns)
            self._damaged = True
        self._hand_over(portion, silently=silently)
        self.number = segment.number
        portion.until = self.last_ns
        portion.holes, portion.live = self._shared.tracker.take(self.last_ns)
        return portion

    def kept(self) -> Kept | None:
        """The state after the last segment; None where it cannot be kept."""
        taken = {number: connection.kept() for number, connection in self._connections.items()}
        held = {number: each for number, each in taken.items() if each is not None}
        if len(held) < len(taken) or self._damaged:
            return None
        versions = {each.feed: self._feeds[each.feed].spec.decoder_version for each in held.values()}
        return Kept(
            self.shard,
            self.number,
            self.last_ns,
            self._shared.tracker,
            self._shared.leaders,
            held,
            versions,
        )

    def restore(self, kept: Kept) -> bool:
        """Go on from ``kept``; False (and nothing changed) if a decoder has another version now."""
        if any(self._feeds[name].spec.decoder_version != known for name, known in kept.versions.items()):
            return False
        self.number, self.last_ns = kept.number, kept.last_ns
        self._shared.tracker = kept.tracker
        self._shared.leaders = kept.leaders
        self._probes = {number for number, held in kept.tracker.connections.items() if held.probe}
        for number, taken in kept.connections.items():
            self._connection(number, taken.feed).restore(taken)
        return True

    def _hand_over(self, portion: Portion, *, silently: bool) -> None:
        """Make tables of what was decoded so far: tuples take several times the room."""
        events, self._shared.events = self._shared.events, Events()
        if not silently:
            portion.tables.append(tables_of(events, self._shared.sessions))
            portion.refused += events.refused

    # -- records -------------------------------------------------------------------------------

    def _take(self, record: Record) -> None:
        if record.kind is Kind.MARK:
            self._mark(record, marks.decode(record.frames[0]))
            return
        number = record.connection
        if number in self._probes:
            self._shared.tracker.heard(record.recv_ns, number)
            return
        connection = self._connections.get(number)
        if connection is None:
            held = self._shared.tracker.connections.get(number)
            connection = self._connection(number, held.feed if held else self._feed)
        connection.since = self._shared.tracker.heard(record.recv_ns, number)
        connection.recv, connection.offset = record.recv_ns, record.offset
        if record.kind is Kind.FETCHED:
            connection.frame = 1
            named = msgspec.json.decode(record.frames[0], type=dict[str, str])
            connection.fetched(parse_symbol(named["symbol"]), record.frames[1])
            return
        for at, frame in enumerate(record.frames):
            connection.frame = at
            connection.take(frame)
            connection.since = record.recv_ns

    def _mark(self, record: Record, mark: marks.AnyMark) -> None:
        at, number = record.recv_ns, record.connection
        tracker = self._shared.tracker
        if isinstance(mark, marks.Started | marks.Stopped):
            self._forget_all()
        tracker.mark(at, number, mark)
        if isinstance(mark, marks.Opened | marks.Carried) and mark.probe:
            self._probes.add(number)
        elif isinstance(mark, marks.Confirmed) and number not in self._probes:
            for dataset, symbol in mark.pairs:
                # A book leads from its snapshot on, whenever that comes.
                name = name_of(dataset, symbol)
                if dataset != "depth" and number > self._shared.leaders.get(name, -1):
                    self._shared.leaders[name] = number
        elif isinstance(mark, marks.Ended | marks.Refused):
            for pair in mark.pairs:
                self._give_up(at, name_of(*pair), number)
                if pair[0] == "depth" and (connection := self._connections.get(number)) is not None:
                    connection.books.pop(pair[1], None)
        elif isinstance(mark, marks.Closed):
            self._probes.discard(number)
            self._connections.pop(number, None)
            for name in [name for name, leader in self._shared.leaders.items() if leader == number]:
                self._give_up(at, name, number)

    def _give_up(self, at: int, name: str, number: int) -> None:
        """Connection ``number`` does not have ``name`` any more; the newest other one that has it leads."""
        if self._shared.leaders.get(name) != number:
            return
        del self._shared.leaders[name]
        dataset, _, symbol = name.partition(" ")
        carriers = (
            connection
            for other, connection in sorted(self._connections.items(), reverse=True)
            if other != number and name in self._shared.tracker.connections[other].pairs
        )
        heir = next(carriers, None)
        if heir is None:
            return
        if dataset != "depth":
            self._shared.leaders[name] = heir.number
        elif (rows := heir.books.get(symbol)) is not None and rows.book.valid:
            self._shared.leaders[name] = heir.number
            heir.recv = at
            heir.show(parse_symbol(symbol), None)

    def _connection(self, number: int, feed: str) -> Connection:
        made = self._connections[number] = Connection(number, self._feeds[feed], self._shared)
        return made

    def _lost(self, since: int) -> None:
        self._shared.tracker.lost(since)
        self._forget_all()

    def _forget_all(self) -> None:
        self._connections.clear()
        self._probes.clear()
        self._shared.leaders.clear()
