"""The synthetic market: instruments, daily and minute bars as traded, and what adjusts them.

Everything is a function of (seed, symbol, date): the same in any process and whatever was asked
before. ``now`` (the wall clock, unless one is given) only decides how much of it has happened:
later sessions do not exist yet, the running one is partial, splits and dividends with a later
ex-date are unknown. Prices are integer cents; :class:`Bar` shows them as Decimal.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mdc_resources.calendars import Calendar, get_calendar
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol, parse_symbol
from mdc_resources.domain.time import now as wall_clock
from mdc_resources.sandbox import series
from mdc_resources.sandbox.instruments import Dividend, Instrument, describe, is_unknown

_CENT = Decimal("0.01")
_MINUTE = 60


class Bar(NamedTuple):
    """One bar as traded. ``start`` is the session's open for a daily bar, the minute otherwise."""

    session: dt.date
    start: dt.datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    trade_count: int


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars as lists of equal length; prices in cents, ``starts`` in epoch seconds UTC."""

    sessions: list[dt.date]
    starts: list[int]
    open: list[int]
    high: list[int]
    low: list[int]
    close: list[int]
    volume: list[int]
    trades: list[int]

    def __len__(self) -> int:
        return len(self.sessions)

    def __iter__(self) -> Iterator[Bar]:
        for i, session in enumerate(self.sessions):
            o, h, low, c = (
                Decimal(cents[i]) * _CENT for cents in (self.open, self.high, self.low, self.close)
            )
            start = dt.datetime.fromtimestamp(self.starts[i], dt.UTC)
            yield Bar(session, start, o, h, low, c, self.volume[i], self.trades[i])


class Market:
    """The market of one seed and calendar. Safe to share between threads."""

    def __init__(
        self,
        *,
        seed: int,
        calendar: Calendar,
        clock: Callable[[], dt.datetime] = wall_clock,
        planned: Calendar | None = None,
    ) -> None:
        self.seed = seed
        self.calendar = calendar
        self._clock = clock
        # A closure takes a session away and leaves all others as they were, so the series is laid
        # over the sessions that were planned.
        self._grid = series.Grid.of(planned or calendar)
        open_days = set(calendar.dates)
        self._kept = np.array([day in open_days for day in (planned or calendar).dates], dtype=bool)
        self._opens = np.array([int(opened.timestamp()) for opened in calendar.opens], dtype=np.int64)
        self._describe = lru_cache(maxsize=4096)(lambda symbol: describe(symbol, calendar))
        self._entity_series = lru_cache(maxsize=1024)(self._make_series)
        self._session_minutes = lru_cache(maxsize=4096)(self._make_minutes)

    @classmethod
    def synthetic(
        cls,
        seed: int = 7,
        *,
        calendar: str = "XNYS",
        now: dt.datetime | Callable[[], dt.datetime] | None = None,
        closures: Path | None = None,
    ) -> Market:
        """The default market. ``now`` fixes or supplies the instant that counts as the present.

        ``closures`` is a ``closures.toml``, or the home that holds one: nothing trades on days that
        it closes, and early closes end the day there. All other bars stay what they are without it.
        """
        planned = get_calendar(calendar)
        actual = get_calendar(calendar, closures) if closures else planned
        if isinstance(now, dt.datetime):
            if now.tzinfo is None:
                raise UsageError("the sandbox's now has no time zone", hint="Give an aware datetime")
            fixed = now
            return cls(seed=seed, calendar=actual, clock=lambda: fixed, planned=planned)
        return cls(seed=seed, calendar=actual, clock=now or wall_clock, planned=planned)

    def now(self) -> dt.datetime:
        """The instant that counts as the present."""
        return self._clock()

    def today(self) -> dt.date:
        """The present date at the exchange."""
        return self.now().astimezone(self.calendar.tz).date()

    def instrument(self, symbol: str) -> Instrument | None:
        """The facts about ``symbol``; None where the market has no such thing."""
        try:
            name = parse_symbol(symbol)
        except UsageError:
            return None
        if is_unknown(name):
            return None
        return self._describe(name)

    def daily(self, symbol: str, start: dt.date, end: dt.date) -> Bars:
        """Daily bars of the sessions ``start``..``end`` (inclusive) that have begun and had trades."""
        instrument = self._known(symbol)
        first, stop = self._span(instrument, start, end)
        columns = self._series(instrument).take(slice(first, stop))
        if instrument.halts:
            halted = np.array(
                [day in instrument.halts for day in self.calendar.dates[first:stop]], dtype=bool
            )
            columns = columns.take(~halted)
        bars = self._as_bars(columns, self._opens[columns.at])
        running = self._running()
        if running is not None and bars.sessions and bars.sessions[-1] == running:
            _replace_last(bars, self.minutes(symbol, running, running))
        return bars

    def minutes(self, symbol: str, start: dt.date, end: dt.date) -> Bars:
        """Minute bars of the sessions ``start``..``end`` (inclusive): only minutes over and traded."""
        instrument = self._known(symbol)
        first, stop = self._span(instrument, start, end)
        running = self._running()
        found = Bars([], [], [], [], [], [], [], [])
        for ordinal in range(first, stop):
            session = self.calendar.dates[ordinal]
            if session in instrument.halts:
                continue
            columns = self._session_minutes(instrument.entity, ordinal)
            opened = int(self._opens[ordinal])
            if session == running:
                over = (int(self.now().timestamp()) - opened) // _MINUTE
                columns = columns.take(columns.at < over)
            _extend(found, session, columns, opened)
        return found

    def sessions(self, symbol: str, start: dt.date, end: dt.date) -> tuple[dt.date, ...]:
        """Begun sessions of ``start``..``end`` on which ``symbol`` was listed, halted ones included."""
        first, stop = self._span(self._known(symbol), start, end)
        return self.calendar.dates[first:stop]

    def previous_close(self, symbol: str, session: dt.date) -> int | None:
        """The last close before ``session``, in cents as traded; None before the first one."""
        instrument = self._known(symbol)
        at = bisect_left(self.calendar.dates, session) - 1
        while at >= 0 and self.calendar.dates[at] in instrument.halts:
            at -= 1
        if at < 0 or self.calendar.dates[at] < instrument.listed:
            return None
        return int(self._series(instrument).close[at])

    def known_dividends(self, symbol: str) -> tuple[Dividend, ...]:
        """Dividends whose ex-date has come, while listed."""
        instrument, today = self._known(symbol), self.today()
        last = instrument.last or today
        return tuple(d for d in instrument.dividends if d.ex_date <= min(today, last))

    def _known(self, symbol: str) -> Instrument:
        found = self.instrument(symbol)
        if found is None:
            raise UsageError(f"the sandbox's market has no {symbol[:40]!a}")
        return found

    def _span(self, instrument: Instrument, start: dt.date, end: dt.date) -> tuple[int, int]:
        """Half-open range of ordinals: inside the listing, begun by now, within ``start``..``end``."""
        begun = bisect_right(self.calendar.opens, self.now())
        first = bisect_left(self.calendar.dates, max(start, instrument.listed))
        stop = bisect_right(self.calendar.dates, min(end, instrument.last or end))
        return first, max(first, min(stop, begun))

    def _running(self) -> dt.date | None:
        return self.calendar.session_of(self.now())

    def _series(self, instrument: Instrument) -> series.Columns:
        return self._entity_series(instrument.entity)

    def _make_series(self, entity: Symbol) -> series.Columns:
        bars = series.daily(self.seed, self._known(entity), self._grid).take(self._kept)
        return replace(bars, at=np.arange(len(bars.at)))

    def _make_minutes(self, entity: Symbol, ordinal: int) -> series.Columns:
        session = self.calendar.dates[ordinal]
        day = self._series(self._known(entity)).take(slice(ordinal, ordinal + 1))
        return series.minutes(self.seed, entity, session, day, count=self.calendar.minutes(session))

    def _as_bars(self, columns: series.Columns, starts: series.Ints) -> Bars:
        return Bars(
            [self.calendar.dates[at] for at in columns.at.tolist()],
            starts.tolist(),
            *(getattr(columns, name).tolist() for name in series.Columns.__slots__ if name != "at"),
        )


def _extend(found: Bars, session: dt.date, columns: series.Columns, opened: int) -> None:
    found.sessions.extend([session] * len(columns.at))
    found.starts.extend((columns.at * _MINUTE + opened).tolist())
    for name in ("open", "high", "low", "close", "volume", "trades"):
        getattr(found, name).extend(getattr(columns, name).tolist())


def _replace_last(bars: Bars, so_far: Bars) -> None:
    """Make the last daily bar what its minutes add up to so far; drop it before the first minute is over."""
    if not so_far:
        for name in Bars.__slots__:
            getattr(bars, name).pop()
        return
    bars.high[-1], bars.low[-1] = max(so_far.high), min(so_far.low)
    bars.close[-1] = so_far.close[-1]
    bars.volume[-1], bars.trades[-1] = sum(so_far.volume), sum(so_far.trades)
