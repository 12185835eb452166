"""The book: changes add up to states, its edges, its numbers, and Kraken's own example of a checksum."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from mdc_resources.sandbox.live import book as books
from mdc_resources.sandbox.live.book import Book, Change
from mdc_resources.sandbox.tape import SECOND, LiveTape, Tick

NOON = int(dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC).timestamp())
BOOK = Book(7, "kraken", "BTC-USD")


@pytest.fixture(scope="module")
def ticks() -> list[Tick]:
    """Some hundreds of ticks whose price moves."""
    tape = LiveTape(seed=7, rate=20, close=lambda *_: 90_000, clock=lambda: NOON * SECOND)
    found = [tick for second in range(NOON, NOON + 30) for tick in tape.second("kraken", "BTC-USD", second)]
    assert len({tick.bid for tick in found}) > 5
    return found


def applied(state: Change, change: Change) -> Change:
    """A reader's book after a change: best first."""
    sides = []
    for have, told, sign in zip(state, change, (-1, 1), strict=True):
        levels = dict(have) | dict(told)
        sides.append(sorted(((p, s) for p, s in levels.items() if s), key=lambda level: sign * level[0]))
    return Change(*sides)


@pytest.mark.parametrize("levels", [1, 10, 100])
def test_changes_add_up_to_the_state(ticks: list[Tick], levels: int) -> None:
    """Whoever applies every change has the book, level by level, at each trade."""
    state = BOOK.state(ticks[0], levels)
    for before, tick in itertools.pairwise(ticks):
        state = applied(state, BOOK.change(before, tick, levels))
        assert state == BOOK.state(tick, levels)


@pytest.mark.parametrize("levels", [10, 25])
def test_a_reader_that_cuts_its_book_needs_less(ticks: list[Tick], levels: int) -> None:
    """Kraken's way: what falls out at the far end is not told, and cutting gives the same book."""
    state = BOOK.state(ticks[0], levels)
    told = 0
    for before, tick in itertools.pairwise(ticks):
        change = BOOK.change(before, tick, levels, forget=False)
        whole = applied(state, change)
        state = Change(whole.bids[:levels], whole.asks[:levels])
        assert state == BOOK.state(tick, levels)
        told += len(change.bids) + len(change.asks)
    assert told / len(ticks) < 10


def test_bundled_changes_add_up_too(ticks: list[Tick]) -> None:
    """Several changes as one, as bundles send them."""
    state = BOOK.state(ticks[0], 50)
    for at in range(0, 100, 5):
        some = [BOOK.change(ticks[at + i], ticks[at + i + 1], 50) for i in range(5)]
        state = applied(state, books.merged(some))
        assert state == BOOK.state(ticks[at + 5], 50)


def test_it_is_never_crossed_and_its_best_is_the_quote(ticks: list[Tick]) -> None:
    """Best prices are those of the quote; sizes are positive."""
    for tick in ticks:
        bids, asks = BOOK.state(tick, 10)
        assert bids[0][0] == tick.bid
        assert asks[0][0] == tick.ask
        assert bids[0][0] < asks[0][0]
        assert all(size > 0 for _, size in (*bids, *asks))


def test_a_jump_replaces_everything(ticks: list[Tick]) -> None:
    """Midnight's new anchor may move the price by more than the book is deep."""
    far = ticks[1]._replace(bid=ticks[1].bid + 5_000, ask=ticks[1].ask + 5_000)
    assert applied(BOOK.state(ticks[0], 100), BOOK.change(ticks[0], far, 100)) == BOOK.state(far, 100)


def test_low_prices_end_at_a_cent(ticks: list[Tick]) -> None:
    """There is no level at or below zero."""
    bids, asks = BOOK.state(ticks[0]._replace(bid=5, ask=6), 100)
    assert [price for price, _ in bids] == [5, 4, 3, 2, 1]
    assert len(asks) == 100


def test_updates_follow_on_each_other() -> None:
    """The last update of a trade is the one before the first of the next."""
    assert books.first_update(8) == books.last_update(7) + 1


def test_the_checksum_of_the_vendors_example() -> None:
    """https://docs.kraken.com/api/docs/guides/spot-ws-book-v1: this book, 974947235."""
    asks = [(f"0.05{at:03d}", "0.00000500") for at in range(5, 55, 5)]
    prices = (5000, 4995, 4990, 4980, 4975, 4970, 4965, 4960, 4955, 4950)
    bids = [(f"0.0{price}", "0.00000500") for price in prices]
    assert books.checksum(bids, asks) == 974947235
    assert books.checksum([*bids, ("0.04000", "1.0")], asks) == 974947235


def test_texts_have_the_exchanges_decimals() -> None:
    """Two of a price, eight of a size; nothing is a zero."""
    assert books.texts([(18_700, 12_345), (5, 0)]) == [("187.00", "1.23450000"), ("0.05", "0.00000000")]
