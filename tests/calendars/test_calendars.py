"""Sessions against answer sheets that exchanges published, not the library's own output."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mdc_resources.calendars import Calendar, get_calendar
from mdc_resources.domain.errors import ConfigError, UsageError

D = dt.date


@pytest.fixture(scope="module")
def xnys() -> Calendar:
    """New York."""
    return get_calendar("XNYS")


# Source: NYSE "Holidays & Trading Hours" for 2026 and its notices of past special closures.
NYSE_CLOSED = [
    D(2026, 1, 1),
    D(2026, 1, 19),
    D(2026, 2, 16),
    D(2026, 4, 3),
    D(2026, 5, 25),
    D(2026, 6, 19),
    D(2026, 7, 3),
    D(2026, 9, 7),
    D(2026, 11, 26),
    D(2026, 12, 25),
    D(2001, 9, 11),
    D(2001, 9, 12),
    D(2001, 9, 13),
    D(2001, 9, 14),
    D(2012, 10, 29),
    D(2012, 10, 30),
    D(2018, 12, 5),
    D(2025, 1, 9),
    D(2004, 6, 11),
    D(2007, 1, 2),
]
NYSE_HALF = [
    D(2024, 7, 3),
    D(2024, 11, 29),
    D(2024, 12, 24),
    D(2025, 11, 28),
    D(2026, 11, 27),
    D(2026, 12, 24),
]


@pytest.mark.parametrize("day", NYSE_CLOSED, ids=str)
def test_xnys_is_closed(xnys: Calendar, day: dt.date) -> None:
    """Holidays and unscheduled closures are no sessions."""
    assert not xnys.is_session(day)


@pytest.mark.parametrize("day", NYSE_HALF, ids=str)
def test_xnys_half_days_have_210_minutes(xnys: Calendar, day: dt.date) -> None:
    """They close at 13:00 New York time."""
    assert xnys.minutes(day) == 210
    assert xnys.hours(day)[1].astimezone(xnys.tz).time() == dt.time(13)


@pytest.mark.parametrize(("year", "count"), [(2023, 250), (2024, 252), (2025, 250), (2026, 251)])
def test_xnys_sessions_per_year(xnys: Calendar, year: int, count: int) -> None:
    """Counts as published (2025 lost one to the day of mourning)."""
    assert len(xnys.sessions(D(year, 1, 1), D(year, 12, 31))) == count


@pytest.mark.parametrize(
    ("name", "day", "opened", "closed"),
    [
        ("XNYS", D(2026, 3, 6), "14:30", "21:00"),
        ("XNYS", D(2026, 3, 9), "13:30", "20:00"),
        ("XNYS", D(2026, 11, 2), "14:30", "21:00"),
        ("XLON", D(2026, 3, 27), "08:00", "16:30"),
        ("XLON", D(2026, 3, 30), "07:00", "15:30"),
        ("24/7", D(2024, 2, 29), "00:00", "00:00"),
    ],
)
def test_daylight_saving_moves_utc_hours(name: str, day: dt.date, opened: str, closed: str) -> None:
    """New York and London change on different Sundays; crypto never does."""
    hours = get_calendar(name).hours(day)
    assert [h.strftime("%H:%M") for h in hours] == [opened, closed]


def test_session_of_maps_regular_hours_only(xnys: Calendar) -> None:
    """Open is inside, close is not."""
    opened, closed = xnys.hours(D(2024, 7, 3))
    assert xnys.session_of(opened) == D(2024, 7, 3)
    assert xnys.session_of(closed - dt.timedelta(microseconds=1)) == D(2024, 7, 3)
    assert xnys.session_of(closed) is None
    assert xnys.session_of(opened - dt.timedelta(seconds=1)) is None


@pytest.mark.parametrize(("minutes", "final"), [(29, False), (30, True)])
def test_a_session_is_final_after_close_and_settle(xnys: Calendar, minutes: int, final: bool) -> None:
    """Not one second before."""
    day = D(2026, 11, 27)
    at = xnys.hours(day)[1] + dt.timedelta(minutes=minutes)
    found = xnys.final_sessions(D(2026, 11, 25), D(2026, 12, 31), at=at, settle=dt.timedelta(minutes=30))
    assert (day in found) is final
    assert found[0] == D(2026, 11, 25)


def test_ordinals_are_consecutive_over_weekends(xnys: Calendar) -> None:
    """Friday and Monday are neighbours."""
    assert xnys.ordinal(D(2024, 7, 8)) - xnys.ordinal(D(2024, 7, 5)) == 1
    assert xnys.session_at(xnys.ordinal(D(2024, 7, 5))) == D(2024, 7, 5)
    with pytest.raises(UsageError, match="no session"):
        xnys.ordinal(D(2024, 7, 4))


def test_outside_the_bounds_is_an_error_not_closed(xnys: Calendar) -> None:
    """A year the library does not know is never taken for a holiday."""
    for day in (D(1980, 1, 2), xnys.last_known + dt.timedelta(days=1)):
        with pytest.raises(UsageError, match="known from"):
            xnys.is_session(day)


def test_overrides_close_and_shorten(tmp_path: Path) -> None:
    """closures.toml in the home closes a day and shortens another."""
    (tmp_path / "closures.toml").write_text(
        '[XNYS]\nclosed = [2024-07-09]\nearly_close = { 2024-07-10 = "12:00" }\n'
    )
    calendar = get_calendar("XNYS", tmp_path)
    assert not calendar.is_session(D(2024, 7, 9))
    assert calendar.minutes(D(2024, 7, 10)) == 150
    assert get_calendar("XNYS").is_session(D(2024, 7, 9)), "other homes are not touched"


@pytest.mark.parametrize("at", ["09:30", "04:00", "16:01"])
def test_an_early_close_lies_within_the_session(tmp_path: Path, at: str) -> None:
    """A time that was mistyped is refused, with the hours of that day."""
    (tmp_path / "closures.toml").write_text(f'[XNYS]\nearly_close = {{ 2024-07-10 = "{at}" }}\n')
    with pytest.raises(ConfigError, match=r"cannot close early.* 09:30 to 16:00"):
        get_calendar("XNYS", tmp_path)


def test_nothing_is_final_in_a_year_that_is_not_known(xnys: Calendar) -> None:
    """A range may reach ahead of what is known; an instant may not."""
    ahead, settle = xnys.last_known + dt.timedelta(days=30), dt.timedelta(minutes=30)
    last_week = xnys.last_known - dt.timedelta(days=7)
    assert (
        xnys.final_sessions(last_week, ahead, at=dt.datetime(2026, 1, 5, tzinfo=dt.UTC), settle=settle) == ()
    )
    with pytest.raises(UsageError, match="known from"):
        xnys.final_sessions(last_week, ahead, at=dt.datetime.combine(ahead, dt.time(), dt.UTC), settle=settle)


def test_first_session_from_a_date(xnys: Calendar) -> None:
    """On or after the date; one past the end where no later session is known."""
    assert xnys.session_at(xnys.first_from(D(2024, 7, 4))) == D(2024, 7, 5)
    assert xnys.session_at(xnys.first_from(D(2024, 7, 5))) == D(2024, 7, 5)
    assert xnys.first_from(D(1970, 1, 1)) == 0
    assert xnys.first_from(D(2400, 1, 1)) == len(xnys.dates)


@pytest.mark.parametrize(
    "text", ["[XNYS", "[XNYS]\nclosed = ['x']\n", "[XNYS]\nshut = []\n"], ids=["toml", "type", "key"]
)
def test_wrong_overrides_are_named(tmp_path: Path, text: str) -> None:
    """A closures file that cannot be used stops the work and names itself."""
    (tmp_path / "closures.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"closures\.toml"):
        get_calendar("XNYS", tmp_path)


def test_unknown_calendar_is_named() -> None:
    """The message says which."""
    with pytest.raises(ConfigError, match="XNYX"):
        get_calendar("XNYX")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Asia/Kathmandu"])
def test_the_hosts_time_zone_does_not_matter(zone: str) -> None:
    """The same sessions and hours on any machine."""
    code = (
        "import datetime as dt; from mdc_resources.calendars import get_calendar; c = get_calendar('XNYS');"
        "print(c.sessions(dt.date(2026,3,5), dt.date(2026,3,10)), c.hours(dt.date(2026,3,9)))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "TZ": tz}, capture_output=True, check=True
        ).stdout
        for tz in (zone, "UTC")
    ]
    assert runs[0] == runs[1]


def test_a_session_of_events_is_final_with_its_window(xnys: Calendar) -> None:
    """At 20:00 in New York plus the delay, not after the close; the sessions before it are."""
    monday, tuesday = dt.date(2026, 3, 9), dt.date(2026, 3, 10)
    settle = dt.timedelta(minutes=30)
    evening = xnys.window(tuesday)[1]
    assert evening - xnys.hours(tuesday)[1] == dt.timedelta(hours=4)

    def final(at: dt.datetime, *, whole_window: bool) -> tuple[dt.date, ...]:
        return xnys.final_sessions(monday, tuesday, at=at, settle=settle, whole_window=whole_window)

    before, after = evening + settle - dt.timedelta(seconds=1), evening + settle
    assert final(before, whole_window=False) == (monday, tuesday)
    assert final(before, whole_window=True) == (monday,)
    assert final(after, whole_window=True) == (monday, tuesday)
    assert final(xnys.window(monday)[0], whole_window=True) == ()
