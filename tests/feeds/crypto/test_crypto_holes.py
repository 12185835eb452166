"""What the numbers of the feeds tell: which trades are missing, and where a connection lost frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.live_ids import Ids
from mdc_resources.providers.live import Gone, Subscription, feed
from tests.feeds.crypto.crypto_bench import SYMBOLS, dialect_of
from tests.feeds.recorder import Recorder

AT = "2024-03-04T00:00:00.123456Z"


def coinbase(number: int) -> dict[str, Any]:
    """A trade of the Exchange."""
    cells = {"side": "buy", "size": "1", "price": "1", "product_id": "BTC-USD", "time": AT}
    return {"type": "match", "trade_id": number, **cells}


def advanced(number: int, *, sequence: int | None = None, kind: str = "update") -> dict[str, Any]:
    """A trade of Advanced Trade, in a frame of its own."""
    cells = {"side": "BUY", "size": "1", "price": "1", "product_id": "BTC-USD", "time": AT}
    events = [{"type": kind, "trades": [{"trade_id": str(number), **cells}]}]
    return {
        "channel": "market_trades",
        "sequence_num": number if sequence is None else sequence,
        "events": events,
    }


def kraken(number: int, *, kind: str = "update") -> dict[str, Any]:
    """A trade of Kraken's version 2."""
    cells = {"symbol": "BTC/USD", "side": "buy", "price": 1, "qty": 1, "timestamp": AT}
    return {"channel": "trade", "type": kind, "data": [{**cells, "trade_id": number}]}


def binance(number: int) -> dict[str, Any]:
    """An aggregate trade of Binance."""
    return {
        "e": "aggTrade",
        "s": "BTCUSDT",
        "a": number,
        "p": "1",
        "q": "1",
        "T": 1_709_510_400_000,
        "m": True,
    }


FRAMES: dict[str, Callable[[int], dict[str, Any]]] = {
    "coinbase": coinbase,
    "coinbase-advanced": advanced,
    "kraken": kraken,
    "binance": binance,
}


def told(name: str, *frames: dict[str, Any], state: dict[str, int] | None = None) -> Recorder:
    """What ``frames`` become, after ``state``."""
    decoder, sink = feed(name).decoder(dialect_of(name)), Recorder()
    decoder.restore(state or {})
    for frame in frames:
        decoder.decode(json.dumps(frame).encode(), sink)
    assert sink.rejections == []
    return sink


def trades_of(name: str) -> tuple[Subscription, Gone]:
    """The hole that a jump of ids is."""
    return Subscription(Dataset.TRADES, Symbol(SYMBOLS[name])), Gone.SEQUENCE


@pytest.mark.parametrize("name", list(FRAMES))
def test_a_jump_of_trade_ids_is_a_hole_and_the_trade_is_kept(name: str) -> None:
    """The first id of a connection is where they stand."""
    frame = FRAMES[name]
    sink = told(name, *({**frame(n), **_sequence(name, at)} for at, n in enumerate((7, 8, 11, 12))))
    assert [event["trade_id"] for event in sink.events] == ["7", "8", "11", "12"]
    assert sink.holes == [trades_of(name)]


@pytest.mark.parametrize("name", list(FRAMES))
def test_trades_told_twice_or_late_are_no_hole(name: str) -> None:
    """They are handed on; whoever stores them knows their identity."""
    frame = FRAMES[name]
    sink = told(name, *({**frame(n), **_sequence(name, at)} for at, n in enumerate((7, 8, 8, 7, 9))))
    assert len(sink.events) == 5
    assert sink.holes == []


@pytest.mark.parametrize("name", list(FRAMES))
def test_ids_that_begin_again_are_a_hole(name: str) -> None:
    """What lies between cannot be known; after it they count on."""
    frame = FRAMES[name]
    sink = told(name, *({**frame(n), **_sequence(name, at)} for at, n in enumerate((1_000_000, 1, 2, 3))))
    assert sink.holes == [trades_of(name)]


@pytest.mark.parametrize("name", list(FRAMES))
def test_a_restored_decoder_knows_where_ids_stood(name: str) -> None:
    """A segment's end is no hole, nor does it hide one."""
    frame, decoder = FRAMES[name], feed(name).decoder(dialect_of(name))
    decoder.decode(json.dumps({**frame(7), **_sequence(name, 0)}).encode(), Recorder())
    state = json.loads(json.dumps(decoder.state()))
    assert told(name, {**frame(8), **_sequence(name, 1)}, state=state).holes == []
    assert told(name, {**frame(9), **_sequence(name, 1)}, state=state).holes == [trades_of(name)]


def _sequence(name: str, at: int) -> dict[str, int]:
    return {"sequence_num": at} if name == "coinbase-advanced" else {}


def last_match(*numbers: int) -> dict[str, Any]:
    """The Exchange's word on where ids stand: the newest of them."""
    return {**coinbase(max(numbers)), "type": "last_match"}


