"""The coins of the sandbox: the same seed and clock over a market that never closes.

A pair is a series of its own (``BTC-USD``), the same at every exchange. Prices are the market's cents; a
coin's amount is a ten-thousandth of the market's share, so that volumes are fractional. Pairs of
THIN, HALT and NEWCO borrow those names' facts: few trades, two days without any, a late listing.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mdc_resources.sandbox.answers import Row
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.tape import FIRST_ID, HOUR, SECOND, LiveTape
from mdc_resources.sandbox.ticks import Ticks, trades_of

DAY, MINUTE = 86_400, 60
_PER_COIN = 10_000
_NAMED = frozenset({"THIN", "HALT", "NEWCO"})
_FIRST = dt.date(2015, 1, 1)


@dataclass(frozen=True, slots=True)
class Candle:
    """One interval in wire texts; ``trades`` 0 stands for an interval without any, at the last price."""

    session: dt.date
    start: int  # epoch seconds UTC
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote: str
    trades: int

    @property
    def vwap(self) -> float:
        """Quote volume by volume; 0 where nothing was traded."""
        return float(self.quote) / float(self.volume) if self.trades else 0.0

    def row(self, symbol: str) -> Row:
        """The candle as a row that faults may act on."""
        texts = (self.open, self.high, self.low, self.close, self.volume)
        return Row(symbol, self.session, self.start, *texts, trades=str(self.trades), vwap=self.quote)


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades in order, columns of equal length: ns UTC, cents, ten-thousandths of a coin, ids."""

    times: NDArray[np.int64]
    cents: NDArray[np.int64]
    sizes: NDArray[np.int64]
    ids: NDArray[np.int64]
    buys: NDArray[np.bool_]  # the taker bought

    def __len__(self) -> int:
        return len(self.times)


