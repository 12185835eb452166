"""From decoded events to rows, one connection at a time: whose events count, and what a book shows.

Trades that carry an identity are taken from every connection; repetitions go when they are merged.
Of everything else only one connection counts for each (dataset, symbol), the *leader*: the newest that
has it, so that overlapping connections do not double anything and a half-dead one is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from mdc_resources.books import Change, book_rule
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.landing.books import HOUR_NS, INVALID, BookRows, BookState, Row
from mdc_resources.landing.feeds import Feed
from mdc_resources.landing.holes import Tracker, name_of
from mdc_resources.landing.sessions import Sessions
from mdc_resources.providers.live import Gone, Subscription

DAY_NS = 24 * HOUR_NS
Event = tuple[object, ...]


class Refusal(NamedTuple):
    """A frame, or a part of one, that could not be taken, and where it stands in its segment."""

    reason: str
    raw: bytes
    symbol: Symbol | None
    dataset: Dataset
    offset: int
    frame: int
    stored: bool = True  # False: it was decoded, but no column can hold it


class Events:
    """Rows of one segment, in the order of capture, as tuples per dataset."""

    def __init__(self) -> None:
        self.trades: list[Event] = []
        self.quotes: list[Event] = []
        self.depth: list[Event] = []
        self.refused: list[Refusal] = []

    def __len__(self) -> int:
        return len(self.trades) + len(self.quotes) + len(self.depth)


class Taken(msgspec.Struct):
    """One connection as it is kept between segments."""

    feed: str
    decoder: dict[str, int]
    books: dict[str, BookState]


class Shared:
    """What the connections of a shard have in common while a segment is read."""

    def __init__(self, tracker: Tracker, sessions: Sessions) -> None:
        self.tracker = tracker
        self.sessions = sessions
        self.events = Events()
        self.leaders: dict[str, int] = {}


class Connection:
    """A sink for the decoder of one connection. ``recv`` and ``since``: this frame's time, the last one's."""

    def __init__(self, number: int, feed: Feed, shared: Shared) -> None:
        self.number = number
        self.feed = feed
        self.decoder = feed.decoder()
        self.recv = self.since = 0
        self.offset = self.frame = 0
        self.books: dict[str, BookRows] = {}
        self._shared = shared
        self._union = bool(feed.identity)
        self._source = feed.source
        self._rule = book_rule(feed.spec.name)

    def take(self, frame: bytes) -> None:
        """Decode one frame; a decoder that raises after all costs its frame, not the segment."""
        try:
            self.decoder.decode(frame, self)
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            self.rejected(f"{type(error).__name__}: {error}", frame)

    def fetched(self, symbol: Symbol, body: bytes) -> None:
        """Take a book snapshot that came over HTTP."""
        try:
            self.decoder.fetched(symbol, body, self)
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
            self.rejected(f"{type(error).__name__}: {error}", body, symbol)

    # -- the sink ------------------------------------------------------------------------------

    def trade(
        self,
        symbol: Symbol,
        ts_event: int | None,
        price: str,
        size: str,
        *,
        side: str | None = None,
        venue: str | None = None,
        trade_id: str | None = None,
        conditions: str | None = None,
        tape: str | None = None,
        sequence: int | None = None,
        correction: str | None = None,
    ) -> None:
        """Keep a trade; one without identity only of the leader."""
        if (self._union and trade_id is not None) or self._leads("trades", symbol):
            self._shared.events.trades.append(
                (
                    symbol,
                    self.recv if ts_event is None else ts_event,
                    self.recv,
                    price,
                    size,
                    side,
                    venue,
                    trade_id,
                    conditions,
                    tape,
                    sequence,
                    correction,
                    self._source,
                )
            )

    def quote(
        self,
        symbol: Symbol,
        ts_event: int | None,
        bid: tuple[str, str],
        ask: tuple[str, str],
        *,
        bid_venue: str | None = None,
        ask_venue: str | None = None,
        conditions: str | None = None,
        tape: str | None = None,
        sequence: int | None = None,
    ) -> None:
        """Keep a quote of the leader."""
        if self._leads("quotes", symbol):
            self._shared.events.quotes.append(
                (
                    symbol,
                    self.recv if ts_event is None else ts_event,
                    self.recv,
                    *bid,
                    *ask,
                    bid_venue,
                    ask_venue,
                    conditions,
                    tape,
                    sequence,
                    self._source,
                )
            )

    def book_snapshot(
        self,
        symbol: Symbol,
        ts_event: int | None,
        bids: Sequence[tuple[str, str]],
        asks: Sequence[tuple[str, str]],
        *,
        sequence: int | None = None,
        checksum: int | None = None,
    ) -> None:
        """Begin the book anew; a valid one of a newer connection takes the lead."""
        rows = self._rows_of(symbol)
        was_valid = rows.book.valid
        change = self._applied(
            symbol, lambda: rows.snapshot(bids, asks, sequence=sequence, checksum=checksum)
        )
        name = name_of("depth", symbol)
        if rows.book.valid:
            leader = self._shared.leaders.get(name, -1)
            if self.number >= leader:
                self._shared.leaders[name] = self.number
                self._shared.tracker.book_whole(self.recv, name, self.number)
                self.show(symbol, ts_event)
        elif change.reason:
            self._broke(symbol, ts_event, change, told=was_valid)

    def book_delta(
        self,
        symbol: Symbol,
        ts_event: int | None,
        bids: Sequence[tuple[str, str]],
        asks: Sequence[tuple[str, str]],
        *,
        first: int | None = None,
        last: int | None = None,
        previous: int | None = None,
        checksum: int | None = None,
    ) -> None:
        """Apply an update; its rows count if this connection leads."""
        rows = self._rows_of(symbol)
        was_valid = rows.book.valid
        change = self._applied(
            symbol,
            lambda: rows.delta(bids, asks, first=first, last=last, previous=previous, checksum=checksum),
        )
        if change.applied:
            if self._leads("depth", symbol):
                at = self._clock(rows, ts_event)
                if at >= rows.until:
                    self.show(symbol, ts_event)
                else:
                    self._write(symbol, ts_event, at, rows.changed(bids, asks), last)
        elif change.reason:
            self._broke(symbol, ts_event, change, told=was_valid)

    def hole(self, subscription: Subscription, reason: Gone, detail: str) -> None:  # noqa: ARG002
        """The decoder's own rule was broken; a book is not to be believed until its next snapshot."""
        dataset, symbol = subscription
        name = name_of(dataset, symbol)
        if dataset is Dataset.DEPTH:
            rows = self._rows_of(symbol)
            if rows.book.valid:
                rows.book.invalidate()
                self._broke(symbol, None, Change(False, None), told=True, reason=reason)
            return
        union = self._union and dataset is Dataset.TRADES
        if union or self._leads(dataset, symbol):
            self._shared.tracker.missing(self.recv, self.number, name, reason, self.since, union=union)

    def rejected(self, reason: str, raw: bytes, symbol: Symbol | None = None) -> None:
        """Keep what could not be decoded."""
        self._shared.events.refused.append(
            Refusal(reason, raw, symbol, self._dataset, self.offset, self.frame)
        )

    # -- books ---------------------------------------------------------------------------------

    def show(self, symbol: Symbol, ts_event: int | None) -> None:
        """Write a snapshot of the book, which is valid, and note when the next one is due."""
        rows = self._rows_of(symbol)
        at = self._clock(rows, ts_event)
        window = self._shared.sessions.of(symbol).at(at)
        rows.until = min(window.end_ns, (at // HOUR_NS + 1) * HOUR_NS)
        self._write(symbol, ts_event, at, rows.whole(), rows.book.sequence)

    def restore(self, taken: Taken) -> None:
        """Go on where ``taken`` was kept."""
        self.decoder.restore(taken.decoder)
        for symbol, state in taken.books.items():
            self._rows_of(Symbol(symbol)).restore(state)

    def kept(self) -> Taken | None:
        """The state to go on from; None where a book cannot be kept."""
        books = {symbol: rows.kept() for symbol, rows in self.books.items()}
        held = {symbol: state for symbol, state in books.items() if state is not None}
        if len(held) < len(books):
            return None
        return Taken(self.feed.spec.name, dict(self.decoder.state()), held)

    @property
    def _dataset(self) -> Dataset:
        """Of a frame that names none: the first the feed has."""
        return min(self.feed.spec.datasets, key=list(Dataset).index)

    def _rows_of(self, symbol: Symbol) -> BookRows:
        rows = self.books.get(symbol)
        if rows is None:
            rows = self.books[symbol] = BookRows(self.feed.levels(symbol), self._rule)
        return rows

    def _applied(self, symbol: Symbol, apply: Callable[[], Change]) -> Change:
        try:
            return apply()
        except ValueError as error:
            self.rejected(str(error), b"", symbol)
            return Change(False, None, str(error))

    def _broke(
        self, symbol: Symbol, ts_event: int | None, change: Change, *, told: bool, reason: str = ""
    ) -> None:
        if not self._leads("depth", symbol):
            return
        name = name_of("depth", symbol)
        said = reason or str(change.reason)
        self._shared.tracker.book_broken(self.number, name, said, self.since)
        if told:
            rows = self._rows_of(symbol)
            self._write(symbol, ts_event, self._clock(rows, ts_event), [INVALID], None)

    def _clock(self, rows: BookRows, ts_event: int | None) -> int:
        """The instant that decides the session: it never goes back, and a wild one is not believed."""
        told = self.recv if ts_event is None or abs(ts_event - self.recv) > DAY_NS else ts_event
        rows.clock = max(rows.clock, told)
        return rows.clock

    def _write(
        self, symbol: Symbol, ts_event: int | None, at: int, rows: list[Row], sequence: int | None
    ) -> None:
        told = at if ts_event is None or abs(ts_event - self.recv) > DAY_NS else ts_event
        depth, recv, source = self._shared.events.depth, self.recv, self._source
        depth.extend([(symbol, told, recv, at, *row, sequence, source) for row in rows])

    def _leads(self, dataset: str, symbol: Symbol) -> bool:
        leaders = self._shared.leaders
        name = f"{dataset} {symbol}"
        leader = leaders.get(name)
        if leader is None:
            leaders[name] = self.number
            return True
        return leader == self.number
