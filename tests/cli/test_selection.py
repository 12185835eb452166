"""From words to symbols and sessions: the refusals, and the rules for ranges."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources import config
from mdc_resources.cli import selection
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.state import State

AAPL, MSFT, KO = map(Symbol, ("AAPL", "MSFT", "KO"))


@pytest.fixture
def opened(mdc):
    """The home and its state."""
    home = config.load(mdc.toml)
    with State.open(home) as state:
        yield home, state


def test_symbols_keep_their_order_and_count_once(opened):
    """Arguments first, then the option."""
    home, state = opened
    assert selection.chosen_symbols(state, home, ["msft"], ["AAPL,MSFT", "KO"], None) == [MSFT, AAPL, KO]


def test_a_universe_means_its_active_members(opened):
    """In seating order; removed ones are left out."""
    home, state = opened
    state.add_members("us", [MSFT, AAPL, KO], shards=1)
    state.remove_members("us", [AAPL])
    assert selection.chosen_symbols(state, home, [], None, "us") == [MSFT, KO]


def test_joining_seats_strangers_and_wakes_removed_ones(opened):
    """A removed symbol that is asked for is followed again, in its own universe."""
    home, state = opened
    state.add_members("us", [AAPL, MSFT], shards=1)
    state.remove_members("us", [AAPL])
    assert selection.join_default_universe(state, home, [AAPL, MSFT, KO], dry_run=False) == [AAPL, KO]
    assert [member.symbol for member in state.members("us")] == [AAPL, MSFT, KO]


def test_joining_dry_changes_nothing(opened):
    """It names who would join."""
    home, state = opened
    assert selection.join_default_universe(state, home, [KO], dry_run=True) == [KO]
    assert state.members() == []


def test_joining_a_full_universe_names_the_remedy(opened):
    """And seats nobody."""
    home, state = opened
    with pytest.raises(UsageError, match="universe grow"):
        selection.join_default_universe(state, home, [Symbol(f"S{n}") for n in range(41)], dry_run=False)
    assert state.members() == []


@given(st.integers(1, selection.MAX_YEARS))
def test_years_end_today_and_span_that_many(years):
    """The day after the same date N years ago; a leap day does not break it."""
    start, end = selection.years_back(years)
    assert end == now().date()
    assert abs((end - start).days + 1 - years * 365.2425) < 3


@pytest.mark.parametrize(
    "today", [dt.date(2028, 2, 29), dt.date(2027, 2, 28), dt.date(2027, 12, 31), dt.date(2027, 1, 1)]
)
def test_years_from_awkward_days(monkeypatch, today):
    """29 February, the last and the first day of a year."""
    monkeypatch.setattr(selection, "now", lambda: dt.datetime.combine(today, dt.time(12), dt.UTC))
    start, end = selection.years_back(1)
    assert end == today
    assert 364 <= (end - start).days <= 366


def test_an_inclusive_range_of_one_day():
    """Start and end may be the same session."""
    assert selection.session_range("2024-01-02", "2024-01-02", None) == (dt.date(2024, 1, 2),) * 2


def test_an_open_range_is_filled_with_its_defaults():
    """From the given first day to today."""
    first = dt.date(2020, 1, 1)
    assert selection.open_range(None, None, first) == (first, now().date())
    assert selection.open_range("2024-01-02", "2024-01-03", first) == (
        dt.date(2024, 1, 2),
        dt.date(2024, 1, 3),
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [("uss", "Did you mean 'us'?"), ("zzzzzz", "Known: uk, us"), ("US", "Known: uk, us")],
)
def test_hints_name_the_nearest_or_all(name, hint):
    """A typo gets one name, nonsense all of them."""
    assert selection.nearest(name, ["us", "uk"]) == hint


def test_hints_for_nothing_known():
    """No empty sentence."""
    assert selection.nearest("x", []) == "Known: none"
