"""End of day: every session exactly once, when it has settled, whatever the clock and the calendar do.

Expected instants are written down from the exchanges' published hours and holiday lists, not taken
from the code under test.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources import config
from mdc_resources.calendars import get_calendar
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.recovery import end_of_day
from mdc_resources.recovery.end_of_day import CATCH_UP_SESSIONS, due_at, plan_end_of_day, sessions_due

UTC = dt.UTC
NEW_YORK, LONDON = ZoneInfo("America/New_York"), ZoneInfo("Europe/London")
HALF_HOUR = dt.timedelta(minutes=30)
AAPL, MSFT = Symbol("AAPL"), Symbol("MSFT")

# https://www.nyse.com/markets/hours-calendars and https://www.londonstockexchange.com, for 2026.
NYSE_2026_CLOSED = {(1, 1), (1, 19), (2, 16), (4, 3), (5, 25), (6, 19), (7, 3), (9, 7), (11, 26), (12, 25)}
NYSE_2026_HALF = {(11, 27), (12, 24)}
LSE_2026_CLOSED = {(1, 1), (4, 3), (4, 6), (5, 4), (5, 25), (8, 31), (12, 25), (12, 28)}
LSE_2026_HALF = {(12, 24), (12, 31)}


def weekdays(year):
    """Monday to Friday of ``year``."""
    days = (dt.date(year, 1, 1) + dt.timedelta(days=at) for at in range(366))
    return [day for day in days if day.year == year and day.weekday() < 5]


def expected_of_2026(closed, half, zone, *, usual, early):
    """{due instant: session} from closing times in local time, settling half an hour later."""
    found = {}
    for day in weekdays(2026):
        if (day.month, day.day) not in closed:
            at = early if (day.month, day.day) in half else usual
            local = dt.datetime.combine(day, at, zone) + HALF_HOUR
            found[local.astimezone(UTC)] = day
    return found


NYSE_2026 = expected_of_2026(NYSE_2026_CLOSED, NYSE_2026_HALF, NEW_YORK, usual=dt.time(16), early=dt.time(13))
LSE_2026 = expected_of_2026(
    LSE_2026_CLOSED, LSE_2026_HALF, LONDON, usual=dt.time(16, 30), early=dt.time(12, 30)
)


def make(tmp_path, text="", **environ):
    """A home without a lake: planning an end of day reads none."""
    (tmp_path / "mdc.toml").write_text("[providers.yahoo]\n[providers.stooq]\n" + text, encoding="utf-8")
    return config.load(tmp_path / "mdc.toml", environ=environ)


def ticks(calendar, settles, start, end):
    """Every instant of ``start``..``end`` at which a schedule of the times of day fires, in order."""
    times = end_of_day.times_of_day(calendar, settles, at=dt.datetime(start.year, 6, 1, tzinfo=UTC))
    days = ((start + dt.timedelta(days=at)) for at in range((end - start).days + 1))
    return sorted(dt.datetime.combine(day, at, calendar.tz).astimezone(UTC) for day in days for at in times)


def emitted(calendar, settle, instants, *, newest=None):
    """(instant, session) of a whole sequence of ticks, each remembering what was launched before."""
    found = []
    for at in instants:
        for session in sessions_due(calendar, settle, at=at, after=newest):
            found.append((at, session))
            newest = session
    return found


@pytest.mark.parametrize(
    ("name", "expected"), [("XNYS", NYSE_2026), ("XLON", LSE_2026)], ids=["new-york", "london"]
)
def test_each_session_of_2026_is_due_once_half_an_hour_after_its_close(name, expected):
    """Holidays have no instant, half days an early one, daylight saving moves the UTC instant only."""
    calendar = get_calendar(name)
    instants = ticks(calendar, [HALF_HOUR], dt.date(2026, 1, 1), dt.date(2026, 12, 31))
    assert dict(emitted(calendar, HALF_HOUR, instants, newest=dt.date(2025, 12, 31))) == expected


@pytest.mark.parametrize(
    ("calendar", "day", "utc"),
    [
        ("XNYS", "2026-03-06", "21:30"),  # the Friday before New York's clocks go forward
        ("XNYS", "2026-03-09", "20:30"),
        ("XLON", "2026-03-09", "17:00"),  # London's do so three weeks later
        ("XLON", "2026-03-27", "17:00"),
        ("XLON", "2026-03-30", "16:00"),
        ("XLON", "2026-10-26", "17:00"),  # and back a week earlier
        ("XNYS", "2026-10-26", "20:30"),
        ("XNYS", "2026-11-02", "21:30"),
        ("XNYS", "2026-11-27", "18:30"),  # the day after Thanksgiving
        ("XLON", "2026-12-24", "13:00"),
    ],
)
def test_due_instants_around_changes_of_the_clock(calendar, day, utc):
    """New York and London change on different Sundays."""
    found = due_at(get_calendar(calendar), dt.date.fromisoformat(day), HALF_HOUR)
    assert f"{found:%Y-%m-%d %H:%M}" == f"{day} {utc}"


def test_a_day_of_a_market_that_never_closes_is_due_after_midnight_utc():
    """The session is the UTC day before."""
    calendar = get_calendar("24/7")
    assert end_of_day.times_of_day(calendar, [HALF_HOUR], at=dt.datetime(2026, 1, 5, tzinfo=UTC)) == [
        dt.time(0, 30)
    ]
    instants = ticks(calendar, [HALF_HOUR], dt.date(2026, 1, 1), dt.date(2027, 1, 1))
    found = emitted(calendar, HALF_HOUR, instants)[1:]
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=at) for at in range(365)]
    assert [session for _, session in found] == days
    assert {at.time() for at, _ in found} == {dt.time(0, 30)}
    assert all(at.date() == session + dt.timedelta(days=1) for at, session in found)


def test_the_times_of_day_are_those_of_the_exchange():
    """Two a day in New York: the usual close and the early one, each plus the settle delay."""
    at = dt.datetime(2026, 3, 1, tzinfo=UTC)
    assert end_of_day.times_of_day(get_calendar("XNYS"), [HALF_HOUR], at=at) == [
        dt.time(13, 30),
        dt.time(16, 30),
    ]
    assert end_of_day.times_of_day(get_calendar("XLON"), [HALF_HOUR], at=at) == [dt.time(13), dt.time(17)]
    both = end_of_day.times_of_day(get_calendar("XNYS"), [HALF_HOUR, dt.timedelta(hours=6)], at=at)
    assert both == [dt.time(13, 30), dt.time(16, 30), dt.time(19), dt.time(22)]


def test_seconds_of_a_settle_delay_are_rounded_up():
    """A schedule fires on whole minutes, never before the data is final."""
    found = due_at(get_calendar("XNYS"), dt.date(2026, 1, 5), dt.timedelta(seconds=90))
    assert found == dt.datetime(2026, 1, 5, 21, 2, tzinfo=UTC)


def test_an_early_close_of_the_homes_file_counts(tmp_path):
    """closures.toml: a mourning day is no session, a storm's early close is due early."""
    (tmp_path / "closures.toml").write_text(
        '[XNYS]\nclosed = [2026-07-08]\nearly_close = { 2026-07-09 = "11:00" }\n', encoding="utf-8"
    )
    calendar = get_calendar("XNYS", tmp_path)
    at = dt.datetime(2026, 7, 1, tzinfo=UTC)
    assert dt.time(11, 30) in end_of_day.times_of_day(calendar, [HALF_HOUR], at=at)
    instants = ticks(calendar, [HALF_HOUR], dt.date(2026, 7, 6), dt.date(2026, 7, 10))
    found = {
        session: f"{at.astimezone(NEW_YORK):%d %H:%M}"
        for at, session in emitted(calendar, HALF_HOUR, instants)
    }
    assert found == {
        dt.date(2026, 7, 6): "06 16:30",
        dt.date(2026, 7, 7): "07 16:30",
        dt.date(2026, 7, 9): "09 11:30",
        dt.date(2026, 7, 10): "10 16:30",
    }


