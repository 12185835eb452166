"""One date on one calendar: a session with its hours, or why there is none.

A closure that only ``closures.toml`` knows is told from one that the calendar knows by asking the
calendar without the home. Names of holidays come from exchange-calendars, where it has one.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from mdc_resources.calendars import OVERRIDES_FILE, Calendar, get_calendar

_WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
_AROUND = 60  # sessions to each side that tell what is usual


class DayKind(StrEnum):
    """What a date is to an exchange."""

    SESSION = "session"
    HALF_DAY = "half_day"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"
    CLOSURE = "closure"  # by the home's own file


@dataclass(frozen=True, slots=True)
class Day:
    """``opens`` and ``closes`` are UTC, half-open, None where there is no session.

    ``before`` and ``after`` are the neighbouring sessions; ``why`` is one phrase for a person.
    """

    date: dt.date
    calendar: str
    timezone: str
    kind: DayKind
    why: str
    opens: dt.datetime | None
    closes: dt.datetime | None
    minutes: int
    usual_minutes: int
    before: dt.date | None
    after: dt.date | None

    @property
    def is_session(self) -> bool:
        """True if the exchange trades (or was to trade) that day."""
        return self.kind in (DayKind.SESSION, DayKind.HALF_DAY)


def day_of(calendar: Calendar, date: dt.date) -> Day:
    """What ``date`` is; raises UsageError outside the years the calendar knows."""
    is_session = calendar.is_session(date)
    at = bisect_left(calendar.dates, date)
    near = range(max(at - _AROUND, 0), min(at + _AROUND, len(calendar.dates)))
    lengths = Counter(calendar.minutes(calendar.session_at(n)) for n in near)
    usual = lengths.most_common(1)[0][0] if lengths else 0
    opens, closes = calendar.hours(date) if is_session else (None, None)
    minutes = calendar.minutes(date) if is_session else 0
    kind, why = _kind(calendar, date, short=minutes < usual)
    after = at + 1 if is_session else at
    return Day(
        date=date,
        calendar=calendar.name,
        timezone=str(calendar.tz),
        kind=kind,
        why=why,
        opens=opens,
        closes=closes,
        minutes=minutes,
        usual_minutes=usual,
        before=calendar.session_at(at - 1) if at else None,
        after=calendar.session_at(after) if after < len(calendar.dates) else None,
    )


def _kind(calendar: Calendar, date: dt.date, *, short: bool) -> tuple[DayKind, str]:
    published = get_calendar(calendar.name)
    if calendar.is_session(date):
        if not short:
            return DayKind.SESSION, "a full session"
        if published.is_session(date) and published.hours(date) != calendar.hours(date):
            return DayKind.HALF_DAY, f"a half day, says {OVERRIDES_FILE}"
        name = _name(calendar.name, date, early=True)
        return DayKind.HALF_DAY, f"a half day: {name}" if name else "a half day"
    if published.is_session(date):
        return DayKind.CLOSURE, f"{calendar.name} was closed, says {OVERRIDES_FILE}"
    weekdays = {session.weekday() for session in published.dates[-260:]}
    if date.weekday() not in weekdays:
        return DayKind.WEEKEND, f"{calendar.name} does not trade on {_WEEKDAYS[date.weekday()]}"
    name = _name(calendar.name, date, early=False)
    return DayKind.HOLIDAY, f"{calendar.name} was closed: {name}" if name else f"{calendar.name} was closed"


def _name(calendar: str, date: dt.date, *, early: bool) -> str:
    """What exchange-calendars calls the holiday (or the early close) on ``date``; empty if it has no name."""
    import exchange_calendars
    import pandas as pd

    source = exchange_calendars.get_calendar(calendar)
    rules = [rule for _, rule in source.special_closes] if early else [source.regular_holidays]
    day = pd.Timestamp(date)
    for rule in rules:
        if rule is not None and len(named := rule.holidays(day, day, return_name=True)):
            return str(named.iloc[0])
    return ""


def closed_days(calendar: Calendar, start: dt.date, end: dt.date) -> dict[dt.date, str]:
    """Dates of ``start``..``end``, inclusive, without a session on a weekday that has them, and why."""
    import exchange_calendars
    import pandas as pd

    trading = {session.weekday() for session in calendar.dates[-400:]}
    sessions = set(calendar.sessions(start, end))
    days = (start + dt.timedelta(days=n) for n in range((end - start).days + 1))
    closed = [day for day in days if day.weekday() in trading and day not in sessions]
    rule = exchange_calendars.get_calendar(calendar.name).regular_holidays if closed else None
    names: dict[dt.date, str] = {}
    if rule is not None:
        found = rule.holidays(pd.Timestamp(start), pd.Timestamp(end), return_name=True)
        names = {at.date(): str(name) for at, name in found.items()}
    return {day: f"closed: {names[day]}" if day in names else "closed" for day in closed}
