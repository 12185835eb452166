"""Frames of Coinbase Advanced Trade as msgspec reads them.

A frame is read as a whole; where a part of it is wrong, part by part (``LOOSE`` and the rest).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mdc_resources.providers.decoding.live_text import UNREADABLE, Count, shown
from mdc_resources.providers.live import Sink


class Trade(msgspec.Struct, gc=False):
    """A trade."""

    trade_id: str
    product_id: str
    price: str
    size: str
    side: Literal["BUY", "SELL"]
    time: str


class Trades(msgspec.Struct):
    """Trades of several products; newest first in a snapshot."""

    type: Literal["snapshot", "update"]
    trades: list[Trade]


class Change(msgspec.Struct, gc=False):
    """One price level."""

    side: Literal["bid", "offer"]
    price_level: str
    new_quantity: str
    event_time: str | None = None


class Level2(msgspec.Struct):
    """A book, or what changed in it."""

    type: Literal["snapshot", "update"]
    product_id: str
    updates: list[Change]


class Tick(msgspec.Struct, gc=False):
    """Best bid and offer."""

    product_id: str
    best_bid: str = ""
    best_ask: str = ""
    best_bid_quantity: str | None = None
    best_ask_quantity: str | None = None


class Tickers(msgspec.Struct):
    """Several products' best bids and offers."""

    tickers: list[Tick]


class Listing(msgspec.Struct):
    """All that the server sends from here on."""

    subscriptions: dict[str, list[str] | None] = {}


class Envelope(msgspec.Struct, tag_field="channel"):
    """What all channels share."""

    sequence_num: Count
    timestamp: str | None = None


class MarketTrades(Envelope, tag="market_trades"):
    """Channel of trades."""

    events: list[Trades] = []


class L2Data(Envelope, tag="l2_data"):
    """Channel of books."""

    events: list[Level2] = []


class TickerFrame(Envelope, tag="ticker"):
    """Channel of quotes."""

    events: list[Tickers] = []


class Heartbeats(Envelope, tag="heartbeats"):
    """One a second."""


class Subscribed(Envelope, tag="subscriptions"):
    """Channel of answers."""

    events: list[Listing] = []


class Failure(msgspec.Struct):
    """A message was refused."""

    type: Literal["error"]
    message: str = ""


class Numbered(msgspec.Struct):
    """A frame that cannot be read counts all the same."""

    sequence_num: Count


class Loose(msgspec.Struct):
    """A frame of which some parts cannot be read."""

    channel: Literal["market_trades", "l2_data"]
    events: list[msgspec.Raw]


class LooseTrades(msgspec.Struct):
    """Trades of which some cannot be read."""

    type: Literal["snapshot", "update"]
    trades: list[msgspec.Raw]


Frame = MarketTrades | L2Data | TickerFrame | Heartbeats | Subscribed
DECODER: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)
FAILURE: msgspec.json.Decoder[Failure] = msgspec.json.Decoder(Failure)
NUMBERED: msgspec.json.Decoder[Numbered] = msgspec.json.Decoder(Numbered)
LOOSE: msgspec.json.Decoder[Loose] = msgspec.json.Decoder(Loose)
LOOSE_TRADES: msgspec.json.Decoder[LooseTrades] = msgspec.json.Decoder(LooseTrades)
TRADE: msgspec.json.Decoder[Trade] = msgspec.json.Decoder(Trade)
BOOK: msgspec.json.Decoder[Level2] = msgspec.json.Decoder(Level2)


def readable(loose: LooseTrades, sink: Sink) -> Trades:
    """The trades that can be read; the others are rejected."""
    trades: list[Trade] = []
    for raw in loose.trades:
        try:
            trades.append(TRADE.decode(raw))
        except UNREADABLE as error:
            sink.rejected(str(error), shown(bytes(raw)))
    return Trades(loose.type, trades)


def id_of(trade: Trade) -> int:
    """The id as a number; ValueError where it is none."""
    if not (trade.trade_id.isascii() and trade.trade_id.isdecimal()) or len(trade.trade_id) > 18:
        raise ValueError(f"{trade.trade_id[:40]!a} is no trade id")
    return int(trade.trade_id)


def is_failure(frame: bytes) -> bool:
    try:
        return FAILURE.decode(frame).type == "error"
    except UNREADABLE:
        return False
