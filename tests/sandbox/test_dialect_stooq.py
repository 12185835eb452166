"""Stooq's dialect against its vendor's manners."""

from __future__ import annotations

import pytest

from tests.sandbox.asking import Ask, table


def test_stooq_dates_are_inclusive(csv: Ask) -> None:
    """Both d1 and d2 are in the answer."""
    assert list(table(csv("xyz.us", "2024-06-24", "2024-06-26"))) == [
        "2024-06-24",
        "2024-06-25",
        "2024-06-26",
    ]


@pytest.mark.parametrize(
    ("symbol", "params"),
    [
        pytest.param("zztop.us", {}, id="unknown"),
        pytest.param("xyz", {}, id="no market"),
        pytest.param("xyz.us", {"i": "5"}, id="minutes"),
        pytest.param("xyz.us", {"d1": "20240622", "d2": "20240623"}, id="weekend"),
        pytest.param("xyz.us", {"d1": "yesterday"}, id="no date"),
        pytest.param("fb.us", {}, id="renamed away"),
    ],
)
def test_stooq_says_no_data(csv: Ask, symbol: str, params: dict[str, str]) -> None:
    """Whatever is wrong, the answer is 200 and these two words."""
    answer = csv(symbol, "2024-06-24", "2024-06-26", **params)
    assert (answer.status_code, answer.text) == (200, "No data")


def test_stooq_leaves_a_halted_session_out(csv: Ask) -> None:
    """No row for a session without trades."""
    assert list(table(csv("halt.us", "2024-03-12", "2024-03-15"))) == ["2024-03-12", "2024-03-15"]
