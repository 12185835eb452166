"""What live decoders share: JSON whose numbers keep their text, instants, symbols, parts of a frame.

Each converter returns the canonical form or raises :class:`Flaw`, which a decoder turns into
``Sink.rejected`` for the one message it concerns. Nothing is ever a float; whole numbers and
fractions alike come out as decimal text, and JSON strings are no numbers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from pydantic import SecretStr

from mdc_resources.domain.errors import BadCredentials, UnknownSymbol, UsageError
from mdc_resources.domain.symbols import Symbol, parse_symbol
from mdc_resources.providers.decoding.bodies import NumberText
from mdc_resources.providers.live import LiveSpec, Sink, Subscription

T = TypeVar("T")
# What msgspec raises for bytes that are not what a decoder was told: malformed, nested, not UTF-8.
MALFORMED = (msgspec.MsgspecError, ValueError, RecursionError)
# Quote sizes of the US tapes are shares since 2025-11-03 in New York, round lots of 100 before.
SHARES_FROM = int(dt.datetime(2025, 11, 3, 5, tzinfo=dt.UTC).timestamp()) * 10**9
_NANOS = (10**17, 2**63 - 1)  # 1973 to 2262
_MILLIS = (10**11, 10**14)  # 1973 to 5138
_MOST_SYMBOLS = 1 << 16  # remembered; more are only seen in garbage
_LONGEST_EXPONENT = 6


class Flaw(ValueError):
    """A message is not what its dialect promises; its text is the reason."""


def decoder_of(kind: type[T]) -> msgspec.json.Decoder[T]:
    """A decoder of ``kind`` whose untyped fractions are :class:`NumberText`, exact whatever their length."""
    return msgspec.json.Decoder(kind, float_hook=NumberText)


def number(cell: object, name: str) -> str:
    """The decimal text of a JSON number; Flaw for anything else, null and strings included."""
    kind = type(cell)
    if kind is NumberText or kind is int:
        return str(cell)
    raise Flaw(f"{name} is missing" if cell is None else f"{name}: {str(cell)[:40]!a} is not a JSON number")


def hundredfold(text: str) -> str:
    """``text`` times 100, exactly: round lots as shares."""
    if text.isdecimal():
        return f"{text}00" if text != "0" else text
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent) > _LONGEST_EXPONENT:
        raise Flaw(f"{text[:40]} is no size")
    return f"{mantissa}e{int(exponent or 0) + 2}"


def nanos(value: object, name: str = "t") -> int:
    """Epoch milliseconds or nanoseconds as nanoseconds; Flaw for another unit, or what is no integer."""
    if type(value) is int:
        if _MILLIS[0] <= value < _MILLIS[1]:
            return value * 1_000_000
        if _NANOS[0] <= value < _NANOS[1]:
            return value
    raise Flaw(f"{name}: {str(value)[:40]!a} is no instant in milliseconds or nanoseconds")


class Symbols(dict[str, Symbol]):
    """Vendor spellings as canonical symbols, each read once; ``lower``: ``brk-b`` is ``BRK.B``."""

    def __init__(self, *, lower: bool = False) -> None:
        super().__init__()
        self._lower = lower

    def __missing__(self, spelled: str) -> Symbol:
        try:
            symbol = parse_symbol(spelled.replace("-", ".") if self._lower else spelled)
        except UsageError as error:
            raise Flaw(error.message) from None
        if spelled != (spelled.lower() if self._lower else symbol):
            raise Flaw(f"{spelled[:40]!a} is not how this vendor spells a symbol")
        if len(self) >= _MOST_SYMBOLS:
            self.clear()
        self[spelled] = symbol
        return symbol


def parts(frame: bytes) -> Sequence[bytes]:
    """The elements of a JSON array as their own bytes; raises one of MALFORMED where it is none."""
    return [bytes(raw) for raw in _PARTS.decode(frame)]


_PARTS = msgspec.json.Decoder(list[msgspec.Raw])


def reject_frame(frame: bytes, error: Exception, sink: Sink) -> None:
    """The whole frame is refused; nothing of it can be told apart."""
    sink.rejected(f"not a frame of this feed: {str(error)[:200]}", frame)


def key_of(credentials: Mapping[str, SecretStr], name: str, provider: str) -> str:
    """The value of a credential; raises BadCredentials where there is none."""
    found = credentials.get(name)
    if found is None or not found.get_secret_value():
        raise BadCredentials(f"{provider} needs {name}", provider=provider, hint=f"Put {name} into .env")
    return found.get_secret_value()


def spelled_as_listed(spec: LiveSpec, wanted: Sequence[Subscription]) -> tuple[Subscription, ...]:
    """``wanted`` without repetitions; UnknownSymbol for a named venue's, or a dataset the feed has not."""
    for dataset, symbol in wanted:
        if ":" in symbol or "_" in symbol or dataset not in spec.datasets:
            raise UnknownSymbol(
                f"{spec.name} has no {dataset} of {symbol}", symbol=symbol, provider=spec.provider
            )
    return tuple(dict.fromkeys(wanted))
