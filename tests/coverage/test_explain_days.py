"""Days: sessions with their hours, and why there is none. The sheets are the exchanges' own notices."""

from __future__ import annotations

import datetime as dt

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.coverage.day import DayKind, closed_days, day_of
from mdc_resources.domain.errors import UsageError

D = dt.date.fromisoformat

# https://www.nyse.com/markets/hours-calendars
NEW_YORK = [
    ("2024-07-02", DayKind.SESSION, "full session", 390),
    ("2024-07-03", DayKind.HALF_DAY, "half day", 210),
    ("2024-07-04", DayKind.HOLIDAY, "July 4th", 0),
    ("2024-07-06", DayKind.WEEKEND, "does not trade on Saturdays", 0),
    ("2024-11-29", DayKind.HALF_DAY, "half day: Black Friday", 210),
    ("2024-12-24", DayKind.HALF_DAY, "half day: Christmas Eve", 210),
    ("2012-10-29", DayKind.HOLIDAY, "XNYS was closed", 0),  # Hurricane Sandy
    ("2001-09-11", DayKind.HOLIDAY, "XNYS was closed", 0),
    ("2025-01-09", DayKind.HOLIDAY, "XNYS was closed", 0),  # day of mourning
]


@pytest.mark.parametrize(("date", "kind", "why", "minutes"), NEW_YORK, ids=[row[0] for row in NEW_YORK])
def test_new_york(date, kind, why, minutes):
    """Full days, half days, holidays with their names, closures without one, weekends."""
    day = day_of(get_calendar("XNYS"), D(date))
    assert day.kind is kind
    assert why in day.why
    assert day.minutes == minutes
    assert day.usual_minutes == 390


def test_a_session_has_its_hours_in_utc_and_its_neighbours():
    """2024-03-11 is the first session of summer time: 09:30 in New York is 13:30 UTC."""
    day = day_of(get_calendar("XNYS"), D("2024-03-11"))
    assert day.is_session
    assert day.opens == dt.datetime(2024, 3, 11, 13, 30, tzinfo=dt.UTC)
    assert day.closes == dt.datetime(2024, 3, 11, 20, 0, tzinfo=dt.UTC)
    assert (day.before, day.after) == (D("2024-03-08"), D("2024-03-12"))


def test_a_holiday_has_neighbours_and_no_hours():
    """The long weekend of 2024-01-15."""
    day = day_of(get_calendar("XNYS"), D("2024-01-15"))
    assert not day.is_session
    assert (day.opens, day.closes) == (None, None)
    assert (day.before, day.after) == (D("2024-01-12"), D("2024-01-16"))


def test_a_closure_of_the_home_is_told_from_a_holiday(tmp_path):
    """closures.toml says what the library does not know; so does the explanation."""
    (tmp_path / "closures.toml").write_text("[XNYS]\nclosed = [2024-02-06]\n")
    calendar = get_calendar("XNYS", tmp_path)
    day = day_of(calendar, D("2024-02-06"))
    assert day.kind is DayKind.CLOSURE
    assert "closures.toml" in day.why
    assert day_of(calendar, D("2024-02-19")).kind is DayKind.HOLIDAY


def test_an_early_close_of_the_home_is_a_half_day(tmp_path):
    """Until 13:00 in New York."""
    (tmp_path / "closures.toml").write_text('[XNYS]\nearly_close = { 2024-02-06 = "13:00" }\n')
    day = day_of(get_calendar("XNYS", tmp_path), D("2024-02-06"))
    assert (day.kind, day.minutes) == (DayKind.HALF_DAY, 210)
    assert "closures.toml" in day.why


def test_a_market_that_never_closes_has_no_holidays():
    """24/7: Christmas and Sundays are sessions of a whole UTC day."""
    day = day_of(get_calendar("24/7"), D("2022-12-25"))
    assert (day.kind, day.minutes) == (DayKind.SESSION, 1440)


def test_london_has_its_own_holidays():
    """Good Friday, and a Monday on which New York trades."""
    london = get_calendar("XLON")
    assert day_of(london, D("2024-05-06")).why == "XLON was closed: Early May Bank Holiday"
    assert day_of(london, D("2024-12-24")).kind is DayKind.HALF_DAY


def test_beyond_the_calendar_is_an_error_and_never_closed():
    """1980 is unknown, not a holiday."""
    with pytest.raises(UsageError, match="known from"):
        day_of(get_calendar("XNYS"), D("1980-01-02"))


def test_closed_days_of_a_year_are_the_holidays_on_weekdays():
    """Ten in 2024, none of them on a weekend, each with its name."""
    found = closed_days(get_calendar("XNYS"), D("2024-01-01"), D("2024-12-31"))
    assert sorted(found) == [
        D(day)
        for day in (
            "2024-01-01", "2024-01-15", "2024-02-19", "2024-03-29", "2024-05-27", "2024-06-19", "2024-07-04",
            "2024-09-02", "2024-11-28", "2024-12-25",
        )
    ]  # fmt: skip
    assert found[D("2024-11-28")] == "closed: Thanksgiving"


def test_closed_days_know_the_homes_closures_and_the_nameless(tmp_path):
    """A closure has no name in the library; it is closed all the same."""
    (tmp_path / "closures.toml").write_text("[XNYS]\nclosed = [2025-02-06]\n")
    found = closed_days(get_calendar("XNYS", tmp_path), D("2025-01-02"), D("2025-02-10"))
    assert found == {
        D("2025-01-09"): "closed",
        D("2025-01-20"): found[D("2025-01-20")],
        D("2025-02-06"): "closed",
    }


def test_closed_days_of_a_market_that_never_closes():
    """None, and no question about their names."""
    assert closed_days(get_calendar("24/7"), D("2024-01-01"), D("2024-12-31")) == {}
