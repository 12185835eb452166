"""Frames of Alpaca's stream as events, equal to what :mod:`.events` makes of the vendor's history."""

from __future__ import annotations

from typing import Any

import msgspec

from mdc_resources.providers.alpaca.events import nanos_of
from mdc_resources.providers.decoding.arrays import ArrayDecoder
from mdc_resources.providers.decoding.frames import (
    SHARES_FROM,
    Flaw,
    hundredfold,
    number,
)
from mdc_resources.providers.live import Sink

_CANCELS = {"C": "cancel record", "E": "error record"}
_MOST_DIGITS = 9
_POWERS: tuple[int, ...] = tuple(10 ** (_MOST_DIGITS - digits) for digits in range(_MOST_DIGITS + 1))
_MOST_SECONDS = 1024
_ID_END = 2**64


class _Message(msgspec.Struct, tag_field="T", gc=False):
    """Base of all; numbers are untyped so that they keep their text."""


class _Trade(_Message, tag="t"):
    S: str
    t: str
    p: Any = None
    s: Any = None
    i: int | None = None
    x: str | None = None
    c: list[str] | None = None
    z: str | None = None
    u: str | None = None


class _Quote(_Message, tag="q"):
    S: str
    t: str
    bp: Any = None
    bs: Any = None
    ap: Any = None
    ask_size: Any = msgspec.field(name="as", default=None)
    bx: str | None = None
    ax: str | None = None
    c: list[str] | None = None
    z: str | None = None


class _Correction(_Message, tag="c"):
    S: str
    t: str
    oi: int
    ci: int
    op: Any = None
    os: Any = None
    cp: Any = None
    cs: Any = None
    oc: list[str] | None = None
    cc: list[str] | None = None
    x: str | None = None
    z: str | None = None


class _Cancel(_Message, tag="x"):
    S: str
    t: str
    i: int
    p: Any = None
    s: Any = None
    a: str = ""
    x: str | None = None
    z: str | None = None


class _Success(_Message, tag="success"):
    pass


class _Subscription(_Message, tag="subscription"):
    pass


class _Error(_Message, tag="error"):
    pass


_Any = _Trade | _Quote | _Correction | _Cancel | _Success | _Subscription | _Error


class AlpacaDecoder(ArrayDecoder):
    """Stateless but for the seconds it has read, which saves reading them again."""

    provider = "alpaca"
    messages = _Any
    symbol = "S"

    def __init__(self) -> None:
        super().__init__()
        self._seconds: dict[str, int] = {}

    def _take(self, message: Any, sink: Sink) -> None:
        kind = type(message)
        if kind is _Quote:
            self._quote(message, sink)
        elif kind is _Trade:
            self._trade(message, sink)
        elif kind is _Correction:
            self._correction(message, sink)
        elif kind is _Cancel:
            self._cancel(message, sink)

    def _quote(self, quote: _Quote, sink: Sink) -> None:
        at = self._instant(quote.t)
        bid_size, ask_size = number(quote.bs, "bs"), number(quote.ask_size, "as")
        if at < SHARES_FROM:
            bid_size, ask_size = hundredfold(bid_size), hundredfold(ask_size)
        sink.quote(
            self._symbols[quote.S],
            at,
            (number(quote.bp, "bp"), bid_size),
            (number(quote.ap, "ap"), ask_size),
            bid_venue=quote.bx,
            ask_venue=quote.ax,
            conditions=_joined(quote.c),
            tape=quote.z,
        )

    def _trade(self, trade: _Trade, sink: Sink) -> None:
        sink.trade(
            self._symbols[trade.S],
            self._instant(trade.t),
            number(trade.p, "p"),
            number(trade.s, "s"),
            venue=trade.x,
            trade_id=None if trade.i is None else _identity(trade.i),
            conditions=_joined(trade.c),
            tape=trade.z,
            correction=trade.u,
        )

    def _correction(self, told: _Correction, sink: Sink) -> None:
        """Two rows: the record about the trade that was wrong, and the trade as it should have been."""
        symbol, at = self._symbols[told.S], self._instant(told.t)
        before = (number(told.op, "op"), number(told.os, "os"))
        after = (number(told.cp, "cp"), number(told.cs, "cs"))
        wrong, right = f"{_identity(told.oi)}/c", _identity(told.ci)
        sink.trade(
            symbol, at, *before, venue=told.x, trade_id=wrong, conditions=_joined(told.oc), tape=told.z,
            correction="correction record",
        )  # fmt: skip
        sink.trade(
            symbol, at, *after, venue=told.x, trade_id=right, conditions=_joined(told.cc), tape=told.z,
            correction="corrected",
        )  # fmt: skip

    def _cancel(self, told: _Cancel, sink: Sink) -> None:
        sink.trade(
            self._symbols[told.S],
            self._instant(told.t),
            number(told.p, "p"),
            number(told.s, "s"),
            venue=told.x,
            trade_id=f"{_identity(told.i)}/x",
            tape=told.z,
            correction=_CANCELS.get(told.a, "cancel record"),
        )

    def _instant(self, text: str) -> int:
        whole, digits = self._seconds.get(text[:19]), text[20:-1]
        if whole is not None and text[19:20] == "." and text[-1] == "Z" and digits.isdecimal():
            if len(digits) <= _MOST_DIGITS and digits.isascii():
                return whole + int(digits) * _POWERS[len(digits)]
            raise Flaw(f"t: {text[:40]!a} is not an instant")
        try:
            found = nanos_of(text)
        except (ValueError, OverflowError):
            raise Flaw(f"t: {text[:40]!a} is not an instant") from None
        if text.endswith("Z"):
            if len(self._seconds) >= _MOST_SECONDS:
                self._seconds.clear()
            self._seconds[text[:19]] = found - found % 10**9
        return found


def _identity(number_: int) -> str:
    if not 0 <= number_ < _ID_END:
        raise Flaw(f"{str(number_)[:40]} is not an identity")
    return str(number_)


def _joined(codes: list[str] | None) -> str | None:
    """As in the vendor's history: codes joined by commas, nothing for none."""
    return (",".join(codes) or None) if codes else None
