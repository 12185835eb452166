"""Live books: what snapshots and deltas make of them, and when they are no longer believed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.books import Book, Broken, Rule, Top, book_rule
from mdc_resources.books.book import WAITING
from mdc_resources.providers.live import Gone

Levels = list[tuple[str, str]]
BIDS: Levels = [("100.1", "2"), ("100.0", "5")]
ASKS: Levels = [("100.2", "1"), ("100.4", "3")]
COINBASE, BINANCE, KRAKEN = (book_rule(name) for name in ("coinbase", "binance", "kraken"))


def book(rule: Rule = COINBASE, *, sequence: int | None = None, levels: int = 10) -> Book:
    """A valid book of four levels."""
    made = Book(levels, rule)
    assert made.apply_snapshot(BIDS, ASKS, sequence=sequence).applied
    return made


def test_a_book_is_invalid_until_its_first_snapshot() -> None:
    """Deltas before it change nothing and break nothing."""
    made = Book(10, COINBASE)
    change = made.apply_delta([("1", "1")], [])
    assert (change.applied, change.reason, made.valid) == (False, None, False)
    assert made.apply_snapshot(BIDS, ASKS).applied
    assert made.valid
    assert made.levels() == Top(tuple(BIDS), tuple(ASKS))


def test_sizes_are_absolute_and_zero_removes() -> None:
    """However zero is spelled; removing what is not there is nothing."""
    made = book()
    for zero in ("0", "0.00000000", "0e-8"):
        made.apply_delta([("100.1", "2")], [])
        made.apply_delta([("100.1", zero), ("55", zero)], [("100.2", "9"), ("100.3", "4")])
        assert made.levels() == Top((("100.0", "5"),), (("100.2", "9"), ("100.3", "4"), ("100.4", "3")))


def test_texts_are_kept_as_received_and_prices_compared_exactly() -> None:
    """``7.61`` and ``7.6100`` are one price; the newest spelling is shown."""
    made = book()
    made.apply_delta([("100.10", "7.00")], [])
    assert made.top(1).bids == (("100.10", "7.00"),)
    made.apply_delta([("1001e-1", "8")], [])
    assert made.top(1).bids == (("1001e-1", "8"),)
    assert len(made.levels().bids) == 2


def test_snapshots_may_come_in_any_order() -> None:
    """Best first is what comes out."""
    made = Book(10, COINBASE)
    made.apply_snapshot(BIDS[::-1], ASKS[::-1])
    assert made.levels() == Top(tuple(BIDS), tuple(ASKS))


def test_the_wanted_levels_are_shown_unless_others_are_asked_for() -> None:
    """The book itself holds more."""
    made = book(levels=1)
    assert made.top() == Top((BIDS[0],), (ASKS[0],))
    assert made.top(5) == made.levels()
    assert made.top(0) == Top((), ())


@pytest.mark.parametrize("ask", ["100.1", "100.05", "1e-18"])
def test_a_crossed_book_is_invalid_until_the_next_snapshot(ask: str) -> None:
    """Also a locked one; what follows is ignored until then."""
    made = book()
    change = made.apply_delta([], [(ask, "1")])
    assert (change.applied, change.reason, made.valid) == (False, Broken.CROSSED, False)
    assert "bid 100.1" in change.detail
    assert made.apply_delta([("100.1", "0")], []).reason is None
    assert not made.valid
    assert made.apply_snapshot(BIDS, ASKS).applied


def test_a_crossed_snapshot_is_no_book() -> None:
    """It is refused like a delta."""
    made = Book(10, COINBASE)
    assert made.apply_snapshot([("2", "1")], [("1", "1")]).reason is Broken.CROSSED
    assert not made.valid


def test_one_side_may_be_empty() -> None:
    """Then nothing can cross."""
    made = Book(10, COINBASE)
    assert made.apply_snapshot([], ASKS).applied
    assert made.apply_delta([], [("100.2", "0"), ("100.4", "0")]).applied
    assert made.levels() == Top((), ())


def test_reasons_are_the_words_of_the_ledger() -> None:
    """So that ``Gone(change.reason)`` works."""
    assert [Gone(reason) for reason in Broken] == [Gone.SEQUENCE, Gone.CHECKSUM, Gone.CROSSED]


@pytest.mark.parametrize("price", ["x", "", "NaN", "1e999", "1." + "0" * 18 + "1"])
def test_what_is_no_price_is_an_error_and_the_book_is_invalid(price: str) -> None:
    """Decoders never hand such over; a book that met one is not believed."""
    made = book()
    with pytest.raises(ValueError, match="price"):
        made.apply_delta([(price, "1")], [])
    assert not made.valid


# Numbered updates (Binance)


def test_spot_deltas_follow_each_other() -> None:
    """The first spans the snapshot's number, the next begin right after the one before."""
    made = book(BINANCE, sequence=100)
    assert made.apply_delta([("100.0", "6")], [], first=95, last=103).applied
    assert made.apply_delta([("100.0", "7")], [], first=104, last=104).applied
    assert made.sequence == 104
    change = made.apply_delta([], [], first=106, last=107)
    assert (change.reason, change.detail) == (Broken.SEQUENCE, "after 104 came 106 to 107")
    assert not made.valid


