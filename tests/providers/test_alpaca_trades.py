"""Alpaca's trades: exact instants and identities, what was canceled, what cannot be read."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError, UnknownSymbol
from mdc_resources.providers.alpaca.events import nanos_of
from mdc_resources.providers.registry import provider
from mdc_resources.schema.arrow import TRADES
from tests.providers.asking import decode, dialect_of, is_canonical, plain, refusal, rows, want

DAY = dt.date(2024, 3, 8)
REQUEST = want("alpaca", "AAPL", dataset=Dataset.TRADES, start=DAY, end=DAY)
OPEN = int(get_calendar("XNYS").hours(DAY)[0].timestamp()) * 10**9


def trade(number: int = 1, t: str = "2024-03-08T14:30:00.5Z", **more: Any) -> dict[str, Any]:
    """A trade in the documented shape."""
    return {"t": t, "x": "Q", "p": 175.1, "s": 100, "c": ["@"], "i": number, "z": "C", **more}


def page(*trades: object, token: str | None = None, symbol: str = "AAPL") -> dict[str, Any]:
    """A page of them."""
    return {"trades": {symbol: list(trades)}, "next_page_token": token}


def read(*trades: object) -> list[dict[str, Any]]:
    """The canonical rows of a page of ``trades``, none of which may be rejected."""
    found = decode(REQUEST, page(*trades))
    assert found.rejected == ()
    assert is_canonical(found.tables[Dataset.TRADES], TRADES)
    return rows(found, Dataset.TRADES)


def both_ways(*trades: object) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read at once, and row by row: a tenth decimal in another row makes the page be read that way."""
    slow = decode(REQUEST, page(*trades, trade(999, p=json.loads("1.0000000001"))))
    assert len(slow.rejected) == 1
    return read(*trades), rows(slow, Dataset.TRADES)


def test_the_request_covers_the_whole_window() -> None:
    """From the evening before to 20:00 in New York, that last nanosecond included; oldest first."""
    sent = provider("alpaca").plan(REQUEST, dialect_of("alpaca"))
    params = dict(sent.params)
    assert sent.url.endswith("/v2/stocks/trades")
    assert (params["start"], params["end"]) == ("2024-03-08T01:00:00Z", "2024-03-09T00:59:59.999999999Z")
    assert (params["sort"], params["limit"], params["asof"]) == ("asc", "10000", "-")
    assert [name for _, name in sent.auth] == ["ALPACA_KEY_ID", "ALPACA_SECRET_KEY"]
    with pytest.raises(UnknownSymbol):
        provider("alpaca").plan(
            want("alpaca", "KRAKEN:BTC-USD", dataset=Dataset.TRADES), dialect_of("alpaca")
        )


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("2024-03-08T14:30:00Z", 0),
        ("2024-03-08T14:30:00.1Z", 100_000_000),
        ("2024-03-08T14:30:00.08960768Z", 89_607_680),
        ("2024-03-08T14:30:00.123456789Z", 123_456_789),
        ("2024-03-08T14:30:00.000000001Z", 1),
        ("2024-03-08T09:30:00.5-05:00", 500_000_000),
    ],
)
def test_instants_are_exact(text: str, nanos: int) -> None:
    """Up to nine digits, on both paths; never through a float or a microsecond."""
    assert nanos_of(text) == OPEN + nanos
    for found in both_ways(trade(t=text)):
        assert [row["ts_event"] for row in found] == [OPEN + nanos]


@pytest.mark.parametrize(
    "text", ["2024-03-08", "2024-03-08T14:30:00", "14:30", "", "2024-13-08T14:30:00Z", "9999-01-01T00:00:00Z"]
)
def test_what_is_no_instant_is_one_row_s_error(text: str) -> None:
    """The other rows of the page are read."""
    with pytest.raises(ValueError):  # noqa: PT011 - any message
        nanos_of(text)
    found = decode(REQUEST, page(trade(1), trade(2, t=text)))
    assert [row["trade_id"] for row in rows(found, Dataset.TRADES)] == ["1"]
    assert "t:" in found.rejected[0].reason


def test_fields_arrive_under_their_names() -> None:
    """Prices and sizes exact, codes joined by commas, the tape and the venue as sent."""
    for found in both_ways(trade(7, p=175.1234, s=3, c=["@", "F", "I"], x="D")):
        (row,) = found
        assert (plain(row["price"]), plain(row["size"])) == ("175.1234", "3")
        assert (row["trade_id"], row["venue"], row["tape"], row["conditions"]) == ("7", "D", "C", "@,F,I")
        assert (row["correction"], row["side"], row["sequence"], row["ts_recv"]) == (None,) * 4
        assert (row["session"], row["source"]) == (DAY, "alpaca/sip")


@pytest.mark.parametrize("word", ["canceled", "incorrect", "corrected"])
def test_an_update_is_kept_as_its_word(word: str) -> None:
    """A trade with ``u`` stays and does not count as valid."""
    for found in both_ways(trade(1, u=word), trade(2)):
        assert [row["correction"] for row in found] == [word, None]


def test_identities_are_whole_up_to_64_bits() -> None:
    """As text: a double would have lost the last digits."""
    for found in both_ways(trade(2**64 - 1), trade(52983525029461)):
        assert {row["trade_id"] for row in found} == {"18446744073709551615", "52983525029461"}