def test_an_early_close_nobody_knew_of_is_caught_at_the_next_time_of_day(tmp_path):
    """The schedule was loaded before the file was written: the usual tick brings the session."""
    (tmp_path / "closures.toml").write_text(
        '[XNYS]\nearly_close = { 2026-07-09 = "11:00" }\n', encoding="utf-8"
    )
    at = dt.datetime(2026, 7, 9, 17, 30, tzinfo=UTC)  # 13:30 in New York
    assert sessions_due(get_calendar("XNYS", tmp_path), HALF_HOUR, at=at, after=dt.date(2026, 7, 8)) == (
        dt.date(2026, 7, 9),
    )


def test_missed_ticks_lose_no_session():
    """The daemon was down from Monday noon to Thursday morning: one tick makes up for three."""
    calendar = get_calendar("XNYS")
    at = dt.datetime(2026, 3, 12, 20, 30, tzinfo=UTC)
    found = sessions_due(calendar, HALF_HOUR, at=at, after=dt.date(2026, 3, 6))
    assert found == tuple(dt.date(2026, 3, day) for day in (9, 10, 11, 12))


def test_a_long_absence_is_left_to_the_gap_sensor():
    """At most ten sessions are made up for."""
    at = dt.datetime(2026, 12, 31, 21, 30, tzinfo=UTC)
    found = sessions_due(get_calendar("XNYS"), HALF_HOUR, at=at, after=dt.date(2024, 1, 2))
    assert len(found) == CATCH_UP_SESSIONS
    assert found[-1] == dt.date(2026, 12, 31)


