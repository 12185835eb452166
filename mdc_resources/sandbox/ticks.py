"""Trades and quotes of the synthetic market, laid inside its minute bars.

The trades of a minute add up to its bar: the first at its open, the last at its close, its high and
low reached (as many of the four as it has trades), sizes that sum to its volume, as many trades as
its count. Every trade has a quote just before it that shows the price it took. Like the bars they
are a function of (seed, symbol, session); ``now`` only decides how many minutes are over.

Ids rise with time, also from one session to the next, and are dense within a session: see
:func:`first_id`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mdc_resources.sandbox import noise
from mdc_resources.sandbox.market import Bars, Market

Ints = NDArray[np.int64]
VENUES = 8  # venues are numbered from 0; a dialect gives them its own codes
_SECOND = 10**9
_MINUTE = 60 * _SECOND
_IDS_PER_SESSION = 100_000_000
_EPOCH = dt.date(1970, 1, 1)
_SAME_INSTANT = 0.03  # of the trades share the nanosecond of the one before
_ONE_SIDED = 0.002  # of the quotes lack a bid or an ask


@dataclass(frozen=True, slots=True)
class Ticks:
    """Trades of one session in the order they happened; columns of equal length.

    ``times`` are nanoseconds UTC inside the regular hours, never falling, sometimes equal; ``prices``
    cents; ``sizes`` shares; ``ids`` rising by one; ``venues`` 0 .. VENUES - 1; ``buys`` is True where
    the taker bought.
    """

    times: Ints
    prices: Ints
    sizes: Ints
    ids: Ints
    venues: NDArray[np.int8]
    buys: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Quotes:
    """Best bids and offers of one session in order; one before each trade.

    ``bids`` and ``asks`` are cents, 0 where there is no such side; sizes are shares.
    """

    times: Ints
    bids: Ints
    bid_sizes: Ints
    asks: Ints
    ask_sizes: Ints
    bid_venues: NDArray[np.int8]
    ask_venues: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.times)


def trades_of(market: Market, symbol: str, session: dt.date) -> Ticks:
    """The trades of ``symbol`` in the minutes of ``session`` that are over; shared, do not alter.

    Raises UsageError for a symbol the market does not have (:meth:`Market.instrument` tells).
    """
    bars = market.minutes(symbol, session, session)
    return _trades(market, _entity(market, symbol), session, len(bars), _Hashed(bars))


def quotes_of(market: Market, symbol: str, session: dt.date) -> Quotes:
    """The quotes of ``symbol`` in the minutes of ``session`` that are over; shared, do not alter."""
    bars = market.minutes(symbol, session, session)
    return _quotes(market, _entity(market, symbol), session, len(bars), _Hashed(bars))


def first_id(session: dt.date) -> int:
    """The id of the first trade of ``session``; the others count up from it."""
    return (session - _EPOCH).days * _IDS_PER_SESSION + 1


class _Hashed:
    """Bars as an argument that a cache does not look at."""

    __slots__ = ("bars",)

    def __init__(self, bars: Bars) -> None:
        self.bars = bars

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed)


def _entity(market: Market, symbol: str) -> str:
    found = market.instrument(symbol)
    return found.entity if found else symbol


@lru_cache(maxsize=4)  # a page of a busy session is asked for hundreds of times in a row
def _trades(market: Market, entity: str, session: dt.date, over: int, made: _Hashed) -> Ticks:
    bars = made.bars
    counts = np.array(bars.trades, np.int64)
    total = int(counts.sum()) if over else 0
    if not total:
        none = np.zeros(0, np.int64)
        return Ticks(none, none, none, none, np.zeros(0, np.int8), np.zeros(0, bool))
    minute = np.repeat(np.arange(len(counts)), counts)
    last = np.cumsum(counts) - 1
    first = last - counts + 1
    stream = _Stream(market.seed, entity, session, total)
    return Ticks(
        times=_times(bars, minute, first, stream),
        prices=_prices(bars, minute, first, last, stream),
        sizes=_sizes(np.array(bars.volume, np.int64), counts, minute, first, last, stream),
        ids=np.arange(total, dtype=np.int64) + first_id(session),
        venues=(stream("venue") ** 2 * VENUES).astype(np.int8),
        buys=stream("side") < 0.5,
    )


@lru_cache(maxsize=4)
def _quotes(market: Market, entity: str, session: dt.date, over: int, made: _Hashed) -> Quotes:
    trades = _trades(market, entity, session, over, made)
    stream = _Stream(market.seed, entity, session, len(trades))
    spread = 1 + (stream("spread") ** 3 * 4).astype(np.int64)
    bids = np.where(trades.buys, np.maximum(trades.prices - spread, 0), trades.prices)
    asks = np.where(trades.buys, trades.prices, trades.prices + spread)
    alone = stream("alone")
    bids[(alone < _ONE_SIDED) & trades.buys] = 0
    asks[(alone < _ONE_SIDED) & ~trades.buys] = 0
    lots = (100 * (1 + (stream(f"{side} size") ** 4 * 30).astype(np.int64)) for side in ("bid", "ask"))
    bid_sizes, ask_sizes = lots
    opened = trades.times[:1] // _MINUTE * _MINUTE
    early = np.maximum(trades.times - (stream("lead") * 900).astype(np.int64), opened)
    venues = ((stream(f"{side} venue") ** 2 * VENUES).astype(np.int8) for side in ("bid", "ask"))
    bid_venues, ask_venues = venues
    return Quotes(
        times=np.maximum.accumulate(early),
        bids=bids,
        bid_sizes=np.where(bids > 0, bid_sizes, 0),
        asks=asks,
        ask_sizes=np.where(asks > 0, ask_sizes, 0),
        bid_venues=bid_venues,
        ask_venues=ask_venues,
    )


@dataclass(frozen=True, slots=True)
class _Stream:
    """Noise of one session by name; a longer session begins like a shorter one."""

    seed: int
    entity: str
    session: dt.date
    count: int

    def __call__(self, name: str) -> noise.Floats:
        return noise.uniform(
            noise.key(self.seed, self.entity, self.session.isoformat(), "tick", name), self.count
        )


def _times(bars: Bars, minute: Ints, first: Ints, stream: _Stream) -> Ints:
    starts = np.array(bars.starts, np.int64) * _SECOND
    times = starts[minute] + (stream("time") * _MINUTE).astype(np.int64)
    times.sort()  # minutes do not overlap: each keeps its own
    same = stream("same instant") < _SAME_INSTANT
    same[first] = False
    at = np.flatnonzero(same)
    times[at] = times[at - 1]
    return times


def _prices(bars: Bars, minute: Ints, first: Ints, last: Ints, stream: _Stream) -> Ints:
    """From open to close with some noise; high and low somewhere in between."""
    opened, high, low, closed = (
        np.array(column, np.int64) for column in (bars.open, bars.high, bars.low, bars.close)
    )
    steps = np.maximum(last - first, 1)
    part = (np.arange(len(minute)) - first[minute]) / steps[minute]
    line = opened[minute] + (closed - opened)[minute] * part
    wiggle = (stream("price") - 0.5) * 0.3 * (high - low)[minute]
    prices: Ints = np.clip(np.rint(line + wiggle), low[minute], high[minute]).astype(np.int64)
    inner = last - first - 1  # trades strictly between the first and the last of the minute
    where = stream("extremes")[first]
    top = np.flatnonzero((inner > 0) & (high > np.maximum(opened, closed)))
    prices[first[top] + 1 + (where[top] * inner[top]).astype(np.int64)] = high[top]
    # The low takes the place after the high's, around the corner.
    deep = np.flatnonzero((inner > 1) & (low < np.minimum(opened, closed)))
    place = ((where[deep] * inner[deep]).astype(np.int64) + 1) % inner[deep]
    prices[first[deep] + 1 + place] = low[deep]
    only = np.flatnonzero(
        (inner == 1) & (low < np.minimum(opened, closed)) & (high <= np.maximum(opened, closed))
    )
    prices[first[only] + 1] = low[only]
    prices[first], prices[last] = opened, closed
    return prices


def _sizes(volume: Ints, counts: Ints, minute: Ints, first: Ints, last: Ints, stream: _Stream) -> Ints:
    """Each minute's volume handed out to its trades: one share at least where there are enough."""
    floor = np.where(volume >= counts, 1, 0)
    spare = volume - floor * counts
    weight = 0.02 + stream("size") ** 6
    running = np.cumsum(weight)
    before = running[first] - weight[first]
    share = (running - before[minute]) / (running[last] - before)[minute]
    upto = np.floor(spare[minute] * np.clip(share, 0.0, 1.0)).astype(np.int64)
    upto[last] = spare
    sizes = np.diff(upto, prepend=0)
    sizes[first] = upto[first]
    found: Ints = sizes + floor[minute]
    return found
