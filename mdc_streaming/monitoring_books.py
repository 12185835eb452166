"""Live books of one connection, and when a new snapshot of one is asked for.

A book is *waiting* until its first snapshot, then *valid* until its feed's rule is broken or frames
were shed; then it is unknown until the next snapshot. Asking for one is paced per symbol (the pause
doubles while it does not help) and per shard, so that no mismatch becomes a loop. Of vendors that send
whole books only the levels near the best are held: those are exact, and memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mdc_resources.books import Book, Change, Rule, Top
from mdc_resources.books.ladder import Level, scaled
from mdc_resources.domain.symbols import Symbol

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
PATIENCE = 15.0  # for a first snapshot that was subscribed to
_ASKED_AT_ONCE = 2  # new snapshots per shard and look, so that 500 books do not ask in one moment
_MOST_WAITING = 2_000  # numbered deltas kept for a snapshot: with 50 books the last one comes after 30 s
_LEVELS = 100
_FEWEST, _SPARE = 1_000, 2  # levels held a side: as many, or so many times those wanted
_TEND = 10.0  # seconds between two looks at how many levels are held
THIN = "too few levels are left"
WAITING, SHED = "no snapshot yet", "frames were shed"

Side = Sequence[Level]


@dataclass(slots=True)
class LiveBook:
    """A book, and what is known about its standing. ``reason`` is empty while it is valid."""

    book: Book
    reason: str
    since: float  # when ``reason`` became it
    ask_at: float
    pause: float = FIRST_PAUSE
    asked: bool = True  # a snapshot is on its way: the first one comes unasked
    waiting: int = 0
    lowest_bid: int | None = None  # what lies beyond was cut off, and is not followed
    highest_ask: int | None = None
    changed: bool = True  # since it was last published

    def is_now(self, reason: str, now: float) -> None:
        """Take on another standing."""
        if not reason and self.reason:
            self.since = now
        elif reason and not self.reason:
            if now - self.since > LONGEST_PAUSE:  # it had been well for long: begin anew
                self.pause = FIRST_PAUSE
            self.since, self.ask_at = now, max(now, self.ask_at)
        self.reason, self.changed = reason, True


class LiveBooks:
    """The books of one connection."""

    def __init__(self, rule: Rule, levels: Mapping[Symbol, int]) -> None:
        self._rule = rule
        self._levels = levels
        self._books: dict[Symbol, LiveBook] = {}
        self._tended = 0.0

    def __len__(self) -> int:
        return len(self._books)

    def __iter__(self) -> Iterator[tuple[Symbol, LiveBook]]:
        return iter(list(self._books.items()))

    def get(self, symbol: Symbol) -> LiveBook | None:
        """The book of ``symbol``, if one was ever seen."""
        return self._books.get(symbol)

    def snapshot(
        self,
        symbol: Symbol,
        bids: Side,
        asks: Side,
        now: float,
        *,
        sequence: int | None,
        checksum: int | None,
    ) -> Change:
        """The whole book; ValueError where a level is no number."""
        live = self._of(symbol, now)
        live.asked, live.waiting = False, 0
        bids, asks = self._cut(symbol, live, bids, asks)
        change = live.book.apply_snapshot(bids, asks, sequence=sequence, checksum=checksum)
        live.is_now("" if live.book.valid else str(change.reason), now)
        return change

    def delta(
        self,
        symbol: Symbol,
        bids: Side,
        asks: Side,
        now: float,
        *,
        first: int | None,
        last: int | None,
        previous: int | None,
        checksum: int | None,
    ) -> Change | None:
        """Levels that changed; None for one that is of no use. ValueError where a level is no number."""
        live = self._of(symbol, now)
        if live.reason and not self._may_wait(symbol, live):
            return None
        if live.lowest_bid is not None:
            bids = [level for level in bids if scaled(level[0]) >= live.lowest_bid]
        if live.highest_ask is not None:
            asks = [level for level in asks if scaled(level[0]) <= live.highest_ask]
        change = live.book.apply_delta(
            bids, asks, first=first, last=last, previous=previous, checksum=checksum
        )
        if change.reason:
            live.is_now(str(change.reason), now)
        elif change.applied:
            live.changed = True
        return change

    def unknown(self, symbol: Symbol, reason: str, now: float) -> None:
        """The feed's decoder says that something of it is missing."""
        live = self._books.get(symbol)
        if live is not None and not live.reason:
            self._renew(symbol, live)
            live.is_now(reason, now)

    def all_unknown(self, now: float) -> None:
        """Frames were shed, nobody knows whose."""
        for symbol, live in self._books.items():
            if live.asked or live.reason != SHED:
                self._renew(symbol, live)
                live.is_now(SHED, now)

    def clear(self) -> None:
        """The connection is over."""
        self._books.clear()

    def tend(self, now: float) -> None:
        """Cut books that have grown far beyond what is held; those that have become too thin are unknown."""
        if now - self._tended < _TEND:
            return
        self._tended = now
        for symbol, live in self:
            if live.reason or live.book.depth is not None:
                continue
            held = live.book.top(2 * self._most(symbol) + 1)
            if max(map(len, held)) > 2 * self._most(symbol):
                self._rebuild(symbol, live, held)
            elif self._is_thin(live, held):
                self._renew(symbol, live)
                live.is_now(THIN, now)

    def due(self, now: float) -> list[Symbol]:
        """Symbols to ask a new snapshot for, now; each is paced and will not be due again at once."""
        found: list[Symbol] = []
        for symbol, live in self._books.items():
            if (
                not live.reason
                or now < live.ask_at
                or (live.reason == WAITING and now < live.since + PATIENCE)
            ):
                continue
            found.append(symbol)
            live.asked = True
            live.ask_at = now + live.pause
            live.pause = min(live.pause * 2, LONGEST_PAUSE)
            if len(found) == _ASKED_AT_ONCE:
                break
        return found

    def _of(self, symbol: Symbol, now: float) -> LiveBook:
        live = self._books.get(symbol)
        if live is None:
            live = self._books[symbol] = LiveBook(self._new(symbol), WAITING, now, now)
        return live

    def _new(self, symbol: Symbol) -> Book:
        return Book(self._levels.get(symbol, _LEVELS), self._rule)

    def _most(self, symbol: Symbol) -> int:
        return max(_FEWEST, _SPARE * self._levels.get(symbol, _LEVELS))

    def _cut(self, symbol: Symbol, live: LiveBook, bids: Side, asks: Side) -> tuple[Side, Side]:
        """The levels of a snapshot (best first) that are held; remembers where it was cut."""
        live.lowest_bid = live.highest_ask = None
        most = self._most(symbol)
        if live.book.depth is None and len(bids) > most:
            bids = bids[:most]
            live.lowest_bid = scaled(bids[-1][0])
        if live.book.depth is None and len(asks) > most:
            asks = asks[:most]
            live.highest_ask = scaled(asks[-1][0])
        return bids, asks

    def _rebuild(self, symbol: Symbol, live: LiveBook, held: Top) -> None:
        edges = live.lowest_bid, live.highest_ask
        sequence = live.book.sequence
        bids, asks = self._cut(symbol, live, held.bids, held.asks)
        live.lowest_bid = edges[0] if live.lowest_bid is None else live.lowest_bid
        live.highest_ask = edges[1] if live.highest_ask is None else live.highest_ask
        live.book = self._new(symbol)
        live.book.apply_snapshot(bids, asks, sequence=sequence)

    @staticmethod
    def _is_thin(live: LiveBook, held: Top) -> bool:
        """Fewer are left than wanted, of a side that was cut."""
        wanted = live.book.wanted
        bids = live.lowest_bid is not None and len(held.bids) < wanted
        return bids or (live.highest_ask is not None and len(held.asks) < wanted)

    def _may_wait(self, symbol: Symbol, live: LiveBook) -> bool:
        """Numbered deltas are kept for the snapshot to come, but not for ever."""
        if not (self._rule.sequenced and live.asked):
            return False
        live.waiting += 1
        if live.waiting > _MOST_WAITING:
            self._renew(symbol, live)
        return True

    def _renew(self, symbol: Symbol, live: LiveBook) -> None:
        """What it holds is worth nothing any more: give the memory back."""
        live.book, live.waiting = self._new(symbol), 0