def test_deltas_that_the_snapshot_holds_already_are_old_news() -> None:
    """Also a delta that is delivered twice."""
    made = book(BINANCE, sequence=100)
    for first, last in ((90, 100), (101, 101), (101, 101)):
        change = made.apply_delta([("100.0", str(last))], [], first=first, last=last)
        assert change.reason is None
    assert made.valid
    assert made.levels().bids[1] == ("100.0", "101")


def test_a_first_delta_beyond_the_snapshot_breaks_it() -> None:
    """What lies between was never sent."""
    assert book(BINANCE, sequence=100).apply_delta([], [], first=102, last=103).reason is Broken.SEQUENCE


def test_futures_deltas_name_the_one_before() -> None:
    """Their numbers are the whole exchange's: only ``previous`` tells a gap."""
    made = book(BINANCE, sequence=105)
    assert made.apply_delta([], [], first=101, last=104, previous=100).reason is None
    assert made.apply_delta([("100.0", "6")], [], first=108, last=110, previous=104).applied
    assert made.apply_delta([("100.0", "7")], [], first=115, last=120, previous=110).applied
    assert made.apply_delta([], [], first=125, last=130, previous=121).reason is Broken.SEQUENCE


def test_deltas_before_the_snapshot_wait_for_it() -> None:
    """Those from its number on are applied, the older dropped."""
    made = Book(10, BINANCE)
    for number in range(95, 111):
        assert made.apply_delta([("100.0", str(number))], [], first=number, last=number).reason is None
    assert made.apply_snapshot(BIDS, ASKS, sequence=100).applied
    assert (made.sequence, made.levels().bids[1]) == (110, ("100.0", "110"))
    assert made.apply_delta([], [], first=111, last=111).applied


def test_a_snapshot_older_than_the_waiting_deltas_is_refused_and_they_wait_on() -> None:
    """The next snapshot finds them where they were."""
    made = Book(10, BINANCE)
    for number in (200, 201):
        made.apply_delta([("100.0", str(number))], [], first=number, last=number)
    assert made.apply_snapshot(BIDS, ASKS, sequence=150).reason is Broken.SEQUENCE
    assert not made.valid
    assert made.apply_snapshot(BIDS, ASKS, sequence=200).applied
    assert made.sequence == 201


def test_after_a_jump_the_deltas_from_it_on_wait_for_the_resync() -> None:
    """None of what came meanwhile is lost."""
    made = book(BINANCE, sequence=100)
    assert made.apply_delta([("99", "1")], [], first=103, last=104).reason is Broken.SEQUENCE
    assert made.apply_delta([("98", "1")], [], first=105, last=105).reason is None
    assert made.apply_snapshot(BIDS, ASKS, sequence=102).applied
    assert made.sequence == 105
    assert [price for price, _ in made.levels().bids] == ["100.1", "100.0", "99", "98"]


def test_a_jump_among_the_waiting_deltas_breaks_the_replay() -> None:
    """What lies behind it waits for a newer snapshot."""
    made = Book(10, BINANCE)
    for number in (100, 101, 105):
        made.apply_delta([], [], first=number, last=number)
    assert made.apply_snapshot(BIDS, ASKS, sequence=99).reason is Broken.SEQUENCE
    assert made.apply_snapshot(BIDS, ASKS, sequence=104).applied
    assert made.sequence == 105


