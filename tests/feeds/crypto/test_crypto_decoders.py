"""What single frames become: each vendor's shapes, and the ways in which they leave things out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import feed
from tests.feeds.crypto.crypto_bench import SYMBOLS, decode, dialect_of, wanted
from tests.feeds.recorder import Recorder

NOON = 1_709_553_600_000_000_000  # 2024-03-04T12:00:00Z


def read(name: str, *frames: Any) -> Recorder:
    """All that ``frames`` become; text is taken as it is."""
    return decode(name, [(f if isinstance(f, str) else json.dumps(f)).encode() for f in frames])


def one(name: str, frame: Any) -> dict[str, Any]:
    """The one event of a frame."""
    sink = read(name, frame)
    assert (sink.rejections, len(sink.events)) == ([], 1)
    return sink.events[0]


def nothing(name: str, *frames: Any) -> None:
    """Frames that are neither data nor wrong."""
    sink = read(name, *frames)
    assert (sink.events, sink.rejections, sink.holes) == ([], [], [])


# Coinbase Exchange


def test_a_coinbase_ticker_is_a_quote_where_it_tells_sizes() -> None:
    """Before 2022 it did not: then it tells nothing that could be stored."""
    ticker = {"type": "ticker", "sequence": 37, "product_id": "ETH-USD", "price": "1285.22", "trade_id": 9,
              "best_bid": "1285.04", "best_ask": "1285.27", "time": "2024-03-04T12:00:00.000001Z",
              }  # fmt: skip
    nothing("coinbase", ticker)
    sized = {**ticker, "best_bid_size": "0.46688654", "best_ask_size": "1.56637040"}
    assert one("coinbase", sized) == {
        "kind": "quote", "symbol": "COINBASE:ETH-USD", "ts_event": NOON + 1000, "sequence": 37,
        "bid": ["1285.04", "0.46688654"], "ask": ["1285.27", "1.56637040"],
    }  # fmt: skip
    assert one("coinbase", {**sized, "best_bid": ""})["bid"] == ["0", "0"]


def test_a_coinbase_book_is_a_snapshot_then_changes() -> None:
    """``buy`` is the bids' side; a snapshot may tell no time."""
    book = {
        "type": "snapshot",
        "product_id": "BTC-USD",
        "asks": [["2", "1"], ["3", "1"]],
        "bids": [["1", "5"]],
    }
    assert one("coinbase", book) == {
        "kind": "snapshot", "symbol": "COINBASE:BTC-USD", "bids": [["1", "5"]],
        "asks": [["2", "1"], ["3", "1"]],
    }  # fmt: skip
    changes = [["buy", "1", "0"], ["sell", "2", "0.00000000"], ["buy", "0.9", "7"]]
    update = {"type": "l2update", "product_id": "BTC-USD", "changes": changes, "time": "2024-03-04T12:00:00Z"}
    assert one("coinbase", update) == {
        "kind": "delta", "symbol": "COINBASE:BTC-USD", "ts_event": NOON,
        "bids": [["1", "0"], ["0.9", "7"]], "asks": [["2", "0.00000000"]],
    }  # fmt: skip


def test_coinbase_control_frames_are_no_data() -> None:
    """Heartbeats, lists and errors pass the decoder in silence."""
    nothing(
        "coinbase",
        {"type": "heartbeat", "sequence": 90, "last_trade_id": 20, "product_id": "BTC-USD", "time": "-"},
        {"type": "subscriptions", "channels": [{"name": "matches", "product_ids": None}]},
        {"type": "error", "message": "x"},
    )


@pytest.mark.parametrize("name", ["coinbase", "coinbase-advanced", "kraken", "kraken-v1"])
def test_books_that_come_by_themselves_are_not_fetched(name: str) -> None:
    """A body of a snapshot belongs to another feed."""
    sink = Recorder()
    feed(name).decoder(dialect_of(name)).fetched(Symbol(SYMBOLS[name]), b"{}", sink)
    assert [symbol for _, _, symbol in sink.rejections] == [SYMBOLS[name]]


# Coinbase Advanced Trade


def test_an_advanced_frame_may_hold_several_events() -> None:
    """Of several products; the instant of a book is that of its last change."""
    changes = [
        {"side": "bid", "price_level": "1", "new_quantity": "2", "event_time": "2024-03-04T12:00:00Z"},
        {"side": "offer", "price_level": "3", "new_quantity": "0", "event_time": "2024-03-04T12:00:00.5Z"},
    ]
    events = [
        {"type": "update", "product_id": product, "updates": changes} for product in ("BTC-USD", "ETH-USD")
    ]
    sink = read("coinbase-advanced", {"channel": "l2_data", "sequence_num": 4, "events": events})
    assert [event["symbol"] for event in sink.events] == ["COINBASE:BTC-USD", "COINBASE:ETH-USD"]
    assert sink.events[0]["ts_event"] == NOON + 500_000_000
    assert (sink.events[0]["bids"], sink.events[0]["asks"]) == ([["1", "2"]], [["3", "0"]])