def test_a_first_look_reaches_back_a_day():
    """Nothing was launched yet: the session that ended today, not the history."""
    calendar = get_calendar("XNYS")
    evening = dt.datetime(2026, 3, 12, 20, 30, tzinfo=UTC)
    assert sessions_due(calendar, HALF_HOUR, at=evening, after=None) == (dt.date(2026, 3, 12),)
    sunday = dt.datetime(2026, 3, 15, 20, 30, tzinfo=UTC)
    assert sessions_due(calendar, HALF_HOUR, at=sunday, after=None) == ()


@settings(deadline=None, max_examples=25)
@given(
    name=st.sampled_from(["XNYS", "XLON", "24/7", "XTKS"]),
    minutes=st.integers(min_value=0, max_value=16 * 60),
    start=st.dates(min_value=dt.date(2015, 1, 1), max_value=dt.date(2025, 6, 1)),
    missed=st.sets(st.integers(min_value=0, max_value=900), max_size=400),
)
def test_a_year_of_ticks_gives_every_session_exactly_once(name, minutes, start, missed):
    """Whatever the exchange, the delay, the first day and the ticks that were missed (few at a time)."""
    calendar = get_calendar(name)
    settle = dt.timedelta(minutes=minutes)
    end = start + dt.timedelta(days=365)
    instants = ticks(calendar, [settle], start, end)
    kept, run = [], 0
    for at, instant in enumerate(instants):
        run = run + 1 if at in missed else 0
        if run == 0 or run > CATCH_UP_SESSIONS or at == 0:
            kept.append(instant)
            run = 0
    found = [session for _, session in emitted(calendar, settle, kept)]
    due = {s: due_at(calendar, s, settle) for s in calendar.sessions(found[0], end)}
    assert found == [session for session, at in due.items() if at <= kept[-1]]
    assert len(found) >= 240  # Tokyo in 2019: ten days closed for the new era


def test_datasets_with_other_delays_come_at_their_own_times(tmp_path):
    """Bars half an hour after the close, corporate actions six hours after it."""
    home = make(tmp_path)
    seen = dict.fromkeys((Dataset.BARS_1D, Dataset.BARS_1M, Dataset.CORPORATE_ACTIONS), dt.date(2026, 3, 11))
    first = plan(home, "2026-03-12T20:30", newest=seen)
    assert {e.dataset for e in first.ended} == {Dataset.BARS_1D, Dataset.BARS_1M}
    newest = {e.dataset: e.newest for e in first.ended}
    second = plan(
        home, "2026-03-13T02:00", newest={**newest, Dataset.CORPORATE_ACTIONS: dt.date(2026, 3, 11)}
    )
    assert [(e.dataset, e.newest) for e in second.ended] == [
        (Dataset.CORPORATE_ACTIONS, dt.date(2026, 3, 12))
    ]


def plan(home, instant, *, universe="us", members=(AAPL, MSFT), newest=None):
    """The plan at a UTC instant."""
    at = dt.datetime.fromisoformat(instant).replace(tzinfo=UTC)
    return plan_end_of_day(home, universe, members, at=at, newest=newest or {})


