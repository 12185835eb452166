"""Dates, instants and durations as a person types them."""

from __future__ import annotations

import datetime as dt

import pytest

from mdc_resources.domain import time
from mdc_resources.domain.datasets import Dataset, parse_dataset
from mdc_resources.domain.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-13-01",
        "2024-02-30",
        "20240703",
        "2024-7-3",
        "yesterday",
        "2024-07-03T00:00",
        "٢٠٢٤-٠٧-٠٣",
        "-rf",
    ],
)
def test_wrong_dates_are_refused(text: str) -> None:
    """Only YYYY-MM-DD of a real day is a session date."""
    with pytest.raises(UsageError, match="is not a date"):
        time.parse_session(text)


def test_ranges_are_inclusive_and_ordered() -> None:
    """One day is a range; a reversed one is refused by name."""
    day = dt.date(2024, 2, 29)
    assert time.parse_session_range("2024-02-29", "2024-02-29") == (day, day)
    with pytest.raises(UsageError, match="lies after"):
        time.parse_session_range("2024-03-01", "2024-02-29")


def test_naive_instants_cannot_enter() -> None:
    """Without a zone an instant is refused; with one it becomes UTC."""
    with pytest.raises(UsageError, match="no time zone"):
        time.to_utc(dt.datetime(2024, 7, 3, 9, 30))
    with pytest.raises(UsageError):
        time.parse_instant("2024-07-03T09:30:00")
    assert time.parse_instant("2024-07-03T09:30:00-04:00") == dt.datetime(2024, 7, 3, 13, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400)])
def test_durations(text: str, seconds: int) -> None:
    """A number and a unit."""
    assert time.parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "1.5h", "5 m", "1w"])
def test_wrong_durations_are_refused(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(UsageError, match="30m"):
        time.parse_duration(text)


def test_unknown_dataset_lists_the_known() -> None:
    """The message shows what could have been meant."""
    assert parse_dataset("bars_1d") is Dataset.BARS_1D
    with pytest.raises(UsageError, match="bars_1m"):
        parse_dataset("bars_5m")
