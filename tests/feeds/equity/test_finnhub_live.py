"""Finnhub's stream: a key in the URL, no confirmations, errors that take symbols back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mdc_resources.domain.errors import PayloadError, UnknownSymbol
from mdc_resources.providers.finnhub.live import FEED
from mdc_resources.providers.live import NOTHING
from tests.feeds.equity.listening import QUOTES, TRADES, decoded, dialect_of, hear, one, open_session

AAPL, MSFT, NIO = (one(TRADES, name) for name in ("AAPL", "MSFT", "NIO"))
TOO_MANY = {"msg": "Subscribing to too many symbols", "type": "error"}


def test_the_key_is_named_for_the_query_and_in_no_frame() -> None:
    """Whoever connects fills it in, and masks it."""
    assert FEED.address(dialect_of("finnhub")).query_auth == (("token", "FINNHUB_API_KEY"),)
    reply = FEED.session(dialect_of("finnhub"), [AAPL]).opened({})
    assert json.loads(reply.send[0]) == {"type": "subscribe", "symbol": "AAPL"}


def test_sending_confirms_and_asking_twice_sends_once() -> None:
    """No confirmation exists; a symbol that is subscribed already is left alone."""
    session = FEED.session(dialect_of("finnhub"), [AAPL])
    assert session.opened({}).confirmed == (AAPL,)
    reply = session.subscribe([AAPL, MSFT])
    assert reply.confirmed == (MSFT,)
    assert len(reply.send) == 1


def test_each_complaint_about_too_many_symbols_takes_the_last_one_back() -> None:
    """Three symbols and room for one: two complaints, the last two are refused, the first goes on."""
    session = open_session("finnhub", AAPL, MSFT, NIO)
    refused = [hear(session, TOO_MANY).refused[0][0] for _ in range(2)]
    assert refused == [NIO, MSFT]
    assert session.unsubscribe([NIO, AAPL]).ended == (AAPL,)
    assert hear(session, TOO_MANY) == NOTHING


def test_an_invalid_symbol_is_refused_by_its_name() -> None:
    """The vendor names it since 2021; one that is not subscribed, or no name, changes nothing."""
    session = open_session("finnhub", AAPL, MSFT)
    ((refused, reason),) = hear(session, {"msg": "Invalid symbol AAPL", "type": "error"}).refused
    assert (refused, reason) == (AAPL, "finnhub says 'Invalid symbol AAPL'")
    assert hear(session, {"msg": "Invalid symbol AAPL", "type": "error"}) == NOTHING
    assert hear(session, {"msg": "Invalid symbol", "type": "error"}) == NOTHING


def test_pings_and_broken_frames_have_no_consequence() -> None:
    """They are shown to the session, which says nothing."""
    session = open_session("finnhub", AAPL)
    assert hear(session, {"type": "ping"}) == NOTHING
    assert session.control(b'{"type":') == NOTHING
    assert isinstance(hear(session, {"type": "error", "msg": ""}).error, PayloadError)


def test_quotes_are_no_dataset_of_this_feed() -> None:
    """Trades alone; quotes are refused before anything is sent."""
    with pytest.raises(UnknownSymbol, match="finnhub has no quotes of AAPL"):
        FEED.session(dialect_of("finnhub"), [one(QUOTES, "AAPL")])


def test_equal_trades_stay_two() -> None:
    """Nothing tells them apart, and both happened."""
    trade = {"c": None, "p": 95372.09, "s": "AAPL", "t": 1768655932976, "v": 0.00063}
    events = decoded("finnhub", {"data": [trade, trade], "type": "trade"}).events
    assert len(events) == 2
    assert events[0] == events[1]


def test_a_trade_without_a_volume_is_rejected_alone() -> None:
    """The rest of its batch is kept."""
    trade = {"p": 1.5, "s": "AAPL", "t": 1768655932976}
    sink = decoded("finnhub", {"type": "trade", "data": [trade, {**trade, "v": 3}]})
    assert (len(sink.events), [reason for reason, _, _ in sink.rejections]) == (1, ["v is missing"])


def test_recorded_frames_of_the_vendor_are_read(payloads: Any) -> None:
    """Quoted traces: their trades are of crypto venues, which this feed does not carry under such names."""
    lines = (payloads / "_quoted" / "ws_frames.ndjson").read_text().splitlines()
    frames = [entry["frame"].encode() for entry in map(json.loads, lines) if entry["provider"] == "finnhub"]
    assert len(frames) >= 5
    session = open_session("finnhub", AAPL)
    for frame in frames:
        sink = decoded("finnhub", frame)
        assert not sink.rejections
        assert bool(sink.events) != session.is_control(frame)
