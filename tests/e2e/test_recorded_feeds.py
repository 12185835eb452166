"""Recorded feeds over a real WebSocket: frame for frame in the log, row for row in the lake.

What a capture holds is told by its JSON alone, see :mod:`tests.e2e.plain_books`. Captures of Kraken
hold no book: its checksums are those of ``test_kraken_checksums``.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from tests.e2e.plain_books import BinanceBook, DepthReader, exact
from tests.e2e.recorded_feeds import (
    Heard,
    Recording,
    Replayed,
    asked_symbols,
    assert_nothing_is_missing,
    kraken_symbol,
    play,
    rows,
)
from tests.feeds.captures import read_capture

DEPTH = "ts_event, ts_recv, sequence, action, side, price, size"
LEVELS = 250  # asks for the thousand levels that were recorded
US = Recording(
    "BINANCE_US",
    "binance",
    ("BINANCE:CRV-USDT", "BINANCE:COMP-USDT", "BINANCE:OMG-BUSD", "BINANCE:ZRX-USDT"),
)
FUTURES = Recording(
    "BINANCE_FUTURES",
    "binance",
    ("BINANCE:SUSHI-USDT", "BINANCE:AKRO-USDT", "BINANCE:KEEP-USDT", "BINANCE:CTK-USDT"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recording", "trades", "quotes", "deltas"),
    [pytest.param(US, 11, 128, 336, id="spot"), pytest.param(FUTURES, 91, 613, 764, id="futures")],
)
def test_a_recorded_binance_feed_becomes_its_rows(
    payloads: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recording: Recording,
    trades: int,
    quotes: int,
    deltas: int,
) -> None:
    """Every aggregate, ticker and level of the capture, once and in order; ids and updates unbroken."""
    replayed = play(payloads, tmp_path, monkeypatch, recording, levels=LEVELS)
    asked = set(json.loads(replayed.said[0])["params"])
    assert len(asked) == 3 * len(recording.symbols)
    assert asked <= set(replayed.capture.url.partition("streams=")[2].split("/"))
    assert_nothing_is_missing(replayed.home, replayed.landed)
    assert (compared_trades(replayed), compared_quotes(replayed)) == (trades, quotes)
    books = compared_books(replayed)
    assert books.keys() == set(recording.symbols)
    assert sum(book.applied + book.old for book in books.values()) == deltas
    assert sum(book.applied for book in books.values()) > 300
    depth = sum(map(len, rows(replayed.home, "depth", DEPTH).values()))
    landed = {Dataset.TRADES: trades, Dataset.QUOTES: quotes, Dataset.DEPTH: depth}
    assert replayed.landed.rows == landed


def test_books_wait_for_their_snapshots_at_full_speed(
    payloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All deltas at once, snapshots long after them: each book ends at the last delta all the same."""
    replayed = play(payloads, tmp_path, monkeypatch, replace(US, pace=0.0), levels=LEVELS)
    assert_nothing_is_missing(replayed.home, replayed.landed)
    assert (compared_trades(replayed), compared_quotes(replayed)) == (11, 128)
    last = {symbol: int(event["u"]) for symbol, _, event in binance_events(replayed.heard, "depth")}
    assert {symbol: book.reached for symbol, book in compared_books(replayed).items()} == last


def compared_trades(replayed: Replayed) -> int:
    """Hold every aggregate against its row; how many there are."""
    told = by_symbol(
        (
            symbol,
            int(event["T"]) * 10**6,
            at,
            exact(event["p"]),
            exact(event["q"]),
            "sell" if event["m"] else "buy",
            event["a"],
        )
        for symbol, at, event in binance_events(replayed.heard, "aggTrade")
    )
    stored = rows(replayed.home, "trades", "ts_event, ts_recv, price, size, side, trade_id")
    assert {
        symbol: [(t, r, exact(price), exact(size), *rest) for t, r, price, size, *rest in each]
        for symbol, each in stored.items()
    } == told
    for trades in told.values():
        ids = [int(trade[-1]) for trade in trades]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    return sum(map(len, told.values()))


def compared_quotes(replayed: Replayed) -> int:
    """Hold every best bid and offer against its row; how many there are."""
    told = by_symbol(
        (
            symbol,
            int(event["T"]) * 10**6 if "T" in event else at,
            at,
            *(exact(event[name]) for name in ("b", "B", "a", "A")),
            int(event["u"]),
        )
        for symbol, at, event in binance_events(replayed.heard, "bookTicker")
    )
    columns = "ts_event, ts_recv, bid_price, bid_size, ask_price, ask_size, sequence"
    stored = rows(replayed.home, "quotes", columns)
    assert {
        symbol: [(t, r, *map(exact, four), number) for t, r, *four, number in each]
        for symbol, each in stored.items()
    } == told
    for quotes in told.values():
        numbers = [quote[-1] for quote in quotes]
        assert numbers == sorted(set(numbers))
    return sum(map(len, told.values()))


