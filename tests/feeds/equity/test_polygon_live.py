"""Polygon's stream: statuses topic by topic, numbers as its history has them, units by time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mdc_resources.domain.errors import BadCredentials, RateLimited, UnknownSymbol
from mdc_resources.providers.live import NOTHING
from mdc_resources.providers.polygon.live import FEED
from tests.feeds.equity.listening import (
    QUOTES,
    TRADES,
    decoded,
    dialect_of,
    hear,
    keys,
    one,
    open_session,
)

MSFT, BRK = one(TRADES, "MSFT"), one(QUOTES, "BRK.B")


def _said(status: str, message: str = "") -> dict[str, str]:
    return {"ev": "status", "status": status, "message": message}


def _through(*wanted: Any) -> Any:
    heard = ([_said("connected")], [_said("auth_success", "authenticated")])
    return open_session("polygon", *wanted, heard=heard)


def test_the_key_is_sent_after_the_greeting_and_the_topics_after_the_key() -> None:
    """Nothing at opening, ``auth`` at ``connected``, ``subscribe`` at ``auth_success``, once."""
    session = FEED.session(dialect_of("polygon"), [MSFT, BRK])
    assert session.opened(keys("polygon")) == NOTHING
    (auth,) = hear(session, [_said("connected")]).send
    assert json.loads(auth) == {"action": "auth", "params": "value of POLYGON_API_KEY"}
    (subscribe,) = hear(session, [_said("auth_success")]).send
    assert json.loads(subscribe) == {"action": "subscribe", "params": "T.MSFT,Q.BRK.B"}
    assert hear(session, [_said("auth_success")]) == NOTHING


def test_statuses_of_one_frame_are_all_taken() -> None:
    """Greeting and authentication, or several confirmations, may come in one frame."""
    session = open_session("polygon", MSFT, BRK)
    reply = hear(session, [_said("connected"), _said("auth_success")])
    assert [json.loads(frame)["action"] for frame in reply.send] == ["auth", "subscribe"]
    both = [_said("success", "subscribed to: T.MSFT"), _said("success", "subscribed to: Q.BRK.B")]
    assert hear(session, both).confirmed == (MSFT, BRK)


def test_only_what_was_asked_for_is_confirmed_and_only_once() -> None:
    """A status about another topic, or a second one, changes nothing."""
    session = _through(MSFT)
    assert hear(session, [_said("success", "subscribed to: T.AAPL")]) == NOTHING
    assert hear(session, [_said("success", "subscribed to: T.MSFT")]).confirmed == (MSFT,)
    assert hear(session, [_said("success", "subscribed to: T.MSFT")]) == NOTHING


def test_an_unsubscription_ends_with_its_own_status() -> None:
    """``unsubscribed to`` never counts as a confirmation."""
    session = _through(MSFT)
    hear(session, [_said("success", "subscribed to: T.MSFT")])
    (frame,) = session.unsubscribe([MSFT]).send
    assert json.loads(frame) == {"action": "unsubscribe", "params": "T.MSFT"}
    reply = hear(session, [_said("success", "unsubscribed to: T.MSFT")])
    assert (reply.ended, reply.confirmed) == ((MSFT,), ())
    assert hear(session, [_said("success", "unsubscribed to: T.MSFT")]) == NOTHING


def test_too_many_connections_may_be_said_after_all_was_confirmed() -> None:
    """The vendor does so; it is tried again after a minute, and no sooner."""
    session = _through(MSFT)
    hear(session, [_said("success", "subscribed to: T.MSFT")])
    error = hear(
        session, [_said("max_connections", "Maximum number of websocket connections exceeded.")]
    ).error
    assert isinstance(error, RateLimited)
    assert error.retry_after == 60


def test_a_missing_key_ends_it_for_good() -> None:
    """Without the credential nothing is sent."""
    error = FEED.session(dialect_of("polygon"), [MSFT]).opened({}).error
    assert isinstance(error, BadCredentials)


def test_statuses_that_say_nothing_have_no_consequence() -> None:
    """An informative status neither ends nor confirms."""
    assert hear(_through(MSFT), [_said("info", "maintenance tonight")]) == NOTHING


def test_a_pair_of_another_market_is_refused() -> None:
    """Crypto symbols have clusters of their own."""
    with pytest.raises(UnknownSymbol):
        FEED.session(dialect_of("polygon"), [one(TRADES, "COINBASE:BTC-USD")])


@pytest.mark.parametrize(
    ("told", "expected"),
    [(1796036818784, 1796036818784000000), (1796036818784123456, 1796036818784123456)],
    ids=["milliseconds", "nanoseconds"],
)
def test_instants_are_told_apart_by_their_size(told: int, expected: int) -> None:
    """Whatever the cluster sends, no instant lands in 1970 or in the far future."""
    (event,) = decoded("polygon", [{"ev": "T", "sym": "MSFT", "p": 1.5, "s": 1, "t": told}]).events
    assert event["ts_event"] == expected


@pytest.mark.parametrize("told", [0, 1796036818, 1796036818784123, 2**63, -1, 1796036818784.0])
def test_instants_of_another_unit_are_rejected(told: float) -> None:
    """Seconds, microseconds and fractions are no guesses."""
    sink = decoded("polygon", [{"ev": "T", "sym": "MSFT", "p": 1.5, "s": 1, "t": told}])
    assert (len(sink.events), len(sink.rejections)) == (0, 1)


@pytest.mark.parametrize(("code", "expected"), [(0, "0"), ([1, 81], "1,81"), ([], None), (None, None)])
def test_a_quotes_condition_is_one_or_several(code: object, expected: str | None) -> None:
    """The stream documents one number, the history a list."""
    quote = {
        "ev": "Q",
        "sym": "MSFT",
        "bp": 1.5,
        "bs": 100,
        "ap": 1.6,
        "as": 100,
        "t": 1796036818784,
        "c": code,
    }
    (event,) = decoded("polygon", [quote]).events
    assert event.get("conditions") == expected


def test_gaps_of_the_sequence_are_no_holes() -> None:
    """The vendor says that its numbers rise and are not consecutive."""
    trades = [
        {"ev": "T", "sym": "MSFT", "p": 1.5, "s": 1, "t": 1796036818784, "i": str(q), "q": q}
        for q in (5, 9, 7)
    ]
    sink = decoded("polygon", trades)
    assert [event["sequence"] for event in sink.events] == [5, 9, 7]
    assert not sink.holes


def test_frames_of_the_vendors_own_test_server_are_decoded(payloads: Any) -> None:
    """What the official client is tested with: handshake and trades, one of them without conditions."""
    path = payloads / "polygon" / "ws-docs" / "client_python_mock_server_frames.ndjson"
    lines = path.read_bytes().splitlines()
    sinks = [decoded("polygon", line) for line in lines]
    assert sum(len(json.loads(line)) for line in lines if b'"ev":"T"' in line) == sum(
        len(s.events) for s in sinks
    )
    assert not any(sink.rejections for sink in sinks)


def test_examples_of_the_vendors_specification_are_decoded(payloads: Any) -> None:
    """The stock trade and quote of the documented channels; 114.128 keeps its digits."""
    path = payloads / "polygon" / "ws-docs" / "massive_ws_examples.ndjson"
    examples = [json.loads(line) for line in path.read_text().splitlines()]
    chosen = [e["example"] for e in examples if e["channel"] in ("/stocks/T", "/stocks/Q")]
    trade, quote = decoded("polygon", chosen).events
    assert (trade["price"], trade["venue"], trade["conditions"]) == ("114.125", "4", "0,12")
    assert quote["ask"] == ["114.128", "16000"], "in 2018 sizes were round lots"
