"""When a live book is unknown, and when a new snapshot of it is asked for. Times are handed in."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.books import book_rule
from mdc_resources.domain.symbols import Symbol
from mdc_streaming.monitoring_books import LONGEST_PAUSE, PATIENCE, SHED, THIN, WAITING, LiveBooks

BTC = Symbol("COINBASE:BTC-USD")
BIDS, ASKS = (("99", "1"), ("98", "1")), (("101", "1"), ("102", "1"))
NUMBERS = {"first": None, "last": None, "previous": None, "checksum": None}


def books(feed: str = "coinbase") -> LiveBooks:
    """Of one connection, ten levels each."""
    return LiveBooks(book_rule(feed), {BTC: 10})


def settle(found: LiveBooks, now: float, sequence: int | None = None) -> None:
    """A good snapshot."""
    found.snapshot(BTC, BIDS, ASKS, now, sequence=sequence, checksum=None)


def cross(found: LiveBooks, now: float) -> None:
    """An update that cannot be."""
    found.delta(BTC, (("101", "1"),), (), now, **NUMBERS)


def number(found: LiveBooks, last: int, now: float) -> None:
    """A numbered update."""
    found.delta(BTC, (("97", "1"),), (), now, first=last, last=last, previous=None, checksum=None)


def test_a_first_snapshot_is_waited_for_before_it_is_asked_for():
    """It was subscribed to; if it has not come after a while something went wrong."""
    found = books()
    found.delta(BTC, BIDS, (), 0.0, **NUMBERS)
    assert found.get(BTC).reason == WAITING
    assert found.due(PATIENCE - 1) == []
    assert found.due(PATIENCE) == [BTC]


def test_an_invalid_book_asks_at_once_and_then_ever_more_rarely():
    """The pause doubles while new snapshots do not help: each is followed by the same mismatch."""
    found = books()
    asked: list[float] = []
    for second in range(3_600):
        settle(found, second)
        cross(found, second)
        asked += [second for _ in found.due(second)]
    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses[:6] == [5, 10, 20, 40, 80, 160]
    assert set(pauses[6:]) == {LONGEST_PAUSE}


def test_a_book_that_was_well_for_long_asks_at_once_again():
    """What went wrong an hour ago slows nothing down."""
    found = books()
    settle(found, 0)
    for second in (1, 10, 30):
        cross(found, second)
        assert found.due(second) == [BTC]
        settle(found, second + 1)
    cross(found, 31 + LONGEST_PAUSE + 1)
    assert found.get(BTC).pause == 5
    assert found.due(31 + LONGEST_PAUSE + 1) == [BTC]


def test_only_a_few_books_ask_in_one_look():
    """Five hundred books that were shed together do not ask for five hundred snapshots at once."""
    found = books()
    symbols = [Symbol(f"COINBASE:A{at}-USD") for at in range(500)]
    for symbol in symbols:
        found.snapshot(symbol, BIDS, ASKS, 0.0, sequence=None, checksum=None)
    found.all_unknown(1.0)
    looks = [found.due(1.0 + look / 1000) for look in range(250)]
    assert max(map(len, looks)) == 2
    assert sorted(symbol for look in looks for symbol in look) == sorted(symbols)


def test_shed_books_hold_nothing():
    """A thousand levels of an unknown book are memory for nothing."""
    found = books()
    settle(found, 0)
    found.all_unknown(1.0)
    assert found.get(BTC).reason == SHED
    assert found.get(BTC).book.levels() == ((), ())


def test_numbered_updates_wait_for_the_snapshot_that_is_on_its_way():
    """Binance: the snapshot comes by HTTP, meanwhile updates pass; none between them is lost."""
    found = books("binance")
    for last in range(95, 106):
        number(found, last, 0.0)
    settle(found, 1.0, sequence=100)
    assert found.get(BTC).reason == ""
    assert found.get(BTC).book.sequence == 105


def test_updates_that_wait_are_bounded():
    """A snapshot that never comes costs two thousand updates of memory, not all there are."""
    found = books("binance")
    for last in range(5_000):
        number(found, last, 0.0)
    assert len(found.get(BTC).book._waiting) <= 2_000
    settle(found, 1.0, sequence=4_990)
    number(found, 5_000, 1.0)
    assert found.get(BTC).reason == ""
    assert found.get(BTC).book.sequence == 5_000


def test_a_jump_in_the_numbers_is_unknown_until_resync():
    """And updates that come after asking are applied to the new snapshot."""
    found = books("binance")
    settle(found, 0.0, sequence=10)
    number(found, 11, 0.0)
    number(found, 20, 1.0)
    assert found.get(BTC).reason == "sequence"
    assert found.due(1.0) == [BTC]
    number(found, 21, 1.5)
    settle(found, 2.0, sequence=20)
    assert (found.get(BTC).reason, found.get(BTC).book.sequence) == ("", 21)


def whole(count: int, best: int = 50_000) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """A vendor's whole book: ``count`` levels a side, a unit apart."""
    bids = [(f"{best - at}", "1") for at in range(count)]
    return bids, [(f"{best + 1 + at}", "1") for at in range(count)]


