"""Kraken, live, version 1 of the feed: arrays whose numbers are text; no key.

Channels    ``trade``, ``spread`` (quotes; ``ticker``, which tells no time, is read too), ``book`` at a depth
            of 10, 25, 100, 500 or 1000. Frames are ``[channel id, payload, "book-100", "XBT/USD"]``; an
            update of both sides has two payloads. Each symbol is confirmed or refused on its own. Bitcoin
            is XBT, Dogecoin XDG.
Timestamps  seconds with decimals, as text, read to exact nanoseconds.
Trades      ``b``/``s`` is what the taker did; market or limit order (``m``, ``l``) is kept as condition, as
            in the history. There is no id: trades told twice cannot be seen, and missing ones only by a
            lost connection.
Books       updates carry the CRC-32 of the ten best levels a side (``c``), snapshots do not.
Checked     2026-11-21, against recorded trades and tickers and the vendor's documents, not live.
            https://docs.kraken.com/api/docs/websocket-v1/book
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.live_text import (
    UNREADABLE,
    Level,
    Names,
    level,
    nanos_of_seconds,
    shown,
)
from mdc_resources.providers.kraken import live
from mdc_resources.providers.kraken.live_names import name_of, v1_pair
from mdc_resources.providers.kraken.live_session import Answer, Asking, KrakenSession
from mdc_resources.providers.live import Address, LiveDialect, Sink, Subscription

SPEC = replace(
    live.SPEC,
    name="kraken-v1",
    title="Kraken (version 1)",
    source="kraken/v1-live",
    ws_url="wss://ws.kraken.com",
    identities=(),
)
_CHANNELS = {Dataset.TRADES: "trade", Dataset.QUOTES: "spread", Dataset.DEPTH: "book"}
_DATASETS = {channel: dataset for dataset, channel in _CHANNELS.items()}
_SIDES = {"b": "buy", "s": "sell"}
_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Subscribed(msgspec.Struct):
    """What an answer is about."""

    name: str | None = None


class Event(msgspec.Struct):
    """A frame without market data."""

    event: str
    status: str | None = None
    pair: str | None = None
    reqid: int | None = None
    error: str = msgspec.field(default="", name="errorMessage")
    subscription: Subscribed | None = None


_EVENT: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class KrakenV1Decoder:
    """Decodes the frames of one connection; holds no numbers, there are none."""

    def __init__(self) -> None:
        self._names = Names(name_of)

    def decode(self, frame: bytes, sink: Sink) -> None:
        """One frame holds the events of one channel and pair."""
        try:
            found = _DECODER.decode(frame)
            if type(found) is list and len(found) >= 4:
                self._data(found, sink)
            elif type(found) is not dict or type(found.get("event")) is not str:
                raise ValueError("neither an event nor an array of a channel")
        except UNREADABLE as error:
            sink.rejected(str(error), shown(frame))

    def fetched(self, symbol: Symbol, body: bytes, sink: Sink) -> None:
        """Nothing is fetched: books come with their subscription."""
        sink.rejected("kraken sends its books itself", shown(body), symbol)

    def state(self) -> dict[str, int]:
        """Nothing to go on from."""
        return {}

    def restore(self, state: Mapping[str, int]) -> None:
        """Nothing to go on from."""

    def _data(self, found: list[Any], sink: Sink) -> None:
        channel, pair = found[-2], found[-1]
        if type(channel) is not str or type(pair) is not str:
            raise ValueError("an array without channel and pair")
        symbol = self._names.known(pair)
        if channel.startswith("book"):
            self._book(symbol, found[1:-2], sink)
        elif channel == "trade":
            _trades(symbol, found[1], sink)
        elif channel == "spread":
            _spread(symbol, found[1], sink)
        elif channel == "ticker":
            _ticker(symbol, found[1], sink)
        elif not channel.startswith("ohlc"):
            raise ValueError(f"channel {channel[:40]!a} is not known")

    def _book(self, symbol: Symbol, payloads: list[Any], sink: Sink) -> None:
        found: dict[str, Any] = {}
        for payload in payloads:
            if type(payload) is not dict:
                raise ValueError("a book that is no object")
            found.update(payload)
        if "as" in found or "bs" in found:
            bids, first = _levels(found.get("bs", []))
            asks, second = _levels(found.get("as", []))
            sink.book_snapshot(symbol, _later(first, second), bids, asks)
        elif "a" in found or "b" in found:
            bids, first = _levels(found.get("b", []))
            asks, second = _levels(found.get("a", []))
            sink.book_delta(symbol, _later(first, second), bids, asks, checksum=_checksum(found.get("c")))
        else:
            raise ValueError("a book without sides")


class KrakenV1Feed:
    """The dialect of version 1."""

    spec = SPEC

    def address(self, dialect: LiveDialect) -> Address:
        """The feed's one place."""
        return Address(dialect.ws_url)

    def session(self, dialect: LiveDialect, wanted: Sequence[Subscription]) -> KrakenSession:
        """A handshake for ``wanted``; raises UnknownSymbol."""
        return KrakenSession(
            dialect,
            wanted,
            pair_of=v1_pair,
            write=_write,
            read=_read,
            mark=b'"event"',
            ping=b'{"event":"ping"}',
        )

    def decoder(self, dialect: LiveDialect) -> KrakenV1Decoder:  # noqa: ARG002 - the same for every one
        """The decoder of a new connection."""
        return KrakenV1Decoder()