def kraken_past(*numbers: int) -> dict[str, Any]:
    """Kraken's snapshot, oldest first."""
    return {**kraken(1, kind="snapshot"), "data": [kraken(number)["data"][0] for number in numbers]}


def advanced_past(*numbers: int) -> dict[str, Any]:
    """Advanced Trade's snapshot, newest first."""
    frame = advanced(1, kind="snapshot")
    frame["events"][0]["trades"] = [advanced(n)["events"][0]["trades"][0] for n in reversed(numbers)]
    return frame


@pytest.mark.parametrize(
    ("name", "past", "frame"),
    [
        ("coinbase", last_match, coinbase),
        ("kraken", kraken_past, kraken),
        ("coinbase-advanced", advanced_past, advanced),
    ],
)
def test_trades_from_before_the_stream_are_not_of_it(name: str, past: Any, frame: Any) -> None:
    """They say where ids stand: what is missing after them is a hole, and what they alone show."""

    def count(*frames: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**one, **_sequence(name, at)} for at, one in enumerate(frames)]

    following = told(name, *count(past(4, 5, 7), frame(8)))
    assert ([event["trade_id"] for event in following.events], following.holes) == (["8"], [])
    assert told(name, *count(past(6, 7), frame(9))).holes == [trades_of(name)]
    again = told(name, *count(frame(7), past(5, 6, 7), frame(8)))
    assert (len(again.events), again.holes) == (2, [])
    missed = told(name, *count(frame(7), past(6, 7, 8, 9), frame(10)))
    assert (len(missed.events), missed.holes) == (2, [trades_of(name)])


def subscriptions(sequence: int, **channels: list[str]) -> dict[str, Any]:
    """Advanced Trade's list of what it sends."""
    return {"channel": "subscriptions", "sequence_num": sequence, "events": [{"subscriptions": channels}]}


def test_a_lost_frame_of_advanced_trade_is_a_hole_of_everything() -> None:
    """Of all that was subscribed to when it was lost, whatever it held."""
    listed = subscriptions(
        0, level2=["BTC-USD"], market_trades=["BTC-USD", "ETH-USD"], heartbeats=["BTC-USD"]
    )
    beat = {"channel": "heartbeats", "sequence_num": 1, "events": []}
    assert told("coinbase-advanced", listed, beat).holes == []
    lost = told("coinbase-advanced", listed, {**beat, "sequence_num": 2})
    assert {one for one, _ in lost.holes} == {
        (Dataset.DEPTH, "COINBASE:BTC-USD"),
        (Dataset.TRADES, "COINBASE:BTC-USD"),
        (Dataset.TRADES, "COINBASE:ETH-USD"),
    }
    assert told("coinbase-advanced", listed, {**beat, "sequence_num": 0}).holes


def test_what_was_unsubscribed_from_has_no_hole() -> None:
    """The newest list counts, also after a restart of the decoder."""
    decoder, sink = feed("coinbase-advanced").decoder(dialect_of("coinbase-advanced")), Recorder()
    for frame in (subscriptions(0, level2=["BTC-USD"]), subscriptions(1, ticker=["ETH-USD"])):
        decoder.decode(json.dumps(frame).encode(), sink)
    later = told("coinbase-advanced", advanced(5, sequence=9), state=decoder.state())
    assert [one for one, _ in later.holes] == [(Dataset.QUOTES, "COINBASE:ETH-USD")]


def test_frames_that_cannot_be_read_count_all_the_same() -> None:
    """A flaw is one frame, not a jump; trades of an update are handed on in the order of their ids."""
    decoder, sink = feed("coinbase-advanced").decoder(dialect_of("coinbase-advanced")), Recorder()
    decoder.decode(json.dumps(subscriptions(0, ticker=["BTC-USD"])).encode(), sink)
    decoder.decode(b'{"channel":"market_trades","sequence_num":1,"events":7}', sink)
    frame = advanced(5, sequence=2)
    frame["events"][0]["trades"] = [advanced(n)["events"][0]["trades"][0] for n in (11, 10, 9)]
    decoder.decode(json.dumps(frame).encode(), sink)
    assert (len(sink.rejections), sink.holes) == (1, [])
    assert [event["trade_id"] for event in sink.events] == ["9", "10", "11"]


class Named(Recorder):
    """Keeps the ids that holes name."""

    def __init__(self) -> None:
        super().__init__()
        self.named: set[int] = set()

    def hole(self, subscription: Subscription, reason: Gone, detail: str) -> None:
        """``trades 5 to 9 are missing``."""
        super().hole(subscription, reason, detail)
        words = detail.split()
        self.named |= set(range(int(words[1]), int(words[3]) + 1))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_every_missing_id_is_in_a_hole(numbers: list[int]) -> None:
    """Whatever the order of arrival: ids between the first and the newest came, or a hole names them."""

    ids, sink = Ids(), Named()
    for number in numbers:
        ids.follow(Symbol("X"), number, sink)
    missing = set(range(numbers[0], max(numbers) + 1)) - set(numbers)
    assert missing <= sink.named
