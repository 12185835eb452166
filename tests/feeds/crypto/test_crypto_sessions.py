"""Handshakes in detail: what is asked in which words, and what answers, refusals and errors come to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import RateLimited, TransportError, UnknownSymbol
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.binance.live_names import cut, stream_pair
from mdc_resources.providers.kraken.live_names import name_of, v1_pair, v2_pair
from mdc_resources.providers.live import NOTHING, LiveSession, Reply, Subscription, feed
from tests.feeds.crypto.crypto_bench import SYMBOLS, dialect_of, wanted

TRADES, QUOTES, DEPTH = Dataset.TRADES, Dataset.QUOTES, Dataset.DEPTH


def opened(name: str, *symbols: str, datasets: Any = (), **more: Any) -> tuple[LiveSession, list[Any]]:
    """A session that has sent its first messages, and these as JSON."""
    session = feed(name).session(dialect_of(name, **more), wanted(name, *symbols, datasets=datasets))
    return session, [json.loads(frame) for frame in session.opened({}).send]


def say(session: LiveSession, **parts: Any) -> Reply:
    """The server says something that the session must see."""
    frame = json.dumps(parts).encode()
    assert session.is_control(frame)
    return session.control(frame)


def sent(reply: Reply) -> list[Any]:
    """What a reply sends, as JSON."""
    return [json.loads(frame) for frame in reply.send]


@pytest.mark.parametrize("name", list(SYMBOLS))
def test_symbols_of_other_venues_are_refused_before_anything_is_sent(name: str) -> None:
    """Also what the vendor could spell but would come back under another name."""
    for symbol in ("AAPL", "NOWHERE:BTC-USD", f"{feed(name).spec.venue}:BTC"):
        with pytest.raises(UnknownSymbol) as caught:
            feed(name).session(dialect_of(name), wanted(name, symbol))
        assert caught.value.symbol == symbol


# Coinbase


def listing(**channels: list[str]) -> dict[str, Any]:
    """The Exchange's list of what it sends."""
    return {
        "type": "subscriptions",
        "channels": [{"name": name, "product_ids": ids} for name, ids in channels.items()],
    }


def test_coinbase_asks_for_heartbeats_too_and_confirms_by_channel_and_product() -> None:
    """Books are confirmed under the name that the answer has for them."""
    session, (message,) = opened("coinbase", "COINBASE:BTC-USD", "COINBASE:ETH-USD")
    names = ("matches", "ticker", "level2_batch", "heartbeat")
    channels = {channel["name"]: channel["product_ids"] for channel in message["channels"]}
    assert channels == {name: ["BTC-USD", "ETH-USD"] for name in names}
    reply = say(
        session, **listing(matches=["BTC-USD"], level2_50=["BTC-USD", "ETH-USD"], heartbeat=["BTC-USD"])
    )
    assert set(reply.confirmed) == {
        (TRADES, "COINBASE:BTC-USD"),
        (DEPTH, "COINBASE:BTC-USD"),
        (DEPTH, "COINBASE:ETH-USD"),
    }
    assert {one for one, _ in reply.refused} == {
        (QUOTES, "COINBASE:BTC-USD"),
        (QUOTES, "COINBASE:ETH-USD"),
        (TRADES, "COINBASE:ETH-USD"),
    }


def test_coinbase_refuses_what_an_error_names_and_asks_for_the_rest() -> None:
    """The message was refused as a whole: the other products are asked for again."""
    session, _ = opened("coinbase", "COINBASE:BTC-USD", "COINBASE:NOT-USD", datasets=[TRADES])
    reply = say(session, type="error", message="Failed to subscribe", reason="NOT-USD is not a valid product")
    assert [one for one, _ in reply.refused] == [(TRADES, "COINBASE:NOT-USD")]
    (again,) = sent(reply)
    assert again["channels"][0]["product_ids"] == ["BTC-USD"]
    assert say(session, **listing(matches=["BTC-USD"])).confirmed == ((TRADES, "COINBASE:BTC-USD"),)


