"""Waits between tries: what a vendor says, what we make of it, and when to stop."""

from __future__ import annotations

import datetime as dt
import random

import pytest

from mdc_resources.domain.errors import (
    BadCredentials,
    PayloadError,
    RateLimited,
    StorageFailed,
    TransportError,
)
from mdc_resources.transport import retry
from mdc_resources.transport.retry import Course, retry_after

NOW = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("1000000000", 1e9),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Friday, 20-Nov-26 12:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 11:59:59 GMT", None),
        ("Fri, 20 Nov 2026 13:00:30 +0100", 30.0),
        ("-1", None),
        ("", None),
        ("soon", None),
        ("1e9", None),
        ("9" * 40, None),
        ("Fri, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_values(said: str, seconds: float | None) -> None:
    """Seconds and HTTP dates are read; anything else, and the past, says nothing."""
    assert retry_after({"retry-after": said}, received_at=NOW) == seconds


def test_no_header_says_nothing() -> None:
    """Most answers carry none."""
    assert retry_after({}, received_at=NOW) is None


def test_only_passing_failures_are_retried() -> None:
    """The disposition decides; errors that are not a vendor's never come back."""
    course = Course(60, 30)
    for error in (BadCredentials("x"), PayloadError("x"), StorageFailed("x"), ValueError("x")):
        assert course.next_wait(error) is False
    assert course.next_wait(TransportError("x")) is not False


def test_backoff_is_full_jitter() -> None:
    """Waits spread from zero to a bound that doubles up to eight seconds."""
    course = Course(1000, 30, random=random.Random(7))
    bounds = [min(8.0, retry.FIRST_WAIT_SECONDS * 2**n) for n in range(12)]
    waits = [course.next_wait(TransportError("x")) for _ in bounds]
    assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    others = [
        Course(1000, 30, random=random.Random(seed)).next_wait(TransportError("x")) for seed in range(50)
    ]
    assert len(set(others)) == 50


def test_retry_after_is_a_floor() -> None:
    """What the vendor asks for is waited in full, plus a little so that a herd disperses."""
    course = Course(60, 30, asked_to_wait=5.0)
    wait = course.next_wait(RateLimited("x"))
    assert 5.0 <= wait <= 6.0


def test_a_wait_beyond_the_cap_or_the_deadline_ends_it() -> None:
    """Better another provider now than this one in a minute."""
    assert Course(600, 30, asked_to_wait=31.0).next_wait(RateLimited("x")) is False
    assert Course(3, 30, asked_to_wait=5.0).next_wait(RateLimited("x")) is False


def test_an_open_breaker_ends_it() -> None:
    """There is no point in waiting for a request that would not be let through."""
    assert Course(60, 30, is_over=True).next_wait(TransportError("x")) is False


def test_the_clock_starts_with_the_first_request() -> None:
    """Waiting in our own queue is not the vendor's slowness."""
    course = Course(60, 30)
    assert course.remaining == 60
    course.start()
    started = course.started
    course.start()
    assert course.started == started
    assert course.remaining < 60
