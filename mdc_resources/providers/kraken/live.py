"""Kraken, live, version 2 of the feed: trades, best bid and offer, and books with a checksum; no key.

Channels    ``trade``, ``ticker`` on each change of the best prices, ``book`` at a depth of 10, 25, 100, 500
            or 1000. Each symbol is confirmed or refused on its own.
Numbers     JSON numbers at full precision: their text is kept, the checksum is made of it.
Trades      ``side`` is the taker's. Ids count up by one per pair: a jump is a hole. The ``snapshot`` after
            subscribing is history: it says where ids stand, and is no trade of the stream.
Books       snapshot and updates, each with the CRC-32 of the ten best levels a side; zero removes a level,
            and what falls below the depth is never named.
Silence     ``heartbeat`` about once a second.
Checked     2026-11-21, against the vendor's documents, not live.
            https://docs.kraken.com/api/docs/websocket-v2/book
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.live_ids import Ids
from mdc_resources.providers.decoding.live_text import (
    UNREADABLE,
    Level,
    Names,
    nanos_of_clock,
    number,
    shown,
)
from mdc_resources.providers.kraken.live_frames import (
    ANSWER,
    DECODER,
    LOOSE,
    PARTS,
    Book,
    Heartbeat,
    Result,
    Status,
    Ticker,
    Trade,
)
from mdc_resources.providers.kraken.live_names import name_of, v2_pair
from mdc_resources.providers.kraken.live_session import Answer, Asking, KrakenSession
from mdc_resources.providers.live import Address, LiveDialect, LiveSpec, Sink, Subscription

SPEC = LiveSpec(
    name="kraken",
    title="Kraken (version 2)",
    provider="kraken",
    source="kraken/live",
    market="kraken",
    ws_url="wss://ws.kraken.com/v2",
    datasets=frozenset({Dataset.TRADES, Dataset.QUOTES, Dataset.DEPTH}),
    venue="KRAKEN",
    silence=dt.timedelta(seconds=10),
    refillable=frozenset({Dataset.TRADES}),
    checked_on=dt.date(2026, 11, 21),
)
_CHANNELS = {Dataset.TRADES: "trade", Dataset.QUOTES: "ticker", Dataset.DEPTH: "book"}
_DATASETS = {channel: dataset for dataset, channel in _CHANNELS.items()}
_ORDERS = {"limit": "l", "market": "m"}  # as the history abbreviates them
_ENCODER = msgspec.json.Encoder()


class KrakenDecoder:
    """Decodes the frames of one connection."""

    def __init__(self) -> None:
        self._names = Names(name_of)
        self._ids = Ids()
        self._take: dict[type, Callable[[Any, bool, Sink], None]] = {
            Trade: self._trade,
            Ticker: self._ticker,
            Book: self._book,
        }

    def decode(self, frame: bytes, sink: Sink) -> None:
        """One frame holds parts of one channel; a wrong one is rejected alone."""
        try:
            found = DECODER.decode(frame)
        except UNREADABLE as error:
            self._loosely(frame, str(error), sink)
            return
        kind = type(found)
        if kind is Heartbeat or kind is Status:
            return
        self._parts(found.data, found.type == "snapshot", frame, sink)

    def fetched(self, symbol: Symbol, body: bytes, sink: Sink) -> None:
        """Nothing is fetched: books come with their subscription."""
        sink.rejected("kraken sends its books itself", shown(body), symbol)

    def state(self) -> dict[str, int]:
        """The newest trade id per symbol."""
        return self._ids.state()

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on where :meth:`state` was taken."""
        self._ids.restore(state)

    def _loosely(self, frame: bytes, reason: str, sink: Sink) -> None:
        """Part by part, where the frame as a whole cannot be read."""
        try:
            found = LOOSE.decode(frame)
        except UNREADABLE:
            if not _is_answer(frame):
                sink.rejected(reason, shown(frame))
            return
        parts: list[Any] = []
        for raw in found.data:
            try:
                parts.append(PARTS[found.channel].decode(raw))
            except UNREADABLE as error:
                sink.rejected(str(error), shown(bytes(raw)))
        self._parts(parts, found.type == "snapshot", frame, sink)

    def _parts(self, parts: list[Any], whole: bool, frame: bytes, sink: Sink) -> None:
        past: list[tuple[Symbol, int]] = []
        for part in parts:
            try:
                if whole and type(part) is Trade:
                    past.append((self._names.known(part.symbol), part.trade_id))
                else:
                    self._take[type(part)](part, whole, sink)
            except UNREADABLE as error:
                sink.rejected(str(error), shown(frame))
        if past:
            self._ids.past(past, sink)

    def _trade(self, trade: Trade, _: bool, sink: Sink) -> None:
        symbol = self._names.known(trade.symbol)
        when = nanos_of_clock(trade.timestamp)
        price, size = _text(trade.price), _text(trade.qty)
        self._ids.follow(symbol, trade.trade_id, sink)
        sink.trade(
            symbol,
            when,
            price,
            size,
            side=trade.side,
            trade_id=str(trade.trade_id),
            conditions=None if trade.ord_type is None else _ORDERS.get(trade.ord_type, trade.ord_type),
        )

    def _ticker(self, ticker: Ticker, _: bool, sink: Sink) -> None:
        sink.quote(
            self._names.known(ticker.symbol),
            None if ticker.timestamp is None else nanos_of_clock(ticker.timestamp),
            _side(ticker.bid, ticker.bid_qty),
            _side(ticker.ask, ticker.ask_qty),
        )

    def _book(self, book: Book, whole: bool, sink: Sink) -> None:
        symbol = self._names.known(book.symbol)
        when = None if book.timestamp is None else nanos_of_clock(book.timestamp)
        bids = [(_text(level.price), _text(level.qty)) for level in book.bids]
        asks = [(_text(level.price), _text(level.qty)) for level in book.asks]
        hand_over = sink.book_snapshot if whole else sink.book_delta
        hand_over(symbol, when, bids, asks, checksum=book.checksum)