def test_of_a_whole_book_the_levels_near_the_best_are_held():
    """What lies beyond is cut off and not followed; what is shown is exact."""
    found = books()
    found.snapshot(BTC, *whole(25_000), 0.0, sequence=None, checksum=None)
    live = found.get(BTC)
    found.delta(BTC, [("30000", "5"), ("49999", "7")], [("70000", "5"), ("50001", "0")], 0.0, **NUMBERS)
    held = live.book.levels()
    assert (len(held.bids), len(held.asks)) == (1_000, 999)
    assert held.bids[1] == ("49999", "7")
    assert held.asks[0] == ("50002", "1")


def test_a_cut_book_that_gets_thin_asks_for_another():
    """The market fell through what was held: fewer levels than wanted are no book."""
    found = books()
    found.snapshot(BTC, *whole(25_000), 0.0, sequence=None, checksum=None)
    found.delta(BTC, [(f"{50_000 - at}", "0") for at in range(995)], [], 1.0, **NUMBERS)
    found.tend(11.0)
    assert found.get(BTC).reason == THIN
    assert found.due(11.0) == [BTC]
    assert found.get(BTC).book.levels() == ((), ())


def test_a_small_book_is_never_called_thin():
    """A vendor that has five levels has five levels."""
    found = books()
    settle(found, 0.0)
    found.tend(11.0)
    assert found.get(BTC).reason == ""


def test_a_book_that_grows_is_cut_again():
    """The market rises through new levels: memory stays, and the view stays exact."""
    found = books("binance")
    bids, asks = whole(3_000)
    found.snapshot(BTC, bids, asks, 0.0, sequence=1, checksum=None)
    asks_gone = [(price, "0") for price, _ in asks[:990]]
    for last, at in enumerate(range(0, 2_500, 500), start=2):
        higher = [(f"{50_000 + n / 1000:.3f}", "1") for n in range(at + 1, at + 501)]
        gone = asks_gone if last == 2 else []
        found.delta(BTC, higher, gone, 1.0, first=last, last=last, previous=None, checksum=None)
    live = found.get(BTC)
    assert len(live.book.levels().bids) == 3_500
    found.tend(11.0)
    held = found.get(BTC).book.levels()
    assert len(held.bids) == 1_000
    assert held.bids[0] == ("50002.500", "1")
    number(found, 7, 12.0)
    assert (live.reason, live.book.sequence) == ("", 7)
    found.delta(BTC, [("49000", "3")], [], 12.0, first=8, last=8, previous=None, checksum=None)
    assert len(live.book.levels().bids) == 1_000


@given(
    st.lists(st.tuples(st.sampled_from(["settle", "cross", "shed", "look"]), st.floats(0, 30)), max_size=80)
)
def test_whatever_happens_a_symbol_is_not_asked_for_twice_within_five_seconds(steps):
    """No hot loop, and a book never shows levels while it is unknown."""
    found, now, last = books(), 0.0, -1e9
    for step, passed in steps:
        now += passed
        if step == "settle":
            settle(found, now)
        elif step == "cross":
            cross(found, now)
        elif step == "shed":
            found.all_unknown(now)
        elif found.due(now):
            assert now - last >= 5.0
            last = now
        live = found.get(BTC)
        assert live is None or bool(live.reason) != live.book.valid
