"""Frames that are JSON arrays of tagged messages, as Alpaca and Polygon send them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.frames import (
    MALFORMED,
    Flaw,
    Symbols,
    decoder_of,
    parts,
    reject_frame,
)
from mdc_resources.providers.live import Sink


class ArrayDecoder(ABC):
    """Hands over message by message; what is wrong with one is no reason to refuse the others.

    A subclass names the ``provider``, the union of its ``messages`` and the field that holds their
    ``symbol``, and says in :meth:`_take` what a message means. It keeps no state of the feed.
    """

    provider: ClassVar[str]
    messages: ClassVar[Any]
    symbol: ClassVar[str]
    _frames: ClassVar[msgspec.json.Decoder[list[Any]]]
    _one: ClassVar[msgspec.json.Decoder[Any]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._frames = decoder_of(list[cls.messages])  # type: ignore[name-defined] # a type at run time
        cls._one = decoder_of(cls.messages)

    def __init__(self) -> None:
        self._symbols = Symbols()

    def decode(self, frame: bytes, sink: Sink) -> None:
        """Hand over each message; one that is wrong is rejected alone."""
        try:
            messages: list[Any] = self._frames.decode(frame)
        except MALFORMED:
            self._piecemeal(frame, sink)
            return
        for at, message in enumerate(messages):
            try:
                self._take(message, sink)
            except Flaw as flaw:
                sink.rejected(str(flaw), parts(frame)[at], self._symbol_of(message))

    def fetched(self, symbol: Symbol, body: bytes, sink: Sink) -> None:
        """Nothing is ever fetched for these feeds."""
        sink.rejected(f"{self.provider} has no book snapshots", body, symbol)

    def state(self) -> dict[str, int]:
        """Frames are not numbered."""
        return {}

    def restore(self, state: Mapping[str, int]) -> None:  # noqa: B027 - true of every subclass
        """There is nothing to go on from."""

    @abstractmethod
    def _take(self, message: Any, sink: Sink) -> None:
        """Hand ``message`` over; raises Flaw for one that is wrong."""

    def _piecemeal(self, frame: bytes, sink: Sink) -> None:
        try:
            raws = parts(frame)
        except MALFORMED as error:
            reject_frame(frame, error, sink)
            return
        for raw in raws:
            try:
                self._take(self._one.decode(raw), sink)
            except MALFORMED as error:
                sink.rejected(str(error)[:200], raw)

    def _symbol_of(self, message: Any) -> Symbol | None:
        try:
            return self._symbols[getattr(message, self.symbol)]
        except Flaw:
            return None
