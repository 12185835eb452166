"""What the hub does with decoded events: count, remember the last, keep books, hand to subscribers.

One :class:`FeedTally` per feed, one :class:`MonitorSink` per connection. Nothing here is stored;
everything is bounded: symbols, causes and warnings beyond their limits are only counted.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from mdc_resources.books import Change
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import Gone, Subscription
from mdc_resources.telemetry import get_logger
from mdc_streaming.monitoring_books import LiveBooks
from mdc_streaming.monitoring_lag import LagWindow
from mdc_streaming.monitoring_subscribers import DepthEvent, Fanout, HoleEvent, QuoteEvent, TradeEvent

MOST_SYMBOLS = 5_000
_MOST_CAUSES = 50
_MOST_WARNINGS = 20
_WARN_EVERY = 60.0  # seconds between two log lines about the same symbol and reason
_SHOWN_LEVELS = 25
_OTHER = "other"
_TRADES, _QUOTES, _DEPTH = Dataset.TRADES.value, Dataset.QUOTES.value, Dataset.DEPTH.value

LastTrade = tuple[int | None, int, str, str, str | None]  # ts_event, ts_recv, price, size, side
LastQuote = tuple[int | None, int, tuple[str, str], tuple[str, str]]


class FeedTally:
    """What is known about one feed of this process since its start."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.connections = 0
        self.frames = 0
        self.decoded = 0
        self.shed = 0
        self.events: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.holes: Counter[str] = Counter()
        self.lag = LagWindow(now)
        self.trades: dict[Symbol, LastTrade] = {}
        self.quotes: dict[Symbol, LastQuote] = {}
        self.warnings: deque[str] = deque(maxlen=_MOST_WARNINGS)
        self._warned: dict[tuple[Symbol, str], float] = {}

    def reject(self, cause: str) -> None:
        """Count it by cause; there are only so many causes."""
        cause = cause[:80]
        self.rejected[cause if cause in self.rejected or len(self.rejected) < _MOST_CAUSES else _OTHER] += 1

    def warn(self, dataset: str, symbol: Symbol, reason: str, detail: str, now: float) -> None:
        """Count a hole, and log it unless the same was logged a moment ago."""
        self.holes[reason] += 1
        key = (symbol, reason)
        if now - self._warned.get(key, -_WARN_EVERY) < _WARN_EVERY:
            return
        if len(self._warned) >= MOST_SYMBOLS:
            self._warned.clear()
        self._warned[key] = now
        self.warnings.append(f"{dataset} {symbol}: {reason}: {detail[:200]}")
        get_logger().warning(
            "stream.hole_seen", feed=self.name, dataset=dataset, symbol=symbol, reason=reason, detail=detail
        )

    def as_dict(self) -> dict[str, object]:
        """For ``/status``."""
        lag = self.lag.percentiles()
        return {
            "connections": self.connections,
            "frames": self.frames,
            "decoded": self.decoded,
            "shed": self.shed,
            "events": dict(self.events),
            "rejected": dict(self.rejected),
            "holes_seen": dict(self.holes),
            "lag_ns": lag.as_dict() if lag else None,
            "symbols": len(self.trades.keys() | self.quotes.keys()),
            "warnings": list(self.warnings),
        }