def test_coinbase_halves_what_an_error_does_not_explain() -> None:
    """Down to the one that is refused; the others are confirmed."""
    session, _ = opened("coinbase", datasets=[TRADES, QUOTES, DEPTH])
    reply = say(session, type="error", message="level2 channels require authentication")
    pending = sent(reply)
    refused: list[Subscription] = []
    confirmed: set[Subscription] = set()
    live: dict[str, list[str]] = {}
    while pending:
        message = pending.pop(0)
        names = [channel["name"] for channel in message["channels"] if channel["name"] != "heartbeat"]
        if "level2_batch" in names:
            reply = say(session, type="error", message="level2 channels require authentication")
        else:
            live |= {name: ["BTC-USD"] for name in names}
            reply = say(session, **listing(**live))
        refused += [one for one, _ in reply.refused]
        confirmed.update(reply.confirmed)
        pending += sent(reply)
    assert refused == [(DEPTH, "COINBASE:BTC-USD")]
    assert confirmed == {(TRADES, "COINBASE:BTC-USD"), (QUOTES, "COINBASE:BTC-USD")}


def test_coinbase_confirms_what_a_late_list_has_after_all() -> None:
    """Refused once, not with every list; then confirmed."""
    session, _ = opened("coinbase", datasets=[TRADES, QUOTES])
    quotes = Subscription(QUOTES, Symbol("COINBASE:BTC-USD"))
    assert [one for one, _ in say(session, **listing(matches=["BTC-USD"])).refused] == [quotes]
    assert say(session, **listing(matches=["BTC-USD"])) == NOTHING
    assert say(session, **listing(matches=["BTC-USD"], ticker=["BTC-USD"])) == Reply(confirmed=(quotes,))


def test_coinbase_ends_what_the_next_list_leaves_out() -> None:
    """Unsubscribing is answered by a shorter list."""
    session, _ = opened("coinbase")
    say(session, **listing(matches=["BTC-USD"], ticker=["BTC-USD"], level2_50=["BTC-USD"]))
    leaving = [Subscription(TRADES, Symbol("COINBASE:BTC-USD"))]
    (message,) = sent(session.unsubscribe(leaving))
    assert message["channels"] == [{"name": "matches", "product_ids": ["BTC-USD"]}]
    assert say(session, **listing(ticker=["BTC-USD"], level2_50=["BTC-USD"])).ended == tuple(leaving)


@pytest.mark.parametrize("name", ["coinbase", "coinbase-advanced"])
def test_a_resync_at_coinbase_is_a_new_subscription(name: str) -> None:
    """It ends nothing; it is confirmed by the list after the second message."""
    session, messages = opened(name, datasets=[DEPTH])
    book = {"level2_50": ["BTC-USD"]} if name == "coinbase" else {"level2": ["BTC-USD"]}

    def lists(**channels: list[str]) -> Reply:
        if name == "coinbase":
            return say(session, **listing(**channels))
        return say(session, channel="subscriptions", sequence_num=0, events=[{"subscriptions": channels}])

    confirmed = [lists(**book).confirmed for _ in messages]
    assert ((DEPTH, SYMBOLS[name]),) in confirmed
    verbs = [message["type"] for message in sent(session.resync(Symbol(SYMBOLS[name])))]
    assert verbs == ["unsubscribe", "subscribe"]
    first, second = lists(), lists(**book)
    assert (first.ended, first.refused, first.confirmed) == ((), (), ())
    assert second.confirmed == ((DEPTH, SYMBOLS[name]),)


def test_an_error_that_answers_nothing_ends_the_connection() -> None:
    """Worth another try after a pause."""
    session, _ = opened("coinbase")
    say(session, **listing(matches=["BTC-USD"], ticker=["BTC-USD"], level2_50=["BTC-USD"]))
    assert isinstance(say(session, type="error", message="slow consumer").error, TransportError)


def test_advanced_trade_asks_channel_by_channel_and_for_heartbeats_first() -> None:
    """Without them a quiet connection is closed."""
    _, messages = opened("coinbase-advanced")
    assert [message["channel"] for message in messages] == ["heartbeats", "market_trades", "ticker", "level2"]


# Kraken


@pytest.mark.parametrize(
    ("symbol", "v1", "v2"),
    [
        ("KRAKEN:BTC-USD", "XBT/USD", "BTC/USD"),
        ("KRAKEN:ETH-BTC", "ETH/XBT", "ETH/BTC"),
        ("KRAKEN:DOGE-EUR", "XDG/EUR", "DOGE/EUR"),
    ],
)
def test_kraken_pairs_have_two_spellings(symbol: str, v1: str, v2: str) -> None:
    """And both are read back as the one symbol."""
    assert (v1_pair(Symbol(symbol)), v2_pair(Symbol(symbol))) == (v1, v2)
    assert name_of(v1) == name_of(v2) == symbol


