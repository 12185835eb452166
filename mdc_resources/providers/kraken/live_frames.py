"""Frames of Kraken's version 2 as msgspec reads them: numbers stay the bytes they came in.

A frame is read as a whole; where a part of it is wrong, part by part (``LOOSE`` and ``PARTS``).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mdc_resources.providers.decoding.live_text import Count


class Trade(msgspec.Struct, gc=False):
    """A trade."""

    symbol: str
    side: Literal["buy", "sell"]
    price: msgspec.Raw
    qty: msgspec.Raw
    trade_id: Count
    timestamp: str
    ord_type: str | None = None


class Ticker(msgspec.Struct, gc=False):
    """Best bid and offer; null where there is none."""

    symbol: str
    bid: msgspec.Raw
    bid_qty: msgspec.Raw
    ask: msgspec.Raw
    ask_qty: msgspec.Raw
    timestamp: str | None = None


class Price(msgspec.Struct, gc=False):
    """One price level."""

    price: msgspec.Raw
    qty: msgspec.Raw


class Book(msgspec.Struct):
    """A book, or what changed in it."""

    symbol: str
    bids: list[Price] = []
    asks: list[Price] = []
    checksum: Count | None = None
    timestamp: str | None = None


class Frame(msgspec.Struct, tag_field="channel"):
    """What all channels share."""


class Trades(Frame, tag="trade"):
    """Channel of trades."""

    type: Literal["snapshot", "update"]
    data: list[Trade]


class Tickers(Frame, tag="ticker"):
    """Channel of quotes."""

    type: Literal["snapshot", "update"]
    data: list[Ticker]


class Books(Frame, tag="book"):
    """Channel of books."""

    type: Literal["snapshot", "update"]
    data: list[Book]


class Heartbeat(Frame, tag="heartbeat"):
    """The connection lives."""


class Status(Frame, tag="status"):
    """How the exchange is."""


class Result(msgspec.Struct):
    """What was confirmed."""

    channel: str | None = None
    symbol: str | None = None


class Answered(msgspec.Struct):
    """An answer to a message."""

    method: str | None = None
    success: bool | None = None
    error: str = ""
    req_id: int | None = None
    symbol: str | None = None
    result: Result | None = None


class Loose(msgspec.Struct):
    """A frame of which some parts cannot be read."""

    channel: Literal["trade", "ticker", "book"]
    data: list[msgspec.Raw]
    type: Literal["snapshot", "update"] = "update"


DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Books | Trades | Tickers | Heartbeat | Status)
LOOSE: msgspec.json.Decoder[Loose] = msgspec.json.Decoder(Loose)
PARTS: dict[str, msgspec.json.Decoder[Any]] = {
    "trade": msgspec.json.Decoder(Trade),
    "ticker": msgspec.json.Decoder(Ticker),
    "book": msgspec.json.Decoder(Book),
}
ANSWER: msgspec.json.Decoder[Answered] = msgspec.json.Decoder(Answered)
