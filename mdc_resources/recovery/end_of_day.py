"""End of day: which sessions have ended and settled since the last look, and what to fetch of them.

A session is due at its close plus the dataset's settle delay, so a half day is due early and a
holiday never. Times of day are the exchange's: the set of them over the known calendar is when to
look. What was passed while nobody looked is caught up with, the newest ten sessions of it; older
ones are holes. Decides only: nothing here fetches or launches.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mdc_resources.calendars import Calendar, get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.datasets import Dataset, parse_dataset
from mdc_resources.domain.errors import ConfigError, UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want
from mdc_resources.ingest.candidates import candidates

CATCH_UP_SESSIONS = 10
FIRST_LOOK = dt.timedelta(days=1)
"""How far back the first look reaches: nothing is known of what came before it."""
_LOOK_BACK = dt.timedelta(days=40)  # holds ten sessions of any exchange
_LOOK_AHEAD = dt.timedelta(days=400)
_DAY = dt.timedelta(days=1)
_MINUTE = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Ended:
    """New sessions of one dataset, to be fetched by one run. ``part`` counts where they need several."""

    dataset: Dataset
    universe: str
    newest: dt.date
    part: int
    want: Want

    @property
    def name(self) -> str:
        """``eod:bars_1d:us:2024-07-03``, with ``:2`` and so on after it for further parts."""
        part = f":{self.part}" if self.part > 1 else ""
        return f"eod:{self.dataset}:{self.universe}:{self.newest.isoformat()}{part}"


@dataclass(frozen=True, slots=True)
class EndOfDay:
    """What to launch; ``reason`` says in words why it is nothing."""

    ended: tuple[Ended, ...]
    reason: str = ""


def due_at(calendar: Calendar, session: dt.date, settle: dt.timedelta) -> dt.datetime:
    """When ``session`` is final, UTC: close plus ``settle``, rounded up to a whole minute."""
    instant = calendar.hours(session)[1] + settle
    whole = instant.replace(second=0, microsecond=0)
    return whole if whole == instant else whole + _MINUTE


def times_of_day(calendar: Calendar, settles: Iterable[dt.timedelta], *, at: dt.datetime) -> list[dt.time]:
    """The distinct local times at which sessions fall due, from a month before ``at`` to a year after."""
    start, end = (at - _LOOK_BACK).date(), min((at + _LOOK_AHEAD).date(), calendar.last_known)
    sessions = calendar.sessions(start, end)
    found = {
        due_at(calendar, session, settle).astimezone(calendar.tz).time()
        for settle in set(settles)
        for session in sessions
    }
    return sorted(found)


def sessions_due(
    calendar: Calendar, settle: dt.timedelta, *, at: dt.datetime, after: dt.date | None
) -> tuple[dt.date, ...]:
    """Sessions that are due at ``at`` and younger than ``after``, at most the newest ten.

    ``after`` None is the first look: those that fell due within the day before ``at``.
    """
    # East of Greenwich a session's date is ahead of the UTC date.
    start, end = (at - _LOOK_BACK).date(), min(at.date() + _DAY, calendar.last_known)
    final = [s for s in calendar.sessions(start, end) if due_at(calendar, s, settle) <= at]
    if after is None:
        return tuple(s for s in final if due_at(calendar, s, settle) > at - FIRST_LOOK)
    return tuple(s for s in final if s > after)[-CATCH_UP_SESSIONS:]


def datasets_of(home: Home, universe: str) -> list[Dataset]:
    """What recovery looks after in ``universe``: datasets that some enabled provider offers there.

    Raises:
        UsageError: ``recovery.datasets`` names none of ours.
        ConfigError: an unknown provider is configured.
    """
    asset_class = home.settings.universes[universe].asset_class
    found = []
    for dataset in map(parse_dataset, home.settings.recovery.datasets):
        try:
            candidates(home, dataset, asset_class=asset_class)
        except ConfigError:
            raise
        except UsageError:  # nobody offers it here
            continue
        found.append(dataset)
    return found


def plan_end_of_day(
    home: Home,
    universe: str,
    members: Sequence[Symbol],
    *,
    at: dt.datetime,
    newest: Mapping[Dataset, dt.date],
) -> EndOfDay:
    """What to fetch of ``universe`` at the instant ``at``; ``newest`` is what was launched last.

    Raises:
        ConfigError: there is no such calendar.
        UsageError: ``at`` lies outside the calendar.
    """
    settings = home.settings.universes[universe]
    calendar = get_calendar(settings.calendar, home.root)
    if not members:
        return EndOfDay((), f"universe {universe} has no symbols: mdc symbols add")
    datasets = datasets_of(home, universe)
    if not datasets:
        return EndOfDay((), f"no enabled provider offers what recovery looks after in universe {universe}")
    ended: list[Ended] = []
    for dataset in datasets:
        settle = home.settings.dataset(dataset).settle_delay
        due = sessions_due(calendar, settle, at=at, after=newest.get(dataset))
        if due := tuple(session for session in due if session >= settings.start):
            ended += _in_parts(home, dataset, universe, members, due)
    return EndOfDay(tuple(ended), "" if ended else _why_not(home, calendar, datasets, at))


def _in_parts(
    home: Home, dataset: Dataset, universe: str, members: Sequence[Symbol], due: Sequence[dt.date]
) -> list[Ended]:
    """``due`` of all members, in runs of no more partitions than the settings allow."""
    size = max(1, home.settings.dataset(dataset).max_partitions_per_run // len(due))
    groups = [tuple(members[at : at + size]) for at in range(0, len(members), size)]
    return [
        Ended(dataset, universe, due[-1], part, Want(dataset, group, due[0], due[-1]))
        for part, group in enumerate(groups, start=1)
    ]


def _why_not(home: Home, calendar: Calendar, datasets: Sequence[Dataset], at: dt.datetime) -> str:
    """Why nothing is due at ``at``, for the list of ticks."""
    local = at.astimezone(calendar.tz)
    today = local.date()
    if not calendar.is_session(today):
        return f"{today} is no session of {calendar.name}"
    half = ", a half day" if is_half_day(calendar, today) else ""
    told: dict[str, list[str]] = {}
    for dataset in datasets:
        due = due_at(calendar, today, home.settings.dataset(dataset).settle_delay)
        when = due.astimezone(calendar.tz)
        clock = f"{when:%H:%M}" if when.date() == today else f"{when:%Y-%m-%d %H:%M}"
        told.setdefault(f"{'was' if due <= at else 'is'} due at {clock}", []).append(dataset)
    parts = "; ".join(f"{', '.join(names)} {when}" for when, names in told.items())
    return f"{today} of {calendar.name}{half}: {parts} {calendar.tz.key}"


def is_half_day(calendar: Calendar, session: dt.date) -> bool:
    """True if ``session`` is shorter than the longest of the twenty before and after it."""
    at = calendar.ordinal(session)
    around = calendar.dates[max(0, at - 20) : at + 21]
    return calendar.minutes(session) < max(calendar.minutes(day) for day in around)
