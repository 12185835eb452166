"""When a feed is captured: the windows of a universe's calendar, and when they open and close.

``extended`` is 04:00 to 20:00 local time of each session's date (the window of US extended hours),
never less than its regular hours; ``regular`` is open to close; ``always`` has no end. Calendars
are imported when they are first asked: a sidecar of coins alone never loads them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdc_resources.config import Home
from mdc_resources.domain.symbols import venue_of
from mdc_resources.domain.time import UTC
from mdc_resources.providers.live import Subscription

if TYPE_CHECKING:
    from mdc_resources.calendars import Calendar

_MORNING, _EVENING = dt.time(4), dt.time(20)
_LOOK_BACK, _LOOK_AHEAD = dt.timedelta(days=4), dt.timedelta(days=14)
_LONG = dt.timedelta(days=1)  # how far ahead the next look is where nothing is known to change


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of one feed. ``calendar`` is None where it never closes."""

    mode: str
    calendar: Calendar | None

    @classmethod
    def of(cls, home: Home, mode: str) -> Hours:
        """The hours of shares in ``home``: those of its default universe. ConfigError for a bad calendar."""
        if mode == "always":
            return cls(mode, None)
        from mdc_resources.calendars import get_calendar

        universe = home.settings.universes.get(home.settings.ingest.default_universe)
        name = universe.calendar if universe else "XNYS"
        return cls(mode, None if name == "24/7" else get_calendar(name, home.root))

    def at(self, instant: dt.datetime) -> tuple[bool, dt.datetime]:
        """Whether it is captured at ``instant`` (UTC), and until when at most that stays so."""
        later = instant + _LONG
        if self.calendar is None or instant.date() > self.calendar.last_known:
            return True, later  # an unknown date is not a closed one
        for opens, closes in self._windows(instant):
            if instant < opens:
                return False, min(opens, later)
            if instant < closes:
                return True, min(closes, later)
        return False, later

    def _windows(self, instant: dt.datetime) -> Iterable[tuple[dt.datetime, dt.datetime]]:
        """Windows in order of time, around ``instant`` and after it."""
        calendar = self.calendar
        assert calendar is not None
        last = min((instant + _LOOK_AHEAD).date(), calendar.last_known)
        for session in calendar.sessions(min((instant - _LOOK_BACK).date(), last), last):
            opens, closes = calendar.hours(session)
            if self.mode == "extended":
                early, late = (
                    dt.datetime.combine(session, edge, calendar.tz).astimezone(UTC)
                    for edge in (_MORNING, _EVENING)
                )
                opens, closes = min(opens, early), max(closes, late)
            yield opens, closes


def never_closes(subscription: Subscription) -> bool:
    """True for a coin: its symbol names a venue, and that is open day and night."""
    return bool(venue_of(subscription.symbol))
