"""A sink that keeps what it is told, as plain dictionaries without the empty columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import Gone, Subscription

Event = dict[str, Any]


class Recorder:
    """Every event in order; ``kind`` says which call it was."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rejections: list[tuple[str, bytes, Symbol | None]] = []
        self.holes: list[tuple[Subscription, Gone]] = []

    def trade(self, symbol: Symbol, ts_event: int | None, price: str, size: str, **more: Any) -> None:
        """One trade."""
        self._keep("trade", symbol, ts_event, {"price": price, "size": size, **more})

    def quote(
        self,
        symbol: Symbol,
        ts_event: int | None,
        bid: tuple[str, str],
        ask: tuple[str, str],
        **more: Any,
    ) -> None:
        """One best bid and offer."""
        self._keep("quote", symbol, ts_event, {"bid": list(bid), "ask": list(ask), **more})

    def book_snapshot(
        self,
        symbol: Symbol,
        ts_event: int | None,
        bids: Sequence[tuple[str, str]],
        asks: Sequence[tuple[str, str]],
        **more: Any,
    ) -> None:
        """A whole book."""
        self._keep("snapshot", symbol, ts_event, {"bids": _plain(bids), "asks": _plain(asks), **more})

    def book_delta(
        self,
        symbol: Symbol,
        ts_event: int | None,
        bids: Sequence[tuple[str, str]],
        asks: Sequence[tuple[str, str]],
        **more: Any,
    ) -> None:
        """A change of a book."""
        self._keep("delta", symbol, ts_event, {"bids": _plain(bids), "asks": _plain(asks), **more})

    def hole(self, subscription: Subscription, reason: Gone, detail: str) -> None:
        """Something is missing."""
        assert detail, "a hole says what is missing"
        self.holes.append((subscription, reason))

    def rejected(self, reason: str, raw: bytes, symbol: Symbol | None = None) -> None:
        """Something is wrong."""
        assert reason, "a rejection has a reason"
        assert isinstance(raw, bytes)
        self.rejections.append((reason, raw, symbol))

    def _keep(self, kind: str, symbol: Symbol, ts_event: int | None, columns: Event) -> None:
        told = {"kind": kind, "symbol": symbol, "ts_event": ts_event, **columns}
        self.events.append({name: value for name, value in told.items() if value is not None})


def _plain(levels: Sequence[tuple[str, str]]) -> list[list[str]]:
    return [list(level) for level in levels]