def test_no_codes_is_nothing() -> None:
    """An empty list, a null and an absent one are the same; so are they on both paths."""
    bare = {key: value for key, value in trade(3).items() if key != "c"}
    for found in both_ways(trade(1, c=[]), trade(2, c=None), bare):
        assert [row["conditions"] for row in found] == [None] * 3


def test_events_of_one_instant_keep_their_order() -> None:
    """``ordinal`` is the position in the page."""
    found = read(trade(5), trade(3), trade(4))
    assert [(row["trade_id"], row["ordinal"]) for row in found] == [("5", 0), ("3", 1), ("4", 2)]


def test_the_same_trade_twice_is_one_row() -> None:
    """Equal venue and id; told differently, both are refused; another venue's id is another trade."""
    assert len(read(trade(1), trade(1), trade(2))) == 2
    assert len(read(trade(1), trade(1, x="P"))) == 2
    found = decode(REQUEST, page(trade(1), trade(1, p=175.2), trade(2)))
    assert [row["trade_id"] for row in rows(found, Dataset.TRADES)] == ["2"]
    assert len(found.rejected) == 2


def test_events_outside_the_window_are_dropped_and_counted() -> None:
    """20:00 New York belongs to the next session; extended hours before it to this one."""
    late = ("2024-03-09T00:59:59.999999999Z", "2024-03-09T01:00:00Z", "2024-03-08T00:59:59Z")
    found = decode(REQUEST, page(*(trade(number, t=t) for number, t in enumerate(late))))
    assert [row["trade_id"] for row in rows(found, Dataset.TRADES)] == ["0"]
    assert (found.dropped, found.rejected) == (2, ())


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"p": "175.1"}, id="a price as text"),
        pytest.param({"s": "100"}, id="a size as text"),
        pytest.param({"p": None}, id="no price"),
        pytest.param({"s": None}, id="no size"),
        pytest.param({"p": 1e30}, id="a price that does not fit"),
        pytest.param({"p": float("nan")}, id="NaN"),
        pytest.param({"p": [1]}, id="a list for a price"),
        pytest.param({"i": -1}, id="a negative identity"),
        pytest.param({"i": 2**64}, id="an identity of 65 bits"),
        pytest.param({"i": 1.5}, id="half an identity"),
        pytest.param({"i": "7"}, id="an identity as text"),
        pytest.param({"c": "@"}, id="codes that are no list"),
        pytest.param({"c": [1]}, id="a code that is a number"),
        pytest.param({"x": 5}, id="a venue that is a number"),
        pytest.param({"t": 1709902800}, id="epoch seconds"),
        pytest.param({"t": None}, id="no time"),
    ],
)
def test_a_wrong_cell_costs_its_row(wrong: dict[str, Any]) -> None:
    """The page's other rows are read; the refused one is shown as received."""
    found = decode(REQUEST, page(trade(1), {**trade(2), **wrong}, trade(3)))
    assert [row["trade_id"] for row in rows(found, Dataset.TRADES)] == ["1", "3"]
    assert len(found.rejected) == 1


@pytest.mark.parametrize("junk", [None, 5, "trade", []], ids=repr)
def test_what_is_no_trade_costs_its_row(junk: object) -> None:
    """Also a null in the list."""
    found = decode(REQUEST, page(trade(1), junk))
    assert len(rows(found, Dataset.TRADES)) == 1
    assert len(found.rejected) == 1


def test_fractions_of_a_share_are_read() -> None:
    """Sizes are whole today; should they not be, they are exact."""
    (row,) = read(trade(1, s=0.25))
    assert plain(row["size"]) == "0.25"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"bars":{},"next_page_token":null}', id="another endpoint"),
        pytest.param(json.dumps(page(trade())).encode()[:-9], id="truncated"),
        pytest.param(json.dumps(page(trade())).encode() + b"x", id="followed by something"),
        pytest.param(b'{"trades":[],"next_page_token":null}', id="no symbols"),
        pytest.param(b'{"trades":{"AAPL":{}},"next_page_token":null}', id="no list"),
        pytest.param(b'{"trades":{"AAPL":[]},"next_page_token":5}', id="a token that is a number"),
        pytest.param(json.dumps(page(trade(), symbol="IBM")).encode(), id="another symbol"),
        pytest.param(b'{"message":"too many requests."}', id="an error with status 200"),
    ],
)
def test_another_document_is_an_error(body: bytes) -> None:
    """Never an empty session."""
    assert refusal(REQUEST, body)


def test_a_symbol_that_is_absent_or_null_has_no_trades() -> None:
    """An empty page is a table without rows."""
    for body in (
        {"trades": {}, "next_page_token": None},
        {"trades": None},
        page(),
        {"trades": {"AAPL": None}},
    ):
        assert decode(REQUEST, body).tables[Dataset.TRADES].num_rows == 0


def test_a_token_asks_on() -> None:
    """The next request is the same with the token; the same token again is a loop."""
    found = decode(REQUEST, page(trade(), token="abc"))
    assert found.next is not None
    assert ("page_token", "abc") in found.next.params
    with pytest.raises(PayloadError, match="loop"):
        decode(REQUEST, page(trade(), token="abc"), sent=found.next)
    following = decode(REQUEST, page(trade(), token="def"), sent=found.next)
    assert following.next is not None
    assert [value for name, value in following.next.params if name == "page_token"] == ["def"]