def compared_books(replayed: Replayed) -> dict[str, BinanceBook]:
    """Follow every book through the log; its rows must agree after each update, and none be left."""
    depth = rows(replayed.home, "depth", DEPTH)
    books = {symbol: BinanceBook(DepthReader(each), LEVELS) for symbol, each in depth.items()}
    for one in replayed.heard:
        if one.symbol:
            books[one.symbol].snapshot(one.at_ns, one.document)
        else:
            for symbol, at, event in binance_events([one], "depth"):
                books[symbol].delta(at, event)
    assert all(book.reader.is_over and not book.reader.breaks for book in books.values())
    return books


def binance_events(found: Iterable[Heard], kind: str) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """(symbol, when received, event) of one kind of stream."""
    for one in found:
        document = one.document
        if not one.symbol and document.get("stream", "").partition("@")[2].startswith(kind):
            event = document["data"]
            cut = re.fullmatch(r"(\w+?)(USDT|BUSD)", event["s"])
            assert cut is not None
            yield f"BINANCE:{cut[1]}-{cut[2]}", one.at_ns, event


def test_recorded_kraken_trades_become_their_rows(
    payloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded answers confirm our own request; each trade comes with time, side and kind."""
    recording = Recording("KRAKEN.ws.48.0", "kraken-v1", pace=30.0)
    replayed = play(payloads, tmp_path, monkeypatch, recording, datasets=["trades"])
    assert_nothing_is_missing(replayed.home, replayed.landed)
    said = json.loads(replayed.said[0])
    assert sorted(map(kraken_symbol, said["pair"])) == sorted(asked_symbols(replayed.capture))
    told = by_symbol(
        (
            kraken_symbol(pair),
            exact(when),
            at,
            exact(price),
            exact(size),
            {"b": "buy", "s": "sell"}[side],
            ",".join(filter(None, (order, more))),
        )
        for pair, at, trades in kraken_arrays(replayed.heard, "trade")
        for price, size, when, side, order, more in trades
    )
    stored = rows(replayed.home, "trades", "ts_event, ts_recv, price, size, side, conditions")
    assert {
        symbol: [(t, r, exact(price), exact(size), *rest) for t, r, price, size, *rest in each]
        for symbol, each in stored.items()
    } == told
    assert sum(map(len, told.values())) == 10


def test_recorded_kraken_tickers_become_quotes(
    payloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Best bid and offer with lots in full; they tell no time, so it is that of receipt."""
    recording = Recording("KRAKEN.ws.49.0", "kraken-v1", pace=30.0)
    replayed = play(payloads, tmp_path, monkeypatch, recording, datasets=["quotes"])
    assert_nothing_is_missing(replayed.home, replayed.landed)
    told = by_symbol(
        (kraken_symbol(pair), at, at, *(exact(ticker[side][cell]) for side in "ba" for cell in (0, 2)))
        for pair, at, ticker in kraken_arrays(replayed.heard, "ticker")
    )
    stored = rows(replayed.home, "quotes", "ts_event, ts_recv, bid_price, bid_size, ask_price, ask_size")
    assert {
        symbol: [(t, r, *map(exact, four)) for t, r, *four in each] for symbol, each in stored.items()
    } == told
    assert sum(map(len, told.values())) == 18


def kraken_arrays(found: Iterable[Heard], channel: str) -> Iterator[tuple[str, int, Any]]:
    """(pair, when received, payload) of one channel."""
    for one in found:
        document = one.document
        if isinstance(document, list) and document[-2] == channel:
            yield document[-1], one.at_ns, document[1]


def by_symbol(found: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of each symbol in their order."""
    gathered: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for symbol, *values in found:
        gathered[symbol].append(tuple(values))
    return dict(gathered)


def test_no_capture_is_left_out(payloads: Path) -> None:
    """Those with frames are all replayed above, and none has a book of Kraken to verify."""
    replayed = {"BINANCE_US.ws.1.0", "BINANCE_FUTURES.ws.1.0", "KRAKEN.ws.48.0", "KRAKEN.ws.49.0"}
    captures = {path.name: read_capture(path) for path in payloads.glob("*/cryptofeed/*")}
    assert {name for name, capture in captures.items() if capture.received} == replayed
    for name in ("KRAKEN.ws.48.0", "KRAKEN.ws.49.0"):
        assert not any(b'"book' in said.text for said in captures[name].received)
