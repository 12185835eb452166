"""Bars that were still running when they were told: taken away, counted, and their session named."""

from __future__ import annotations

import datetime as dt

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.providers.decoding.bars import AssembledBars
from mdc_resources.providers.decoding.unfinished import Finished, finished
from tests.providers.asking import FRIDAY, WEEK, decode, dialect_of, want
from tests.providers.polygon_pages import agg, aggs, millis, week

CLOSE = dt.datetime(2024, 3, 8, 21, tzinfo=dt.UTC)
OPEN = dt.datetime(2024, 3, 8, 14, 30, tzinfo=dt.UTC)


def _days(received_at: dt.datetime, end: dt.date = FRIDAY) -> Finished:
    """A whole week of days, as they were at ``received_at``."""
    request = want("polygon", "AAPL", end=end)
    bars = AssembledBars(decode(request, aggs(*week())).tables[Dataset.BARS_1D], (), 3, 2)
    return finished(bars, request=request, dialect=dialect_of("polygon"), received_at=received_at)


def _minutes(received_at: dt.datetime, *clocks: tuple[int, int]) -> Finished:
    """Friday's minutes that start at ``clocks`` (New York), as they were at ``received_at``."""
    request = want("polygon", "AAPL", dataset=Dataset.BARS_1M, start=FRIDAY, end=FRIDAY)
    body = aggs(*(agg(millis(FRIDAY, *clock)) for clock in clocks))
    bars = AssembledBars(decode(request, body).tables[Dataset.BARS_1M], (), 0, 0)
    return finished(bars, request=request, dialect=dialect_of("polygon"), received_at=received_at)


def test_after_the_close_nothing_is_taken_away() -> None:
    """The very bars come back, at the second of the close too."""
    found = _days(CLOSE)
    assert (found.bars.table.num_rows, found.bars.dropped, found.incomplete) == (5, 3, ())


@pytest.mark.parametrize(
    "received_at",
    [
        pytest.param(OPEN, id="at the open"),
        pytest.param(CLOSE - dt.timedelta(microseconds=1), id="just before the close"),
        pytest.param(OPEN - dt.timedelta(hours=5), id="before it has begun"),
    ],
)
def test_a_day_is_over_when_its_session_has_closed(received_at: dt.datetime) -> None:
    """Its row counts as dropped on top of what was dropped before; the rest stays as it was."""
    found = _days(received_at)
    assert found.bars.table["session"].to_pylist() == list(WEEK[:4])
    assert (found.bars.dropped, found.bars.rounded) == (4, 2)
    assert found.incomplete == (("AAPL", FRIDAY),)


def test_all_sessions_from_the_running_one_on_are_named() -> None:
    """On Monday noon none of the week is over."""
    found = _days(dt.datetime(2024, 3, 4, 17, tzinfo=dt.UTC))
    assert found.bars.table.num_rows == 0
    assert [session for _, session in found.incomplete] == list(WEEK)


def test_a_session_that_was_not_asked_for_is_not_named() -> None:
    """Only partitions of the request can be incomplete."""
    assert _days(OPEN, end=WEEK[3]).incomplete == ()


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        pytest.param(dt.timedelta(seconds=59, microseconds=999_999), 1, id="a microsecond early"),
        pytest.param(dt.timedelta(minutes=1), 2, id="to the minute"),
    ],
)
def test_a_minute_is_over_a_minute_after_its_start(second: dt.timedelta, kept: int) -> None:
    """Those before it stay, and the session is incomplete either way."""
    found = _minutes(OPEN + dt.timedelta(minutes=1) + second, (9, 30), (9, 31))
    assert found.bars.table.num_rows == kept
    assert found.bars.dropped == 2 - kept
    assert found.incomplete == (("AAPL", FRIDAY),)


def test_a_running_session_without_a_bar_is_incomplete_too() -> None:
    """That nothing has traded yet says nothing about the afternoon."""
    found = _minutes(OPEN + dt.timedelta(hours=1))
    assert (found.bars.table.num_rows, found.incomplete) == (0, (("AAPL", FRIDAY),))


def test_the_last_minute_is_final_at_the_close() -> None:
    """15:59 is over at 16:00:00."""
    found = _minutes(CLOSE, (15, 58), (15, 59))
    assert (found.bars.table.num_rows, found.incomplete) == (2, ())