class CryptoMarket:
    """Pairs over a 24/7 market, beside ``market`` and with its clock; built when first asked."""

    def __init__(self, market: Market, *, live: LiveTape | None = None, provider: str = "") -> None:
        self._beside = market
        self._live = live  # shown as the history of ``provider`` from its first instant on
        self._provider = provider
        self._known: dict[str, tuple[list[dt.date], NDArray[np.int64]]] = {}

    @cached_property
    def market(self) -> Market:
        """The market that never closes."""
        return Market.synthetic(self._beside.seed, calendar="24/7", now=self._beside.now)

    def previous_close(self, pair: str, session: dt.date) -> int | None:
        """The last close before ``session`` in cents; None before the first one."""
        return self.market.previous_close(_series(pair), session)

    def now(self) -> dt.datetime:
        """The instant that counts as the present."""
        return self._beside.now()

    def knows(self, pair: str) -> bool:
        """True where ``pair`` (``BTC-USD``) is traded."""
        base, dash, quote = pair.partition("-")
        return bool(dash and base and quote) and self.market.instrument(_series(pair)) is not None

    def candles(self, pair: str, step: int, start: int, end: int, *, gaps: bool) -> list[Candle]:
        """Candles of ``step`` seconds (a day or a minute) that begin in ``start`` .. ``end``, inclusive.

        The running one is included. Intervals without a trade are left out where ``gaps``; else they
        are there with the last price, from the first trade of the listing on.
        """
        now = int(self.now().timestamp())
        first, last = _date(max(start, _epoch(_FIRST))), _date(min(end, now))
        if first > last:
            return []
        series = _series(pair)
        if step == DAY:
            bars = self.market.daily(series, first, last)
        else:
            bars = self.market.minutes(series, first, last)
        found = {}
        for i, at in enumerate(bars.starts):
            cents = (bars.open[i], bars.high[i], bars.low[i], bars.close[i])
            quote = sum(cents) * bars.volume[i] / (4 * _PER_COIN * 100)
            opened, high, low, closed = (coin_text(value, 2) for value in cents)
            amount = coin_text(bars.volume[i], 4)
            found[at] = Candle(
                bars.sessions[i], at, opened, high, low, closed, amount, f"{quote:.8f}", bars.trades[i]
            )
        if not gaps:
            self._fill(found, series, step, first, min(end, now))
        return [found[at] for at in sorted(found) if start <= at <= end]

    def trades(self, pair: str, session: dt.date) -> Trades:
        """The trades of one UTC day so far; nanoseconds are unique, ids count up without a gap."""
        sessions, firsts = self._ids(_series(pair))
        at = bisect_right(sessions, session) - 1
        return _spread(trades_of(self.market, _series(pair), session), first=int(firsts[max(at, 0)]))

    def trades_from(self, pair: str, start: int) -> Iterator[Trades]:
        """All trades of the day or hour that holds ``start`` (nanoseconds), then of those after it."""
        session = max(_FIRST, _date(min(start, self._now()) // SECOND))
        while session <= self._last_session():
            yield self.trades(pair, session)
            session += dt.timedelta(days=1)
        if self._live:
            for _, columns in self._live.hours(self._provider, pair, start, self._now()):
                yield _of(columns.trades)

    def trades_from_id(self, pair: str, trade_id: int) -> Iterator[Trades]:
        """The same from the day or hour on that holds ``trade_id``."""
        if self._live and trade_id >= FIRST_ID:
            return self.trades_from(pair, self._live.second_of(self._provider, pair, trade_id) * SECOND)
        return self.trades_from(pair, _epoch(self.session_of_trade(pair, trade_id)) * SECOND)

    def trades_before(self, pair: str, trade_id: int) -> Iterator[Trades]:
        """All trades of the day or hour that holds the id before ``trade_id`` and of those before it."""
        if self._live and trade_id > FIRST_ID:
            now, since = self._now(), self._live.since_second
            last = min(self._live.second_of(self._provider, pair, trade_id - 1), now // SECOND)
            for hour in range(last // HOUR * HOUR, since - 1, -HOUR):
                yield _of(self._live.hour(self._provider, pair, hour, now).trades)
        session = min(self.session_of_trade(pair, trade_id - 1), self._last_session())
        while session >= _FIRST:
            yield self.trades(pair, session)
            session -= dt.timedelta(days=1)

    def _now(self) -> int:
        return self._live.now() if self._live else int(self.now().timestamp() * SECOND)

    def _last_session(self) -> dt.date:
        """The last day whose trades are the market's own."""
        return self._live.since.date() - dt.timedelta(days=1) if self._live else self.now().date()

    def session_of_trade(self, pair: str, trade_id: int) -> dt.date:
        """The session to which an id belongs, no earlier than the first and no later than today."""
        sessions, firsts = self._ids(_series(pair))
        return sessions[max(int(firsts.searchsorted(trade_id, side="right")) - 1, 0)]

    def _ids(self, series: str) -> tuple[list[dt.date], NDArray[np.int64]]:
        """All sessions up to today's, and the id of the first trade of each or of the next that has one."""
        today = self.market.today()
        if series not in self._known or self._known[series][0][-1] != today:
            sessions = [day for day in self.market.calendar.dates if _FIRST <= day <= today]
            bars = self.market.daily(series, _FIRST, today - dt.timedelta(days=1))
            counts = dict(zip(bars.sessions, bars.trades, strict=True))
            before = np.cumsum([0, *(counts.get(day, 0) for day in sessions[:-1])])
            self._known[series] = (sessions, before.astype(np.int64) + 1)
        return self._known[series]

    def _fill(self, found: dict[int, Candle], series: str, step: int, first: dt.date, end: int) -> None:
        sessions = self.market.sessions(series, first, _date(end))
        if not sessions:
            return
        before = self.market.previous_close(series, sessions[0])
        price = None if before is None else coin_text(before, 2)
        for at in range(_epoch(sessions[0]), min(end, _epoch(sessions[-1]) + DAY - 1) + 1, step):
            if at in found:
                price = found[at].close
            elif price is not None:
                found[at] = Candle(_date(at), at, price, price, price, price, "0", "0", 0)


def coin_text(value: int, decimals: int) -> str:
    """``15_1234`` with 4 decimals as ``15.1234``: all decimals, no rounding."""
    whole, part = divmod(value, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def padded(text: str, decimals: int = 8) -> str:
    """``text`` with exactly so many decimals, where it is a plain number; else as it is."""
    whole, _, part = text.partition(".")
    plain = whole.lstrip("-").isdecimal() and (part.isdecimal() or not part) and len(part) <= decimals
    return f"{whole}.{part.ljust(decimals, '0')}" if plain else text


def _of(ticks: Ticks) -> Trades:
    return Trades(ticks.times, ticks.prices, ticks.sizes, ticks.ids, ticks.buys)


def _series(pair: str) -> str:
    base = pair.partition("-")[0]
    return base if base in _NAMED else pair


def _date(seconds: int) -> dt.date:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date()


def _epoch(date: dt.date) -> int:
    return int(dt.datetime.combine(date, dt.time(), dt.UTC).timestamp())


def _spread(ticks: Ticks, *, first: int) -> Trades:
    """Ticks of one nanosecond become one after another: an exchange's clock never stands still."""
    steps = np.arange(len(ticks.times), dtype=np.int64)
    times = np.maximum.accumulate(ticks.times - steps) + steps
    return Trades(times, ticks.prices, ticks.sizes, steps + first, ticks.buys)