class MonitorSink:
    """Takes the events of one connection. ``recv_ns`` and ``now`` are set before each frame."""

    __slots__ = ("_fanout", "books", "now", "recv_ns", "tally")

    def __init__(self, tally: FeedTally, books: LiveBooks, fanout: Fanout) -> None:
        self.tally = tally
        self.books = books
        self.recv_ns = 0
        self.now = 0.0
        self._fanout = fanout

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
        tape: str | None = None,  # noqa: ARG002  the archive's; nobody watches it
        sequence: int | None = None,
        correction: str | None = None,
    ) -> None:
        """See :class:`Sink`."""
        tally = self.tally
        tally.events[_TRADES] += 1
        if ts_event is not None:
            tally.lag.add(self.recv_ns - ts_event)
        if symbol in tally.trades or len(tally.trades) < MOST_SYMBOLS:
            tally.trades[symbol] = (ts_event, self.recv_ns, price, size, side)
        if self._fanout and self._fanout.wants(_TRADES, symbol, tally.name):
            event = TradeEvent(
                feed=tally.name,
                symbol=symbol,
                ts_event=ts_event,
                ts_recv=self.recv_ns,
                price=price,
                size=size,
                side=side,
                venue=venue,
                trade_id=trade_id,
                conditions=conditions,
                sequence=sequence,
                correction=correction,
            )
            self._fanout.publish(_TRADES, event)

    def quote(
        self,
        symbol: Symbol,
        ts_event: int | None,
        bid: tuple[str, str],
        ask: tuple[str, str],
        *,
        bid_venue: str | None = None,  # noqa: ARG002
        ask_venue: str | None = None,  # noqa: ARG002
        conditions: str | None = None,  # noqa: ARG002
        tape: str | None = None,  # noqa: ARG002
        sequence: int | None = None,
    ) -> None:
        """See :class:`Sink`."""
        tally = self.tally
        tally.events[_QUOTES] += 1
        if ts_event is not None:
            tally.lag.add(self.recv_ns - ts_event)
        if symbol in tally.quotes or len(tally.quotes) < MOST_SYMBOLS:
            tally.quotes[symbol] = (ts_event, self.recv_ns, bid, ask)
        if self._fanout and self._fanout.wants(_QUOTES, symbol, tally.name):
            event = QuoteEvent(
                feed=tally.name,
                symbol=symbol,
                ts_event=ts_event,
                ts_recv=self.recv_ns,
                bid_price=bid[0],
                bid_size=bid[1],
                ask_price=ask[0],
                ask_size=ask[1],
                sequence=sequence,
            )
            self._fanout.publish(_QUOTES, event)

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
        """See :class:`Sink`."""
        self.tally.events[_DEPTH] += 1
        try:
            change = self.books.snapshot(symbol, bids, asks, self.now, sequence=sequence, checksum=checksum)
            self._note(symbol, change)
        except ValueError:
            self._unusable(symbol)
        self._depth("snapshot", symbol, ts_event, bids, asks)

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
        """See :class:`Sink`."""
        self.tally.events[_DEPTH] += 1
        if ts_event is not None:
            self.tally.lag.add(self.recv_ns - ts_event)
        try:
            change = self.books.delta(
                symbol, bids, asks, self.now, first=first, last=last, previous=previous, checksum=checksum
            )
            self._note(symbol, change)
        except ValueError:
            self._unusable(symbol)
        self._depth("update", symbol, ts_event, bids, asks)

    def hole(self, subscription: Subscription, reason: Gone, detail: str) -> None:
        """See :class:`Sink`: here only a warning."""
        dataset, symbol = subscription.dataset.value, subscription.symbol
        self.tally.warn(dataset, symbol, reason.value, detail, self.now)
        if dataset == _DEPTH:
            self.books.unknown(symbol, reason.value, self.now)
        if self._fanout:
            event = HoleEvent(
                feed=self.tally.name,
                symbol=symbol,
                ts_recv=self.recv_ns,
                dataset=dataset,
                reason=reason.value,
                detail=detail[:200],
            )
            self._fanout.publish(dataset, event)

    def rejected(self, reason: str, raw: bytes, symbol: Symbol | None = None) -> None:  # noqa: ARG002
        """See :class:`Sink`: here only counted, landing keeps it."""
        self.tally.reject(reason)

    def _note(self, symbol: Symbol, change: Change | None) -> None:
        if change is not None and change.reason:
            self.tally.warn(_DEPTH, symbol, str(change.reason), change.detail, self.now)

    def _unusable(self, symbol: Symbol) -> None:
        self.tally.reject("a level of a book is no number")
        self.books.unknown(symbol, "no number", self.now)

    def _depth(
        self,
        action: str,
        symbol: Symbol,
        ts_event: int | None,
        bids: Sequence[tuple[str, str]],
        asks: Sequence[tuple[str, str]],
    ) -> None:
        if not (self._fanout and self._fanout.wants(_DEPTH, symbol, self.tally.name)):
            return
        most = _SHOWN_LEVELS if action == "snapshot" else max(len(bids), len(asks))
        event = DepthEvent(
            feed=self.tally.name,
            symbol=symbol,
            ts_event=ts_event,
            ts_recv=self.recv_ns,
            action=action,
            bids=tuple(bids[:most]),
            asks=tuple(asks[:most]),
            more=max(len(bids) - most, 0) + max(len(asks) - most, 0),
        )
        self._fanout.publish(_DEPTH, event)