def test_a_wrong_part_of_an_advanced_frame_costs_itself_alone() -> None:
    """A trade without a price, a book without sides."""
    good = {"trade_id": "5", "product_id": "BTC-USD", "price": "1", "size": "1", "side": "BUY",
            "time": "2024-03-04T12:00:00Z"}  # fmt: skip
    trades = [{"type": "update", "trades": [{**good, "price": None}, good]}]
    sink = read("coinbase-advanced", {"channel": "market_trades", "sequence_num": 1, "events": trades})
    assert (len(sink.events), len(sink.rejections)) == (1, 1)
    books = [{"type": "update", "product_id": "BTC-USD", "updates": 5},
             {"type": "snapshot", "product_id": "ETH-USD", "updates": []}]  # fmt: skip
    sink = read("coinbase-advanced", {"channel": "l2_data", "sequence_num": 1, "events": books})
    assert ([event["kind"] for event in sink.events], len(sink.rejections)) == (["snapshot"], 1)


def test_an_advanced_ticker_without_sizes_is_no_quote() -> None:
    """Its time is the envelope's."""
    tick = {"type": "ticker", "product_id": "BTC-USD", "price": "1", "best_bid": "1", "best_ask": "2"}
    sized = {**tick, "best_bid_quantity": "3", "best_ask_quantity": "4"}
    frame = {"channel": "ticker", "timestamp": "2024-03-04T12:00:00Z", "sequence_num": 8,
             "events": [{"type": "update", "tickers": [tick, sized]}]}  # fmt: skip
    assert one("coinbase-advanced", frame) == {
        "kind": "quote", "symbol": "COINBASE:BTC-USD", "ts_event": NOON, "sequence": 8,
        "bid": ["1", "3"], "ask": ["2", "4"],
    }  # fmt: skip


# Kraken


def test_kraken_numbers_keep_their_characters() -> None:
    """They are JSON numbers, and the checksum is made of their text."""
    frame = (
        '{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":105944.20,"qty":0.00000000}],'
        '"asks":[{"price":1e5,"qty":12345678901234567890.5}],"checksum":4294967295,'
        '"timestamp":"2024-03-04T12:00:00.000000001Z"}]}'
    )
    assert one("kraken", frame) == {
        "kind": "delta", "symbol": "KRAKEN:BTC-USD", "ts_event": NOON + 1, "checksum": 4294967295,
        "bids": [["105944.20", "0.00000000"]], "asks": [["1e5", "12345678901234567890.5"]],
    }  # fmt: skip


def test_a_kraken_side_without_orders_is_null() -> None:
    """Nobody bids: zero at zero."""
    ticker = {"symbol": "BTC/USD", "bid": None, "bid_qty": None, "ask": 2, "ask_qty": 1}
    frame = {"channel": "ticker", "type": "update", "data": [ticker]}
    assert one("kraken", frame)["bid"] == ["0", "0"]


def test_kraken_control_frames_are_no_data() -> None:
    """Answers, status, heartbeats and pongs."""
    nothing(
        "kraken",
        {"channel": "heartbeat"},
        {"channel": "status", "type": "update", "data": [{"system": "online"}]},
        {"method": "pong", "req_id": 1},
        {"error": "x", "method": "subscribe", "success": False, "req_id": 1},
    )
    nothing(
        "kraken-v1",
        {"event": "heartbeat"},
        {"event": "systemStatus", "status": "online", "connectionID": 18239578009413566319},
        {"event": "pong"},
        [1, ["1"], "ohlc-5", "XBT/USD"],
    )


def test_a_v1_update_of_both_sides_has_two_payloads() -> None:
    """The checksum stands in the last one; a level may be marked as published again."""
    frame = [1234, {"a": [["5541.3", "2.5", "1709553600.1", "r"], ["5542.7", "0.4", "1709553600.4"]]},
             {"b": [["5541.2", "0.00000000", "1709553600.3"]], "c": "974942666"},
             "book-10", "XBT/USD"]  # fmt: skip
    assert one("kraken-v1", frame) == {
        "kind": "delta", "symbol": "KRAKEN:BTC-USD", "ts_event": NOON + 400_000_000, "checksum": 974942666,
        "bids": [["5541.2", "0.00000000"]], "asks": [["5541.3", "2.5"], ["5542.7", "0.4"]],
    }  # fmt: skip


