"""Alpaca's stream: the two feeds, lists compared, refusals, corrections, instants."""

from __future__ import annotations

import json

import pytest

from mdc_resources.domain.errors import BadCredentials, UnknownSymbol
from mdc_resources.providers.alpaca.live import FEED
from mdc_resources.providers.live import NOTHING
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

CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]
AAPL, AMD = one(TRADES, "AAPL"), one(QUOTES, "AMD")


def _list(trades: tuple[str, ...] = (), quotes: tuple[str, ...] = ()) -> list[dict[str, object]]:
    return [{"T": "subscription", "trades": list(trades), "quotes": list(quotes), "bars": []}]


def _error(code: int, message: str = "as documented") -> list[dict[str, object]]:
    return [{"T": "error", "code": code, "msg": message}]


@pytest.mark.parametrize(
    ("chosen", "source", "market"),
    [
        ("", "alpaca/iex-live", "iex"),
        ("iex", "alpaca/iex-live", "iex"),
        ("sip", "alpaca/sip-live", "us-consolidated"),
        ("delayed_sip", "alpaca/delayed_sip-live", "us-consolidated"),
    ],
)
def test_a_feed_is_a_source_and_a_market_of_its_own(chosen: str, source: str, market: str) -> None:
    """IEX's tape never stands in for the consolidated one."""
    spec = FEED.spec_for(chosen)
    assert (spec.source, spec.market) == (source, market)


def test_the_feed_is_the_end_of_the_address() -> None:
    """The configured address is a base: a sandbox's, or the vendor's."""
    assert FEED.address(dialect_of("alpaca")).url == "wss://stream.data.alpaca.markets/v2/iex"
    sip = dialect_of("alpaca", ws_url="ws://127.0.0.1:8/alpaca/ws/", feed="sip")
    assert FEED.address(sip).url == "ws://127.0.0.1:8/alpaca/ws/v2/sip"


def test_authentication_waits_for_the_servers_greeting() -> None:
    """Opening sends nothing; ``connected`` brings the key, ``authenticated`` the subscriptions, once."""
    session = FEED.session(dialect_of("alpaca"), [AAPL, AMD, AAPL])
    assert session.opened(keys("alpaca")) == NOTHING
    (auth,) = hear(session, CONNECTED).send
    assert json.loads(auth)["action"] == "auth"
    (subscribe,) = hear(session, AUTHENTICATED).send
    assert json.loads(subscribe) == {"action": "subscribe", "trades": ["AAPL"], "quotes": ["AMD"]}
    assert hear(session, AUTHENTICATED) == NOTHING


def test_a_missing_key_ends_it_for_good() -> None:
    """Without a credential nothing is sent, and the error names it."""
    error = FEED.session(dialect_of("alpaca"), [AAPL]).opened({}).error
    assert isinstance(error, BadCredentials)
    assert "ALPACA_KEY_ID" in str(error)


def test_what_is_wanted_before_authentication_is_asked_for_with_it() -> None:
    """A change of the settings in that second is not lost."""
    session = open_session("alpaca", AAPL, AMD, heard=(CONNECTED,))
    assert session.subscribe([one(TRADES, "MSFT")]) == NOTHING
    assert session.unsubscribe([AMD]) == NOTHING
    (subscribe,) = hear(session, AUTHENTICATED).send
    assert json.loads(subscribe) == {"action": "subscribe", "trades": ["AAPL", "MSFT"]}


def test_a_list_is_read_as_the_difference_to_the_one_before() -> None:
    """Answers to two requests in flight confirm and end what each of them changed."""
    session = open_session("alpaca", AAPL, heard=(CONNECTED, AUTHENTICATED))
    session.subscribe([AMD])
    session.unsubscribe([AAPL])
    first = hear(session, _list(trades=("AAPL",)))
    assert (first.confirmed, first.refused) == ((AAPL,), ())
    second = hear(session, _list(trades=("AAPL",), quotes=("AMD",)))
    assert (second.confirmed, second.ended, second.refused) == ((AMD,), (), ())
    third = hear(session, _list(quotes=("AMD",)))
    assert (third.confirmed, third.ended) == ((), (AAPL,))


