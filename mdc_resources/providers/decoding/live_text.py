"""Frames of live feeds: numbers and instants as text, read exactly, and names read once.

Fast, since every frame passes here, and strict: what is no decimal notation, no instant or no symbol
is a ValueError of its event, never a wrong value. Instants are integer nanoseconds UTC; digits beyond
the ninth are cut off, they are earlier than the nanosecond that is kept can say.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Annotated

import msgspec

from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol, parse_symbol
from mdc_resources.providers.decoding.bodies import RAW_LIMIT

Level = tuple[str, str]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # ids and sequence numbers, as they are stored
UNREADABLE = (ValueError, RecursionError)  # all that msgspec raises for bytes of any kind
NOBODY = ("0", "0")

_DECIMAL = r"\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?"
_NUMBER = re.compile(_DECIMAL, re.ASCII).fullmatch
_PAIR = re.compile(f"{_DECIMAL} {_DECIMAL}", re.ASCII).fullmatch  # a blank within either is one too many
_CLOCK = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:[.,](\d{1,40}))?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_SECONDS = re.compile(r"(\d{1,10})(?:\.(\d{1,40}))?", re.ASCII).fullmatch
_LAST_SECOND = 2**63 // 10**9 - 1
_KEPT = 4096
_KNOWN_SECONDS: dict[str, int] = {}


def number(text: str) -> str:
    """``text`` if it is an unsigned decimal number (``0.5``, ``1e-8``); ValueError otherwise."""
    if _NUMBER(text) is None:
        raise ValueError(f"{text[:40]!a} is not a number")
    return text


def level(price: str, size: str) -> Level:
    """Both, if both are numbers; ValueError otherwise. Faster than :func:`number` twice."""
    if _PAIR(f"{price} {size}") is None:
        return number(price), number(size)
    return price, size


def check_levels(*sides: Iterable[Sequence[str]]) -> None:
    """ValueError unless every cell of every level is an unsigned decimal number."""
    for cells in chain.from_iterable(sides):
        for cell in cells:
            if _NUMBER(cell) is None:
                raise ValueError(f"{cell[:40]!a} is not a number")


def nanos_of_clock(text: str) -> int:
    """``2021-04-17T16:43:36.481712Z`` (any digits, any offset) as nanoseconds; ValueError."""
    known = _KNOWN_SECONDS.get(text[:19])
    if known is not None and text[19:20] == "." and text[-1] == "Z":
        digits = text[20:-1]
        if len(digits) == 6 and digits.isdecimal() and digits.isascii():
            return known + int(digits) * 1000
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!a} is not an instant")
    seconds, digits, zone = found.groups()
    utc = zone in (None, "Z", "z")
    try:
        instant = dt.datetime.fromisoformat(seconds + ("+00:00" if utc else zone or ""))
    except ValueError:
        raise ValueError(f"{text[:40]!a} is not an instant") from None
    if zone is None:
        raise ValueError(f"{text[:40]!a} has no time zone")
    whole = _in_range(int(instant.timestamp()), text) * 10**9
    if utc:
        if len(_KNOWN_SECONDS) >= _KEPT:
            _KNOWN_SECONDS.clear()
        _KNOWN_SECONDS[text[:19]] = whole
    return whole + _fraction(digits)


def nanos_of_seconds(text: str) -> int:
    """``1618678132.368463`` as 1618678132368463000; ValueError."""
    found = _SECONDS(text)
    if found is None:
        raise ValueError(f"{text[:40]!a} is no time in seconds")
    return _in_range(int(found[1]), text) * 10**9 + _fraction(found[2])


def _fraction(digits: str | None) -> int:
    return int(digits[:9].ljust(9, "0")) if digits else 0


def _in_range(seconds: int, text: str) -> int:
    if not 0 <= seconds <= _LAST_SECOND:
        raise ValueError(f"{text[:40]!a} is outside 1970 to 2262")
    return seconds


class Names(dict[str, Symbol | None]):
    """A vendor's names to symbols, each read once; None for what is no canonical symbol. Bounded."""

    def __init__(self, read: Callable[[str], str | None]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, name: str) -> Symbol | None:
        if len(self) >= _KEPT:
            self.clear()
        text = self._read(name)
        try:
            found = None if text is None or parse_symbol(text) != text else Symbol(text)
        except UsageError:
            found = None
        self[name] = found
        return found

    def known(self, name: str) -> Symbol:
        """The symbol called ``name``; ValueError where it is none."""
        symbol = self[name]
        if symbol is None:
            raise ValueError(f"{name[:40]!a} is no symbol")
        return symbol


def shown(frame: bytes) -> bytes:
    """As much of ``frame`` as is kept with a rejection."""
    return frame[:RAW_LIMIT]
