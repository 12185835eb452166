"""The sandbox as Binance: recorded shape, units, pages, hours, ids, errors."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest

from mdc_resources.sandbox.crypto import CryptoMarket
from mdc_resources.sandbox.market import Market
from tests.providers.recording import PAYLOADS
from tests.sandbox.asking import Fault, Params, epoch

FIXTURES = PAYLOADS / "binance/nautilus"
DAY, MINUTE, HOUR = 86_400_000, 60_000, 3_600_000
MONDAY = epoch("2024-06-03") * 1000
Get = Callable[..., httpx.Response]


@pytest.fixture
def get(client: httpx.Client) -> Get:
    """Ask ``/api/v3/<what>`` for BTCUSDT."""

    def ask(what: str, headers: dict[str, str] | None = None, **params: Any) -> httpx.Response:
        asked = {"symbol": "BTCUSDT"} | params
        return client.get(f"/binance/api/v3/{what}", params=asked, headers=headers)

    return ask


def shape(value: Any) -> Any:
    """Types of a JSON value, field by field; a list is its first element's."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return type(value).__name__


@pytest.mark.skipif(not FIXTURES.exists(), reason="the recorded answers are not at hand")
@pytest.mark.parametrize(
    ("what", "recorded", "params"),
    [
        ("klines", "http_spot_market_klines.json", {"interval": "1m", "startTime": MONDAY, "limit": 10}),
        (
            "aggTrades",
            "http_spot_market_agg_trades.json",
            {"startTime": MONDAY, "endTime": MONDAY + HOUR - 1},
        ),
    ],
)
def test_rows_have_the_recorded_shape(get: Get, what: str, recorded: str, params: dict[str, Any]) -> None:
    """Cell by cell: which are texts and which are numbers."""
    theirs = json.loads((FIXTURES / recorded).read_bytes())[0]
    ours = get(what, **params).json()[0]
    assert type(ours) is type(theirs)
    if isinstance(ours, list):
        assert [type(cell) for cell in ours] == [type(cell) for cell in theirs]
    else:
        assert shape(ours) == shape(theirs)


@pytest.mark.skipif(not FIXTURES.exists(), reason="the recorded answers are not at hand")
def test_symbols_have_the_recorded_fields(get: Get) -> None:
    """What the sandbox says of a symbol is said by the vendor under the same names."""
    theirs = json.loads((FIXTURES / "docs_spot_exchange_info_response.json").read_bytes())
    ours = get("exchangeInfo").json()
    assert set(ours) <= set(theirs)
    assert set(ours["symbols"][0]) <= set(theirs["symbols"][0])
    assert (ours["symbols"][0]["baseAsset"], ours["symbols"][0]["quoteAsset"]) == ("BTC", "USDT")


def test_days_are_those_of_the_market_that_never_closes(get: Get, market: Market) -> None:
    """Seven a week, from midnight to midnight UTC; the same bars as its own."""
    found = get("klines", interval="1d", startTime=MONDAY, endTime=MONDAY + 7 * DAY - 1).json()
    assert [row[0] for row in found] == [MONDAY + at * DAY for at in range(7)]
    assert all(row[6] == row[0] + DAY - 1 for row in found)
    coins = CryptoMarket(market)
    bars = list(coins.market.daily("BTC-USDT", dt.date(2024, 6, 3), dt.date(2024, 6, 9)))
    assert [Decimal(row[4]) for row in found] == [bar.close for bar in bars]
    assert [Decimal(row[5]) * 10_000 for row in found] == [bar.volume for bar in bars]
    assert [row[8] for row in found] == [bar.trade_count for bar in bars]


def test_the_last_candle_is_still_running(get: Get) -> None:
    """Its close lies ahead of the sandbox's present."""
    rows = get("klines", interval="1d", limit=2).json()
    now = epoch("2024-06-28") * 1000 + 22 * HOUR
    assert rows[-1][0] <= now < rows[-1][6]


def test_microseconds_where_they_are_asked_for(get: Get) -> None:
    """Out, not in: the parameters stay milliseconds."""
    asked = {"interval": "1d", "startTime": MONDAY, "limit": 1}
    millis = get("klines", **asked).json()[0]
    micros = get("klines", headers={"X-MBX-TIME-UNIT": "MICROSECOND"}, **asked).json()[0]
    assert micros[0] == millis[0] * 1000
    assert micros[6] == (millis[6] + 1) * 1000 - 1
    assert micros[1:6] == millis[1:6]


