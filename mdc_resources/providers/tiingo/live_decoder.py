"""Frames of Tiingo's IEX stream as events: arrays by position, as the vendor documents them.

0 kind (T, Q, B), 1 instant as text, 2 nanoseconds, 3 ticker, 4 bid size, 5 bid, 6 mid, 7 ask, 8 ask size,
9 last, 10 last size, 11 halted, 12 after hours, 13 intermarket sweep, 14 odd lot, 15 NMS rule 611.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.frames import (
    MALFORMED,
    Flaw,
    Symbols,
    decoder_of,
    nanos,
    number,
    reject_frame,
)
from mdc_resources.providers.live import Sink

_FIELDS = 16
_REFERENCE_FIELDS = 3
_FLAGS = (
    (11, "halted"),
    (12, "after_hours"),
    (13, "intermarket_sweep"),
    (14, "odd_lot"),
    (15, "nms_611_exempt"),
)
_NO_SIDE = ("0", "0")


class _Frame(msgspec.Struct, gc=False):
    messageType: str  # noqa: N815 - the vendor's name; a renamed field is decoded more slowly
    data: Any = None
    service: str = "iex"


_FRAMES = decoder_of(_Frame)


class TiingoDecoder:
    """Stateless: nothing is numbered."""

    def __init__(self) -> None:
        self._symbols = Symbols(lower=True)

    def decode(self, frame: bytes, sink: Sink) -> None:
        """One event a frame, or a reason."""
        try:
            found = _FRAMES.decode(frame)
        except MALFORMED as error:
            reject_frame(frame, error, sink)
            return
        if found.messageType != "A":
            if found.messageType not in ("I", "H", "E"):
                sink.rejected(f"a frame of type {found.messageType[:40]!a}", frame)
            return
        try:
            self._take(_row(found), sink)
        except Flaw as flaw:
            sink.rejected(str(flaw), frame)

    def fetched(self, symbol: Symbol, body: bytes, sink: Sink) -> None:
        """Nothing is ever fetched for this feed."""
        sink.rejected("tiingo has no book snapshots", body, symbol)

    def state(self) -> dict[str, int]:
        """Nothing is kept."""
        return {}

    def restore(self, state: Mapping[str, int]) -> None:
        """There is nothing to go on from."""

    def _take(self, row: Sequence[Any], sink: Sink) -> None:
        kind, ticker = row[0], row[3]
        if type(ticker) is not str:
            raise Flaw(f"{str(ticker)[:40]!a} is no ticker")
        symbol, at = self._symbols[ticker], nanos(row[2], "nanoseconds")
        if kind == "Q":
            bid, ask = _side(row[5], row[4], "bid"), _side(row[7], row[8], "ask")
            sink.quote(symbol, at, bid, ask, conditions=_conditions(row))
        elif kind in ("T", "B"):
            price, size = number(row[9], "last"), number(row[10], "lastSize")
            correction = "canceled" if kind == "B" else None
            sink.trade(symbol, at, price, size, conditions=_conditions(row), correction=correction)
        else:
            raise Flaw(f"{str(kind)[:40]!a} is none of T, Q, B")


def _row(found: _Frame) -> Sequence[Any]:
    """The positions of an ``A`` frame; Flaw where it has another form, or is of another service."""
    row = found.data
    if found.service != "iex" or not isinstance(row, list):
        raise Flaw(f"data of the service {found.service[:40]!a}, no array of its fields")
    if len(row) == _REFERENCE_FIELDS:
        raise Flaw("a reference price (thresholdLevel 6), which is no trade")
    if len(row) < _FIELDS:
        raise Flaw(f"{len(row)} fields instead of {_FIELDS}")
    return row


def _side(price: object, size: object, name: str) -> tuple[str, str]:
    """Price and size in shares; nulls are a side that is not there."""
    if price is None and not size:
        return _NO_SIDE
    return number(price, name), number(size, f"{name}Size")


def _conditions(row: Sequence[Any]) -> str | None:
    """The names of the flags that are set, joined by commas."""
    return ",".join(name for place, name in _FLAGS if row[place] == 1) or None