def test_kraken_takes_no_second_name_for_a_symbol() -> None:
    """The hint says which one it takes."""
    with pytest.raises(UnknownSymbol, match="Write KRAKEN:BTC-USD"):
        v2_pair(Symbol("KRAKEN:XBT-USD"))
    assert name_of("XBTUSD") is None


@pytest.mark.parametrize("name", ["kraken", "kraken-v1"])
def test_kraken_books_are_asked_for_by_depth(name: str) -> None:
    """One message per depth, the smallest on offer that is not smaller."""
    symbols = {Symbol("KRAKEN:BTC-USD"): 20, Symbol("KRAKEN:ETH-USD"): 300, Symbol("KRAKEN:SOL-USD"): 25}
    _, messages = opened(name, *symbols, datasets=[DEPTH], levels=symbols)
    parts = [message.get("params") or message for message in messages]
    found = {
        tuple(part.get("symbol") or part["pair"]): part.get("depth") or part["subscription"]["depth"]
        for part in parts
    }
    bitcoin = "BTC/USD" if name == "kraken" else "XBT/USD"
    assert found == {(bitcoin, "SOL/USD"): 25, ("ETH/USD",): 500}


def test_kraken_refusals_name_no_channel_but_repeat_the_number() -> None:
    """The symbol is refused for the channel that the numbered message asked for."""
    session, messages = opened("kraken", "KRAKEN:BTC-USD", "KRAKEN:NOT-USD")
    (quotes,) = (message["req_id"] for message in messages if message["params"]["channel"] == "ticker")
    refusal = {"method": "subscribe", "success": False, "error": "Currency pair not supported NOT/USD"}
    reply = say(session, **refusal, req_id=quotes, symbol="NOT/USD")
    assert [one for one, _ in reply.refused] == [(QUOTES, "KRAKEN:NOT-USD")]
    whole = say(session, **refusal, req_id=quotes)
    assert {one for one, _ in whole.refused} == {(QUOTES, "KRAKEN:BTC-USD"), (QUOTES, "KRAKEN:NOT-USD")}


@pytest.mark.parametrize("name", ["kraken", "kraken-v1"])
def test_a_resync_at_kraken_ends_nothing(name: str) -> None:
    """The answer to the first message is not taken for the end of the subscription."""
    session, _ = opened(name, datasets=[DEPTH])
    messages = sent(session.resync(Symbol("KRAKEN:BTC-USD")))
    first, second = messages
    if name == "kraken":
        about = {"success": True, "result": {"channel": "book", "symbol": "BTC/USD", "depth": 10}}
        replies = [say(session, **about, method=m["method"], req_id=m["req_id"]) for m in (first, second)]
    else:
        about = {
            "event": "subscriptionStatus",
            "pair": "XBT/USD",
            "subscription": {"name": "book", "depth": 10},
        }
        replies = [say(session, **about, status=f"{m['event']}d", reqid=m["reqid"]) for m in (first, second)]
    assert replies[0] == NOTHING
    assert replies[1] == Reply(confirmed=((DEPTH, "KRAKEN:BTC-USD"),))  # type: ignore[arg-type]
    gone = session.unsubscribe([Subscription(DEPTH, Symbol("KRAKEN:BTC-USD"))])
    (message,) = sent(gone)
    number = {"req_id": message["req_id"]} if name == "kraken" else {"reqid": message["reqid"]}
    verb = {"method": "unsubscribe"} if name == "kraken" else {"status": "unsubscribed"}
    assert say(session, **about, **verb, **number).ended == ((DEPTH, "KRAKEN:BTC-USD"),)


def test_kraken_errors_without_a_message_of_ours_end_the_connection() -> None:
    """Rate limits by their own name."""
    session, _ = opened("kraken-v1")
    assert isinstance(say(session, event="error", errorMessage="Exceeded msg rate").error, RateLimited)
    assert isinstance(say(session, event="error", errorMessage="Malformed request").error, TransportError)
    assert say(session, event="systemStatus", status="online") == NOTHING