def test_a_page_has_a_thousand_rows_at_most(get: Get) -> None:
    """500 where nothing is said."""
    assert len(get("klines", interval="1m", startTime=MONDAY, limit=5000).json()) == 1000
    assert len(get("klines", interval="1m", startTime=MONDAY).json()) == 500
    assert len(get("aggTrades", startTime=MONDAY, endTime=MONDAY + HOUR - 1).json()) == 500


def test_minutes_without_a_trade_are_there_at_the_last_price(client: httpx.Client) -> None:
    """With volume 0; the pair THIN-USDT trades some twenty times a day."""
    params: Params = {"symbol": "THINUSDT", "interval": "1m", "startTime": MONDAY, "limit": 1000}
    rows = client.get("/binance/api/v3/klines", params=params).json()
    silent = [row for row in rows if row[8] == 0]
    assert len(rows) == 1000
    assert len(silent) > 900
    assert all(row[1] == row[2] == row[3] == row[4] and row[5] == "0.00000000" for row in silent)
    assert all(later[1] == earlier[4] for earlier, later in pairwise(rows) if later[8] == 0)


def test_trades_by_time_then_by_id(get: Get) -> None:
    """Ids follow each other; an hour's last trade is followed by the next hour's first."""
    first = get("aggTrades", startTime=MONDAY, endTime=MONDAY + HOUR - 1, limit=1000).json()
    following = get("aggTrades", fromId=first[-1]["a"] + 1, limit=10).json()
    assert [trade["a"] for trade in following] == [first[-1]["a"] + at for at in range(1, 11)]
    assert following[0]["T"] >= first[-1]["T"]
    assert {trade["m"] for trade in first} == {True, False}


def test_more_than_an_hour_is_refused(get: Get) -> None:
    """With the vendor's code."""
    answer = get("aggTrades", startTime=MONDAY, endTime=MONDAY + HOUR)
    assert (answer.status_code, answer.json()["code"]) == (400, -1127)


def test_trades_of_a_minute_are_its_candle(get: Get) -> None:
    """First, last, highest, lowest price, and the sum of sizes."""
    (row,) = get("klines", interval="1m", startTime=MONDAY, limit=1).json()
    trades = get("aggTrades", startTime=MONDAY, endTime=MONDAY + MINUTE - 1, limit=1000).json()
    prices = [Decimal(trade["p"]) for trade in trades]
    assert [Decimal(cell) for cell in row[1:5]] == [prices[0], max(prices), min(prices), prices[-1]]
    assert (Decimal(row[5]), row[8]) == (sum(Decimal(trade["q"]) for trade in trades), len(trades))


@pytest.mark.parametrize(
    ("what", "params", "code"),
    [
        ("klines", {"symbol": "ZZUSDT", "interval": "1d"}, -1121),
        ("klines", {"symbol": "BTC-USDT", "interval": "1d"}, -1100),
        ("klines", {"symbol": "", "interval": "1d"}, -1102),
        ("klines", {"interval": "2d"}, -1120),
        ("klines", {"interval": "1d", "startTime": "soon"}, -1100),
        ("aggTrades", {"fromId": "x"}, -1100),
        ("exchangeInfo", {"symbol": "ZZUSDT"}, -1121),
    ],
)
def test_errors_are_codes_with_400(get: Get, what: str, params: dict[str, Any], code: int) -> None:
    """As documented."""
    answer = get(what, **params)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_faults_of_status_speak_the_vendor_s_words(get: Get, fault: Fault) -> None:
    """429 with a code, and Retry-After where it is wanted."""
    fault("binance", "status", params={"status": 429, "retry_after": "7"})
    answer = get("klines", interval="1d")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, -1003, "7")


def test_faults_on_rows_act_on_klines(get: Get, fault: Fault) -> None:
    """One candle of five is missing."""
    fault("binance", "missing_rows", params={"rows": 1})
    assert len(get("klines", interval="1d", startTime=MONDAY, endTime=MONDAY + 5 * DAY - 1).json()) == 4
