"""Each vendor's handshake: keys, confirmations, refusals, unsubscribing, limits, heartbeats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State

from mdc_resources.sandbox.live.feeds import FEEDS
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.listening import (
    ALPACA_AUTH,
    HELLOS,
    PATHS,
    RATE,
    eventually,
    listening,
    subscribed,
    trade_ids,
)


@pytest.fixture(scope="module")
def live() -> Iterator[SandboxServer]:
    """A server for the handshakes, its feeds quick."""
    with SandboxServer(market=Market.synthetic(seed=7), live_rate=RATE) as server:
        yield server


@pytest.mark.parametrize("feed", list(FEEDS))
def test_trades_come_without_a_gap(live: SandboxServer, feed: str) -> None:
    """After its handshake every feed sends trades whose ids count up."""
    with subscribed(live, feed) as listener:
        ids = trade_ids(feed, listener.collect(1.2))
    assert len(ids) > RATE / 2
    if feed in ("finnhub", "tiingo", "kraken-v1"):  # without ids: by time
        assert ids == sorted(ids)
    else:
        assert ids == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.parametrize("feed", list(FEEDS))
def test_what_is_no_request_is_answered_and_survived(live: SandboxServer, feed: str) -> None:
    """Broken JSON, other JSON, unknown words: an error in words, and the connection goes on."""
    with listening(live, feed) as listener:
        for text in ("{", "[]", "7", '{"what":"is this"}', "[" * 5_000):
            listener.socket.send(text)
        listener.say(*HELLOS[feed])
        listener.collect(0.3)
        assert trade_ids(feed, listener.collect(0.7))


@pytest.mark.parametrize("feed", list(FEEDS))
def test_odd_values_end_no_dialect(live: SandboxServer, feed: str) -> None:
    """Any field of a request may hold anything: an answer, a close, never a traceback and a reset."""
    odd: list[Any] = [None, 7, -1.5, True, "", "\0", [], [[]], [None, {}], {}, {"x": [1]}, "z" * 9_000]
    asks = HELLOS[feed]
    changed = [ask | {name: value} for ask in asks for name in ask for value in odd]
    for name in ("params", "subscription", "eventData"):
        for ask in (ask for ask in asks if isinstance(ask.get(name), dict)):
            changed += [ask | {name: ask[name] | {key: value}} for key in ask[name] for value in odd]
    for some in (changed[at : at + 25] for at in range(0, len(changed), 25)):
        with listening(live, feed) as listener:
            with suppress(ConnectionClosed):
                listener.say(*some)
                listener.collect(0.05)
            if listener.socket.protocol.state is not State.OPEN:  # closed by the vendor's rules, not dropped
                assert listener.socket.protocol.close_rcvd is not None


def test_alpaca_authenticates(live: SandboxServer) -> None:
    """Connected, then 401 without keys, 402 with wrong ones and the end; 403 the second time."""
    with listening(live, "alpaca") as listener:
        assert listener.hear() == [{"T": "success", "msg": "connected"}]
        listener.say({"action": "subscribe", "trades": ["AAPL"]})
        assert listener.hear()[0]["code"] == 401
        listener.say(ALPACA_AUTH)
        assert listener.hear() == [{"T": "success", "msg": "authenticated"}]
        listener.say(ALPACA_AUTH)
        assert listener.hear()[0]["code"] == 403
    with listening(live, "alpaca") as listener:
        listener.say({"action": "auth", "key": "bad", "secret": "s"})
        assert listener.until(lambda frame: frame[0]["T"] == "error")[0]["code"] == 402
        with pytest.raises(ConnectionClosed):
            listener.collect(5)


def test_alpaca_knows_its_keys() -> None:
    """With keys of its own the sandbox compares the secret."""
    market = Market.synthetic(seed=7)
    with (
        SandboxServer(market=market, alpaca_keys={"key": "other"}) as server,
        listening(server, "alpaca") as one,
    ):
        one.say(ALPACA_AUTH)
        assert one.until(lambda frame: frame[0]["T"] == "error")[0]["msg"] == "auth failed"


def test_alpaca_lists_what_is_in_force(live: SandboxServer) -> None:
    """Unknown names are left out, a malformed one is 400, unsubscribing shortens the list and the stream."""
    with subscribed(live, "alpaca") as listener:
        listener.say({"action": "subscribe", "trades": ["MSFT", "ZZQ", "TWTR"]})
        told = [listener.until(lambda frame: frame[0]["T"] == "subscription") for _ in range(2)][-1]
        assert (told[0]["trades"], told[0]["quotes"], told[0]["bars"]) == (["AAPL", "MSFT"], ["AAPL"], [])
        listener.say({"action": "subscribe", "trades": ["a b"]})
        assert listener.until(lambda frame: frame[0]["T"] == "error")[0]["code"] == 400
        listener.say({"action": "unsubscribe", "trades": ["AAPL", "MSFT"]})
        assert listener.until(lambda frame: frame[0]["T"] == "subscription")[0]["trades"] == []
        assert {one["T"] for frame in listener.collect(0.5) for one in frame} == {"q"}


def test_alpacas_limits(live: SandboxServer) -> None:
    """Free keys: 30 symbols, no SIP; keys of one connection: a second is refused until the first ends."""
    auth = ALPACA_AUTH | {"key": "free"}
    with listening(live, "alpaca") as listener:
        listener.say(auth, {"action": "subscribe", "trades": [f"AB{at}" for at in range(31)]})
        assert listener.until(lambda frame: frame[0]["T"] == "error")[0]["code"] == 405
    with listening(live, "alpaca", "/v2/sip") as listener:
        listener.say(auth)
        assert listener.until(lambda frame: frame[0]["T"] == "error")[0]["code"] == 409
    single = ALPACA_AUTH | {"key": "one"}
    with listening(live, "alpaca") as first, listening(live, "alpaca") as second:
        first.say(single)
        first.until(lambda frame: frame[0].get("msg") == "authenticated")
        second.say(single)
        assert second.until(lambda frame: frame[0]["T"] == "error")[0]["code"] == 406


def test_polygon_authenticates_and_confirms_each_topic(live: SandboxServer) -> None:
    """One success per topic, an error per unknown one, and the end for a wrong key."""
    with listening(live, "polygon") as listener:
        assert listener.hear()[0]["status"] == "connected"
        listener.say({"action": "auth", "params": "key"})
        assert listener.hear()[0]["status"] == "auth_success"
        listener.say({"action": "subscribe", "params": "T.AAPL,Q.AAPL,T.ZZQ"})
        told = [(one["status"], one["message"].rpartition(" ")[2]) for one in listener.hear()]
        assert told == [("success", "T.AAPL"), ("success", "Q.AAPL"), ("error", "T.ZZQ")]
        listener.say({"action": "unsubscribe", "params": "T.AAPL"})
        listener.until(lambda frame: frame[0].get("message") == "unsubscribed to: T.AAPL")
        assert {one["ev"] for frame in listener.collect(0.5) for one in frame} == {"Q"}
    for first, status in (
        ({"action": "auth", "params": "bad"}, "auth_failed"),
        (HELLOS["polygon"][1], "auth_required"),
    ):
        with listening(live, "polygon") as listener:
            listener.hear()
            listener.say(first)
            assert listener.hear()[0]["status"] == status
            with pytest.raises(ConnectionClosed):
                listener.collect(5)


@pytest.mark.parametrize("path", ["", "?token=", "?token=bad"])
def test_finnhub_refuses_the_handshake(live: SandboxServer, path: str) -> None:
    """A missing or wrong token is a 401 of HTTP."""
    with pytest.raises(InvalidStatus) as refused, listening(live, "finnhub", path):
        pass
    assert refused.value.response.status_code == 401
    assert refused.value.response.body == b"Invalid API key"


def test_finnhub_says_only_what_is_wrong(live: SandboxServer) -> None:
    """Nothing confirms; unknown symbols and too many are errors; unsubscribing is silent too."""
    with listening(live, "finnhub") as listener:
        listener.say({"type": "subscribe", "symbol": "ZZQ"})
        assert listener.hear() == {"msg": "Invalid symbol ZZQ", "type": "error"}
        listener.say(*({"type": "subscribe", "symbol": f"AB{at}"} for at in range(51)))
        assert (
            listener.until(lambda frame: frame["type"] == "error")["msg"] == "Subscribing to too many symbols"
        )
        listener.say(*({"type": "unsubscribe", "symbol": f"AB{at}"} for at in range(50)))
        listener.collect(0.3)
        assert listener.collect(0.4) == []


def test_tiingo_acknowledges(live: SandboxServer) -> None:
    """A subscription's id, then lists of tickers; refused tokens and levels are E."""
    ask = HELLOS["tiingo"][0]
    with listening(live, "tiingo") as listener:
        listener.say(ask)
        number = listener.hear()["data"]["subscriptionId"]
        assert isinstance(number, int)
        listener.say(ask | {"eventData": {"subscriptionId": number, "tickers": ["msft", "zzq"]}})
        told = listener.until(lambda frame: frame["messageType"] == "I")["data"]
        assert told == {"tickers": ["aapl", "msft"], "thresholdLevel": "5"}
        listener.say(ask | {"eventName": "unsubscribe", "eventData": {"tickers": ["aapl", "msft"]}})
        assert listener.until(lambda frame: frame["messageType"] == "I")["data"]["tickers"] == []
        assert listener.collect(0.4) == []
    for token, code in (("bad", 401), ("free", 400), ("", 401)):
        with listening(live, "tiingo") as listener:
            listener.say(ask | {"authorization": token})
            assert listener.hear()["response"]["code"] == code


