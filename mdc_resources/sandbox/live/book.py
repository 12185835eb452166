"""The L2 book of a series: a function of the tape, so that stream and REST snapshot agree.

Levels stand on every cent from the best price outwards, as many as are asked for; each is drawn
anew every 64 trades, one or two of them at each. Trade ``n`` stands for the updates ``16 n`` ..
``16 n + 15``: numbers that never leave a gap, whatever of them a feed shows.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mdc_resources.sandbox import noise
from mdc_resources.sandbox.crypto import coin_text
from mdc_resources.sandbox.tape import Tick

UPDATES = 16
LEVELS = 100  # of feeds that do not say how many
_EVERY, _STEP, _INVERSE = 64, 37, 45  # 37 * 45 = 1 modulo 64
_MOST = 50_000  # ten-thousandths of a coin
_CHECKED = 10  # levels a side in Kraken's checksum

Level = tuple[int, int]  # cents, ten-thousandths of a coin; size 0 removes it


class Change(NamedTuple):
    """Levels that are new, have another size or are gone."""

    bids: list[Level]
    asks: list[Level]


def first_update(number: int) -> int:
    """The first update of trade ``number``."""
    return number * UPDATES


def last_update(number: int) -> int:
    """The last update of trade ``number``."""
    return number * UPDATES + UPDATES - 1


class Book:
    """The book of one series at one provider, at any trade of the tape."""

    def __init__(self, seed: int, provider: str, series: str) -> None:
        self._stream = noise.key(seed, provider, series, "book")

    def size(self, price: int, number: int) -> int:
        """The size at ``price`` after the updates of trade ``number``, where there is a level."""
        drawn = (number + _STEP * price) // _EVERY
        return 1 + noise.whole(self._stream, (price << 32) ^ drawn) % _MOST

    def state(self, tick: Tick, levels: int) -> Change:
        """The whole book after the updates of ``tick``, best first."""
        lowest, number = max(tick.bid - levels, 0), tick.number
        bids = [(price, self.size(price, number)) for price in range(tick.bid, lowest, -1)]
        asks = [(price, self.size(price, number)) for price in range(tick.ask, tick.ask + levels)]
        return Change(bids, asks)

    def change(self, before: Tick, tick: Tick, levels: int, *, forget: bool = True) -> Change:
        """What trade ``tick`` changes after trade ``before``, the one just before it.

        With ``forget`` the levels that leave at the far end are removed; without it, the reader is one
        that cuts its book to ``levels`` itself, as Kraken wants it.
        """
        was, now = (range(max(at.bid - levels, 0) + 1, at.bid + 1) for at in (before, tick))
        bids = self._moved(was, now, tick.number, gone=range(tick.bid + 1, before.bid + 1), forget=forget)
        was, now = (range(at.ask, at.ask + levels) for at in (before, tick))
        asks = self._moved(was, now, tick.number, gone=range(before.ask, tick.ask), forget=forget)
        return Change(bids, asks)

    def _moved(self, was: range, now: range, number: int, *, gone: range, forget: bool) -> list[Level]:
        left = (price for price in was if price not in now and (forget or price in gone))
        found = [(price, 0) for price in left]
        found += [(price, self.size(price, number)) for price in now if price not in was]
        start = now.start + (-number * _INVERSE - now.start) % _EVERY
        found += [
            (price, self.size(price, number)) for price in range(start, now.stop, _EVERY) if price in was
        ]
        return found


def merged(changes: Iterable[Change]) -> Change:
    """Changes one after another as one: the last word on each price."""
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for change in changes:
        bids.update(change.bids)
        asks.update(change.asks)
    return Change(list(bids.items()), list(asks.items()))


def texts(levels: Sequence[Level]) -> list[tuple[str, str]]:
    """Levels as the exchanges write them: two decimals of a price, eight of a size."""
    return [(coin_text(price, 2), f"{coin_text(size, 4)}0000") for price, size in levels]


def checksum(bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> int:
    """Kraken's CRC32 of a book, best first: ten asks, then ten bids, without points and leading zeros.

    Source: https://docs.kraken.com/api/docs/guides/spot-ws-book-v1
    """
    rows = [*asks[:_CHECKED], *bids[:_CHECKED]]
    text = "".join(number.replace(".", "").lstrip("0") for row in rows for number in row)
    return zlib.crc32(text.encode())
