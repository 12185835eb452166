"""Holes into blocks, blocks into chunks: pure, so tried with everything Hypothesis can think of."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.symbols import Symbol
from mdc_resources.recovery.order import NEWEST_SESSIONS, Block, blocks_of, by_age, chunks_of

SYMBOLS = [Symbol(name) for name in ("AAPL", "BRK.B", "MSFT", "NVDA", "SPY")]
SETS = st.sets(st.integers(0, 60), max_size=40)
HOLES = st.dictionaries(st.sampled_from(SYMBOLS), SETS.map(Intervals.of), max_size=5)
USES = st.dictionaries(st.sampled_from(SYMBOLS), st.integers(0, 3))
ROOM = st.integers(1, 50)


def cells(block: Block) -> list[tuple[Symbol, int]]:
    """The (symbol, ordinal) pairs of a block."""
    return [(symbol, at) for at in range(block.start, block.end) for symbol in block.symbols]


def runs(*spans: tuple[int, int]) -> Intervals:
    """Half-open spans as a set."""
    return Intervals.from_runs(spans)


@given(holes=HOLES, uses=USES, room=ROOM)
def test_every_hole_is_in_exactly_one_chunk(holes, uses, room):
    """Their union is what was asked for, nothing twice, and no chunk exceeds its room."""
    chunks = list(chunks_of(blocks_of(holes, uses, longest=room), room=room))
    found = Counter(cell for chunk in chunks for block in chunk for cell in cells(block))
    assert found == {(symbol, at): 1 for symbol, ordinals in holes.items() for at in ordinals}
    assert all(0 < sum(map(len, chunk)) <= room for chunk in chunks)


@given(holes=HOLES, uses=USES, room=ROOM, order=st.randoms(use_true_random=False))
def test_the_order_of_reading_changes_nothing(holes, uses, room, order):
    """The same holes give the same blocks, however the mapping was built."""
    shuffled = list(holes.items())
    order.shuffle(shuffled)
    assert blocks_of(dict(shuffled), uses, longest=room) == blocks_of(holes, uses, longest=room)


@given(holes=HOLES, uses=USES, room=ROOM)
def test_few_chunks_are_made(holes, uses, room):
    """Any two neighbours together overflow a chunk, so there are at most twice as many as needed."""
    sizes = [sum(map(len, chunk)) for chunk in chunks_of(blocks_of(holes, uses, longest=room), room=room)]
    partitions = sum(map(len, holes.values()))
    assert len(sizes) <= 2 * -(-partitions // room)


@given(holes=HOLES, uses=USES, room=ROOM)
def test_what_fits_is_not_cut(holes, uses, room):
    """A run of sessions is cut only where it alone is too long; a shared hole only where it is too large."""
    longest = max((end - start for each in holes.values() for start, end in each.runs), default=0)
    room += longest
    shared = Counter(run for ordinals in holes.values() for run in ordinals.runs)
    pieces = Counter(
        (block.start, block.end)
        for chunk in chunks_of(blocks_of(holes, uses, longest=room), room=room)
        for block in chunk
    )
    for (start, end), symbols in shared.items():
        if (end - start) * symbols <= room:
            assert pieces[start, end] == 1
        else:
            assert pieces[start, end] == -(-symbols // (room // (end - start)))


@given(holes=HOLES, uses=USES, room=ROOM)
def test_blocks_come_newest_first(holes, uses, room):
    """The last session of each is no younger than that of the one before."""
    ends = [block.end for block in blocks_of(holes, uses, longest=room)]
    assert ends == sorted(ends, reverse=True)


def test_of_the_same_age_the_most_used_symbol_comes_first():
    """Within a block too; symbols nobody reads follow by name."""
    holes = {
        Symbol("AAPL"): runs((5, 7)),
        Symbol("MSFT"): runs((3, 7)),
        Symbol("SPY"): runs((5, 7)),
        Symbol("BRK.B"): runs((6, 7)),
    }
    blocks = blocks_of(holes, {Symbol("MSFT"): 2, Symbol("SPY"): 1}, longest=99)
    assert [block.symbols for block in blocks] == [("MSFT",), ("SPY", "AAPL"), ("BRK.B",)]


def test_symbols_that_share_a_hole_stay_together():
    """One block is one request of a vendor that takes several symbols."""
    holes = dict.fromkeys(SYMBOLS, runs((10, 12), (20, 21)))
    assert [(b.start, b.end, len(b.symbols)) for b in blocks_of(holes, {}, longest=99)] == [
        (20, 21, 5),
        (10, 12, 5),
    ]


def test_a_run_that_is_too_long_is_cut_from_its_newest_end():
    """The newest sessions are filled first, and all symbols are cut at the same places."""
    holes = dict.fromkeys(SYMBOLS[:2], runs((0, 25)))
    blocks = blocks_of(holes, {}, longest=10)
    assert [(b.start, b.end) for b in blocks] == [(15, 25), (5, 15), (0, 5)]
    assert {b.symbols for b in blocks} == {tuple(SYMBOLS[:2])}


def test_a_shared_hole_that_is_too_large_is_cut_between_symbols():
    """Each symbol's sessions stay one run; what is left over shares its chunk with the next block."""
    holes = {**dict.fromkeys(SYMBOLS, runs((10, 14))), Symbol("OLD"): runs((0, 3))}
    chunks = list(chunks_of(blocks_of(holes, {}, longest=9), room=9))
    assert [[(b.start, b.end, len(b.symbols)) for b in chunk] for chunk in chunks] == [
        [(10, 14, 2)],
        [(10, 14, 2)],
        [(10, 14, 1), (0, 3, 1)],
    ]


@given(holes=HOLES, newest=st.integers(0, 70))
def test_urgent_is_what_holds_one_of_the_newest_sessions(holes, newest):
    """A run that reaches into them counts as a whole; both sides keep their order."""
    blocks = blocks_of(holes, {}, longest=99)
    urgent, old = by_age(blocks, newest=newest)
    assert all(block.end > newest - NEWEST_SESSIONS + 1 for block in urgent)
    assert all(block.end <= newest - NEWEST_SESSIONS + 1 for block in old)
    assert urgent + old == blocks


def test_the_fifth_newest_session_is_urgent_and_the_sixth_is_not():
    """A trading week."""
    holes = {SYMBOLS[0]: runs((96, 97)), SYMBOLS[1]: runs((95, 96))}
    urgent, old = by_age(blocks_of(holes, {}, longest=9), newest=100)
    assert [block.start for block in urgent] == [96]
    assert [block.start for block in old] == [95]


def test_nothing_open_is_no_block():
    """An empty set of a symbol leaves nothing behind."""
    assert blocks_of({SYMBOLS[0]: Intervals()}, {}, longest=5) == []
    assert list(chunks_of([], room=5)) == []
