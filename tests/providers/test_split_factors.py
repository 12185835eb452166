"""Ratios behind rounded decimals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.providers.decoding.split_factors import read_factor


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("4.0000", Fraction(4)),
        ("7.0", Fraction(7)),
        ("1.5000", Fraction(3, 2)),
        ("1.0500", Fraction(21, 20)),
        ("1.3333", Fraction(4, 3)),
        ("0.6667", Fraction(2, 3)),
        ("0.1250", Fraction(1, 8)),
        ("0.1", Fraction(1, 10)),
        ("0.0333", Fraction(1, 30)),
        ("0.03333333", Fraction(1, 30)),
        ("0.0286", Fraction(1, 35)),
        ("0.0100", Fraction(1, 100)),
        ("0.0010", Fraction(1, 1000)),
        ("1.0", Fraction(1)),
        ("20", Fraction(20)),
        ("1E+1", Fraction(10)),
    ],
)
def test_a_factor_is_the_ratio_that_was_announced(text: str, ratio: Fraction) -> None:
    """Exact where it is exact, else the one ratio of small integers that rounds to it."""
    assert read_factor(text) == ratio


@pytest.mark.parametrize("text", ["1.0460", "1.2530", "0.0067", "0.00001", "1.00001", "1.4143"])
def test_what_stands_for_no_single_ratio_is_refused(text: str) -> None:
    """A spin-off in disguise, or so coarse that 1:149 and 1:150 look alike."""
    with pytest.raises(ValueError, match="stands for"):
        read_factor(text)


@pytest.mark.parametrize("text", ["0", "-2", "", "None", "NaN", "2:1", "1e400", "9" * 200])
def test_what_is_no_positive_number_is_refused(text: str) -> None:
    """With a ValueError like every other number."""
    with pytest.raises(ValueError):  # noqa: PT011 - several readers say it in several ways
        read_factor(text)


@given(st.integers(2, 70))
def test_every_small_reverse_split_survives_four_decimals(old: int) -> None:
    """One for up to seventy is told apart from its neighbours."""
    assert read_factor(f"{1 / old:.4f}") == Fraction(1, old)


@given(st.integers(1, 50), st.integers(1, 9))
def test_every_common_forward_split_survives_four_decimals(new: int, old: int) -> None:
    """3:2, 5:4, 7:3 and the like, and whole multiples."""
    assert read_factor(f"{max(new, old) / old:.4f}") == Fraction(max(new, old), old)
