"""What all live connections share: the tape, who is listed, the books, the accounts of what was sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache

from mdc_resources.sandbox.crypto import CryptoMarket
from mdc_resources.sandbox.live.book import Book
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.tape import SECOND, LiveTape, Tick


def live_tape(market: Market, rate: float) -> LiveTape:
    """A tape that starts now, at the last closes of ``market`` and of the coins beside it."""
    coins = CryptoMarket(market)

    def close(series: str, day: dt.date) -> int | None:
        if coins.knows(series):
            return coins.previous_close(series, day)
        return market.previous_close(series, day)

    return LiveTape(seed=market.seed, rate=rate, close=close)


class Floor:
    """The trading floor behind the live dialects."""

    def __init__(
        self, market: Market, tape: LiveTape, *, alpaca_keys: Mapping[str, str] | None = None
    ) -> None:
        self.tape = tape
        self.alpaca_keys = alpaca_keys
        self._market = market
        self._coins = CryptoMarket(market)
        self.book = lru_cache(maxsize=None)(self._book)

    def warm(self) -> None:
        """Do now what the first question about a coin would wait for."""
        self.tape.latest("coinbase", "BTC-USD", self.tape.now())

    def lists(self, symbol: str) -> bool:
        """True where ``symbol`` is a stock that is traded today."""
        found = self._market.instrument(symbol) if symbol.isupper() else None
        return found is not None and found.last is None

    def trades_pair(self, pair: str) -> bool:
        """True where ``pair`` (``BTC-USD``) is traded."""
        return self._coins.knows(pair)

    def ticks(self, provider: str, series: str, after: int, until: int) -> list[Tick]:
        """Ticks with a quote or a trade in ``after`` (exclusive) .. ``until`` (inclusive), nanoseconds."""
        return [
            tick
            for second in range(after // SECOND, until // SECOND + 1)
            for tick in self.tape.second(provider, series, second)
            if tick.time > after and tick.quoted <= until
        ]

    def _book(self, provider: str, series: str) -> Book:
        return Book(self.tape.seed, provider, series)
