"""Which session an instant belongs to, per symbol, and from when until when a session is captured.

Windows meet without a gap (:meth:`mdc_resources.calendars.Calendar.window`), so that every instant
of a known year has a session. Instants are integer nanoseconds UTC, half-open.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home
from mdc_resources.coverage.universes import calendar_of
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import UTC
from mdc_resources.state import State

_MORNING = dt.time(4)
_AROUND = dt.timedelta(days=10)  # longer than any exchange stays closed
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)


class Window(NamedTuple):
    """One session: its date, its first instant and the first after it."""

    session: dt.date
    start_ns: int
    end_ns: int


class Windows:
    """The windows of one calendar's sessions around the times that are asked about."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self._windows: list[Window] = []
        self._starts: list[int] = []

    def at(self, ns: int) -> Window:
        """The session that ``ns`` belongs to; UsageError outside the calendar's bounds."""
        self._know(ns, ns)
        return self._windows[bisect_right(self._starts, ns) - 1]

    def pieces(self, start_ns: int, end_ns: int) -> Iterator[Window]:
        """``start_ns`` .. ``end_ns`` cut at the edges of sessions."""
        at = start_ns
        while at < end_ns:
            window = self.at(at)
            end = min(end_ns, window.end_ns)
            yield Window(window.session, at, end)
            at = end

    def days(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The session of each of ``times`` as days since 1970."""
        self._know(int(times.min()), int(times.max()))
        found = np.searchsorted(np.array(self._starts), times, side="right") - 1
        dates = pa.array([window.session for window in self._windows], pa.date32())
        days: npt.NDArray[np.int32] = dates.view(pa.int32()).to_numpy()[found]
        return days

    def captured(self, session: dt.date, hours: str) -> tuple[int, int]:
        """From when until when a feed with these ``hours`` captures ``session``."""
        start, end = self.calendar.window(session)
        opens, closes = self.calendar.hours(session)
        if hours == "always" or (start, end) == (opens, closes):
            return nanos(start), nanos(end)
        if hours == "regular":
            return nanos(opens), nanos(closes)
        early = dt.datetime.combine(session, _MORNING, self.calendar.tz).astimezone(UTC)
        return nanos(min(opens, early)), nanos(end)

    def _know(self, first: int, last: int) -> None:
        if self._windows and self._starts[0] <= first and last < self._windows[-1].end_ns:
            return
        if self._windows:
            first, last = min(first, self._starts[0]), max(last, self._windows[-1].end_ns)
        known = self.calendar.last_known
        start, end = (instant(ns).date() for ns in (first, last))
        self._windows = [
            Window(session, *map(nanos, self.calendar.window(session)))
            for session in self.calendar.sessions(min(start - _AROUND, known), min(end + _AROUND, known))
        ]
        self._starts = [window.start_ns for window in self._windows]


class Sessions:
    """Windows by symbol."""

    def __init__(self, home: Home, state: State) -> None:
        self._home = home
        self._state = state
        self._of: dict[str, Windows] = {}
        self._calendars: dict[str, Windows] = {}

    def of(self, symbol: str) -> Windows:
        """The windows of the symbol's calendar."""
        found = self._of.get(symbol)
        if found is None:
            calendar = calendar_of(self._home, self._state, Symbol(symbol))
            found = self._of[symbol] = self._calendars.setdefault(calendar.name, Windows(calendar))
        return found

    def days(self, symbols: pa.Array, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The session of each row, as days since 1970."""
        encoded = symbols.dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        windows = [self.of(name) for name in encoded.dictionary.to_pylist()]
        days = np.zeros(len(times), np.int32)
        for one in {id(each): each for each in windows}.values():
            mine = np.array([each is one for each in windows])[codes]
            if mine.any():
                days[mine] = one.days(times[mine])
        return days


def nanos(moment: dt.datetime) -> int:
    """An aware instant as nanoseconds since 1970; exact to the microsecond."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000


def instant(ns: int) -> dt.datetime:
    """Invert :func:`nanos`, rounded down to the microsecond."""
    return _EPOCH + dt.timedelta(microseconds=ns // 1_000)
