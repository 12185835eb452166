"""Recorded connections reproduce their own counts, unbroken sequences and best prices."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.binance.live_names import cut
from mdc_resources.providers.live import feed
from tests.feeds.captures import Capture, Said, read_capture
from tests.feeds.crypto.crypto_bench import Books, decode, dialect_of, wanted
from tests.feeds.recorder import Recorder

BINANCE = ("BINANCE_US", "BINANCE_FUTURES")


def binance(payloads: Path, name: str) -> tuple[Capture, Books]:
    """The connection, and what it became with its snapshots in the order of arrival."""
    folder = payloads / "binance" / "cryptofeed"
    stream = read_capture(folder / f"{name}.ws.1.0")
    answers = read_capture(folder / f"{name}.http.0.0").answers
    decoder, sink = feed("binance").decoder(dialect_of("binance")), Books("binance")
    for said in sorted([*stream.received, *answers], key=lambda said: said.at_ns):
        if said.url:
            pair = said.url.partition("symbol=")[2].partition("&")[0]
            decoder.fetched(Symbol(cut(pair) or ""), said.text, sink)
        else:
            decoder.decode(said.text, sink)
    return stream, sink


def kinds(received: list[Said]) -> Counter[str]:
    """What a capture holds by stream or channel, counted in its raw text."""
    documents = (json.loads(said.text) for said in received)
    return Counter(document["stream"].partition("@")[2].partition("@")[0] for document in documents)


@pytest.mark.parametrize("name", BINANCE)
def test_binance_counts_are_those_of_the_capture(payloads: Path, name: str) -> None:
    """Every aggregate trade, ticker and delta is one event, nothing is rejected, no trade is missing."""
    stream, sink = binance(payloads, name)
    counted = kinds(stream.received)
    assert sink.count("trade") == counted["aggTrade"]
    assert sink.count("quote") == counted["bookTicker"]
    assert sink.count("delta") == counted["depth"]
    assert (sink.rejections, sink.holes) == ([], [])


@pytest.mark.parametrize("name", BINANCE)
def test_binance_books_never_break(payloads: Path, name: str) -> None:
    """Snapshots meet the deltas that waited for them, and each delta follows the one before."""
    _, sink = binance(payloads, name)
    assert len(sink.books) == 4
    assert all(book.valid for book in sink.books.values())
    assert [change for _, _, change in sink.changes if change.reason] == []
    last = {event["symbol"]: event["last"] for event in sink.events if event["kind"] == "delta"}
    assert {symbol: book.sequence for symbol, book in sink.books.items()} == last
    applied = Counter(change.applied for _, kind, change in sink.changes if kind == "delta")
    assert applied[False] <= 15
    assert applied[True] > 300


@pytest.mark.parametrize("name", BINANCE)
def test_binance_books_agree_with_the_best_prices(payloads: Path, name: str) -> None:
    """At each delta the top of the book is the newest ticker up to its number."""
    decoder, sink = feed("binance").decoder(dialect_of("binance")), Books("binance")
    folder = payloads / "binance" / "cryptofeed"
    stream = read_capture(folder / f"{name}.ws.1.0").received
    answers = read_capture(folder / f"{name}.http.0.0").answers
    told: dict[Symbol, list[tuple[int, Decimal, Decimal]]] = {}
    agreed = Counter[bool]()
    for said in sorted([*stream, *answers], key=lambda said: said.at_ns):
        seen = len(sink.events)
        if said.url:
            pair = said.url.partition("symbol=")[2].partition("&")[0]
            decoder.fetched(Symbol(cut(pair) or ""), said.text, sink)
            continue
        decoder.decode(said.text, sink)
        for event in sink.events[seen:]:
            symbol = event["symbol"]
            if event["kind"] == "quote":
                best = (event["sequence"], Decimal(event["bid"][0]), Decimal(event["ask"][0]))
                told.setdefault(symbol, []).append(best)
            elif event["kind"] == "delta" and sink.books[symbol].valid:
                known = [best for best in told.get(symbol, ()) if best[0] <= event["last"]]
                top = sink.books[symbol].top(1)
                shown = (Decimal(top.bids[0][0]), Decimal(top.asks[0][0]))
                if known:
                    agreed[shown == known[-1][1:]] += 1
    assert agreed[True] > 250
    assert agreed[False] <= agreed[True] // 20


def test_kraken_trades_are_those_of_the_capture(payloads: Path) -> None:
    """Ten of them over three pairs, with the taker's side and exact instants."""
    capture = read_capture(payloads / "kraken" / "cryptofeed" / "KRAKEN.ws.48.0")
    frames = [said.text for said in capture.received]
    arrays = [json.loads(frame) for frame in frames if frame.startswith(b"[")]
    sink = decode("kraken-v1", frames)
    assert len(sink.events) == sum(len(array[1]) for array in arrays) == 10
    assert sink.rejections == []
    assert sink.events[0] == {
        "kind": "trade",
        "symbol": "KRAKEN:XMR-USD",
        "ts_event": 1_618_678_142_557_535_000,
        "price": "354.11000000",
        "size": "0.89594024",
        "side": "sell",
        "conditions": "l",
    }
    assert {event["symbol"] for event in sink.events} == {"KRAKEN:XMR-USD", "KRAKEN:SC-EUR"}


