"""Instants and numbers of live frames: exact from their text, or refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.providers.decoding.live_text import (
    Names,
    check_levels,
    level,
    nanos_of_clock,
    nanos_of_seconds,
    number,
    shown,
)

_INSTANTS = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2261, 1, 1))


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("2021-04-17T16:43:36.481712Z", 1_618_677_816_481_712_000),
        ("2021-04-17T16:43:36Z", 1_618_677_816_000_000_000),
        ("2021-04-17t16:43:36.5z", 1_618_677_816_500_000_000),
        ("2021-04-17 16:43:36.000000001+00:00", 1_618_677_816_000_000_001),
        ("2021-04-17T12:43:36.481712345-04:00", 1_618_677_816_481_712_345),
        ("2021-04-17T22:13:36.48171+05:30", 1_618_677_816_481_710_000),
        ("2021-04-17T16:43:36.1234567899999Z", 1_618_677_816_123_456_789),
    ],
)
def test_clocks_become_exact_nanoseconds(text: str, nanos: int) -> None:
    """With any digits and any offset; a second time from memory."""
    assert [nanos_of_clock(text) for _ in range(2)] == [nanos, nanos]


@given(_INSTANTS, st.text("0123456789", min_size=1, max_size=9))
def test_any_digits_of_a_second_are_kept(instant: dt.datetime, digits: str) -> None:
    """From one to nine, the same by clock and by seconds."""
    whole = instant.replace(microsecond=0, tzinfo=dt.UTC)
    seconds = int(whole.timestamp())
    expected = seconds * 10**9 + int(Decimal(f"0.{digits}") * 10**9)
    assert nanos_of_clock(f"{whole:%Y-%m-%dT%H:%M:%S}.{digits}Z") == expected
    assert nanos_of_seconds(f"{seconds}.{digits}") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2021-04-17",
        "2021-04-17T16:43:36",
        "2021-04-17T16:43:36.Z",
        "2021-04-17T16:43:60Z",
        "2021-02-30T00:00:00Z",
        "2021-04-17T16:43:36.481712Zjunk",
        "2021-04-17T16:43:36.48171２Z",
        "1969-12-31T23:59:59Z",
        "2262-04-12T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    """No zone, no such second, other digits than ASCII's, beyond 64 bits."""
    with pytest.raises(ValueError, match=r"instant|time zone|outside"):
        nanos_of_clock(text)


@pytest.mark.parametrize("text", ["", "1.", ".5", "1e9", "-1", "99999999999", "9999999999", "1.5x", "１.5"])
def test_what_are_no_seconds_is_refused(text: str) -> None:
    """Plain digits, within 64 bits of nanoseconds."""
    with pytest.raises(ValueError, match=r"seconds|outside"):
        nanos_of_seconds(text)


@given(st.decimals(0, 10**15, places=9))
def test_decimals_are_numbers(value: Decimal) -> None:
    """As they are written."""
    assert number(f"{value:f}") == f"{value:f}"
    assert level("1e-8", f"{value:f}") == ("1e-8", f"{value:f}")
    check_levels([(f"{value:f}", "0"), ("1e-8", "0.5")])


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "NaN", "1e400", "1 ", "0x1", "1_0", ".5", "5.", "１", "1" * 31]
)
def test_anything_else_is_none(text: str) -> None:
    """Also in the middle of a book."""
    with pytest.raises(ValueError, match="not a number"):
        number(text)
    with pytest.raises(ValueError, match="not a number"):
        check_levels([("1", "1"), ("1", text), ("2", "2")])
    for price, size in ((text, "1"), ("1", text), (f"1 {text}", ""), ("", f"{text} 1")):
        with pytest.raises(ValueError, match="not a number"):
            level(price, size)


def test_names_are_read_once_and_in_bounds() -> None:
    """What is no symbol is remembered as none, and refused when it must be one."""
    read: list[str] = []

    def reading(name: str) -> str | None:
        read.append(name)
        return None if name == "none" else f"X:{name}"

    names = Names(reading)
    assert [names["A"], names["A"], names["none"], names["../etc"], names["a"]] == [
        "X:A",
        "X:A",
        None,
        None,
        None,
    ]
    assert read == ["A", "none", "../etc", "a"]
    for name in ("none", "x" * 100):
        with pytest.raises(ValueError, match="is no symbol"):
            names.known(name)
    for count in range(10_000):
        names[f"N{count}"]
    assert len(names) <= 4096


def test_rejections_keep_a_part_of_a_large_frame() -> None:
    """Enough to see what it was."""
    assert len(shown(b"x" * 10_000_000)) == 2000
