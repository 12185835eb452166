"""Coinbase Exchange, live: trades, best bid and offer, and books; no key.

Channels    ``matches`` (trades), ``ticker`` (quotes: only when something traded), ``level2_batch`` (books, in
            steps of 50 ms; ``level2`` wants a key). ``heartbeat`` is asked for too, so that silence means
            something. All of it per product.
Trades      ``side`` is the *maker's*: turned round here, as in the history. Ids count up by one per product:
            a jump is a hole. ``last_match``, sent once after subscribing, is the trade before the first of
            the stream: it says where ids stand, and is no trade of the stream.
Books       a snapshot, then absolute sizes, no numbers: only crossing tells that one is wrong.
Answers     each message is answered with the whole list of subscriptions, or refused as a whole.
Checked     2026-11-21, against the vendor's documents and its recorded feed, not live.
            https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.coinbase import product_of
from mdc_resources.providers.coinbase.live_session import CoinbaseSession, Listed, message
from mdc_resources.providers.decoding.live_ids import Ids
from mdc_resources.providers.decoding.live_text import (
    NOBODY,
    UNREADABLE,
    Count,
    Level,
    Names,
    check_levels,
    level,
    nanos_of_clock,
    shown,
)
from mdc_resources.providers.live import Address, LiveDialect, LiveSpec, Sink, Subscription

SPEC = LiveSpec(
    name="coinbase",
    title="Coinbase Exchange",
    provider="coinbase",
    source="coinbase/live",
    market="coinbase",
    ws_url="wss://ws-feed.exchange.coinbase.com",
    datasets=frozenset({Dataset.TRADES, Dataset.QUOTES, Dataset.DEPTH}),
    venue="COINBASE",
    silence=dt.timedelta(seconds=10),
    refillable=frozenset({Dataset.TRADES}),
    checked_on=dt.date(2026, 11, 21),
)
_ASKED = {Dataset.TRADES: "matches", Dataset.QUOTES: "ticker", Dataset.DEPTH: "level2_batch"}
# The answer calls level2_batch by another name.
_CHANNELS = {name: dataset for dataset, name in _ASKED.items()} | {
    "level2_50": Dataset.DEPTH,
    "level2": Dataset.DEPTH,
}
_PER_MESSAGE = 100
_TAKER = {"sell": "buy", "buy": "sell"}  # of the maker's side


class Match(msgspec.Struct, tag="match", gc=False):
    """A trade."""

    trade_id: Count
    side: Literal["buy", "sell"]
    size: str
    price: str
    product_id: str
    time: str


class LastMatch(msgspec.Struct, tag="last_match", gc=False):
    """The trade before the stream's first."""

    trade_id: Count
    product_id: str


class Ticker(msgspec.Struct, tag="ticker", gc=False):
    """Best bid and offer after a trade; before 2022 without sizes."""

    product_id: str
    best_bid: str = ""
    best_ask: str = ""
    best_bid_size: str | None = None
    best_ask_size: str | None = None
    time: str | None = None
    sequence: Count | None = None


class Snapshot(msgspec.Struct, tag="snapshot"):
    """A whole book, best first."""

    product_id: str
    asks: list[tuple[str, str]]
    bids: list[tuple[str, str]]
    time: str | None = None


class Update(msgspec.Struct, tag="l2update"):
    """Absolute sizes of some prices."""

    product_id: str
    changes: list[tuple[Literal["buy", "sell"], str, str]]
    time: str | None = None


class Heartbeat(msgspec.Struct, tag="heartbeat"):
    """One a second and product."""


class Channel(msgspec.Struct):
    """One channel of the list of subscriptions."""

    name: str
    product_ids: list[str] | None = None


class Subscriptions(msgspec.Struct, tag="subscriptions"):
    """All that the server sends from here on."""

    channels: list[Channel]


class Failure(msgspec.Struct, tag="error"):
    """A message was refused."""

    message: str = ""
    reason: str = ""


Frame = Match | LastMatch | Ticker | Snapshot | Update | Heartbeat | Subscriptions | Failure
_DECODER: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
_CONTROL: msgspec.json.Decoder[Subscriptions | Failure] = msgspec.json.Decoder(Subscriptions | Failure)