def test_kraken_tickers_are_those_of_the_capture(payloads: Path) -> None:
    """One quote each, sizes in lots with all their digits."""
    capture = read_capture(payloads / "kraken" / "cryptofeed" / "KRAKEN.ws.49.0")
    frames = [said.text for said in capture.received]
    arrays = [json.loads(frame) for frame in frames if frame.startswith(b"[")]
    sink = decode("kraken-v1", frames)
    assert len(sink.events) == len(arrays) == 18
    for event, array in zip(sink.events, arrays, strict=True):
        assert event["bid"] == [array[1]["b"][0], array[1]["b"][2]]
        assert event["ask"] == [array[1]["a"][0], array[1]["a"][2]]


def test_kraken_subscriptions_are_confirmed_as_recorded(payloads: Path) -> None:
    """The session takes in the whole connection: each pair confirmed once, none refused."""
    capture = read_capture(payloads / "kraken" / "cryptofeed" / "KRAKEN.ws.48.0")
    asked = json.loads(capture.sent[0].text)["pair"]
    symbols = [f"KRAKEN:{pair.replace('XBT', 'BTC').replace('/', '-')}" for pair in asked]
    subscriptions = wanted("kraken-v1", *symbols, datasets=[Dataset.TRADES])
    session = feed("kraken-v1").session(dialect_of("kraken-v1"), subscriptions)
    (sent,) = session.opened({}).send
    assert json.loads(sent)["pair"] == asked
    replies = [session.control(said.text) for said in capture.received if session.is_control(said.text)]
    assert sorted(one for reply in replies for one in reply.confirmed) == sorted(subscriptions)
    assert not any(reply.refused or reply.error or reply.leave or reply.send for reply in replies)


def test_the_doc_samples_of_advanced_trade_are_read(payloads: Path) -> None:
    """Trades, a book and its update, a ticker; candles are none of ours."""
    folder = payloads / "coinbase" / "nautilus"
    names = ("ws_subscriptions", "ws_l2_data_snapshot", "ws_l2_data_update", "ws_market_trades", "ws_ticker")
    sink = decode("coinbase-advanced", [(folder / f"{name}.json").read_bytes() for name in names])
    assert [event["kind"] for event in sink.events] == ["snapshot", "delta", "trade", "trade", "quote"]
    assert [event["side"] for event in sink.events if event["kind"] == "trade"] == ["sell", "buy"]
    assert sink.events[1]["asks"] == [["68901.00", "0.00000000"]]


def test_the_doc_samples_of_kraken_are_read(payloads: Path) -> None:
    """Numbers keep their zeros; answers and pongs are no data and no flaw."""
    folder = payloads / "kraken" / "nautilus"
    names = ("ws_subscribe_response", "ws_pong", "ws_ticker_snapshot", "ws_book_snapshot", "ws_trade_update")
    sink = decode("kraken", [(folder / f"{name}.json").read_bytes() for name in names])
    assert [event["kind"] for event in sink.events] == ["quote", "snapshot", "trade", "trade"]
    assert sink.rejections == []
    assert sink.events[0]["bid"] == ["105944.20", "2.5"]
    assert sink.events[1]["checksum"] == 2439117997
    assert [event["size"] for event in sink.events[2:]] == ["0.00027625", "0.00012460"]


def test_the_doc_samples_of_binance_are_read(payloads: Path) -> None:
    """Bare and combined, spot and futures."""
    folder = payloads / "binance" / "nautilus"
    names = ("ws_spot_agg_trade", "ws_spot_ticker_book", "ws_futures_depth_update", "ws_futures_book_ticker")
    sink = decode("binance", [(folder / f"{name}.json").read_bytes() for name in names])
    assert [event["kind"] for event in sink.events] == ["trade", "quote", "delta", "quote"]
    assert sink.events[2]["previous"] == 390497794
    assert sink.rejections == []


def test_every_capture_there_is_can_be_read(payloads: Path) -> None:
    """Connections with their frames in order of time, answers with their address."""
    found = {path.name: read_capture(path) for path in sorted(payloads.glob("*/cryptofeed/*"))}
    assert {name for name, capture in found.items() if capture.received} >= {
        "BINANCE_US.ws.1.0",
        "BINANCE_FUTURES.ws.1.0",
        "KRAKEN.ws.48.0",
        "KRAKEN.ws.49.0",
    }
    for capture in found.values():
        times = [said.at_ns for said in capture.received]
        assert times == sorted(times)
        assert bool(capture.received) == bool(capture.url)
        assert capture.received or all(said.url.startswith("https://") for said in capture.answers)


def test_lines_of_no_known_kind_are_refused(tmp_path: Path) -> None:
    """A capture is read whole or not at all; times are exact to the nanosecond."""
    path = tmp_path / "capture"
    path.write_bytes(b"wss://x <-> 1618678132.5\nwss://x <- 1618678132.6: {}\n1618678132.8309701: []\n\n")
    capture = read_capture(path)
    assert (capture.url, capture.opened_at) == ("wss://x", 1_618_678_132_500_000_000)
    assert capture.received == [Said(1_618_678_132_830_970_100, b"[]")]
    assert isinstance(decode("kraken-v1", [capture.received[0].text]), Recorder)
    path.write_bytes(b"nothing of the kind\n")
    with pytest.raises(ValueError, match="no line of a capture"):
        read_capture(path)