def _trades(symbol: Symbol, trades: Any, sink: Sink) -> None:
    if type(trades) is not list:
        raise ValueError("trades that are no list")
    for trade in trades:
        try:
            _trade(symbol, trade, sink)
        except UNREADABLE as error:
            sink.rejected(str(error), shown(_ENCODER.encode(trade)), symbol)


def _trade(symbol: Symbol, trade: Any, sink: Sink) -> None:
    price, size, when, side, order, *more = _texts(trade, 5)
    if side not in _SIDES:
        raise ValueError(f"{side[:40]!a} is neither b nor s")
    conditions = ",".join(word for word in (order, *more[:1]) if word) or None
    sink.trade(
        symbol,
        nanos_of_seconds(when),
        *level(price, size),
        side=_SIDES[side],
        conditions=conditions,
    )


def _spread(symbol: Symbol, spread: Any, sink: Sink) -> None:
    bid, ask, when, bid_size, ask_size = _texts(spread, 5)[:5]
    sink.quote(
        symbol,
        nanos_of_seconds(when),
        level(bid, bid_size),
        level(ask, ask_size),
    )


def _ticker(symbol: Symbol, ticker: Any, sink: Sink) -> None:
    """Best prices are [price, whole lots, lots]."""
    if type(ticker) is not dict:
        raise ValueError("a ticker that is no object")
    sides: list[Level] = []
    for name in ("b", "a"):
        cells = ticker.get(name)
        if type(cells) is not list or len(cells) != 3:
            raise ValueError(f"a ticker without {name}")
        price, size = _texts([cells[0], cells[2]], 2)
        sides.append(level(price, size))
    sink.quote(symbol, None, sides[0], sides[1])


def _levels(found: Any) -> tuple[list[Level], int | None]:
    """Levels as (price, size), and when the last of them changed."""
    if type(found) is not list:
        raise ValueError("levels that are no list")
    levels: list[Level] = []
    latest: int | None = None
    for cells in found:
        price, size, when, *_ = _texts(cells, 3)  # a fourth one: published again
        levels.append(level(price, size))
        latest = _later(latest, nanos_of_seconds(when))
    return levels, latest


def _texts(cells: Any, least: int) -> list[str]:
    """A list of at least so many texts; ValueError for anything else."""
    if type(cells) is not list or len(cells) < least or any(type(cell) is not str for cell in cells):
        raise ValueError(f"{str(cells)[:40]!a} are no {least} texts")
    return cells


def _later(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return second if first is None else first
    return max(first, second)


def _checksum(found: Any) -> int | None:
    if found is None:
        return None
    if type(found) is not str or not (found.isascii() and found.isdecimal()) or len(found) > 10:
        raise ValueError(f"{str(found)[:40]!a} is no checksum")
    return int(found)


def _write(asking: Asking) -> bytes:
    subscription: dict[str, object] = {"name": _CHANNELS[asking.dataset]}
    if asking.dataset is Dataset.DEPTH:
        subscription["depth"] = asking.depth
    event = "unsubscribe" if asking.leaving else "subscribe"
    return _ENCODER.encode(
        {"event": event, "pair": asking.pairs, "subscription": subscription, "reqid": asking.number}
    )


def _read(frame: bytes) -> Answer | None:
    said = _EVENT.decode(frame)
    if said.event == "error":
        return Answer(leaving=False, error=said.error or "an error without a reason", number=said.reqid)
    if said.event != "subscriptionStatus":
        return None
    name = said.subscription.name if said.subscription else None
    failed = said.status not in ("subscribed", "unsubscribed")
    return Answer(
        leaving=said.status == "unsubscribed",
        error=(said.error or "an error without a reason") if failed else "",
        number=said.reqid,
        dataset=_DATASETS.get(name or ""),
        pair=said.pair,
    )


FEED = KrakenV1Feed()