@pytest.mark.parametrize("name", ["kraken", "kraken-v1"])
def test_kraken_has_a_ping_of_its_own(name: str) -> None:
    """Its pong is no data, and no flaw."""
    session, _ = opened(name)
    assert "ping" in json.loads(session.ping() or b"{}").values()


# Binance


def test_binance_opens_two_hundred_symbols_with_four_messages() -> None:
    """The server takes five a second; each stream stands in exactly one of them."""
    symbols = [f"BINANCE:C{number}-USDT" for number in range(200)]
    _, messages = opened("binance", *symbols)
    streams = [stream for message in messages for stream in message["params"]]
    assert len(messages) == 4
    assert [message["id"] for message in messages] == [1, 2, 3, 4]
    assert len(streams) == len(set(streams)) == 600
    assert {"c7usdt@aggTrade", "c7usdt@bookTicker", "c7usdt@depth@100ms"} <= set(streams)


def test_binance_fetches_the_books_whose_deltas_are_confirmed() -> None:
    """From the HTTP side, and deeper than wanted: levels below a snapshot come only when they change."""
    levels = {Symbol("BINANCE:BTC-USDT"): 200}
    session, _ = opened("binance", levels=levels, rest_url="http://127.0.0.1:9/binance")
    reply = say(session, result=None, id=1)
    assert len(reply.confirmed) == 3
    (fetch,) = reply.fetch
    assert (fetch.symbol, fetch.request.url) == (
        "BINANCE:BTC-USDT",
        "http://127.0.0.1:9/binance/api/v3/depth",
    )
    assert fetch.request.params == (("symbol", "BTCUSDT"), ("limit", "1000"))
    assert session.resync(Symbol("BINANCE:BTC-USDT")).fetch == reply.fetch
    assert say(session, result=None, id=1) == NOTHING


def test_binance_halves_a_refused_message_down_to_the_stream() -> None:
    """The rest is confirmed."""
    session, messages = opened(
        "binance", "BINANCE:BTC-USDT", "BINANCE:BAD-USDT", "BINANCE:ETH-USDT", datasets=[TRADES]
    )
    refused, confirmed = [], []
    while messages:
        message = messages.pop(0)
        if "badusdt@aggTrade" in message["params"]:
            reply = say(session, id=message["id"], error={"code": 2, "msg": "Invalid request"})
        else:
            reply = say(session, id=message["id"], result=None)
        refused += [one.symbol for one, _ in reply.refused]
        confirmed += [one.symbol for one in reply.confirmed]
        messages += sent(reply)
    assert refused == ["BINANCE:BAD-USDT"]
    assert sorted(confirmed) == ["BINANCE:BTC-USDT", "BINANCE:ETH-USDT"]


def test_binance_says_when_it_wants_to_be_left() -> None:
    """Nothing is wrong then."""
    session, _ = opened("binance")
    reply = say(session, e="serverShutdown", E=1_770_123_456_789)
    assert (reply.leave, reply.error) == (True, None)


@pytest.mark.parametrize(
    ("pair", "symbol"),
    [
        ("BTCUSDT", "BINANCE:BTC-USDT"),
        ("ETHBTC", "BINANCE:ETH-BTC"),
        ("BTCTUSD", "BINANCE:BTC-TUSD"),
        ("USDCUSDT", "BINANCE:USDC-USDT"),
        ("BTCUSD", "BINANCE:BTC-USD"),
        ("1000SATSFDUSD", "BINANCE:1000SATS-FDUSD"),
        ("USDT", None),
        ("XYZ", None),
    ],
)
def test_binance_pairs_are_cut_before_their_quote_asset(pair: str, symbol: str | None) -> None:
    """The longest known one."""
    assert cut(pair) == symbol


def test_a_binance_pair_that_would_be_cut_elsewhere_must_be_named() -> None:
    """Where the dialect names the symbol, its frames are read as that."""
    symbol = Symbol("BINANCE:BTT-USD")  # BTTUSD could be BT-TUSD
    with pytest.raises(UnknownSymbol, match="would be read as BINANCE:BT-TUSD"):
        stream_pair(symbol, ())
    assert stream_pair(symbol, [symbol]) == "bttusd"
    decoder = feed("binance").decoder(dialect_of("binance", levels={symbol: 10}))
    assert decoder._names["BTTUSD"] == symbol  # type: ignore[attr-defined]