class KrakenFeed:
    """The dialect of version 2."""

    spec = SPEC

    def address(self, dialect: LiveDialect) -> Address:
        """The feed's one place."""
        return Address(dialect.ws_url)

    def session(self, dialect: LiveDialect, wanted: Sequence[Subscription]) -> KrakenSession:
        """A handshake for ``wanted``; raises UnknownSymbol."""
        return KrakenSession(
            dialect,
            wanted,
            pair_of=v2_pair,
            write=_write,
            read=_read,
            mark=b'"method"',
            ping=b'{"method":"ping"}',
        )

    def decoder(self, dialect: LiveDialect) -> KrakenDecoder:  # noqa: ARG002 - the same for every one
        """The decoder of a new connection."""
        return KrakenDecoder()


def _text(raw: msgspec.Raw) -> str:
    """A JSON number in its own characters; ValueError for anything else."""
    return number(str(raw, "ascii"))


def _side(price: msgspec.Raw, size: msgspec.Raw) -> Level:
    if bytes(price) == b"null":
        return ("0", "0")
    return (_text(price), _text(size))


def _is_answer(frame: bytes) -> bool:
    try:
        return ANSWER.decode(frame).method is not None
    except UNREADABLE:
        return False


def _write(asking: Asking) -> bytes:
    params: dict[str, object] = {"channel": _CHANNELS[asking.dataset], "symbol": asking.pairs}
    if asking.dataset is Dataset.DEPTH:
        params["depth"] = asking.depth
    if not asking.leaving:
        params["snapshot"] = True
    if asking.dataset is Dataset.QUOTES:
        params["event_trigger"] = "bbo"
    method = "unsubscribe" if asking.leaving else "subscribe"
    return _ENCODER.encode({"method": method, "params": params, "req_id": asking.number})


def _read(frame: bytes) -> Answer | None:
    said = ANSWER.decode(frame)
    if said.method not in ("subscribe", "unsubscribe"):
        return None
    result = said.result or Result()
    return Answer(
        leaving=said.method == "unsubscribe",
        error="" if said.success else said.error or "an error without a reason",
        number=said.req_id,
        dataset=_DATASETS.get(result.channel or ""),
        pair=result.symbol or said.symbol,
    )


FEED = KrakenFeed()