def test_waiting_deltas_are_bounded() -> None:
    """The oldest go; the snapshot that comes then is too old, a newer one is not."""
    made = Book(10, BINANCE)
    for number in range(1, WAITING + 11):
        made.apply_delta([], [], first=number, last=number)
    assert made.apply_snapshot(BIDS, ASKS, sequence=5).reason is Broken.SEQUENCE
    assert made.apply_snapshot(BIDS, ASKS, sequence=10).applied
    assert made.sequence == WAITING + 10


def test_updates_without_a_number_cannot_be_placed() -> None:
    """Neither a snapshot nor a delta without one is taken for good."""
    made = Book(10, BINANCE)
    made.apply_snapshot(BIDS, ASKS)
    assert made.apply_delta([], [], first=1, last=1).reason is Broken.SEQUENCE
    assert book(BINANCE, sequence=3).apply_delta([], []).reason is Broken.SEQUENCE


def test_an_invalidated_book_forgets_what_waits() -> None:
    """Another connection's deltas have nothing to do with it."""
    made = book(BINANCE, sequence=100)
    made.invalidate()
    assert not made.valid
    made.apply_delta([("99", "1")], [], first=200, last=200)
    assert made.apply_snapshot(BIDS, ASKS, sequence=300).applied
    assert made.sequence == 300


# A depth that was subscribed to (Kraken)


def test_the_book_is_cut_to_the_depth_on_offer() -> None:
    """Prices that fall out are named, best last to go."""
    made = Book(7, KRAKEN)
    assert made.depth == 10
    bids = [(f"{90 - n}", "1") for n in range(10)]
    assert made.apply_snapshot(bids, [("100", "1")]).applied
    change = made.apply_delta([("90.5", "1"), ("89.5", "2")], [])
    assert change.applied
    assert change.cut_bids == ("81", "82")
    assert [price for price, _ in made.levels().bids][:3] == ["90.5", "90", "89.5"]
    assert len(made.levels().bids) == 10


@pytest.mark.parametrize(("wanted", "depth"), [(1, 10), (10, 10), (11, 25), (500, 500), (5000, 1000)])
def test_the_smallest_depth_that_is_not_smaller_is_chosen(wanted: int, depth: int) -> None:
    """Or the largest there is."""
    assert KRAKEN.depth(wanted) == depth
    assert COINBASE.depth(wanted) is None


def test_feeds_without_a_rule_of_their_own_only_cross() -> None:
    """Whoever adds a feed has books at once."""
    assert book_rule("coinbase-advanced") == book_rule("anything") == COINBASE
    assert book_rule("kraken-v1") == KRAKEN


_TICKS = st.integers(1, 400)
_SIZES = st.sampled_from(["0", "0.00000000", "1", "2.5", "0.00000001"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), _TICKS, _SIZES), max_size=80))
def test_a_book_is_the_sorted_map_of_its_updates(updates: list[tuple[bool, int, str]]) -> None:
    """As a dictionary of Decimals says, however the updates come."""
    made = Book(10, COINBASE)
    made.apply_snapshot([], [])
    model: dict[bool, dict[Decimal, str]] = {True: {}, False: {}}
    for is_bid, tick, size in updates:
        price = f"{tick / 100:.2f}" if is_bid else f"{10 + tick / 100:.2f}"
        assert made.apply_delta(*(([(price, size)], []) if is_bid else ([], [(price, size)]))).applied
        if Decimal(size):
            model[is_bid][Decimal(price)] = size
        else:
            model[is_bid].pop(Decimal(price), None)
    for is_bid, side in zip((True, False), made.levels(), strict=True):
        expected = sorted(model[is_bid].items(), reverse=is_bid)
        assert [(Decimal(price), size) for price, size in side] == expected


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 30), st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(0, 40))
def test_replay_ends_where_an_unbroken_stream_does(start: int, widths: list[int], cut: int) -> None:
    """Whatever number the snapshot has, the book afterwards is that of all updates, or it is invalid."""
    deltas, number = [], start
    for width in widths:
        deltas.append((number + 1, number + 1 + width))
        number += 1 + width
    made = Book(10, BINANCE)
    for first, last in deltas:
        made.apply_delta([("1", str(last))], [], first=first, last=last)
    change = made.apply_snapshot([("1", str(cut))], [("2", "1")], sequence=cut)
    if cut >= start:
        assert change.applied
        assert made.sequence == max(cut, number)
        assert made.top(1).bids == (("1", str(max(cut, number))),)
    else:
        assert change.reason is Broken.SEQUENCE
        assert not made.valid
