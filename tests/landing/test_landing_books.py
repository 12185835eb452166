"""Books of feeds with rules of their own: update numbers with fetched snapshots, checksums."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from captured import NOON, SECOND, Log, crypto_home, land_all, query

from mdc_resources.books import kraken_checksum
from mdc_resources.books.rules import BINANCE, UNNUMBERED
from mdc_resources.config import Home
from mdc_resources.landing.books import BookRows

BINANCE_BTC, KRAKEN_BTC = "BINANCE:BTC-USDT", "KRAKEN:BTC-USD"
Levels = list[tuple[str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home for coins."""
    return crypto_home(tmp_path, extra="[stream.kraken]\nlevels = 3\n")


def delta(first: int, last: int, bids: Levels, asks: Levels = []) -> bytes:  # noqa: B006 - never changed
    """An update of a Binance book."""
    data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    data["E"] = NOON // 10**6
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}).encode()


def fetched(last: int, bids: Levels, asks: Levels) -> bytes:
    """The answer of Binance's book request."""
    return json.dumps({"lastUpdateId": last, "bids": bids, "asks": asks}).encode()


def kraken(kind: str, bids: Levels, asks: Levels, checksum: int) -> bytes:
    """A frame of Kraken's book; prices and sizes are JSON numbers, written as the checksum needs them."""

    def side(levels: Levels) -> str:
        return "[" + ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in levels) + "]"

    stamp = ',"timestamp":"2026-03-10T12:00:01.000000Z"' if kind == "update" else ""
    data = f'{{"symbol":"BTC/USD","bids":{side(bids)},"asks":{side(asks)},"checksum":{checksum}{stamp}}}'
    return f'{{"channel":"book","type":"{kind}","data":[{data}]}}'.encode()


def depth(home: Home) -> list[tuple[object, ...]]:
    """Actions with price and size, as plain text."""
    found = query(home, "SELECT action, side, price, size FROM depth ORDER BY ordinal")
    return [(action, side, *(None if n is None else f"{n:f}".rstrip("0").rstrip(".") for n in numbers))
            for action, side, *numbers in found]  # fmt: skip


def test_updates_wait_for_the_fetched_snapshot(home: Home) -> None:
    """What it holds already is skipped; a jump makes the book invalid until it is fetched again."""
    pair = ("depth", BINANCE_BTC)
    log = Log(home, "binance-0")
    log.start(NOON, pair)
    log.open(NOON, 1, pair)
    log.frames(NOON + 1, 1, delta(5, 6, [("100", "9")]), delta(7, 8, [("100", "2")]))
    log.fetched(NOON + 2, 1, BINANCE_BTC, fetched(6, [("100", "1")], [("101", "1")]))
    log.cut(NOON + 3)
    log.frames(NOON + 4, 1, delta(9, 9, [("99", "1")]))
    log.frames(NOON + 5, 1, delta(12, 12, [("98", "1")]))
    log.cut(NOON + 6)
    log.frames(NOON + 7, 1, delta(13, 13, [("97", "7")]))
    log.fetched(NOON + 8, 1, BINANCE_BTC, fetched(12, [("98", "1")], [("101", "1")]))
    log.end()
    landed = land_all(home)
    assert depth(home) == [
        ("snapshot_begin", None, None, None),
        ("set", "bid", "100", "2"),
        ("set", "ask", "101", "1"),
        ("set", "bid", "99", "1"),
        ("invalid", None, None, None),
        ("snapshot_begin", None, None, None),
        ("set", "bid", "98", "1"),
        ("set", "bid", "97", "7"),
        ("set", "ask", "101", "1"),
    ]
    (hole,) = landed.holes
    assert (hole.reason, hole.start_ns, hole.end_ns) == ("sequence", NOON + 4, NOON + 8)


def test_waiting_updates_survive_between_landings(home: Home) -> None:
    """Such a book cannot be kept: the log is read again, and comes to the same."""
    pair = ("depth", BINANCE_BTC)
    log = Log(home, "binance-0")
    log.start(NOON, pair)
    log.open(NOON, 1, pair)
    log.frames(NOON + 1, 1, delta(7, 8, [("100", "2")]))
    log.cut(NOON + 2)
    land_all(home)
    assert not (home.state_dir / "landing" / "binance-0.json").exists()
    log.fetched(NOON + 3, 1, BINANCE_BTC, fetched(6, [("100", "1")], [("101", "1")]))
    log.end()
    land_all(home)
    assert depth(home)[1] == ("set", "bid", "100", "2")


def test_a_wrong_checksum_is_a_hole(home: Home) -> None:
    """Of Kraken's books, from the last good frame to the next snapshot."""
    pair = ("depth", KRAKEN_BTC)
    bids, asks = [("100.0", "1.00000000")], [("101.0", "2.00000000")]
    good = kraken_checksum(asks, bids)
    log = Log(home, "kraken-0")
    log.start(NOON, pair)
    log.open(NOON, 1, pair)
    log.frames(NOON + 1, 1, kraken("snapshot", bids, asks, good))
    log.frames(NOON + 2, 1, kraken("update", [("99.0", "1.00000000")], [], good))
    log.frames(NOON + SECOND, 1, kraken("snapshot", bids, asks, good))
    log.end()
    landed = land_all(home)
    assert [row[0] for row in depth(home)] == [
        "snapshot_begin", "set", "set", "invalid", "snapshot_begin", "set", "set",
    ]  # fmt: skip
    (hole,) = landed.holes
    assert (hole.reason, hole.start_ns, hole.end_ns) == ("checksum", NOON + 1, NOON + SECOND)


def test_a_kept_book_goes_on() -> None:
    """Its levels, its number, what was shown of it and when the next snapshot is due."""
    before = BookRows(2, BINANCE)
    before.snapshot([("10", "1"), ("9", "1"), ("8", "1")], [("11", "1")], sequence=5, checksum=None)
    before.whole()
    before.clock, before.until = 7, 99
    kept = before.kept()
    assert kept is not None
    after = BookRows(2, BINANCE)
    after.restore(kept)
    for book in (before, after):
        gone = [("10", "0")]
        change = book.delta(gone, [], first=6, last=6, previous=None, checksum=None)
        assert change.applied
        assert book.changed(gone, []) == [("bid", "10", "0", "delete"), ("bid", "8", "1", "set")]
    assert (after.clock, after.until) == (7, 99)


def test_changes_below_the_levels_are_not_written() -> None:
    """Nor is a change that changes nothing."""
    book = BookRows(1, UNNUMBERED)
    book.snapshot([("10", "1"), ("9", "1")], [("11", "1")], sequence=None, checksum=None)
    assert len(book.whole()) == 3
    for levels in ([("9", "5")], [("10", "1")], [("8", "0")]):
        book.delta(levels, [], first=None, last=None, previous=None, checksum=None)
        assert book.changed(levels, []) == []
