"""Interval algebra against plain sets of integers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.intervals import Intervals

VALUES = st.sets(st.integers(0, 60), max_size=40)


def is_canonical(intervals: Intervals) -> bool:
    """Sorted, disjoint, not touching, not empty."""
    runs = intervals.runs
    return all(a < b for a, b in runs) and all(x[1] < y[0] for x, y in pairwise(runs))


@given(VALUES, VALUES)
def test_union_intersection_difference_match_sets(a: set[int], b: set[int]) -> None:
    """Each operation gives the set's own answer, in canonical form."""
    left, right = Intervals.of(a), Intervals.of(b)
    for got, wanted in ((left | right, a | b), (left & right, a & b), (left - right, a - b)):
        assert set(got) == wanted
        assert len(got) == len(wanted)
        assert is_canonical(got)


@given(st.lists(st.integers(0, 60)))
def test_order_and_repeats_do_not_matter(values: list[int]) -> None:
    """Equal sets compare equal however they were given."""
    assert Intervals.of(values) == Intervals.of(sorted(set(values)))
    assert bool(Intervals.of(values)) == bool(values)


@given(VALUES, st.integers(1, 9))
def test_split_keeps_the_set_within_the_limit(values: set[int], limit: int) -> None:
    """Cut runs cover exactly the same integers, none longer than the limit."""
    runs = Intervals.of(values).split(limit).runs
    assert all(0 < end - start <= limit for start, end in runs)
    assert [v for start, end in runs for v in range(start, end)] == sorted(values)


@given(VALUES)
def test_hull_is_the_smallest_run_around(values: set[int]) -> None:
    """The hull reaches from the least to the greatest, half-open."""
    assert Intervals.of(values).hull() == ((min(values), max(values) + 1) if values else (0, 0))


def test_touching_and_empty_runs() -> None:
    """Touching runs join, empty ones vanish."""
    assert Intervals.from_runs([(3, 5), (5, 7), (9, 9), (1, 2)]).runs == ((1, 2), (3, 7))
