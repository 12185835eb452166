"""Sessions of an exchange: which dates it trades, when each opens and closes.

Built on exchange-calendars with explicit bounds, plus ``closures.toml`` in the home for closures
the library does not know yet::

    [XNYS]
    closed = [2031-03-04]
    early_close = { 2031-03-05 = "13:00" }

A date outside the bounds is an error (:class:`UsageError`), never "closed". ``24/7`` has one
session a UTC day. Instants are UTC; a session's regular hours are half-open ``[open, close)``.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from mdc_resources.domain.errors import ConfigError, UsageError
from mdc_resources.domain.time import UTC, now

FIRST = dt.date(1990, 1, 1)
YEARS_AHEAD = 1
_EVENING = dt.time(20)
OVERRIDES_FILE = "closures.toml"
Closed = tuple[dt.date, ...]
Early = tuple[tuple[dt.date, dt.time], ...]


@dataclass(frozen=True, slots=True)
class Calendar:
    """Sessions in date order with their regular hours.

    ``ordinal`` numbers sessions from the calendar's first one; consecutive sessions have
    consecutive ordinals whatever holidays lie between.
    """

    name: str
    tz: ZoneInfo
    dates: tuple[dt.date, ...] = field(repr=False)
    opens: tuple[dt.datetime, ...] = field(repr=False)
    closes: tuple[dt.datetime, ...] = field(repr=False)
    last_known: dt.date

    def sessions(self, start: dt.date, end: dt.date) -> tuple[dt.date, ...]:
        """Session dates in ``start``..``end``, both inclusive."""
        self._check(start, end)
        return self.dates[bisect_left(self.dates, start) : bisect_right(self.dates, end)]

    def is_session(self, date: dt.date) -> bool:
        """True if the exchange trades on ``date``."""
        self._check(date, date)
        at = bisect_left(self.dates, date)
        return at < len(self.dates) and self.dates[at] == date

    def ordinal(self, session: dt.date) -> int:
        """Position of ``session``; raises UsageError if it is not one."""
        at = bisect_left(self.dates, session)
        if at == len(self.dates) or self.dates[at] != session:
            raise UsageError(f"{session} is no session of {self.name}")
        return at

    def first_from(self, date: dt.date) -> int:
        """Ordinal of the first session on or after ``date``; the number of sessions if none is known."""
        return bisect_left(self.dates, date)

    def session_at(self, ordinal: int) -> dt.date:
        """Invert :meth:`ordinal`."""
        return self.dates[ordinal]

    def hours(self, session: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """Regular open and close of ``session``, UTC, half-open."""
        at = self.ordinal(session)
        return self.opens[at], self.closes[at]

    def window(self, session: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """The instants whose events belong to ``session``, UTC, half-open; windows meet without a gap.

        A window ends at 20:00 local time of its date (the end of extended hours), never before the close
        nor after the next open; what comes later belongs to the next session.
        """
        at = self.ordinal(session)
        # The first session known has no one before it: its window is the day before its open.
        start = self._ends(at - 1) if at else self.opens[0] - dt.timedelta(days=1)
        return start, self._ends(at)

    def _ends(self, at: int) -> dt.datetime:
        if at + 1 < len(self.opens) and self.opens[at + 1] == self.closes[at]:
            return self.closes[at]  # it never closes: sessions meet at midnight
        evening = dt.datetime.combine(self.dates[at], _EVENING, self.tz).astimezone(UTC)
        late = max(self.closes[at], evening)
        return min(late, self.opens[at + 1]) if at + 1 < len(self.opens) else late

    def minutes(self, session: dt.date) -> int:
        """Regular minutes of ``session``: 390 on a full XNYS day, 210 on a half day."""
        opened, closed = self.hours(session)
        return int((closed - opened).total_seconds() // 60)

    def session_of(self, instant: dt.datetime) -> dt.date | None:
        """The session whose regular hours contain ``instant``; None between sessions."""
        at = bisect_right(self.opens, instant) - 1
        return self.dates[at] if at >= 0 and instant < self.closes[at] else None

    def final_sessions(
        self,
        start: dt.date,
        end: dt.date,
        *,
        at: dt.datetime,
        settle: dt.timedelta,
        whole_window: bool = False,
    ) -> tuple[dt.date, ...]:
        """Sessions of ``start``..``end`` whose close plus ``settle`` lies at or before ``at``.

        With ``whole_window`` it is the end of the session's window that counts, as events need.
        ``end`` may lie beyond what is known, as long as ``at`` does not: nothing there is final.
        """
        found = self.sessions(start, end if at.date() > self.last_known else min(end, self.last_known))
        first = bisect_left(self.dates, found[0]) if found else 0
        due = bisect_right(self.closes, at - settle, first, first + len(found))
        while whole_window and due > first and self._ends(due - 1) > at - settle:
            due -= 1
        return found[: due - first]

    def _check(self, start: dt.date, end: dt.date) -> None:
        if start < FIRST or end > self.last_known:
            raise UsageError(
                f"{self.name} is known from {FIRST} to {self.last_known}, not for {start}..{end}",
                hint="Ask for dates inside, or upgrade exchange-calendars",
            )


def get_calendar(name: str, home: Path | None = None) -> Calendar:
    """The calendar called ``name`` (XNYS, XLON, 24/7 ...), with the closures of ``home`` applied.

    ``home`` is the folder of a ``closures.toml``, or such a file itself.

    Raises:
        ConfigError: no such calendar, or ``closures.toml`` cannot be used.
    """
    path = home / OVERRIDES_FILE if home and home.is_dir() else home
    closed, early = _overrides(path, name) if path else ((), ())
    return _build(name, closed, early, now().year)


def check_calendar(name: str) -> None:
    """Raise ConfigError unless ``name`` is a known calendar."""
    _build(name, (), (), now().year)


@lru_cache(maxsize=32)
def _build(name: str, closed: Closed, early: Early, year: int) -> Calendar:
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    last = dt.date(year + YEARS_AHEAD, 12, 31)
    try:
        source = exchange_calendars.get_calendar(name, start=FIRST.isoformat(), end=last.isoformat())
    except InvalidCalendarName:
        raise ConfigError(f"there is no calendar {name!a}", hint="XNYS, XLON, XETR, 24/7 ...") from None
    except ValueError:  # the library knows fewer years of this one
        source = exchange_calendars.get_calendar(name)
        last = min(last, source.last_session.date())
    gone = set(closed)
    closes_early = dict(early)
    tz = ZoneInfo(str(source.tz))
    dates: list[dt.date] = []
    opens: list[dt.datetime] = []
    closes: list[dt.datetime] = []
    rows = zip(source.sessions, source.opens.array, source.closes.array, strict=True)
    for session, opened, closed_at in rows:
        day = session.date()
        if day in gone:
            continue
        dates.append(day)
        opens.append(opened.to_pydatetime().astimezone(UTC))
        closes.append(closed_at.to_pydatetime().astimezone(UTC))
        if day in closes_early:
            at = dt.datetime.combine(day, closes_early[day], tz).astimezone(UTC)
            if not opens[-1] < at <= closes[-1]:
                hours = " to ".join(f"{instant.astimezone(tz):%H:%M}" for instant in (opens[-1], closes[-1]))
                raise ConfigError(
                    f"{OVERRIDES_FILE}: {name} cannot close early at {closes_early[day]:%H:%M} on {day}",
                    key=f"{name}.early_close",
                    hint=f"That day it trades from {hours}, local time",
                )
            closes[-1] = at
    return Calendar(name, tz, tuple(dates), tuple(opens), tuple(closes), last)


def _overrides(path: Path, name: str) -> tuple[Closed, Early]:
    if not path.is_file():
        return (), ()
    try:
        section = tomllib.loads(path.read_text(encoding="utf-8")).get(name, {})
        unknown = set(section) - {"closed", "early_close"}
        if unknown:
            raise ConfigError(
                f"{path}: unknown key {sorted(unknown)[0]!r}", hint="Known here: closed, early_close"
            )
        closed = tuple(_day(day) for day in section.get("closed", ()))
        early = tuple(
            (_day(day), dt.time.fromisoformat(str(at))) for day, at in section.get("early_close", {}).items()
        )
    except (ValueError, AttributeError, TypeError) as error:  # TOML's own errors are ValueErrors
        raise ConfigError(f"{path} cannot be used: {error}") from None
    return closed, early


def _day(value: object) -> dt.date:
    return value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value))
