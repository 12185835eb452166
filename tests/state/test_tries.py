"""Failed attempts: pauses that double, a cap that gives up, outages that only pause."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import State, Tries, pause_after
from mdc_resources.state.tries import JITTER, OUTAGES_PER_ATTEMPT
from tests.state.conftest import MakeKeys

D1, M1 = Dataset.BARS_1D, Dataset.BARS_1M
AT = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
FIRST, LONGEST = dt.timedelta(minutes=10), dt.timedelta(days=1)
KEY = PartitionKey(Symbol("AAPL"), dt.date(2026, 2, 27))
OTHER = PartitionKey(Symbol("IBM"), dt.date(2026, 2, 27))


def fail(
    state: State,
    failures: Mapping[PartitionKey, Mapping[str, str]],
    *,
    at: dt.datetime = AT,
    cap: int = 3,
    outages: tuple[PartitionKey, ...] = (),
) -> list[Tries]:
    """One failed run of daily bars."""
    return state.note_failures(
        D1, failures, at=at, cap=cap, first_pause=FIRST, longest_pause=LONGEST, outages=outages
    )


@given(count=st.integers(1, 200), seed=st.text(max_size=20))
def test_pauses_double_up_to_the_longest_and_a_tenth(count: int, seed: str) -> None:
    """Never shorter than the doubled pause, never longer than the longest plus its jitter."""
    pause = pause_after(count, first=FIRST, longest=LONGEST, seed=seed)
    doubled = min(FIRST * 2 ** min(count - 1, 20), LONGEST)
    assert doubled <= pause <= doubled * (1 + JITTER)
    assert pause == pause_after(count, first=FIRST, longest=LONGEST, seed=seed)


def test_pauses_of_different_symbols_differ() -> None:
    """A hundred symbols that failed together do not come back at one moment."""
    pauses = {pause_after(1, first=FIRST, longest=LONGEST, seed=f"bars_1d:S{n}") for n in range(100)}
    assert len(pauses) > 90


def test_a_first_pause_longer_than_the_longest_is_the_longest() -> None:
    """A contradictory setting is no endless pause."""
    assert pause_after(1, first=LONGEST, longest=FIRST, seed="") <= FIRST * (1 + JITTER)


@given(interval=st.integers(30, 300), cap=st.integers(1, 12))
def test_an_hour_of_looks_asks_a_handful_of_times(interval: int, cap: int) -> None:
    """Looking each minute for an hour while everything fails: the backoff decides, not the looks."""
    due, count, asked = AT, 0, 0
    for second in range(0, 3600, interval):
        now = AT + dt.timedelta(seconds=second)
        if now >= due and count < cap * OUTAGES_PER_ATTEMPT:
            asked, count = asked + 1, count + 1
            due = now + pause_after(count, first=FIRST, longest=LONGEST, seed="bars_1d:AAPL")
    assert asked <= 3, "at once, after 10 minutes, after 20 more; 40 more are beyond the hour"


def test_a_failure_is_remembered_with_its_reasons(state: State) -> None:
    """Per provider: how often, why, and when it is due again."""
    assert fail(state, {KEY: {"yahoo": "has nothing there", "stooq": "timeout"}}) == []
    (found,) = state.tries(D1).values()
    assert (found.key, found.count, found.gave_up, found.outages) == (KEY, 1, False, 0)
    assert [(p.provider, p.count, p.reason) for p in found.providers] == [
        ("stooq", 1, "timeout"),
        ("yahoo", 1, "has nothing there"),
    ]
    assert AT + FIRST <= found.next_at <= AT + FIRST * (1 + JITTER)
    assert {pair.next_at for pair in found.providers} == {found.next_at}


def test_another_dataset_and_another_symbol_are_not_concerned(state: State) -> None:
    """Tries are of one dataset; symbols narrow what is read."""
    fail(state, {KEY: {"yahoo": "x"}, OTHER: {"yahoo": "x"}})
    assert state.tries(M1) == {}
    assert set(state.tries(D1, [Symbol("IBM")])) == {OTHER}
    assert set(state.tries(D1, [Symbol(f"S{n}") for n in range(2000)] + [Symbol("IBM")])) == {OTHER}
    assert state.tries(D1, []) == {}


def test_the_cap_gives_up_once(state: State) -> None:
    """The attempt that reaches it reports the partition; later ones do not report it again."""
    reports = [fail(state, {KEY: {"yahoo": f"{n}"}}) for n in range(5)]
    assert [[tries.key for tries in gone] for gone in reports] == [[], [], [KEY], [], []]
    (gone,) = reports[2]
    assert (gone.count, gone.gave_up, gone.providers[0].reason) == (3, True, "2")
    assert state.tries(D1)[KEY].gave_up


def test_outages_pause_without_using_up_the_cap(state: State) -> None:
    """Nobody could answer: the pause grows, the count stands; a later answer counts from there."""
    ends = []
    for n in range(4):
        assert fail(state, {KEY: {"yahoo": "503"}}, outages=(KEY,)) == []
        found = state.tries(D1)[KEY]
        assert (found.count, found.outages) == (0, n + 1)
        ends.append(found.next_at)
    assert ends == sorted(set(ends))
    fail(state, {KEY: {"yahoo": "has nothing there"}})
    assert (state.tries(D1)[KEY].count, state.tries(D1)[KEY].outages) == (1, 0)


def test_outages_without_end_give_up_too(state: State) -> None:
    """Nothing loops for ever: after weeks of silence a person is told."""
    gone = [fail(state, {KEY: {"yahoo": "503"}}, outages=(KEY,)) for _ in range(3 * OUTAGES_PER_ATTEMPT)]
    assert [len(each) for each in gone] == [0] * (3 * OUTAGES_PER_ATTEMPT - 1) + [1]


def test_a_run_that_asked_nobody_only_pauses(state: State) -> None:
    """No reasons at all: an outage, with a pause of its own."""
    fail(state, {KEY: {}})
    found = state.tries(D1)[KEY]
    assert (found.count, found.outages, found.providers) == (0, 1, ())
    assert found.next_at >= AT + FIRST


def test_the_partition_is_due_with_the_first_of_those_that_failed_last(state: State) -> None:
    """A provider with a long record does not hold back one that failed for the first time."""
    for _ in range(2):
        fail(state, {KEY: {"yahoo": "x"}}, cap=9)
    fail(state, {KEY: {"yahoo": "x", "stooq": "y"}}, cap=9)
    found = state.tries(D1)[KEY]
    stooq, yahoo = found.providers
    assert (stooq.count, yahoo.count) == (1, 3)
    assert found.next_at == stooq.next_at < yahoo.next_at


def test_what_is_settled_is_forgotten(state: State) -> None:
    """Only what is named, in its dataset; the next failure starts anew."""
    fail(state, {KEY: {"yahoo": "x"}, OTHER: {"yahoo": "x"}})
    state.forget_failures(M1, [KEY, OTHER])
    state.forget_failures(D1, [KEY, PartitionKey(Symbol("AAPL"), dt.date(2026, 2, 26))])
    assert set(state.tries(D1)) == {OTHER}
    fail(state, {KEY: {"yahoo": "x"}})
    assert state.tries(D1)[KEY].count == 1
    state.forget_failures(D1, [])


def test_long_reasons_are_cut(state: State) -> None:
    """A vendor's essay fits the column in both databases."""
    fail(state, {KEY: {"yahoo": "é" * 1000}})
    assert len(state.tries(D1)[KEY].providers[0].reason) == 300


def test_tries_survive_a_restart(home: Home) -> None:
    """They belong to the home, not to the process."""
    with State.open(home) as first:
        fail(first, {KEY: {"yahoo": "x"}})
    with State.open(home) as second:
        assert set(second.tries(D1)) == {KEY}


@pytest.mark.parametrize("failed", [25_000])
def test_a_quarter_of_a_million_partitions_is_no_load(sqlite_home: Home, keys: MakeKeys, failed: int) -> None:
    """Few failed ones are read in milliseconds; settling all the others is one look."""
    every = keys(250_000, symbols=250)
    with State.open(sqlite_home) as state:
        started = time.perf_counter()
        fail(state, {key: {"yahoo": "timeout"} for key in every[:failed]})
        noted = time.perf_counter() - started
        state.forget_failures(D1, every[100:])
        started = time.perf_counter()
        assert len(state.tries(D1)) == 100
        read = time.perf_counter() - started
    assert noted < 10, "well under a second on an idle machine"
    assert read < 0.5, "2 ms on an idle machine"