def test_tiingos_reference_price(live: SandboxServer) -> None:
    """Level 6 is three places, without a size."""
    with listening(live, "tiingo") as listener:
        data = {"thresholdLevel": 6, "tickers": ["aapl"]}
        listener.say(HELLOS["tiingo"][0] | {"authorization": "free", "eventData": data})
        frame = listener.until(lambda frame: frame["messageType"] == "A")
        assert len(frame["data"]) == 3
        assert frame["data"][1] == "aapl"


def test_binance_subscribes(live: SandboxServer) -> None:
    """``result: null`` with the id, a list, code 2 for an unknown symbol, silence after UNSUBSCRIBE."""
    with subscribed(live, "binance") as listener:
        assert listener.until(lambda frame: "id" in frame) == {"result": None, "id": 1}
        listener.say({"method": "SUBSCRIBE", "params": ["ethusdt@trade", "zzxxx@trade"], "id": "two"})
        refused = listener.until(lambda frame: "id" in frame)
        assert (refused["error"]["code"], refused["id"]) == (2, "two")
        listener.say({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        names = ["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"]
        assert listener.until(lambda frame: "id" in frame)["result"] == names
        listener.say({"method": "UNSUBSCRIBE", "params": names, "id": 4})
        listener.until(lambda frame: frame.get("id") == 4)
        assert listener.collect(0.4) == []


@pytest.mark.parametrize(
    ("path", "combined", "digits"),
    [
        pytest.param("/ws/btcusdt@trade", False, 13, id="raw"),
        pytest.param("/stream?streams=btcusdt@trade/ethusdt@trade", True, 13, id="combined"),
        pytest.param("/stream?streams=btcusdt@trade&timeUnit=MICROSECOND", True, 16, id="microseconds"),
    ],
)
def test_binances_addresses(live: SandboxServer, path: str, combined: bool, digits: int) -> None:
    """What the address names is sent at once, wrapped on /stream, in the unit asked for."""
    with listening(live, "binance", path) as listener:
        frame = listener.hear()
        assert ("stream" in frame) is combined
        assert len(str(frame.get("data", frame)["T"])) == digits


def test_binance_has_1024_streams_a_connection(live: SandboxServer) -> None:
    """The request that would exceed them is refused whole."""
    with listening(live, "binance") as listener:
        names = [f"ab{at}usdt@aggTrade" for at in range(1_025)]
        listener.say({"method": "SUBSCRIBE", "params": names, "id": 1})
        assert listener.hear()["error"]["msg"] == "Invalid request: too many subscriptions"


def test_coinbase_subscribes(live: SandboxServer) -> None:
    """Last match and snapshot, the list in force; wrong products and keyed channels refuse the request."""
    with subscribed(live, "coinbase") as listener:
        assert listener.hear()["type"] == "last_match"
        assert listener.hear()["type"] == "snapshot"
        told = {one["name"]: one["product_ids"] for one in listener.hear()["channels"]}
        assert told == {key: ["BTC-USD"] for key in ("matches", "ticker", "level2_batch", "heartbeat")}
        beat = listener.until(lambda frame: frame["type"] == "heartbeat")
        assert beat["product_id"] == "BTC-USD"
        listener.say({"type": "subscribe", "product_ids": ["ETH-USD", "ZZ-USD"], "channels": ["matches"]})
        reason = listener.until(lambda frame: frame["type"] == "error")["reason"]
        assert reason == "ZZ-USD is not a valid product"
        listener.say({"type": "subscribe", "product_ids": ["ETH-USD"], "channels": ["level2"]})
        assert "authentication" in listener.until(lambda frame: frame["type"] == "error")["reason"]
        listener.say({"type": "unsubscribe", "channels": ["matches", "ticker", "level2_batch"]})
        left = listener.until(lambda frame: frame["type"] == "subscriptions")["channels"]
        assert [one["name"] for one in left] == ["heartbeat"]
        assert {frame["type"] for frame in listener.collect(0.5)} <= {"heartbeat"}


def test_coinbase_advanced_counts_its_messages(live: SandboxServer) -> None:
    """Snapshots first, ``l2_data`` for ``level2``, one number per message, heartbeats without products."""
    with subscribed(live, "coinbase-advanced") as listener:
        listener.say({"type": "subscribe", "channel": "heartbeats"})
        frames = listener.collect(1.3)
        assert [frame["sequence_num"] for frame in frames] == list(range(len(frames)))
        assert {"l2_data", "market_trades", "ticker", "heartbeats", "subscriptions"} == {
            f["channel"] for f in frames
        }
        first = {frame["channel"]: frame for frame in reversed(frames)}
        assert first["l2_data"]["events"][0]["type"] == "snapshot"
        newest = [int(trade["trade_id"]) for trade in first["market_trades"]["events"][0]["trades"]]
        assert newest == sorted(newest, reverse=True)
        listener.say({"type": "subscribe", "channel": "level2", "product_ids": ["ZZ-USD"]})
        assert "ZZ-USD" in listener.until(lambda frame: frame.get("type") == "error")["message"]
        listener.say({"type": "unsubscribe", "channel": "level2", "product_ids": ["BTC-USD"]})
        told = listener.until(lambda frame: frame["channel"] == "subscriptions")["events"][0]["subscriptions"]
        assert set(told) == {"market_trades", "ticker", "heartbeats"}


def test_kraken_answers_each_symbol(live: SandboxServer) -> None:
    """Status, success or failure per symbol with the request's id, pong, unsubscribed."""
    with listening(live, "kraken") as listener:
        assert listener.hear()["data"][0]["system"] == "online"
        params: dict[str, Any] = {"channel": "trade", "symbol": ["BTC/USD", "ZZ/USD"], "snapshot": True}
        listener.say({"method": "subscribe", "params": params, "req_id": 42})
        told = listener.hear()
        assert (told["success"], told["req_id"], told["result"]["symbol"]) == (True, 42, "BTC/USD")
        assert len(listener.hear()["data"]) == 50
        told = listener.until(lambda frame: frame.get("success") is False)
        assert told["error"] == "Currency pair not supported ZZ/USD"
        for wrong in (
            {"channel": "book", "symbol": ["BTC/USD"], "depth": 7},
            {"channel": "x", "symbol": ["BTC/USD"]},
        ):
            listener.say({"method": "subscribe", "params": wrong})
            assert "not supported" in listener.until(lambda frame: frame.get("success") is False)["error"]
        listener.say({"method": "ping", "req_id": 7})
        assert listener.until(lambda frame: frame.get("method") == "pong")["req_id"] == 7
        listener.say({"method": "unsubscribe", "params": params | {"symbol": ["BTC/USD"]}})
        assert listener.until(lambda frame: frame.get("method") == "unsubscribe")["success"] is True
        assert listener.collect(0.4) == []


def test_kraken_beats_where_nothing_happens() -> None:
    """A heartbeat in a second without data."""
    with (
        SandboxServer(market=Market.synthetic(seed=7), live_rate=0.01) as server,
        subscribed(server, "kraken") as listener,
    ):
        assert listener.until(lambda frame: frame.get("channel") == "heartbeat")


def test_kraken_v1_tells_the_status_of_each_pair(live: SandboxServer) -> None:
    """Subscribed with its channel, refused with a reason, unsubscribed; books begin with as and bs."""
    with listening(live, "kraken-v1") as listener:
        assert listener.hear()["event"] == "systemStatus"
        book = {"name": "book", "depth": 25}
        listener.say({"event": "subscribe", "pair": ["XBT/USD", "ZZ/USD"], "subscription": book, "reqid": 3})
        status = listener.until(_is_status)
        assert (status["status"], status["channelName"], status["reqid"]) == ("subscribed", "book-25", 3)
        snapshot = listener.until(lambda frame: isinstance(frame, list))
        assert (len(snapshot[1]["as"]), len(snapshot[1]["bs"]), snapshot[0]) == (25, 25, status["channelID"])
        refused = listener.until(_is_status)
        assert (refused["status"], refused["errorMessage"]) == ("error", "Currency pair not supported ZZ/USD")
        listener.say({"event": "ping", "reqid": 9})
        assert listener.until(lambda frame: "event" in frame and frame["event"] == "pong")["reqid"] == 9
        listener.say({"event": "unsubscribe", "pair": ["XBT/USD"], "subscription": book})
        assert listener.until(_is_status)["status"] == "unsubscribed"
        assert all(frame == {"event": "heartbeat"} for frame in listener.collect(0.4))


@pytest.mark.parametrize("feed", list(FEEDS))
def test_the_bare_address_works(live: SandboxServer, feed: str) -> None:
    """Without the vendor's path below it, too."""
    with listening(live, feed, PATHS[feed] if feed == "finnhub" else "") as listener:
        listener.say(*HELLOS[feed])
        assert listener.collect(0.6)


@pytest.mark.parametrize("address", ["bloomberg/ws", "yahoo/ws", "alpaca/wsx"])
def test_other_addresses_are_refused(live: SandboxServer, address: str) -> None:
    """No such feed: the handshake is answered with 403."""
    feed, _, _ = address.partition("/")
    with pytest.raises(InvalidStatus), listening(live, feed, "" if address.endswith("/ws") else "x"):
        pass


def _is_status(frame: Any) -> bool:
    return isinstance(frame, dict) and frame.get("event") == "subscriptionStatus"


def test_a_listener_that_leaves_is_noted(live: SandboxServer) -> None:
    """The log has its address without the token, what it said without secrets, and how it ended."""
    last = max((visit["id"] for visit in live.sandbox.ledger.connections()), default=0)
    with subscribed(live, "finnhub") as listener:
        listener.collect(0.3)
    with listening(live, "alpaca") as listener:
        listener.say(ALPACA_AUTH)
        listener.until(lambda frame: frame[0].get("msg") == "authenticated")

    def left() -> list[dict[str, Any]]:
        visits = live.sandbox.ledger.connections()
        return [visit for visit in visits if visit["id"] > last and visit["end"] == "client"]

    visits = eventually(left, lambda found: len(found) == 2)
    assert visits[0]["target"] == "/finnhub/ws?token=..."
    assert visits[0]["sent"] > 0
    assert visits[0]["said"] == ['{"type": "subscribe", "symbol": "AAPL"}']
    assert visits[1]["said"] == ['{"action": "auth", "key":"...", "secret":"..."}']
