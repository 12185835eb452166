"""Merging history into captured partitions: complete, idempotent, in any order, and nowhere else."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.landing.refill_merge import (
    IN_FLIGHT,
    Merged,
    Stretch,
    joined,
    merge,
    reaches,
    stretch_of,
    together,
    unit_of,
)
from mdc_resources.schema.arrow import schema_of

DAY = dt.date(2026, 11, 2)
BASE = int(dt.datetime(2026, 11, 2, 10, tzinfo=dt.UTC).timestamp()) * 10**9
LAG = 40_000_000  # from the venue to the capture
MICRO, MILLI = 10**3, 10**6
BY_ID = ("venue", "trade_id")


class Event(NamedTuple):
    """What happened: nanoseconds after ``BASE``, whole price and size, and the venue's number."""

    at: int
    price: int
    size: int
    number: int


def trades(
    events: Sequence[Event], *, live: bool, unit: int = 1, ids: bool = True, sequence: bool = False
) -> pa.Table:
    """``events`` in their order as a feed (``live``) or the vendor's history tells them."""
    schema = schema_of(Dataset.TRADES)
    columns: dict[str, list[object]] = {field.name: [None] * len(events) for field in schema}
    columns |= {
        "symbol": ["KRAKEN:BTC-USD"] * len(events),
        "session": [DAY] * len(events),
        "source": ["kraken/live" if live else "kraken"] * len(events),
        "ts_event": [(BASE + event.at) // unit * unit for event in events],
        "ts_recv": [BASE + event.at + LAG if live else None for event in events],
        "ordinal": list(range(len(events))),
        "price": [Decimal(event.price) for event in events],
        "size": [Decimal(event.size) for event in events],
    }
    if ids:
        columns["trade_id"] = [str(event.number) for event in events]
    if sequence:
        columns["sequence"] = [event.number for event in events]
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def told(table: pa.Table, *, unit: int = 1) -> Counter[tuple[int, int, int, str | None]]:
    """The content of a partition, times cut to ``unit``."""
    columns = (table[name].to_pylist() for name in ("ts_event", "price", "size", "trade_id"))
    return Counter(
        (at // unit, int(price), int(size), name) for at, price, size, name in zip(*columns, strict=True)
    )


def run_of(*times: int) -> list[Event]:
    """Events at these times, told apart by number only."""
    return [Event(at, 100, 1, number) for number, at in enumerate(times)]


def outside(events: Sequence[Event], *holes: tuple[int, int]) -> list[Event]:
    """What a feed with such holes (receive times after ``BASE``) captured of ``events``."""
    return [e for e in events if not any(start < e.at + LAG < end for start, end in holes)]


def filled(
    stored: pa.Table, history: pa.Table, hole: tuple[int, int], identity: Sequence[str] = BY_ID
) -> Merged:
    """Refill one hole the way a run does: only with what its window gives."""
    stretch = stretch_of(stored, BASE + hole[0], BASE + hole[1])
    start, end = stretch.window
    times = history["ts_event"].to_numpy()
    answer = history.filter(pa.array((times >= start) & (times < end)))
    return merge(stored, answer, stretch, identity=identity)


def test_a_hole_is_widened_to_the_events_around_it() -> None:
    """Event times of the last one captured before and the first one after, whatever the lag."""
    events = run_of(0, 10 * MILLI, 500 * MILLI, 900 * MILLI)
    hole = (100 * MILLI, 800 * MILLI)
    stretch = stretch_of(trades(outside(events, hole), live=True), BASE + hole[0], BASE + hole[1])
    assert stretch == Stretch(BASE + 10 * MILLI, BASE + 900 * MILLI, at=2, meets=True)
    assert stretch.window == (BASE + 10 * MILLI, BASE + 901 * MILLI)


def test_a_hole_at_the_end_of_a_capture_ends_where_it_ends() -> None:
    """Nothing came after it, so nothing proves that history is there yet."""
    stretch = stretch_of(trades(run_of(0), live=True), BASE + 50 * MILLI, BASE + 90 * MILLI)
    assert (stretch.end_ns, stretch.meets, stretch.at) == (BASE + 90 * MILLI, False, 1)


def test_a_hole_of_an_empty_partition_is_its_own_stretch() -> None:
    """With what was under way when it began: nothing captured can be doubled there."""
    stretch = stretch_of(trades([], live=True), BASE + 5, BASE + 9)
    assert stretch == Stretch(BASE + 5 - IN_FLIGHT, BASE + 9, at=0, meets=False)


def test_what_is_missing_comes_in_and_the_edges_stay_single() -> None:
    """The events around the hole are in both; they keep their receive times."""
    events = run_of(0, 100 * MILLI, 200 * MILLI, 300 * MILLI, 400 * MILLI)
    hole = (150 * MILLI, 350 * MILLI)
    merged = filled(trades(outside(events, hole), live=True), trades(events, live=False), hole)
    assert told(merged.table) == told(trades(events, live=True))
    assert merged.added == len(events) - len(outside(events, hole))
    assert merged.table["ordinal"].to_pylist() == list(range(5))
    assert merged.table["ts_event"].to_pylist() == sorted(merged.table["ts_event"].to_pylist())


def test_several_events_at_the_edge_s_instant_are_told_apart() -> None:
    """Of three at one time the first was captured, then the line went dead."""
    events = run_of(0, 100 * MILLI, 100 * MILLI, 100 * MILLI, 400 * MILLI)
    stored = trades([events[0], events[1], events[4]], live=True)
    merged = filled(stored, trades(events, live=False), (141 * MILLI, 439 * MILLI))
    assert told(merged.table) == told(trades(events, live=True))
    assert (merged.added, merged.gone) == (2, 0)


@pytest.mark.parametrize(("live", "kept"), [(1, MICRO), (MICRO, 1), (MILLI, 1), (1, MILLI), (MICRO, MILLI)])
def test_times_are_compared_as_far_as_both_tell_them(live: int, kept: int) -> None:
    """A feed in milliseconds and a history in nanoseconds are one market, and the other way round."""
    events = [Event(at * 100_007_919, 100 + at % 3, 1 + at % 2, at) for at in range(9)]
    hole = (250 * MILLI, 650 * MILLI)
    stored = trades(outside(events, hole), live=True, unit=live, ids=False)
    merged = filled(stored, trades(events, live=False, unit=kept, ids=False), hole, ())
    coarse = max(live, kept)
    assert told(merged.table, unit=coarse) == told(trades(events, live=True, ids=False), unit=coarse)


def test_sequence_numbers_stand_in_for_identities() -> None:
    """Quotes of some feeds have nothing else: equal content twice is two events."""
    events = [Event(100 * MILLI, 100, 1, number) for number in range(4)]
    stored = trades([events[0], events[3]], live=True, ids=False, sequence=True)
    history = trades(events, live=False, ids=False, sequence=True)
    merged = filled(stored, history, (120 * MILLI, 140 * MILLI), ("trade_id",))
    assert sorted(merged.table["sequence"].to_pylist()) == [0, 1, 2, 3]


def test_without_any_numbers_equal_events_are_counted() -> None:
    """History tells three alike where one was captured: two are new."""
    events = [Event(100 * MILLI, 100, 1, 0)] * 3
    merged = filled(
        trades(events[:1], live=True, ids=False),
        trades(events, live=False, ids=False),
        (141 * MILLI, 150 * MILLI),
        (),
    )
    assert (merged.table.num_rows, merged.added) == (3, 2)


def test_history_that_numbers_otherwise_is_not_doubled() -> None:
    """Its ids match nowhere at the edges, so that content decides."""
    events = run_of(0, 100 * MILLI, 200 * MILLI, 300 * MILLI)
    renamed = [event._replace(number=event.number + 7_000) for event in events]
    hole = (145 * MILLI, 335 * MILLI)
    merged = filled(trades(outside(events, hole), live=True), trades(renamed, live=False), hole)
    assert sorted(merged.table["ts_event"].to_pylist()) == [BASE + event.at for event in events]


def test_what_was_captured_out_of_order_inside_is_history_s_to_tell() -> None:
    """A row within the stretch that history does not have goes; one that it has stays as captured."""
    late = Event(250 * MILLI, 999, 9, 77)
    events = [*run_of(0, 100 * MILLI), late, *run_of(0, 0, 0, 0, 300 * MILLI, 310 * MILLI)[4:]]
    stored = trades(events, live=True)
    clocks = [BASE + at * MILLI for at in (40, 140, 145, 340, 350)]
    stored = stored.set_column(stored.column_names.index("ts_recv"), "ts_recv", pa.array(clocks))
    hole = (142 * MILLI, 144 * MILLI)  # its edges are the second event and the late one
    assert filled(stored, trades([events[1], late], live=False), hole).gone == 0
    wide = (120 * MILLI, 330 * MILLI)
    merged = filled(stored, trades([events[0], events[1], events[3]], live=False), wide)
    assert merged.gone == 1
    assert 999 not in [int(price) for price in merged.table["price"].to_pylist()]


@pytest.mark.parametrize(("newest", "enough"), [(399, False), (400, True), (401, True)])
def test_history_must_come_up_to_the_event_after_the_hole(newest: int, enough: bool) -> None:
    """Vendors' history lags; what is not there yet is not nothing."""
    stretch = Stretch(BASE, BASE + 400 * MILLI, 1, meets=True)
    assert reaches(trades(run_of(newest * MILLI), live=False), stretch) is enough


def test_an_empty_answer_reaches_only_what_nothing_follows() -> None:
    """Where an event was captured after the hole, history without it has not got there."""
    nothing = trades([], live=False)
    assert not reaches(nothing, Stretch(BASE, BASE + 1, 0, meets=True))
    assert reaches(nothing, Stretch(BASE, BASE + 1, 0, meets=False))


def test_the_precision_is_read_off_the_times() -> None:
    """Of nothing it is the finest."""
    assert unit_of(trades(run_of(5 * MILLI, 7 * MILLI), live=True)) == MILLI
    assert unit_of(trades(run_of(5 * MILLI, 7 * MICRO), live=True)) == MICRO
    assert unit_of(trades(run_of(5 * MILLI, 7), live=True)) == 1
    assert unit_of(trades([], live=True)) == 1


def test_holes_that_touch_are_one_question() -> None:
    """Those with an event of their own in between stay two."""
    one = Stretch(BASE, BASE + 10 * MILLI, 3, meets=True)
    two = Stretch(BASE + 10 * MILLI, BASE + 20 * MILLI, 3, meets=False)
    far = Stretch(BASE + 500 * MILLI, BASE + 600 * MILLI, 3, meets=True)
    assert together([far, two, one]) == [[2, 1], [0]]
    assert joined([one, two]) == Stretch(BASE, BASE + 20 * MILLI, 3, meets=False)
    assert joined([far]) == far


# -- properties -----------------------------------------------------------------------------------


class Case(NamedTuple):
    """A market, the holes of its capture, and how history tells it."""

    events: list[Event]
    holes: list[tuple[int, int]]
    unit: int
    ids: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Bursts with equal instants and equal content, up to three holes, any precision."""
    steps = draw(
        st.lists(st.sampled_from([0, 0, 1, 1_500, MILLI, 7 * MILLI, 90 * MILLI]), min_size=1, max_size=40)
    )
    at, events = 0, []
    for number, step in enumerate(steps):
        at += step
        events.append(Event(at, draw(st.integers(100, 102)), draw(st.integers(1, 2)), number))
    ends = draw(st.lists(st.integers(0, at + 2 * LAG), min_size=2, max_size=6, unique=True))
    edges = sorted(ends)[: len(ends) // 2 * 2]
    holes = list(zip(edges[::2], edges[1::2], strict=True))
    return Case(events, holes, draw(st.sampled_from([1, MICRO, MILLI])), draw(st.booleans()))


def _both(case: Case) -> tuple[pa.Table, pa.Table, tuple[str, ...]]:
    stored = trades(outside(case.events, *case.holes), live=True, ids=case.ids)
    history = trades(case.events, live=False, unit=case.unit, ids=case.ids)
    return stored, history, BY_ID if case.ids else ()


@settings(max_examples=300)
@given(cases())
def test_refilling_every_hole_gives_the_whole_market(case: Case) -> None:
    """Nothing is missing and nothing is there twice."""
    table, history, identity = _both(case)
    for hole in case.holes:
        table = filled(table, history, hole, identity).table
    whole = Counter((event.price, event.size) for event in case.events)
    assert Counter((price, size) for _, price, size, _ in told(table).elements()) == whole
    assert table["ordinal"].to_pylist() == list(range(table.num_rows))


@settings(max_examples=200)
@given(cases())
def test_the_same_refill_again_changes_nothing(case: Case) -> None:
    """Idempotent: a run that is repeated, or a hole that is told twice."""
    table, history, identity = _both(case)
    for hole in case.holes:
        once = filled(table, history, hole, identity).table
        assert filled(once, history, hole, identity).table.equals(once)
        table = once


@settings(max_examples=200)
@given(cases())
def test_the_order_of_refills_does_not_matter(case: Case) -> None:
    """Whichever hole is asked for first."""
    forth, history, identity = _both(case)
    back = forth
    for hole in case.holes:
        forth = filled(forth, history, hole, identity).table
    for hole in reversed(case.holes):
        back = filled(back, history, hole, identity).table
    assert told(forth) == told(back)


@settings(max_examples=200)
@given(cases())
def test_no_row_outside_the_stretch_is_touched(case: Case) -> None:
    """Every captured row that lies outside is there afterwards, in the same order, with its times."""
    stored, history, identity = _both(case)
    hole = case.holes[0]
    stretch = stretch_of(stored, BASE + hole[0], BASE + hole[1])
    merged = filled(stored, history, hole, identity).table
    unit = max(case.unit, unit_of(stored))

    def others(table: pa.Table) -> list[tuple[object, ...]]:
        names = [name for name in table.column_names if name != "ordinal"]
        rows = zip(table["ts_event"].to_pylist(), *(table[n].to_pylist() for n in names), strict=True)
        low, high = stretch.start_ns // unit, stretch.end_ns // unit
        return [row[1:] for row in rows if not low <= row[0] // unit <= high]

    assert others(merged) == others(stored)


@settings(max_examples=100)
@given(cases())
def test_what_was_captured_keeps_its_receive_time(case: Case) -> None:
    """History never takes the place of a row that both tell."""
    table, history, identity = _both(case)
    clocks = sorted(table["ts_recv"].to_pylist())
    for hole in case.holes:
        table = filled(table, history, hole, identity).table
    assert sorted(clock for clock in table["ts_recv"].to_pylist() if clock is not None) == clocks


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), max_size=8))
def test_joined_stretches_cover_the_same_and_stay_apart(pieces: list[tuple[int, int]]) -> None:
    """Every stretch lies in one of them, and no two of them touch."""
    stretches = [
        Stretch(BASE + start * MILLI, BASE + (start + length) * MILLI, 0, meets=True)
        for start, length in pieces
    ]
    groups = together(stretches)
    wholes = [joined([stretches[at] for at in group]) for group in groups]
    assert sorted(at for group in groups for at in group) == list(range(len(stretches)))
    assert all(before.window[1] < after.window[0] for before, after in pairwise(wholes))
    for group, whole in zip(groups, wholes, strict=True):
        assert all(whole.start_ns <= stretches[at].start_ns for at in group)
        assert all(stretches[at].end_ns <= whole.end_ns for at in group)
