"""The sandbox as Kraken: names, 720 candles, the running one, cursors in nanoseconds, errors with 200."""

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
from tests.providers.recorded.binance import body_of_capture
from tests.providers.recording import PAYLOADS
from tests.sandbox.asking import Fault, epoch

CAPTURE = PAYLOADS / "kraken/cryptofeed/KRAKEN.0"
DAY, MINUTE = 86_400, 60
NOW = epoch("2024-06-28") + 22 * 3600
Get = Callable[..., httpx.Response]


@pytest.fixture
def get(client: httpx.Client) -> Get:
    """Ask ``/0/public/<what>`` for XBTUSD."""

    def ask(what: str, **params: Any) -> httpx.Response:
        return client.get(f"/kraken/0/public/{what}", params={"pair": "XBTUSD"} | params)

    return ask


def result(answer: httpx.Response) -> dict[str, Any]:
    """The result, its numbers as text."""
    assert answer.status_code == 200, answer.text
    document = json.loads(answer.text, parse_float=str)
    assert document["error"] == []
    found: dict[str, Any] = document["result"]
    return found


@pytest.mark.skipif(not CAPTURE.exists(), reason="the recorded pairs are not at hand")
@pytest.mark.parametrize("pair", ["XBTUSD", "XDGEUR", "ETHXBT", "SOLUSD", "XBTUSDT", "LTCEUR", "ADAUSD"])
def test_pairs_are_named_as_recorded(get: Get, pair: str) -> None:
    """Under the same key, with the same short names and assets."""
    theirs = json.loads(body_of_capture(CAPTURE.read_bytes()))["result"]
    ((key, ours),) = result(get("AssetPairs", pair=pair)).items()
    recorded = {name: facts for name, facts in theirs.items() if facts["altname"] == pair}
    if not recorded:
        pytest.skip(f"{pair} was not listed when the pairs were recorded")
    assert list(recorded) == [key]
    for field in ("altname", "wsname", "base", "quote", "aclass_base", "aclass_quote", "lot"):
        assert ours[field] == recorded[key][field], field
    assert all(type(ours[name]) is type(recorded[key][name]) for name in set(ours) & set(recorded[key]))


def test_candles_are_the_market_s(get: Get, market: Market) -> None:
    """Time, open, high, low, close, vwap, volume, count; texts but for time and count."""
    found = result(get("OHLC", interval=1440, since=epoch("2024-06-20") - 1))
    bars = list(CryptoMarket(market).market.daily("BTC-USD", dt.date(2024, 6, 20), dt.date(2024, 6, 28)))
    assert len(found["XXBTZUSD"]) == len(bars) == 9
    for row, bar in zip(found["XXBTZUSD"], bars, strict=True):
        assert [Decimal(cell) for cell in row[1:5]] == [bar.open, bar.high, bar.low, bar.close]
        assert Decimal(row[6]) * 10_000 == bar.volume
        assert row[7] == bar.trade_count
        assert bar.low <= Decimal(row[5]) + Decimal("0.05")
        assert [type(cell) for cell in row] == [int, str, str, str, str, str, str, int]


def test_the_last_row_is_still_running(get: Get) -> None:
    """``last`` names the one before it."""
    found = result(get("OHLC", interval=1440))
    assert found["XXBTZUSD"][-1][0] == epoch("2024-06-28")
    assert found["last"] == epoch("2024-06-27")


@pytest.mark.parametrize(("interval", "step"), [(1440, DAY), (1, MINUTE)])
def test_whatever_since_says_720_are_kept(get: Get, interval: int, step: int) -> None:
    """And the running one."""
    rows = result(get("OHLC", interval=interval, since=0))["XXBTZUSD"]
    assert len(rows) == 721
    assert rows[0][0] == NOW // step * step - 720 * step


def test_minutes_without_a_trade_are_there_without_vwap(get: Get) -> None:
    """At the last price, with a VWAP of 0.0."""
    rows = result(get("OHLC", pair="THINUSD", interval=1))["THINUSD"]
    silent = [row for row in rows if row[7] == 0]
    assert len(rows) == 721
    assert len(silent) > 600
    assert all(row[5] == "0.0" and row[1] == row[4] and Decimal(row[6]) == 0 for row in silent)