def test_a_v1_snapshot_has_no_checksum() -> None:
    """And may lack a side."""
    frame = [0, {"as": [["2", "1", "1709553600.5"]], "bs": []}, "book-100", "ETH/XBT"]
    assert one("kraken-v1", frame) == {
        "kind": "snapshot", "symbol": "KRAKEN:ETH-BTC", "ts_event": NOON + 500_000_000,
        "bids": [], "asks": [["2", "1"]],
    }  # fmt: skip


def test_a_v1_spread_is_a_quote() -> None:
    """Bid, ask, time, and the two volumes behind them."""
    frame = [0, ["5698.40000", "5700.00000", "1709553600.000000001", "1.01", "0.99"], "spread", "XBT/USD"]
    assert one("kraken-v1", frame) == {
        "kind": "quote", "symbol": "KRAKEN:BTC-USD", "ts_event": NOON + 1,
        "bid": ["5698.40000", "1.01"], "ask": ["5700.00000", "0.99"],
    }  # fmt: skip


# Binance


def test_binance_frames_may_be_bare_or_combined() -> None:
    """The same event either way; a spot ticker tells no time and no kind."""
    ticker = {"u": 400900217, "s": "BNBUSDT", "b": "25.35", "B": "31.21", "a": "25.36", "A": "40.66"}
    bare, combined = one("binance", ticker), one("binance", {"stream": "bnbusdt@bookTicker", "data": ticker})
    assert bare == combined == {
        "kind": "quote", "symbol": "BINANCE:BNB-USDT", "sequence": 400900217,
        "bid": ["25.35", "31.21"], "ask": ["25.36", "40.66"],
    }  # fmt: skip


def test_binance_streams_of_others_pass_in_silence_and_unknown_ones_do_not() -> None:
    """A configured address may bring candles along."""
    nothing(
        "binance",
        {"stream": "btcusdt@kline_1m", "data": {"e": "kline", "s": "BTCUSDT", "k": {}}},
        {"e": "24hrTicker", "s": "BTCUSDT"},
        {"result": None, "id": 3},
        {"error": {"code": 2, "msg": "x"}},
        {"e": "serverShutdown", "E": 1_709_553_600_000},
    )
    assert len(read("binance", {"stream": "btcusdt@mystery", "data": {}}).rejections) == 1


def test_a_binance_delta_names_its_updates() -> None:
    """From ``U`` to ``u``, after ``pu`` where futures say so."""
    delta = {"e": "depthUpdate", "E": 1_709_553_600_000, "T": 1, "s": "BTCUSDT", "U": 157, "u": 160,
             "pu": 149, "b": [["0.0024", "10"]], "a": []}  # fmt: skip
    found = one("binance", delta)
    assert (found["first"], found["last"], found["previous"], found["ts_event"]) == (157, 160, 149, NOON)
    del delta["pu"]
    assert "previous" not in one("binance", {"stream": "btcusdt@depth", "data": delta})


def test_a_fetched_binance_book_says_what_it_contains() -> None:
    """An error document is rejected with its symbol."""
    decoder, sink = feed("binance").decoder(dialect_of("binance")), Recorder()
    symbol = Symbol("BINANCE:BTC-USDT")
    decoder.fetched(symbol, b'{"lastUpdateId":160,"bids":[["1","2"]],"asks":[["2","1"]]}', sink)
    assert sink.events == [
        {"kind": "snapshot", "symbol": symbol, "bids": [["1", "2"]], "asks": [["2", "1"]], "sequence": 160}
    ]
    for body in (
        b'{"code":-1121,"msg":"Invalid symbol."}',
        b'{"lastUpdateId":1,"bids":[["x","2"]],"asks":[]}',
        b"",
    ):
        decoder.fetched(symbol, body, sink)
    assert [rejected for _, _, rejected in sink.rejections] == [symbol] * 3


@pytest.mark.parametrize("name", list(SYMBOLS))
def test_market_data_is_no_control_frame(name: str) -> None:
    """The session is not asked about it: that would cost as much as decoding."""
    data = {
        "coinbase": '{"type":"match","trade_id":1,"side":"buy","product_id":"BTC-USD"}',
        "coinbase-advanced": '{"channel":"l2_data","client_id":"","sequence_num":1,"events":[]}',
        "kraken": '{"channel":"book","type":"update","data":[]}',
        "kraken-v1": '[0,{"a":[]},"book-10","XBT/USD"]',
        "binance": '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade"}}',
    }
    assert not feed(name).session(dialect_of(name), wanted(name)).is_control(data[name].encode())


@pytest.mark.parametrize("name", list(SYMBOLS))
def test_the_configured_address_is_taken_as_it_is(name: str) -> None:
    """No path is added, no key."""
    address = feed(name).address(dialect_of(name))
    assert (address.url, address.headers, address.query_auth) == (feed(name).spec.ws_url, (), ())
