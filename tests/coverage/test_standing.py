"""How assets stand: the same figures as counting partition by partition, at the speed of a query."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdc_resources.calendars import get_calendar
from mdc_resources.coverage.expectation import expect, ledger, summarise
from mdc_resources.coverage.standing import standing
from mdc_resources.domain.coverage import Gap, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.state import State
from tests.coverage.ledgers import append, empty_home, fresh

AAPL, MSFT = Symbol("AAPL"), Symbol("MSFT")
AT = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
SESSIONS = get_calendar("XNYS").sessions(dt.date(2024, 1, 2), dt.date(2024, 2, 15))
KNOWN = [state for state in PartitionState if state is not PartitionState.PENDING]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two members and an empty lake."""
    return empty_home(tmp_path_factory.mktemp("standing") / "home", us=(AAPL, MSFT))


def counted_one_by_one(home, lake, state):
    """The same figures from the calendar and every row, without bits or columns."""
    symbols = (AAPL, MSFT)
    rows = ledger(lake, Dataset.BARS_1D, symbols, SESSIONS[0], AT.date())
    expected = expect(home, state, Dataset.BARS_1D, symbols, SESSIONS[0], AT.date(), at=AT)
    known = {}
    for symbol, session in rows:
        known.setdefault(symbol, []).append(session)
    clipped = {}
    for symbol, days in known.items():
        ordinal = expected[symbol].calendar.ordinal
        hull = Intervals(((ordinal(min(days)), ordinal(max(days)) + 1),))
        clipped[symbol] = replace(expected[symbol], due=expected[symbol].due & hull, pending=0)
    return summarise(clipped, rows)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.dictionaries(
        st.tuples(st.sampled_from([AAPL, MSFT]), st.sampled_from(SESSIONS)),
        st.sampled_from(KNOWN),
        max_size=30,
    )
)
def test_it_agrees_with_counting_one_by_one(home, rows):
    """Any states, any holes, a line `missing` among them."""
    with fresh(home) as lake, State.open(home) as state:
        append(lake, {PartitionKey(*key): value for key, value in rows.items()})
        found = standing(home, lake, state, Dataset.BARS_1D, (AAPL, MSFT), at=AT)
        expected = counted_one_by_one(home, lake, state)
    assert replace(found, gaps=()) == replace(expected, gaps=())
    assert sorted(found.gaps, key=str) == sorted(expected.gaps, key=str)


def test_what_was_never_begun_and_what_is_newer_are_no_holes(home):
    """Only between a symbol's first and last session."""
    with fresh(home) as lake, State.open(home) as state:
        present = PartitionState.PRESENT
        append(lake, {PartitionKey(AAPL, SESSIONS[3]): present, PartitionKey(AAPL, SESSIONS[6]): present})
        found = standing(home, lake, state, Dataset.BARS_1D, (AAPL, MSFT), at=AT)
    assert (found.expected, found.present, found.missing) == (4, 2, 2)
    assert found.gaps == (Gap(AAPL, SESSIONS[4], SESSIONS[5], 2),)


def test_a_hundred_thousand_partitions_are_quick(tmp_path):
    """One asset of forty symbols and ten years, with a hole a symbol."""
    symbols = [Symbol(f"S{at:02d}") for at in range(40)]
    home = empty_home(tmp_path / "home", us=symbols)
    sessions = get_calendar("XNYS").sessions(dt.date(2014, 1, 2), dt.date(2023, 12, 29))[:2500]
    rows = {
        PartitionKey(symbol, day): PartitionState.EMPTY
        for symbol in symbols
        for day in (*sessions[:1000], *sessions[1001:])
    }
    with closing(Lake.open(home.lake_dir)) as lake, State.open(home) as state:
        append(lake, rows)
        started = time.perf_counter()
        found = standing(home, lake, state, Dataset.BARS_1D, symbols, at=AT)
        seconds = time.perf_counter() - started
    assert (found.expected, found.missing, len(found.gaps)) == (100_000, 40, 40)
    assert seconds < 3.0
