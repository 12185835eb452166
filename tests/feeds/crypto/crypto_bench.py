"""Feeds of crypto venues and their books on recorded or drawn frames, without a service around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mdc_resources.books import Book, Change, book_rule
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import LiveDialect, LiveFeed, Subscription, feed
from tests.feeds.recorder import Recorder

SYMBOLS = {
    "binance": "BINANCE:BTC-USDT",
    "coinbase": "COINBASE:BTC-USD",
    "coinbase-advanced": "COINBASE:BTC-USD",
    "kraken": "KRAKEN:BTC-USD",
    "kraken-v1": "KRAKEN:BTC-USD",
}


class Books(Recorder):
    """Keeps all events and applies those of books; ``changes`` is what each of them came to."""

    def __init__(self, feed_name: str, levels: int = 1000) -> None:
        super().__init__()
        self.books: dict[Symbol, Book] = {}
        self.changes: list[tuple[Symbol, str, Change]] = []
        self._new = lambda: Book(levels, book_rule(feed_name))

    def book_snapshot(self, symbol: Symbol, ts_event: int | None, *sides: Any, **more: Any) -> None:
        """A whole book."""
        super().book_snapshot(symbol, ts_event, *sides, **more)
        change = self._book(symbol).apply_snapshot(*sides, **more)
        self.changes.append((symbol, "snapshot", change))

    def book_delta(self, symbol: Symbol, ts_event: int | None, *sides: Any, **more: Any) -> None:
        """A change of a book."""
        super().book_delta(symbol, ts_event, *sides, **more)
        self.changes.append((symbol, "delta", self._book(symbol).apply_delta(*sides, **more)))

    def count(self, kind: str) -> int:
        """Events of one kind."""
        return sum(event["kind"] == kind for event in self.events)

    def _book(self, symbol: Symbol) -> Book:
        return self.books.setdefault(symbol, self._new())


def dialect_of(name: str, **more: Any) -> LiveDialect:
    """What a feed is told by default."""
    spec = feed(name).spec
    return LiveDialect(spec, spec.ws_url, **more)


def wanted(name: str, *symbols: str, datasets: Sequence[Dataset] = ()) -> list[Subscription]:
    """All the feed's datasets of ``symbols``, in a steady order."""
    chosen = datasets or sorted(feed(name).spec.datasets)
    return [
        Subscription(dataset, Symbol(symbol)) for symbol in symbols or (SYMBOLS[name],) for dataset in chosen
    ]


def decode(name: str, frames: Sequence[bytes]) -> Recorder:
    """All that ``frames`` of one connection become."""
    loaded: LiveFeed = feed(name)
    decoder, sink = loaded.decoder(dialect_of(name)), Recorder()
    for frame in frames:
        decoder.decode(frame, sink)
    return sink
