"""Tiingo's IEX stream: one subscription by id, tickers small, positions of arrays, plans that refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mdc_resources.domain.errors import BadCredentials, NotEntitled, UnknownSymbol
from mdc_resources.providers.live import NOTHING
from mdc_resources.providers.tiingo.live import FEED
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

VYM, VYM_QUOTES, BRK, WES = one(TRADES, "VYM"), one(QUOTES, "VYM"), one(TRADES, "BRK.B"), one(TRADES, "WES")
FINE = {"code": 200, "message": "Success"}
FIRST = {"messageType": "I", "data": {"subscriptionId": 61}, "response": FINE}
TRADE = [
    "T",
    "2026-01-30T13:33:45-05:00",
    1769798025594808294,
    "wes",
    None,
    None,
    None,
    None,
    None,
    50.285,
    200,
]


def _data(*cells: object) -> dict[str, object]:
    return {"messageType": "A", "service": "iex", "data": list(cells)}


def _listed(*tickers: str) -> dict[str, object]:
    return {"messageType": "I", "data": {"tickers": list(tickers), "thresholdLevel": "0"}, "response": FINE}


def test_the_token_is_in_the_frame_and_a_ticker_is_asked_for_once() -> None:
    """Trades and quotes of a symbol are one ticker, in lower case, a share class with a dash."""
    session = FEED.session(dialect_of("tiingo"), [VYM, VYM_QUOTES, BRK])
    (frame,) = session.opened(keys("tiingo")).send
    told = json.loads(frame)
    assert told["authorization"] == "value of TIINGO_API_TOKEN"
    assert told["eventData"] == {"tickers": ["vym", "brk-b"], "thresholdLevel": 0}
    assert hear(session, FIRST).confirmed == (VYM, VYM_QUOTES, BRK)


def test_the_other_dataset_of_a_ticker_is_confirmed_at_once() -> None:
    """It comes already; nothing is sent."""
    session = open_session("tiingo", VYM, heard=(FIRST,))
    reply = session.subscribe([VYM_QUOTES, WES])
    assert reply.confirmed == (VYM_QUOTES,)
    (frame,) = reply.send
    assert json.loads(frame)["eventData"] == {"tickers": ["wes"], "subscriptionId": 61, "thresholdLevel": 0}
    assert hear(session, _listed("vym", "wes")).confirmed == (WES,)


def test_a_ticker_is_given_up_with_its_last_dataset() -> None:
    """Quotes end at once while trades are wanted; then the ticker is unsubscribed, by the server's word."""
    session = open_session("tiingo", VYM, VYM_QUOTES, heard=(FIRST,))
    first = session.unsubscribe([VYM_QUOTES])
    assert (first.ended, first.send) == ((VYM_QUOTES,), ())
    second = session.unsubscribe([VYM])
    assert second.ended == ()
    assert json.loads(second.send[0])["eventName"] == "unsubscribe"
    assert hear(session, _listed()).ended == (VYM,)


def test_what_is_wanted_before_the_first_acknowledgement_follows_it() -> None:
    """Without an id a second subscription would begin; it waits."""
    session = open_session("tiingo", VYM)
    assert session.subscribe([WES]) == NOTHING
    reply = hear(session, FIRST)
    assert reply.confirmed == (VYM,)
    assert json.loads(reply.send[0])["eventData"] == {
        "tickers": ["wes"],
        "subscriptionId": 61,
        "thresholdLevel": 0,
    }


def test_a_plan_without_the_level_is_an_entitlement() -> None:
    """Free plans answer so; other feeds may do, this one will not by being asked again."""
    session = open_session("tiingo", VYM)
    said = {"code": 400, "message": "thresholdLevel not valid for your subscription tier"}
    error = hear(session, {"messageType": "E", "response": said}).error
    assert isinstance(error, NotEntitled)
    assert error.hint


def test_a_missing_token_ends_it_for_good() -> None:
    """Nothing is sent without it."""
    assert isinstance(FEED.session(dialect_of("tiingo"), [VYM]).opened({}).error, BadCredentials)


def test_a_dash_would_come_back_as_a_share_class() -> None:
    """``BRK-B`` is refused, since its frames would be those of ``BRK.B``."""
    for name in ("BRK-B", "COINBASE:BTC-USD"):
        with pytest.raises(UnknownSymbol):
            FEED.session(dialect_of("tiingo"), [one(TRADES, name)])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([None, 0, 0, 0, 0], None),
        ([0, 1, 0, 0, 0], "after_hours"),
        ([1, 1, 1, 1, 1], "halted,after_hours,intermarket_sweep,odd_lot,nms_611_exempt"),
    ],
)
def test_flags_are_conditions_by_name(flags: list[object], expected: str | None) -> None:
    """The vendor's positions 11 to 15."""
    (event,) = decoded("tiingo", _data(*TRADE, *flags)).events
    assert event.get("conditions") == expected
    assert (event["symbol"], event["price"], event["size"]) == ("WES", "50.285", "200")


def test_a_reference_price_is_no_trade() -> None:
    """The three fields of level 6 have no size: rejected, and the reason says what they are."""
    sink = decoded("tiingo", _data("2026-01-30T13:33:45-05:00", "wes", 50.285))
    assert not sink.events
    assert "thresholdLevel 6" in sink.rejections[0][0]


def test_a_quote_without_a_side_has_a_side_of_nothing() -> None:
    """Nulls are ("0", "0"), as in the history of others; a price without a size is an error."""
    cells = ["Q", "", 1769798025594808294, "wes", 0, None, None, 50.3, 7, None, None, 0, 0, None, None, None]
    (event,) = decoded("tiingo", _data(*cells)).events
    assert (event["bid"], event["ask"]) == (["0", "0"], ["50.3", "7"])
    cells[8] = None
    assert decoded("tiingo", _data(*cells)).rejections


def test_capital_tickers_are_not_this_vendors() -> None:
    """A spelling that was never sent back is rejected rather than folded."""
    cells = [*TRADE, None, 0, 0, 0, 0]
    cells[3] = "WES"
    assert decoded("tiingo", _data(*cells)).rejections


def test_frames_quoted_from_the_vendors_documents_are_read(payloads: Any) -> None:
    """Acknowledgements, heartbeat, a quote and a trade: told apart, and the data decoded exactly."""
    lines = (payloads / "_quoted" / "ws_frames.ndjson").read_text().splitlines()
    frames = [entry["frame"].encode() for entry in map(json.loads, lines) if entry["provider"] == "tiingo"]
    session = open_session("tiingo", VYM)
    events = []
    for frame in frames:
        sink = decoded("tiingo", frame)
        assert not sink.rejections
        assert bool(sink.events) != session.is_control(frame)
        events += sink.events
    assert [event["ts_event"] for event in events] == [1548873225383129126, 1548873225594808294]
    assert events[0]["ask"] == ["81.59", "100"]
