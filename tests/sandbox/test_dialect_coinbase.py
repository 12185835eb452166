"""The sandbox as Coinbase: newest first, silent intervals absent, cursors, the maker's side, errors."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from mdc_resources.sandbox.crypto import CryptoMarket
from mdc_resources.sandbox.market import Market
from tests.providers.recorded.coinbase import product
from tests.providers.recording import PAYLOADS
from tests.sandbox.asking import Fault, epoch

CAPTURE = PAYLOADS / "coinbase/cryptofeed/COINBASE.0"
MONDAY = "2024-06-03T00:00:00Z"
Get = Callable[..., httpx.Response]


@pytest.fixture
def get(client: httpx.Client) -> Get:
    """Ask for what lies below ``/products/<id>``."""

    def ask(below: str = "", name: str = "BTC-USD", **params: Any) -> httpx.Response:
        return client.get(f"/coinbase/products/{name}{below}", params=params)

    return ask


def candles(answer: httpx.Response) -> list[list[Any]]:
    """Rows with their numbers exact."""
    assert answer.status_code == 200, answer.text
    found: list[list[Any]] = json.loads(answer.text, parse_float=Decimal)
    return found


@pytest.mark.skipif(not CAPTURE.exists(), reason="the recorded products are not at hand")
def test_a_product_has_the_recorded_fields(get: Get) -> None:
    """Names and types of what the sandbox says are the vendor's."""
    theirs = json.loads(product("CGLD-EUR")(CAPTURE.read_bytes()))
    ours = get().json()
    shared = set(ours) & set(theirs)
    assert {"id", "base_currency", "quote_currency", "display_name", "status", "quote_increment"} <= shared
    assert all(type(ours[name]) is type(theirs[name]) for name in shared)


def test_candles_are_numbers_newest_first(get: Get, market: Market) -> None:
    """Time, low, high, open, close, volume; the bars of the market that never closes."""
    found = candles(get("/candles", granularity=86400, start=MONDAY, end="2024-06-09T23:59:59Z"))
    monday = epoch("2024-06-03")
    assert [row[0] for row in found] == [monday + at * 86_400 for at in range(6, -1, -1)]
    bars = list(CryptoMarket(market).market.daily("BTC-USD", dt.date(2024, 6, 3), dt.date(2024, 6, 9)))
    for row, bar in zip(reversed(found), bars, strict=True):
        assert [Decimal(cell) for cell in row[1:5]] == [bar.low, bar.high, bar.open, bar.close]
        assert Decimal(row[5]) * 10_000 == bar.volume
        assert all(isinstance(cell, int | Decimal) for cell in row)


def test_minutes_without_a_trade_are_absent(get: Get) -> None:
    """THIN-USD trades some twenty times a day, and has not a tenth of its minutes."""
    day = {"granularity": 60, "start": MONDAY, "end": "2024-06-03T04:59:59Z"}
    assert len(candles(get("/candles", **day))) == 300
    assert 0 < len(candles(get("/candles", name="THIN-USD", **day))) < 30


def test_a_day_without_a_trade_is_absent(get: Get) -> None:
    """HALT-USD did not trade on two days of March."""
    found = candles(
        get(
            "/candles",
            name="HALT-USD",
            granularity=86400,
            start="2024-03-11T00:00:00Z",
            end="2024-03-15T00:00:00Z",
        )
    )
    days = [dt.datetime.fromtimestamp(row[0], dt.UTC).day for row in found]
    assert days == [15, 12, 11]


def test_the_newest_candle_is_still_running(get: Get) -> None:
    """Without a range the newest 300 come, today's included."""
    found = candles(get("/candles", granularity=86400))
    assert found[0][0] == epoch("2024-06-28")
    assert len(found) == 300


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"granularity": 61}, "Unsupported granularity"),
        ({"granularity": 60, "start": MONDAY, "end": "2024-06-04T00:00:00Z"}, "exceeds 300"),
        ({"granularity": 60, "start": "soon", "end": MONDAY}, "Invalid start or end"),
        ({"granularity": 60, "start": MONDAY, "end": "2024-06-02T00:00:00Z"}, "end must be after start"),
    ],
)
def test_bad_requests_are_messages(get: Get, params: dict[str, Any], said: str) -> None:
    """400, and why."""
    answer = get("/candles", **params)
    assert answer.status_code == 400
    assert said in answer.json()["message"]


