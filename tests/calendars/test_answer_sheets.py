"""Sessions and their hours against lists that the code under test did not produce."""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path

import pytest

from mdc_resources.calendars import get_calendar
from tests.calendars import answer_sheets
from tests.calendars.answer_sheets import COUNTS, YEARS, Sheet, days, weekdays

SHEETS = {"XNYS": answer_sheets.XNYS, "XLON": answer_sheets.XLON}
# Local opening and closing, on full and on half days, and the offset from UTC in winter.
HOURS = {
    "XNYS": (dt.time(9, 30), dt.time(16), dt.time(13), -5),
    "XLON": (dt.time(8), dt.time(16, 30), dt.time(12, 30), 0),
}
EVERY_YEAR = [pytest.param(name, year, id=f"{name}-{year}") for name in SHEETS for year in YEARS]


def expected(name: str, year: int) -> list[dt.date]:
    """Weekdays less the announced closures."""
    closed = days(year, SHEETS[name][year].closed)
    return [day for day in weekdays(year) if day not in closed]


def utc(day: dt.date, at: dt.time, sheet: Sheet, winter: int) -> dt.datetime:
    """Local time ``at`` as an instant, by the sheet's own clock changes."""
    first, last = (dt.date.fromisoformat(f"{day.year}-{text}") for text in sheet.summer)
    offset = winter + (first <= day <= last)
    return dt.datetime.combine(day, at, dt.UTC) - dt.timedelta(hours=offset)


@pytest.mark.parametrize(("name", "year"), EVERY_YEAR)
def test_sheets_are_sound(name: str, year: int) -> None:
    """Each list names weekdays only and leaves as many sessions as the exchange counts."""
    sheet = SHEETS[name][year]
    assert days(year, sheet.closed) <= set(weekdays(year))
    assert days(year, sheet.half_days) <= set(expected(name, year))
    assert len(expected(name, year)) == COUNTS[name][year]


@pytest.mark.parametrize(("name", "year"), EVERY_YEAR)
def test_sessions_are_those_announced(name: str, year: int) -> None:
    """Holidays, mourning, a hurricane and an attack close the exchange; nothing else does."""
    found = get_calendar(name).sessions(dt.date(year, 1, 1), dt.date(year, 12, 31))
    assert list(found) == expected(name, year)


@pytest.mark.parametrize(("name", "year"), EVERY_YEAR)
def test_hours_are_those_announced(name: str, year: int) -> None:
    """Half days close early; in UTC every session moves by an hour on the day the clocks change."""
    calendar, sheet = get_calendar(name), SHEETS[name][year]
    opening, closing, early, winter = HOURS[name]
    half = days(year, sheet.half_days)
    for day in expected(name, year):
        close = early if day in half else closing
        assert calendar.hours(day) == (utc(day, opening, sheet, winter), utc(day, close, sheet, winter))


@pytest.mark.parametrize("year", YEARS)
def test_crypto_trades_every_utc_day(year: int) -> None:
    """A day of 24/7 lasts from midnight to midnight UTC, weekends, holidays and leap days included."""
    calendar, length = get_calendar("24/7"), 366 if year in (2012, 2024) else 365
    sessions = calendar.sessions(dt.date(year, 1, 1), dt.date(year, 12, 31))
    assert [day.toordinal() for day in sessions] == [
        dt.date(year, 1, 1).toordinal() + n for n in range(length)
    ]
    for day in sessions:
        midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
        assert calendar.hours(day) == (midnight, midnight + dt.timedelta(days=1))


def test_the_weeks_between_two_clock_changes() -> None:
    """In March 2026 New York is an hour nearer to London for three weeks, in October for one."""
    new_york, london = get_calendar("XNYS"), get_calendar("XLON")
    apart = {}
    for text in ("03-06", "03-09", "03-27", "03-30", "10-23", "10-26", "10-30", "11-02"):
        day = dt.date.fromisoformat(f"2026-{text}")
        apart[text] = (new_york.hours(day)[0] - london.hours(day)[0]) / dt.timedelta(hours=1)
    assert apart == {
        "03-06": 6.5, "03-09": 5.5, "03-27": 5.5, "03-30": 6.5,
        "10-23": 6.5, "10-26": 5.5, "10-30": 5.5, "11-02": 6.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("session", "minutes"),
    [("2024-07-02", 390), ("2024-07-03", 210), ("2024-11-29", 210), ("2026-03-09", 390), ("2026-11-27", 210)],
)
def test_minutes_of_a_session(session: str, minutes: int) -> None:
    """390, or 210 on a half day; a clock change takes nothing away."""
    assert get_calendar("XNYS").minutes(dt.date.fromisoformat(session)) == minutes


@pytest.mark.parametrize("symbol", ["spy", "bac", "aapl"])
def test_recorded_days_of_new_york(payloads: Path, symbol: str) -> None:
    """Days on which three large caps have a daily bar in LEAN's samples are the sessions, year by year."""
    path = payloads / "lean" / "equity" / "usa" / "daily" / f"{symbol}.zip"
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the recorded payloads")
    with zipfile.ZipFile(path) as archive:
        lines = archive.read(archive.namelist()[0]).decode().split()
    traded = sorted({dt.date.fromisoformat(line[:8]) for line in lines if line[:8].isdecimal()})
    years = range(traded[0].year + 1, traded[-1].year)  # those recorded from January to December
    assert {2001, 2012} <= set(years)
    found = get_calendar("XNYS").sessions(dt.date(years[0], 1, 1), dt.date(years[-1], 12, 31))
    assert list(found) == [day for day in traded if day.year in years]