def test_trades_go_on_at_last(get: Get) -> None:
    """A thousand at a time, without a gap and without a repetition."""
    since = epoch("2024-06-27") * 10**9 - 1
    ids: list[int] = []
    for _ in range(3):
        found = result(get("Trades", since=since))
        rows, since = found["XXBTZUSD"], int(found["last"])
        ids += [row[6] for row in rows]
        assert len(rows) == 1000
    assert ids == list(range(ids[0], ids[0] + 3000))


def test_a_trade_is_seven_cells(get: Get) -> None:
    """Texts, but for seconds with up to nine decimals and the id."""
    found = result(get("Trades", since=epoch("2024-06-27") * 10**9 - 1, count=50))
    assert isinstance(found["last"], str)
    seconds = [Decimal(row[2]) for row in found["XXBTZUSD"]]
    assert seconds == sorted(set(seconds)), "no two at the same nanosecond"
    assert int(seconds[-1] * 10**9) == int(found["last"])
    assert {row[3] for row in found["XXBTZUSD"]} == {"b", "s"}
    assert {row[4] for row in found["XXBTZUSD"]} == {"m", "l"}
    assert all(isinstance(row[0], str) and isinstance(row[1], str) for row in found["XXBTZUSD"])


def test_trades_of_a_minute_are_its_candle(get: Get) -> None:
    """First, last, highest and lowest price, and the sum of sizes."""
    start = epoch("2024-06-28") + 21 * 3600
    row = result(get("OHLC", interval=1, since=start - 1))["XXBTZUSD"][0]
    rows = result(get("Trades", since=start * 10**9 - 1))["XXBTZUSD"]
    trades = [trade for trade in rows if Decimal(trade[2]) < start + 60]
    prices = [Decimal(trade[0]) for trade in trades]
    assert row[0] == start
    assert [Decimal(cell) for cell in row[1:5]] == [prices[0], max(prices), min(prices), prices[-1]]
    assert (Decimal(row[6]), row[7]) == (sum(Decimal(trade[1]) for trade in trades), len(trades))


def test_nothing_is_left_after_now(get: Get) -> None:
    """An empty page names the cursor that it was asked for."""
    found = result(get("Trades", since=NOW * 10**9))
    assert (found["XXBTZUSD"], found["last"]) == ([], str(NOW * 10**9))


@pytest.mark.parametrize("pair", ["XBTUSD", "XBT/USD", "BTCUSD", "xbtusd"])
def test_several_names_ask_for_one_pair(get: Get, pair: str) -> None:
    """All are answered under the old long one."""
    assert "XXBTZUSD" in result(get("OHLC", pair=pair, interval=1440, since=NOW - DAY))


@pytest.mark.parametrize(
    ("what", "params", "said"),
    [
        ("OHLC", {"pair": "ZZUSD"}, "EQuery:Unknown asset pair"),
        ("Trades", {"pair": ""}, "EQuery:Unknown asset pair"),
        ("AssetPairs", {"pair": "USD"}, "EQuery:Unknown asset pair"),
        ("OHLC", {"interval": 7}, "EGeneral:Invalid arguments"),
        ("OHLC", {"since": "soon"}, "EGeneral:Invalid arguments"),
        ("Nothing", {}, "EGeneral:Unknown method"),
    ],
)
def test_errors_have_a_status_of_200(get: Get, what: str, params: dict[str, Any], said: str) -> None:
    """A list of words, and no result."""
    answer = get(what, **params)
    assert (answer.status_code, answer.json()) == (200, {"error": [said]})


def test_another_pair_on_demand(get: Get, fault: Fault) -> None:
    """The fault wrong_symbol renames the key."""
    fault("kraken", "wrong_symbol", params={"symbol": "XETHZUSD"})
    assert "XETHZUSD" in result(get("OHLC", interval=1440, since=NOW - DAY))


def test_the_hidden_error_is_the_usual_one(get: Get, fault: Fault) -> None:
    """Too many requests, with a status of 200."""
    fault("kraken", "error200")
    assert get("OHLC").json() == {"error": ["EAPI:Rate limit exceeded"]}
