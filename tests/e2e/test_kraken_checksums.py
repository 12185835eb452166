"""Kraken's checksums over a long feed: each one computed anew, through service, log and landing.

The books are the sandbox's, at depths of 10, 100 and 1000; every CRC-32 and every row is held against
:mod:`tests.e2e.plain_books`, which shares nothing with sandbox, decoders and landing.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from mdc_resources.config import Home
from mdc_resources.domain.datasets import Dataset
from mdc_resources.landing.land import land
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.e2e.plain_books import DepthReader, KrakenBook, kraken_update
from tests.e2e.recorded_feeds import (
    CALM,
    assert_nothing_is_missing,
    feed_home,
    heard,
    inner_holes,
    kraken_symbol,
    rows,
    section,
)
from tests.streaming.capturing import Process, capturing, until

DEPTHS = {"KRAKEN:BTC-USD": 10, "KRAKEN:ETH-USD": 100, "KRAKEN:SOL-USD": 1000}
FEEDS = ("kraken", "kraken-v1")


def kraken_home(root: Path, server: SandboxServer, feed: str) -> Home:
    """A home that captures the books of ``feed``, each at its depth."""
    places = {"ws_url": server.live_url(feed), "hours": "always", "datasets": ["depth"]}
    table = ", ".join(f'"{symbol}" = {depth}' for symbol, depth in DEPTHS.items())
    stream = section(feed, DEPTHS, **places) + f"symbol_levels = {{ {table} }}\n"
    return feed_home(root, stream, sandbox=True)


def compared_books(home: Home, feed: str) -> dict[str, KrakenBook]:
    """Follow every book through the log; its rows must agree after each update, and none be left."""
    found = rows(home, "depth", "ts_event, ts_recv, sequence, action, side, price, size")
    books = {symbol: KrakenBook(DepthReader(found[symbol]), depth) for symbol, depth in DEPTHS.items()}
    for one in heard(home, f"{feed}-0"):
        update = kraken_update(one.document)
        if update is not None:
            books[kraken_symbol(update.pair)].take(one.at_ns, update)
    for book in books.values():
        assert book.is_valid
        assert book.reader.is_over
        assert book.reader.agrees(book.book, book.levels)
    return books


def frames_of(address: str) -> int:
    """How many frames the service has received."""
    shards = httpx.get(f"{address}/status", timeout=10).json()["shards"]
    return sum(int(shard["frames"]) for shard in shards)


@pytest.mark.slow
@pytest.mark.parametrize("feed", FEEDS)
def test_every_checksum_of_a_long_feed_holds(tmp_path: Path, feed: str) -> None:
    """Thousands of updates, captured by a process of its own: no checksum differs, and no row."""
    with SandboxServer(market=Market.synthetic(seed=7), live_rate=400) as server:
        home = kraken_home(tmp_path, server, feed)
        with Process(home) as process:
            address = process.url()
            until(lambda: frames_of(address) >= 4_000, 60, "four thousand updates")
            assert process.end() == 0, process.log
    assert_nothing_is_missing(home, land(home, run_id="long"))
    books = compared_books(home, feed)
    assert sum(book.verified for book in books.values()) > 3_900
    for symbol, book in books.items():
        assert book.verified > 500, symbol
        assert (book.wrong, book.ignored, book.snapshots) == ([], 0, 1), symbol
        assert book.reader.breaks == 0, symbol


@pytest.mark.parametrize("feed", FEEDS)
def test_a_wrong_checksum_is_found_and_healed(tmp_path: Path, feed: str) -> None:
    """The rows say so, the ledger has the hole, and from the new snapshot on the book is true again."""
    broken = "KRAKEN:ETH-USD"
    with SandboxServer(market=Market.synthetic(seed=7), live_rate=100) as server:
        server.add_fault(feed, "ws_checksum", match="depth .*ETH", params={"after": 100})
        home = kraken_home(tmp_path, server, feed)
        with capturing(home, timing=CALM) as running:
            until(lambda: running.shard(f"{feed}-0")["frames"] >= 900, 30, "enough updates")
        assert running.error is None
    landed = land(home, run_id="healed")
    books = compared_books(home, feed)
    for symbol, book in books.items():
        breaks = int(symbol == broken)
        assert (len(book.wrong), book.reader.breaks) == (breaks, breaks), symbol
        assert (book.snapshots, book.reader.snapshots) == (1 + breaks, 1 + breaks), symbol
    book = books[broken]
    assert book.verified > 150
    (hole,) = inner_holes(home, landed)
    assert (hole.dataset, hole.key.symbol, hole.reason) == (Dataset.DEPTH, broken, "checksum")
    assert hole.start_ns <= book.wrong[0] < hole.end_ns == book.healed[0]
    assert hole.state == "unrepairable"  # Kraken has no history of books