def test_a_symbol_limit_refuses_what_was_asked_and_keeps_the_rest() -> None:
    """405 leaves the subscriptions as they were: the new ones are refused, the old ones go on."""
    session = open_session("alpaca", AAPL, heard=(CONNECTED, AUTHENTICATED, _list(trades=("AAPL",))))
    session.subscribe([AMD])
    reply = hear(session, _error(405, "symbol limit exceeded"))
    assert reply.refused == ((AMD, "alpaca says 405 'symbol limit exceeded'"),)
    assert (reply.ended, reply.error) == ((), None)
    assert hear(session, _list(trades=("AAPL",))) == NOTHING


def test_an_error_without_a_request_ends_the_connection() -> None:
    """A 400 that answers nothing is no refusal; 403 (already authenticated) has no consequence."""
    session = open_session("alpaca", AAPL, heard=(CONNECTED, AUTHENTICATED, _list(trades=("AAPL",))))
    assert hear(session, _error(403)) == NOTHING
    assert hear(session, _error(400)).error is not None


def test_the_vendors_words_are_quoted_without_keys() -> None:
    """A message that repeats the key does not bring it into a log."""
    session = open_session("alpaca", AAPL)
    error = hear(session, _error(402, "auth failed for key PKTEST1234567890AB")).error
    assert error is not None
    assert "PKTEST" not in str(error)
    assert error.status == 402


def test_a_venues_symbol_is_refused_at_the_session() -> None:
    """``COINBASE:BTC-USD`` is no stock, and depth is no dataset of this feed."""
    with pytest.raises(UnknownSymbol):
        FEED.session(dialect_of("alpaca"), [one(TRADES, "COINBASE:BTC-USD")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-20T15:51:44Z", 1771602704000000000),
        ("2026-02-20T15:51:44.1Z", 1771602704100000000),
        ("2026-02-20T15:51:44.123456789Z", 1771602704123456789),
        ("2026-02-20T10:51:44.000000001-05:00", 1771602704000000001),
    ],
)
def test_instants_are_exact_to_the_nanosecond(text: str, expected: int) -> None:
    """Any number of digits, also twice in a second, also with an offset."""
    quote = {"T": "q", "S": "AMD", "bx": "U", "bp": 1.5, "bs": 1, "ax": "Q", "ap": 1.6, "as": 1, "t": text}
    assert [event["ts_event"] for event in decoded("alpaca", [quote, quote]).events] == [expected] * 2


@pytest.mark.parametrize(
    "text",
    ["2026-02-20T15:51:44.Z", "2026-02-20T15:51:44.1٢Z", "2026-02-20T15:51:99Z", "9999-12-31T00:00:00Z", ""],
)
def test_what_is_no_instant_is_rejected_even_after_a_good_one(text: str) -> None:
    """The second that was read before does not lend its meaning to nonsense."""
    quote = {"T": "q", "S": "AMD", "bp": 1.5, "bs": 1, "ap": 1.6, "as": 1}
    sink = decoded("alpaca", [{**quote, "t": "2026-02-20T15:51:44.5Z"}, {**quote, "t": text}])
    assert len(sink.events) == 1
    ((reason, raw, symbol),) = sink.rejections
    assert "is not an instant" in reason
    assert json.loads(raw)["t"] == text
    assert symbol == "AMD"


def test_records_of_corrections_do_not_repeat_an_identity() -> None:
    """Trade, its correction and a cancel are four rows with four identities, none dropped as repeated."""
    base = {"S": "EEM", "x": "M", "t": "2026-02-20T15:51:44Z", "z": "B"}
    frame = [
        {**base, "T": "t", "i": 7, "p": 39.1, "s": 10, "c": ["@"]},
        {
            **base,
            "T": "c",
            "oi": 7,
            "op": 39.1,
            "os": 10,
            "oc": ["@"],
            "ci": 8,
            "cp": 39.2,
            "cs": 10,
            "cc": ["@"],
        },
        {**base, "T": "x", "i": 8, "p": 39.2, "s": 10, "a": "E"},
    ]
    events = decoded("alpaca", frame).events
    assert [event["trade_id"] for event in events] == ["7", "7/c", "8", "8/x"]
    told = [event.get("correction") for event in events]
    assert told == [None, "correction record", "corrected", "error record"]


def test_bars_that_nobody_asked_for_are_rejected_with_their_frame() -> None:
    """What the dialect does not promise is kept, and its neighbours are decoded."""
    trade = {"T": "t", "i": 1, "S": "AAPL", "x": "D", "p": 1.5, "s": 1, "t": "2026-02-20T15:51:44Z"}
    sink = decoded("alpaca", [{"T": "b", "S": "AAPL", "o": 1.5}, trade])
    assert len(sink.events) == len(sink.rejections) == 1
