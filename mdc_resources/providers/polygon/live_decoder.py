"""Frames of Polygon's stream as events, equal to what :mod:`.ticks` makes of the vendor's history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mdc_resources.providers.decoding.arrays import ArrayDecoder
from mdc_resources.providers.decoding.frames import (
    SHARES_FROM,
    Flaw,
    hundredfold,
    nanos,
    number,
)
from mdc_resources.providers.live import Sink

_NO_SIDE = ("0", "0")


class _Message(msgspec.Struct, tag_field="ev", gc=False):
    """Base of all; prices and sizes are untyped so that they keep their text."""


class _Trade(_Message, tag="T"):
    sym: str
    t: int
    p: Any = None
    s: Any = None
    x: int | None = None
    i: str | None = None
    z: int | None = None
    c: list[int] | None = None
    q: int | None = None
    trfi: int | None = None


class _Quote(_Message, tag="Q"):
    sym: str
    t: int
    bp: Any = None
    bs: Any = None
    ap: Any = None
    ask_size: Any = msgspec.field(name="as", default=None)
    bx: int | None = None
    ax: int | None = None
    z: int | None = None
    c: int | list[int] | None = None
    q: int | None = None


class _Status(_Message, tag="status"):
    pass


_Any = _Trade | _Quote | _Status


class PolygonDecoder(ArrayDecoder):
    """Stateless: the vendor's sequence numbers have gaps of their own."""

    provider = "polygon"
    messages = _Any
    symbol = "sym"

    def _take(self, message: Any, sink: Sink) -> None:
        kind = type(message)
        if kind is _Quote:
            self._quote(message, sink)
        elif kind is _Trade:
            self._trade(message, sink)

    def _quote(self, quote: _Quote, sink: Sink) -> None:
        at = nanos(quote.t)
        sink.quote(
            self._symbols[quote.sym],
            at,
            _side(quote.bp, quote.bs, quote.ap, quote.ask_size, "b", at),
            _side(quote.ap, quote.ask_size, quote.bp, quote.bs, "a", at),
            bid_venue=str(quote.bx) if quote.bx and quote.bx > 0 else None,
            ask_venue=str(quote.ax) if quote.ax and quote.ax > 0 else None,
            conditions=_joined([quote.c] if isinstance(quote.c, int) else quote.c),
            tape=None if quote.z is None else str(quote.z),
            sequence=_sequence(quote.q),
        )

    def _trade(self, trade: _Trade, sink: Sink) -> None:
        venue = None if trade.x is None else str(trade.x)
        if venue is not None and trade.trfi is not None and trade.trfi > 0:
            venue = f"{venue}/{trade.trfi}"
        sink.trade(
            self._symbols[trade.sym],
            nanos(trade.t),
            number(trade.p, "p"),
            number(trade.s, "s"),
            venue=venue,
            trade_id=trade.i,
            conditions=_joined(trade.c),
            tape=None if trade.z is None else str(trade.z),
            sequence=_sequence(trade.q),
        )


def _side(price: object, size: object, other: object, others: object, name: str, at: int) -> tuple[str, str]:
    """Price and size in shares; no side where nothing is told of it and something of the other one."""
    if price is None and size is None and not (other is None and others is None):
        return _NO_SIDE
    shares = number(size, f"{name}s")
    return number(price, f"{name}p"), hundredfold(shares) if at < SHARES_FROM else shares


def _sequence(number_: int | None) -> int | None:
    if number_ is not None and not -(2**63) <= number_ < 2**63:
        raise Flaw(f"q: {str(number_)[:40]} is no sequence number")
    return number_


def _joined(codes: Sequence[int] | None) -> str | None:
    """As in the vendor's history: codes joined by commas, nothing for none."""
    return ",".join(map(str, codes)) if codes else None