def test_trades_are_newest_first_with_cursors(get: Get) -> None:
    """CB-BEFORE and CB-AFTER name the first and the last of the page."""
    answer = get("/trades", limit=100)
    found = answer.json()
    ids = [trade["trade_id"] for trade in found]
    assert ids == list(range(ids[0], ids[0] - 100, -1))
    assert (answer.headers["cb-before"], answer.headers["cb-after"]) == (str(ids[0]), str(ids[-1]))
    assert [trade["time"] for trade in found] == sorted((trade["time"] for trade in found), reverse=True)
    assert set(found[0]) == {"trade_id", "side", "size", "price", "time"}
    assert all(isinstance(found[0][name], str) for name in ("side", "size", "price", "time"))


def test_after_is_exclusive_and_goes_back(get: Get) -> None:
    """The page after a cursor is older; any id will do as one."""
    first = get("/trades", limit=10).json()
    older = get("/trades", limit=10, after=first[-1]["trade_id"]).json()
    assert older[0]["trade_id"] == first[-1]["trade_id"] - 1
    again = get("/trades", limit=3, after=first[4]["trade_id"]).json()
    assert [trade["trade_id"] for trade in again] == [trade["trade_id"] for trade in first[5:8]]


def test_ids_before_the_first_trade_have_none(get: Get) -> None:
    """Ids count from 1; an empty page has no cursors."""
    assert [trade["trade_id"] for trade in get("/trades", after=5).json()] == [4, 3, 2, 1]
    answer = get("/trades", after=1)
    assert answer.json() == []
    assert "cb-after" not in answer.headers


def test_ids_go_on_over_midnight_without_a_gap(get: Get) -> None:
    """The page below Monday's first trade begins with the last of Sunday."""
    newest = get("/trades", limit=1).json()[0]["trade_id"]
    low, high = 0, newest  # the trade at low is before Monday, the one at high is not
    while high - low > 1:
        middle = (low + high) // 2
        told = get("/trades", limit=1, after=middle + 1).json()[0]
        assert told["trade_id"] == middle
        low, high = (low, middle) if told["time"] >= "2024-06-24" else (middle, high)
    page = get("/trades", limit=4, after=high + 2).json()
    assert [trade["trade_id"] for trade in page] == [high + 1, high, high - 1, high - 2]
    assert [trade["time"][:10] for trade in page] == ["2024-06-24"] * 2 + ["2024-06-23"] * 2


def test_trades_of_a_minute_are_its_candle(get: Get) -> None:
    """First, last, highest and lowest price, and the sum of sizes."""
    row = candles(get("/candles", granularity=60, start="2024-06-28T21:59:00Z", end="2024-06-28T21:59:59Z"))[
        0
    ]
    found = [t for t in get("/trades", limit=1000).json() if t["time"].startswith("2024-06-28T21:59")]
    prices = [Decimal(trade["price"]) for trade in reversed(found)]
    assert [Decimal(cell) for cell in row[1:5]] == [min(prices), max(prices), prices[0], prices[-1]]
    assert Decimal(row[5]) == sum(Decimal(trade["size"]) for trade in found)


def test_the_side_is_the_maker_s(get: Get, market: Market) -> None:
    """Where the taker bought, the vendor says sell."""
    coins = CryptoMarket(market)
    trades = coins.trades("BTC-USD", dt.date(2024, 6, 28))
    newest = get("/trades", limit=50).json()
    sides = ["sell" if bought else "buy" for bought in reversed(trades.buys[-50:].tolist())]
    assert [trade["side"] for trade in newest] == sides


@pytest.mark.parametrize("below", ["", "/candles", "/trades"])
def test_an_unknown_product_is_not_found(get: Get, below: str) -> None:
    """404 with the vendor's one word."""
    answer = get(below, name="ZZ-USD")
    assert (answer.status_code, answer.json()) == (404, {"message": "NotFound"})


def test_faults_speak_the_vendor_s_words(get: Get, fault: Fault) -> None:
    """Too many requests, with a status and without."""
    fault("coinbase", "status", params={"status": 429})
    assert get("/candles").json() == {"message": "Public rate limit exceeded"}
    fault("coinbase", "error200")
    answer = get("/candles")
    assert (answer.status_code, answer.json()) == (200, {"message": "Public rate limit exceeded"})
