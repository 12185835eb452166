"""Trade ids that count up by one per symbol: a jump says that trades were missed.

What comes late or twice is no jump. Ids that begin again far below are a new count: the feed cannot
say what lies between, so that is a hole too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import Gone, Sink, Subscription

_LATE = 10_000  # ids; whoever is further behind is no straggler
_STATE = "trade_id/"


class Ids:
    """The newest trade id per symbol of one connection."""

    __slots__ = ("_newest",)

    def __init__(self) -> None:
        self._newest: dict[Symbol, int] = {}

    def follow(self, symbol: Symbol, trade_id: int, sink: Sink) -> None:
        """A trade came: tell ``sink`` of those skipped before it."""
        newest = self._newest.get(symbol)
        if newest is None or trade_id == newest + 1:
            self._newest[symbol] = trade_id
        elif trade_id > newest:
            self._newest[symbol] = trade_id
            _hole(symbol, f"trades {newest + 1} to {trade_id - 1} are missing", sink)
        elif trade_id < newest - _LATE:
            self._newest[symbol] = trade_id
            _hole(symbol, f"after trade {newest} came {trade_id}", sink)

    def past(self, trades: Iterable[tuple[Symbol, int]], sink: Sink) -> None:
        """Trades from before the stream, in any order: those after one that is known were missed."""
        told: dict[Symbol, int] = {}
        for symbol, trade_id in trades:
            told[symbol] = max(trade_id, told.get(symbol, 0))
        for symbol, trade_id in told.items():
            newest = self._newest.get(symbol)
            if newest is not None and trade_id > newest:
                _hole(symbol, f"trades {newest + 1} to {trade_id} are missing", sink)
            self._newest[symbol] = trade_id if newest is None else max(trade_id, newest)

    def state(self) -> dict[str, int]:
        """As plain JSON."""
        return {f"{_STATE}{symbol}": newest for symbol, newest in self._newest.items()}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on where :meth:`state` was taken; other keys are left alone."""
        for key, newest in state.items():
            if key.startswith(_STATE):
                self._newest[Symbol(key.removeprefix(_STATE))] = newest


def _hole(symbol: Symbol, detail: str, sink: Sink) -> None:
    sink.hole(Subscription(Dataset.TRADES, symbol), Gone.SEQUENCE, detail)
