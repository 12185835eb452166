"""Kraken's checksum: the vendor's own examples, and books that no longer match theirs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.books import Book, Broken, book_rule, kraken_checksum

RULE = book_rule("kraken")
# https://docs.kraken.com/exchange/guides/websockets/book-checksum-v1: the 0.04985 is missing there too
V1_ASKS = [(f"0.0{5005 + 5 * n}", "0.00000500") for n in range(10)]
V1_BIDS = [(f"0.0{price}", "0.00000500") for price in (5000, 4995, 4990, *range(4980, 4945, -5))]
# https://docs.kraken.com/exchange/guides/websockets/book-checksum-v2
V2_ASKS = [
    ("45285.2", "0.00100000"),
    ("45286.4", "1.54571953"),
    ("45286.6", "1.54571109"),
    ("45289.6", "1.54560911"),
    ("45290.2", "0.15890660"),
    ("45291.8", "1.54553491"),
    ("45294.7", "0.04454749"),
    ("45296.1", "0.35380000"),
    ("45297.5", "0.09945542"),
    ("45299.5", "0.18772827"),
]
V2_BIDS = [
    ("45283.5", "0.10000000"),
    ("45283.4", "1.54582015"),
    ("45282.1", "0.10000000"),
    ("45281.0", "0.10000000"),
    ("45280.3", "1.54592586"),
    ("45279.0", "0.07990000"),
    ("45277.6", "0.03310103"),
    ("45277.5", "0.30000000"),
    ("45277.3", "1.54602737"),
    ("45276.6", "0.15445238"),
]
DOCUMENTED = [(V1_BIDS, V1_ASKS, 974947235), (V2_BIDS, V2_ASKS, 3310070434)]


@pytest.mark.parametrize(("bids", "asks", "checksum"), DOCUMENTED, ids=["v1", "v2"])
def test_the_documented_books_have_the_documented_checksums(
    bids: list[tuple[str, str]], asks: list[tuple[str, str]], checksum: int
) -> None:
    """Without points and leading zeros, asks first."""
    assert kraken_checksum(asks, bids) == checksum
    assert Book(10, RULE).apply_snapshot(bids[::-1], asks[::-1], checksum=checksum).applied


@pytest.mark.parametrize(("bids", "asks", "checksum"), DOCUMENTED, ids=["v1", "v2"])
def test_an_update_is_verified_after_all_its_levels(
    bids: list[tuple[str, str]], asks: list[tuple[str, str]], checksum: int
) -> None:
    """The last levels come as an update; the checksum is of the book with them."""
    book = Book(10, RULE)
    assert book.apply_snapshot(bids[:5], asks[:7]).applied
    assert book.apply_delta(bids[5:], asks[7:], checksum=checksum).applied
    assert book.apply_delta([(bids[0][0], bids[0][1])], [], checksum=checksum).applied


def test_levels_below_the_tenth_do_not_count() -> None:
    """A book 100 deep has the checksum of its best ten."""
    deep_bids = [*V2_BIDS, ("45276.5", "1"), ("45276.4", "1")]
    assert (
        Book(100, RULE).apply_snapshot(deep_bids, [*V2_ASKS, ("45299.6", "9")], checksum=3310070434).applied
    )


def test_a_level_that_fell_out_of_the_depth_does_not_come_back() -> None:
    """It is never deleted by name: a book that kept it would break at the next deletion."""
    book = Book(10, RULE)
    book.apply_snapshot(V2_BIDS, V2_ASKS, checksum=3310070434)
    assert book.apply_delta([("45284.0", "1.0")], []).cut_bids == ("45276.6",)
    # The exchange's tenth bid is another one by now, and is named with the deletion.
    known = [*V2_BIDS[:9], ("45277.0", "0.5")]
    book.apply_delta([("45284.0", "0"), ("45277.0", "0.5")], [], checksum=kraken_checksum(V2_ASKS, known))
    assert book.valid
    assert list(book.levels().bids) == known


def test_a_mismatch_makes_the_book_invalid_until_the_next_snapshot() -> None:
    """Both sums are told; later updates are ignored."""
    book = Book(10, RULE)
    assert book.apply_snapshot(V2_BIDS, V2_ASKS, checksum=3310070434).applied
    change = book.apply_delta([("45283.5", "0.2")], [], checksum=3310070434)
    assert (change.reason, book.valid) == (Broken.CHECKSUM, False)
    assert change.detail.endswith("instead of 3310070434")
    assert not book.apply_delta([("45283.5", "0.10000000")], [], checksum=3310070434).applied
    assert book.apply_snapshot(V2_BIDS, V2_ASKS, checksum=3310070434).applied


def test_a_snapshot_with_another_checksum_is_no_book() -> None:
    """Nothing begins with it."""
    book = Book(10, RULE)
    assert book.apply_snapshot(V2_BIDS, V2_ASKS, checksum=1).reason is Broken.CHECKSUM
    assert not book.valid


def test_trailing_zeros_count() -> None:
    """The sum is of the text: the same numbers without their zeros have another one."""
    stripped = [(price, size.rstrip("0")) for price, size in V2_BIDS]
    assert kraken_checksum(V2_ASKS, stripped) != 3310070434


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([(side, at, cell) for side in (0, 1) for at in range(10) for cell in (0, 1)]), st.data()
)
def test_any_change_of_the_best_ten_is_seen(where: tuple[int, int, int], data: st.DataObject) -> None:
    """A wrong digit anywhere breaks the book."""
    side, at, cell = where
    sides = [[list(level) for level in V2_BIDS], [list(level) for level in V2_ASKS]]
    text = sides[side][at][cell]
    digits = [place for place, sign in enumerate(text) if sign.isdigit() and (place or cell == 0)]
    place = data.draw(st.sampled_from(digits))
    other = data.draw(st.sampled_from([digit for digit in "123456789" if digit != text[place]]))
    sides[side][at][cell] = text[:place] + other + text[place + 1 :]
    bids, asks = ([(price, size) for price, size in levels] for levels in sides)
    assert Book(10, RULE).apply_snapshot(bids, asks, checksum=3310070434).reason is not None