def test_a_plan_asks_for_the_sessions_of_every_member(tmp_path):
    """One run a dataset, its name stable, its range the new sessions."""
    home = make(tmp_path, '[recovery]\ndatasets = ["bars_1d"]\n')
    (ended,) = plan(home, "2026-03-12T20:30", newest={Dataset.BARS_1D: dt.date(2026, 3, 10)}).ended
    assert ended.name == "eod:bars_1d:us:2026-03-12"
    assert ended.want.symbols == (AAPL, MSFT)
    assert (ended.want.start, ended.want.end) == (dt.date(2026, 3, 11), dt.date(2026, 3, 12))
    assert not ended.want.refetch


def test_a_large_universe_is_split_into_runs_of_bounded_size(tmp_path):
    """max_partitions_per_run counts symbols times sessions."""
    home = make(
        tmp_path, '[recovery]\ndatasets = ["bars_1d"]\n[datasets.bars_1d]\nmax_partitions_per_run = 10\n'
    )
    members = [Symbol(f"S{at:02d}") for at in range(12)]
    found = plan(home, "2026-03-12T20:30", members=members, newest={Dataset.BARS_1D: dt.date(2026, 3, 10)})
    assert [len(ended.want.symbols) for ended in found.ended] == [5, 5, 2]
    assert [symbol for ended in found.ended for symbol in ended.want.symbols] == members
    assert [ended.name.rpartition("2026-03-12")[2] for ended in found.ended] == ["", ":2", ":3"]


@pytest.mark.parametrize(
    ("instant", "newest", "words"),
    [
        ("2026-11-26T21:30", "2026-11-25", "2026-11-26 is no session of XNYS"),
        ("2026-11-28T21:30", "2026-11-27", "2026-11-28 is no session of XNYS"),
        ("2026-11-27T21:30", "2026-11-27", "2026-11-27 of XNYS, a half day: bars_1d was due at 13:30"),
        ("2026-03-12T17:30", "2026-03-11", "2026-03-12 of XNYS: bars_1d is due at 16:30"),
    ],
    ids=["holiday", "saturday", "half-day", "too-early"],
)
def test_a_tick_without_anything_due_says_why(tmp_path, instant, newest, words):
    """In the list of ticks a person reads why nothing was launched."""
    home = make(tmp_path, '[recovery]\ndatasets = ["bars_1d"]\n')
    found = plan(home, instant, newest={Dataset.BARS_1D: dt.date.fromisoformat(newest)})
    assert found.ended == ()
    assert words in found.reason


def test_a_universe_without_symbols_or_providers_says_so(tmp_path):
    """Nothing to ask for is no error."""
    home = make(tmp_path, '[universes.us]\n[universes.coins]\ncalendar = "24/7"\nasset_class = "crypto"\n')
    assert "no symbols" in plan(home, "2026-03-12T20:30", members=()).reason
    found = plan(home, "2026-03-12T00:30", universe="coins")
    assert found.ended == ()
    assert "no enabled provider" in found.reason


def test_an_unknown_provider_is_told_and_not_passed_over(tmp_path):
    """A misspelt section is a mistake, not a vendor that lacks the dataset."""
    with pytest.raises(ConfigError, match="unknown provider"):
        plan(make(tmp_path, "[providers.yahu]\n"), "2026-03-12T20:30")


def test_sessions_before_the_universes_start_are_not_asked_for(tmp_path):
    """The start is a bound here too."""
    home = make(tmp_path, '[recovery]\ndatasets = ["bars_1d"]\n[universes.us]\nstart = 2026-03-12\n')
    (ended,) = plan(home, "2026-03-12T20:30", newest={Dataset.BARS_1D: dt.date(2026, 3, 9)}).ended
    assert ended.want.start == dt.date(2026, 3, 12)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Asia/Kathmandu"])
def test_the_machines_own_zone_changes_nothing(tmp_path, monkeypatch, zone):
    """Instants and the exchange's zone are all that counts."""
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        calendar = get_calendar("XNYS")
        instants = ticks(calendar, [HALF_HOUR], dt.date(2026, 1, 1), dt.date(2026, 12, 31))
        found = emitted(calendar, HALF_HOUR, instants, newest=dt.date(2025, 12, 31))
        assert dict(found) == NYSE_2026
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