class CoinbaseDecoder:
    """Decodes the frames of one connection."""

    def __init__(self) -> None:
        self._names = Names(lambda product: f"COINBASE:{product}")
        self._ids = Ids()

    def decode(self, frame: bytes, sink: Sink) -> None:
        """One frame holds one event."""
        try:
            found = _DECODER.decode(frame)
            kind = type(found)
            if kind is Update:
                self._update(found, sink)  # type: ignore[arg-type]
            elif kind is Match:
                self._match(found, sink)  # type: ignore[arg-type]
            elif kind is Ticker:
                self._ticker(found, sink)  # type: ignore[arg-type]
            elif isinstance(found, Snapshot):
                self._snapshot(found, sink)
            elif isinstance(found, LastMatch):
                self._ids.past([(self._names.known(found.product_id), found.trade_id)], sink)
        except UNREADABLE as error:
            sink.rejected(str(error), shown(frame))

    def fetched(self, symbol: Symbol, body: bytes, sink: Sink) -> None:
        """Nothing is fetched: books come with their subscription."""
        sink.rejected("coinbase sends its books itself", shown(body), symbol)

    def state(self) -> dict[str, int]:
        """The newest trade id per symbol."""
        return self._ids.state()

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on where :meth:`state` was taken."""
        self._ids.restore(state)

    def _match(self, match: Match, sink: Sink) -> None:
        symbol = self._names.known(match.product_id)
        when = nanos_of_clock(match.time)
        price, size = level(match.price, match.size)
        self._ids.follow(symbol, match.trade_id, sink)
        sink.trade(symbol, when, price, size, side=_TAKER[match.side], trade_id=str(match.trade_id))

    def _ticker(self, ticker: Ticker, sink: Sink) -> None:
        if ticker.best_bid_size is None or ticker.best_ask_size is None:
            return
        symbol = self._names.known(ticker.product_id)
        sink.quote(
            symbol,
            None if ticker.time is None else nanos_of_clock(ticker.time),
            side_of_quote(ticker.best_bid, ticker.best_bid_size),
            side_of_quote(ticker.best_ask, ticker.best_ask_size),
            sequence=ticker.sequence,
        )

    def _snapshot(self, book: Snapshot, sink: Sink) -> None:
        symbol = self._names.known(book.product_id)
        check_levels(book.bids, book.asks)
        when = None if book.time is None else nanos_of_clock(book.time)
        sink.book_snapshot(symbol, when, book.bids, book.asks)

    def _update(self, update: Update, sink: Sink) -> None:
        symbol = self._names.known(update.product_id)
        bids: list[Level] = []
        asks: list[Level] = []
        for side, price, size in update.changes:
            (bids if side == "buy" else asks).append(level(price, size))
        when = None if update.time is None else nanos_of_clock(update.time)
        sink.book_delta(symbol, when, bids, asks)


class CoinbaseFeed:
    """The dialect of the Exchange feed."""

    spec = SPEC

    def address(self, dialect: LiveDialect) -> Address:
        """The feed's one place."""
        return Address(dialect.ws_url)

    def session(
        self,
        dialect: LiveDialect,  # noqa: ARG002 - books cannot be asked for in depths
        wanted: Sequence[Subscription],
    ) -> CoinbaseSession:
        """A handshake for ``wanted``; raises UnknownSymbol."""
        return CoinbaseSession(wanted, channels=_CHANNELS, write=_write, read=_read, batch=_batched)

    def decoder(self, dialect: LiveDialect) -> CoinbaseDecoder:  # noqa: ARG002 - the same for every one
        """The decoder of a new connection."""
        return CoinbaseDecoder()


def side_of_quote(price: str, size: str) -> Level:
    """One side as a checked level; nobody where the vendor names no price."""
    return level(price, size) if price else NOBODY


def _batched(wanted: Sequence[Subscription]) -> Iterable[Sequence[Subscription]]:
    return (wanted[at : at + _PER_MESSAGE] for at in range(0, len(wanted), _PER_MESSAGE))


def _write(verb: str, wanted: Sequence[Subscription]) -> tuple[bytes, ...]:
    """One message; heartbeats follow the trades of their product, or whatever stands for it."""
    products: dict[str, list[str]] = {}
    for dataset, symbol in wanted:
        products.setdefault(_ASKED[dataset], []).append(product_of(symbol))
    if verb == "subscribe":
        products["heartbeat"] = sorted({name for names in products.values() for name in names})
    channels = [{"name": name, "product_ids": ids} for name, ids in products.items()]
    return (message(type=verb, channels=channels),)


def _read(frame: bytes) -> Listed:
    found = _CONTROL.decode(frame)
    if isinstance(found, Failure):
        return Listed(error=f"{found.message} {found.reason}".strip() or "an error without a reason")
    channels: dict[str, list[str]] = {}
    for channel in found.channels:
        channels.setdefault(channel.name, []).extend(channel.product_ids or ())
    return Listed(channels)


FEED = CoinbaseFeed()
