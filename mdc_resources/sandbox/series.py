"""Prices and volumes of one price series, from nothing but a seed, a name and a calendar.

The daily bar comes first; minutes are a bridge laid inside it, so that they aggregate to it exactly
(first open, highest high, lowest low, last close, sums of volume and trades). As traded, in integer
cents: a split divides every later price.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdc_resources.calendars import Calendar
from mdc_resources.sandbox import noise
from mdc_resources.sandbox.instruments import Instrument

Ints = NDArray[np.int32] | NDArray[np.int64]
_PULL = 0.998  # keeps a price within about a factor of three of where it began
_SHARES_PER_TRADE = 120
_HALF_DAY_MINUTES = 300
_MIN_TRADES = 8  # so that the first, last, highest and lowest minute can all trade


@dataclass(frozen=True, slots=True)
class Grid:
    """A calendar as arrays: session dates, and which of them are half days."""

    dates: NDArray[np.datetime64]
    half: NDArray[np.bool_]

    @classmethod
    def of(cls, calendar: Calendar) -> Grid:
        """The sessions of ``calendar``."""
        spans = zip(calendar.opens, calendar.closes, strict=True)
        half = [(closed - opened).total_seconds() < _HALF_DAY_MINUTES * 60 for opened, closed in spans]
        return cls(np.array(calendar.dates, dtype="datetime64[D]"), np.array(half))


@dataclass(frozen=True, slots=True)
class Columns:
    """Bars as columns of equal length; prices in cents, ``at`` positions (sessions or minutes)."""

    at: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    trades: Ints

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Columns:
        """The rows at ``index``."""
        return Columns(*(getattr(self, name)[index] for name in Columns.__slots__))


def daily(seed: int, instrument: Instrument, grid: Grid) -> Columns:
    """Every session of the calendar in order, also those before the listing; ``at`` is the ordinal."""
    name = instrument.entity
    count = len(grid.dates)
    sigma = 0.008 + 0.016 * noise.fraction(noise.key(seed, name, "sigma"))
    value = _value(seed, instrument, count, sigma)
    before = np.concatenate([value[:1], value[:-1]])
    opened = before * (1.0 + 0.35 * sigma * noise.bell(noise.key(seed, name, "gap"), count))
    top = np.maximum(opened, value) * (
        1.0 + 0.7 * sigma * noise.uniform(noise.key(seed, name, "high"), count)
    )
    bottom = np.minimum(opened, value) * (
        1.0 - 0.7 * sigma * noise.uniform(noise.key(seed, name, "low"), count)
    )
    ratio = _ratios(instrument, grid)
    open_, high, low, close = (_cents(prices / ratio) for prices in (opened, top, bottom, value))
    volume = _volume(seed, instrument, grid, ratio)
    trades = np.minimum(np.maximum(volume // _SHARES_PER_TRADE, _MIN_TRADES), volume)
    return Columns(np.arange(count), open_, high, low, close, volume, trades)


def minutes(seed: int, entity: str, session: dt.date, day: Columns, *, count: int) -> Columns:
    """The minutes with trades of one session, whose daily bar is the single row of ``day``.

    ``at`` is the minute of the session, 0 .. ``count`` - 1.
    """
    opened, high, low, closed, volume, trades = (
        int(getattr(day, name)[0]) for name in Columns.__slots__ if name != "at"
    )
    key = noise.key(seed, entity, session.isoformat(), "walk")
    line = np.arange(1, count + 1) / count
    walk = np.cumsum(noise.bell(key, count)) / count**0.5
    bridge = opened + (closed - opened) * line + 0.45 * (high - low) * (walk - walk[-1] * line)
    close = np.clip(np.rint(bridge), low, high).astype(np.int64)
    open_ = np.concatenate([[opened], close[:-1]])
    reach = (
        noise.uniform(noise.key(seed, entity, session.isoformat(), "reach"), 2 * count) * 0.06 * (high - low)
    )
    highs = np.minimum(np.maximum(open_, close) + reach[:count].astype(np.int64), high)
    lows = np.maximum(np.minimum(open_, close) - reach[count:].astype(np.int64), low)
    at_high, at_low = int(np.argmax(highs)), int(np.argmin(lows))
    highs[at_high], lows[at_low] = high, low
    traded = _trades_per_minute(seed, entity, session, trades, count, {0, count - 1, at_high, at_low})
    size = traded * (0.5 + noise.uniform(noise.key(seed, entity, session.isoformat(), "size"), count))
    shares = np.diff(_spread(volume, size), prepend=0)
    columns = Columns(np.arange(count), open_, highs, lows, close, shares, traded)
    return columns.take(traded > 0)


def _value(seed: int, instrument: Instrument, count: int, sigma: float) -> noise.Floats:
    """Closing value of one original share, in cents, per session of the calendar."""
    name = instrument.entity
    start = instrument.price_cents or int(2_000 + 28_000 * noise.fraction(noise.key(seed, name, "price")))
    level = 0.0
    levels = []
    for step in (noise.bell(noise.key(seed, name, "walk"), count) * sigma).tolist():
        level = _PULL * level + step
        levels.append(level)
    value: noise.Floats = start * np.exp(np.array(levels))
    return value


def _ratios(instrument: Instrument, grid: Grid) -> noise.Floats:
    """Shares that one original share has become, per session."""
    ratio = np.ones(len(grid.dates))
    for split in instrument.splits:
        ratio[grid.dates >= np.datetime64(split.ex_date)] *= float(split.ratio)
    return ratio


def _volume(seed: int, instrument: Instrument, grid: Grid, ratio: noise.Floats) -> Ints:
    name = instrument.entity
    count = len(grid.dates)
    typical = instrument.daily_volume or 1_500_000 + 20_000_000 * noise.fraction(
        noise.key(seed, name, "volume")
    )
    swing = np.exp(0.35 * noise.bell(noise.key(seed, name, "turnover"), count))
    shares = typical * swing * ratio * np.where(grid.half, 0.45, 1.0)
    return np.maximum(np.rint(shares), 100).astype(np.int64)


def _cents(values: noise.Floats) -> Ints:
    cents: Ints = np.maximum(np.rint(values), 1).astype(np.int32)
    return cents


def _trades_per_minute(
    seed: int, entity: str, session: dt.date, trades: int, count: int, needed: set[int]
) -> Ints:
    """``trades`` spread over ``count`` minutes, busier at both ends; ``needed`` minutes get one at least."""
    middle = np.abs(np.linspace(-1.0, 1.0, count))
    weight = (0.5 + 1.5 * middle**2) * (
        0.6 + 0.8 * noise.uniform(noise.key(seed, entity, session.isoformat(), "trades"), count)
    )
    spread: Ints = np.diff(_spread(trades, weight), prepend=0)
    for minute in sorted(needed):
        if spread[minute] == 0:
            spare = [int(trades) if i not in needed or trades > 1 else 0 for i, trades in enumerate(spread)]
            spread[spare.index(max(spare))] -= 1
            spread[minute] += 1
    return spread


def _spread(total: int, weight: noise.Floats) -> Ints:
    """Running sums of ``total`` handed out by ``weight``; the last one is ``total``."""
    upto: Ints = np.floor(total * (np.cumsum(weight) / weight.sum())).astype(np.int64)
    upto[-1] = total
    return upto
