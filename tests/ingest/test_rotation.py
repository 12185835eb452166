"""The order of asking as a pure function: precedence, yielding, recovery; for any facts whatever."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.ingest.rotation import (
    Budget,
    Facts,
    Health,
    Standing,
    Turn,
    health_of,
    in_turn,
    percentile,
)

WINDOWS = ("second", "minute", "hour", "day")
NOW = 1_000_000.0
used = st.dictionaries(
    st.sampled_from(WINDOWS), st.tuples(st.integers(0, 120), st.integers(1, 100)), max_size=4
)
healths = st.builds(
    lambda asked, share, p50: Health(asked, round(asked * share), p50, p50, p50),
    st.integers(0, 30),
    st.floats(0, 1),
    st.none() | st.floats(0, 60_000),
)
facts = st.builds(Facts, used, st.booleans(), healths)
turns = st.lists(
    st.builds(
        Turn,
        st.text("abcdef", min_size=1, max_size=6),
        st.integers(0, 40),
        st.sampled_from([Decimal(0), Decimal("0.01"), Decimal(2)]),
        st.booleans(),
        facts,
    ),
    max_size=7,
    unique_by=lambda turn: turn.name,
)


def names(queue: list[Turn]) -> list[str]:
    """Who comes when."""
    return [turn.name for turn in queue]


@given(turns, st.randoms())
def test_nobody_is_lost_and_the_order_given_does_not_matter(queue, random):
    """A permutation of the input, always the same one."""
    shuffled = list(queue)
    random.shuffle(shuffled)
    ordered = in_turn(queue)
    assert sorted(names(ordered)) == sorted(names(queue))
    assert in_turn(shuffled) == ordered == in_turn(ordered)


@given(turns)
def test_each_step_of_the_precedence_holds_for_every_pair(queue):
    """Proof, breaker, budget, failing, rank, cost: a later one never beats an earlier one."""
    ordered = in_turn(queue)
    for at, first in enumerate(ordered):
        for second in ordered[at + 1 :]:
            a, b = first.facts, second.facts
            ladder = [
                (not first.proves, not second.proves),
                (a.breaker_open, b.breaker_open),
                (a.budget, b.budget),
                (a.health.is_failing, b.health.is_failing),
                (first.rank, second.rank),
                (first.cost, second.cost),
            ]
            differing = next((pair for pair in ladder if pair[0] != pair[1]), None)
            assert differing is None or differing[0] < differing[1]


@given(turns, used)
def test_using_more_of_a_budget_never_moves_a_provider_forward(queue, more):
    """Monotonic: spending is never rewarded."""
    for at, turn in enumerate(queue):
        limits = turn.facts.used
        raised = {
            window: (max(taken, more.get(window, (0, 1))[0]), limit)
            for window, (taken, limit) in limits.items()
        }
        after = Facts(raised, turn.facts.breaker_open, turn.facts.health)
        changed = [*queue[:at], Turn(turn.name, turn.rank, turn.cost, turn.proves, after), *queue[at + 1 :]]
        assert names(in_turn(changed)).index(turn.name) >= names(in_turn(queue)).index(turn.name)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, Budget.SPARE),
        ({"minute": (80, 100)}, Budget.SPARE),
        ({"minute": (81, 100)}, Budget.YIELDING),
        ({"minute": (4, 5), "day": (1, 25)}, Budget.SPARE),
        ({"minute": (5, 5), "day": (1, 25)}, Budget.YIELDING),
        ({"hour": (41, 50)}, Budget.YIELDING),
        ({"hour": (50, 50)}, Budget.SPENT),
        ({"day": (25, 25), "minute": (0, 5)}, Budget.SPENT),
        ({"day": (30, 25)}, Budget.SPENT),
        ({"second": (10, 10)}, Budget.SPARE),
    ],
    ids=str,
)
def test_the_scarcest_window_decides(counts, expected):
    """Above 80 % is above; a full minute is waited out, a full hour or day is not; a second passes."""
    assert Facts(counts).budget is expected


def test_a_provider_above_its_share_yields_and_is_still_there():
    """The better rank comes back once its window has room."""
    spare, pressed = Facts({"day": (2, 10)}), Facts({"day": (9, 10)})
    assert names(in_turn([Turn("best", 1, facts=pressed), Turn("next", 20)])) == ["next", "best"]
    assert names(in_turn([Turn("best", 1, facts=spare), Turn("next", 20)])) == ["best", "next"]
    assert names(in_turn([Turn("best", 1, facts=pressed)])) == ["best"]


def test_an_open_breaker_is_behind_a_spent_budget():
    """Last is who cannot even be asked."""
    queue = [
        Turn("open", 1, facts=Facts(breaker_open=True)),
        Turn("spent", 2, facts=Facts({"day": (9, 9)})),
        Turn("yielding", 3, facts=Facts({"day": (9, 10)})),
        Turn("failing", 4, facts=Facts(health=Health(10, 6))),
        Turn("well", 5),
    ]
    for order in permutations(queue):
        assert names(in_turn(order)) == ["well", "failing", "yielding", "spent", "open"]


def test_among_equals_the_cheaper_then_the_idler_then_the_quicker():
    """Rank outranks all three."""
    quick, slow = Facts(health=Health(9, 0, 90.0)), Facts(health=Health(9, 0, 900.0))
    queue = [
        Turn("dear", 5, Decimal("0.5"), facts=quick),
        Turn("busy", 5, facts=Facts({"day": (5, 10)}, health=quick.health)),
        Turn("slow", 5, facts=slow),
        Turn("quick", 5, facts=quick),
        Turn("ranked", 4, Decimal(9), facts=slow),
    ]
    assert names(in_turn(queue)) == ["ranked", "quick", "slow", "busy", "dear"]


def test_proof_comes_before_everything_but_only_where_it_counts():
    """A repair of facts waits for the one whose silence is proof."""
    queue = [Turn("talks", 1, proves=False), Turn("proves", 30, facts=Facts(breaker_open=True))]
    assert names(in_turn(queue)) == ["proves", "talks"]


@pytest.mark.parametrize(
    ("known", "word"),
    [
        (Facts(), Standing.READY),
        (Facts(health=Health(4, 4)), Standing.READY),
        (Facts(health=Health(6, 3)), Standing.READY),
        (Facts(health=Health(5, 3)), Standing.FAILING),
        (Facts({"hour": (9, 10)}, health=Health(5, 3)), Standing.YIELDING),
        (Facts({"hour": (10, 10)}), Standing.EXHAUSTED),
        (Facts({"hour": (10, 10)}, breaker_open=True), Standing.OPEN),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_worst_fact_names_the_standing(known, word):
    """In the order of precedence."""
    assert known.standing is word


def test_failures_are_forgiven_after_a_quarter_of_an_hour():
    """A provider that is not asked any more gets its chance again; its latency is still known."""
    failed = [(NOW - 10, 5.0, False)] * 9 + [(NOW - 2000, 50.0, True)]
    assert health_of(failed, at=NOW) == Health(9, 9, 50.0, 50.0, 50.0)
    later = health_of(failed, at=NOW + 901)
    assert (later.requests, later.is_failing) == (0, False)


def test_percentiles_are_of_answers_by_nearest_rank():
    """Failures (which may end at once, or at the deadline) say nothing about latency."""
    samples = [(NOW, float(n), True) for n in range(1, 101)] + [(NOW, 60_000.0, False)]
    found = health_of(samples, at=NOW)
    assert (found.p50, found.p95, found.p99) == (50.0, 95.0, 99.0)
    assert health_of([], at=NOW) == Health()


@given(st.lists(st.floats(0, 1e6), min_size=1).map(sorted), st.integers(1, 100))
def test_a_percentile_is_one_of_the_values_and_covers_its_share(values, percent):
    """At least that share of the values is at or below it."""
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
