"""Instants and sessions: extended hours, weekends, daylight saving, and when a session is captured."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.landing.sessions import Windows, instant, nanos


def at(text: str) -> int:
    """An instant of New York's wall clock with its offset, as nanoseconds."""
    return nanos(dt.datetime.fromisoformat(text))


@pytest.fixture(scope="module")
def nyse() -> Windows:
    """The windows of New York."""
    return Windows(get_calendar("XNYS"))


@pytest.mark.parametrize(
    ("when", "session"),
    [
        ("2026-03-06T19:59:59.999999-05:00", "2026-03-06"),
        ("2026-03-06T20:00:00-05:00", "2026-03-09"),
        ("2026-03-08T12:00:00-04:00", "2026-03-09"),
        ("2026-03-09T19:59:59-04:00", "2026-03-09"),
        ("2026-03-09T20:00:00-04:00", "2026-03-10"),
    ],
    ids=["friday evening", "friday night", "sunday", "monday in summer time", "monday night"],
)
def test_an_instant_has_one_session(nyse: Windows, when: str, session: str) -> None:
    """That of the window it lies in, one by one and as a column."""
    assert nyse.at(at(when)).session.isoformat() == session
    days = pa.array(nyse.days(np.array([at(when)]))).view(pa.date32())
    assert days.to_pylist() == [dt.date.fromisoformat(session)]


def test_stretches_are_cut_at_sessions(nyse: Windows) -> None:
    """Without a gap and without an overlap."""
    start, end = at("2026-03-05T12:00:00-05:00"), at("2026-03-09T12:00:00-04:00")
    pieces = list(nyse.pieces(start, end))
    assert [piece.session.day for piece in pieces] == [5, 6, 9]
    assert (pieces[0].start_ns, pieces[-1].end_ns) == (start, end)
    assert all(a.end_ns == b.start_ns for a, b in pairwise(pieces))
    assert list(nyse.pieces(end, end)) == []


@pytest.mark.parametrize(
    ("hours", "start", "end"),
    [
        ("regular", "2026-03-09T09:30:00-04:00", "2026-03-09T16:00:00-04:00"),
        ("extended", "2026-03-09T04:00:00-04:00", "2026-03-09T20:00:00-04:00"),
        ("always", "2026-03-06T20:00:00-05:00", "2026-03-09T20:00:00-04:00"),
    ],
)
def test_the_hours_say_what_is_captured(nyse: Windows, hours: str, start: str, end: str) -> None:
    """A session is complete when this was covered."""
    assert nyse.captured(dt.date(2026, 3, 9), hours) == (at(start), at(end))


@pytest.mark.parametrize("hours", ["regular", "extended", "always"])
def test_coins_have_whole_days(hours: str) -> None:
    """Whatever the hours of the feed."""
    windows = Windows(get_calendar("24/7"))
    midnight = at("2026-03-09T00:00:00+00:00")
    assert windows.captured(dt.date(2026, 3, 9), hours) == (midnight, midnight + 86_400 * 10**9)
    assert windows.at(midnight).session == dt.date(2026, 3, 9)
    assert windows.at(midnight - 1).session == dt.date(2026, 3, 8)


def test_instants_are_exact() -> None:
    """To the microsecond, both ways."""
    moment = dt.datetime(2026, 3, 9, 1, 2, 3, 456_789, tzinfo=dt.UTC)
    assert instant(nanos(moment) + 999) == moment
