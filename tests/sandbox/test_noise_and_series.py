"""The numbers under the market: noise that is pinned, and columns that add up whatever they are given."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.sandbox import noise, series
from mdc_resources.sandbox.answers import cents_text


def test_splitmix_gives_the_published_sequence() -> None:
    """The first outputs of SplitMix64 for state 0 and 1234567, as in the reference implementation."""
    published = {
        0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4],
        1234567: [6457827717110365317, 3203168211198807973],
    }
    for state, words in published.items():
        assert noise.uniform(state, 2).tolist() == [(word >> 11) * 2.0**-53 for word in words]


def test_noise_is_a_function_of_its_key() -> None:
    """Keys differ by each part and by order; a longer stream begins like a shorter one."""
    keys = {noise.key("a", "b"), noise.key("b", "a"), noise.key("ab"), noise.key("a", "b", 1)}
    assert len(keys) == 4
    assert noise.uniform(5, 100)[:10].tolist() == noise.uniform(5, 10).tolist()


def test_bell_has_mean_0_and_variance_1() -> None:
    """Over 100,000 numbers, within three standard errors or so."""
    found = noise.bell(noise.key("bell"), 100_000)
    assert abs(found.mean()) < 0.01
    assert abs(found.var() - 1) < 0.02
    assert np.abs(found).max() <= 3.5


@st.composite
def days(draw: st.DrawFn) -> tuple[int, ...]:
    """A possible daily bar: open, high, low, close, volume, trades."""
    low = draw(st.integers(1, 500_000))
    high = draw(st.integers(low, low * 2))
    opened, closed = (draw(st.integers(low, high)) for _ in range(2))
    trades = draw(st.integers(8, 200_000))
    return opened, high, low, closed, draw(st.integers(trades, trades * 500)), trades


@settings(max_examples=150, deadline=None)
@given(day=days(), count=st.sampled_from([210, 390]), date=st.dates(dt.date(2000, 1, 1), dt.date(2027, 1, 1)))
def test_minutes_add_up_to_any_daily_bar(day: tuple[int, ...], count: int, date: dt.date) -> None:
    """Also where open, high, low and close coincide, or eight trades make the day."""
    columns = series.Columns(*(np.array([value]) for value in (0, *day)))
    found = series.minutes(7, "ANY", date, columns, count=count)
    opened, high, low, closed, volume, trades = day
    assert (found.open[0], found.high.max(), found.low.min(), found.close[-1]) == (opened, high, low, closed)
    assert (found.volume.sum(), found.trades.sum()) == (volume, trades)
    assert (found.at[0], found.at[-1]) == (0, count - 1)
    assert (np.diff(found.at) > 0).all()
    assert (found.low <= np.minimum(found.open, found.close)).all()
    assert (np.maximum(found.open, found.close) <= found.high).all()
    assert (found.trades > 0).all()
    assert (found.volume >= 0).all()


@pytest.mark.parametrize(
    ("cents", "text"),
    [(0, "0"), (5, "0.05"), (10, "0.1"), (16151, "161.51"), (83900, "839"), (100_000_001, "1000000.01")],
)
def test_cents_are_written_without_trailing_zeros(cents: int, text: str) -> None:
    """As Go's encoder prints a double of two decimals."""
    assert cents_text(cents) == text
