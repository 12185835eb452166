"""Finnhub's dialect against its vendor's manners."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import Ask, Fault, epoch, raw_bars

KEY = {"X-Finnhub-Token": "key"}
Get = Callable[..., httpx.Response]


@pytest.fixture
def stock(client: httpx.Client) -> Get:
    """Ask one of Finnhub's endpoints with a good key."""

    def ask(what: str, symbol: str, start: object = "", end: object = "", **more: Any) -> httpx.Response:
        asked = {"symbol": symbol, "from": start, "to": end, **more}
        return client.get(f"/finnhub/api/v1/stock/{what}", params=asked, headers=KEY)

    return ask


def daily(stock: Get, symbol: str, start: str, end: str) -> dict[str, Any]:
    """Daily candles from midnight to midnight, numbers as decimals."""
    answer = stock("candle", symbol, epoch(start), epoch(end), resolution="D")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.text, parse_float=Decimal, parse_int=Decimal)
    return found


def by_date(candles: dict[str, Any], array: str = "c") -> dict[str, Decimal]:
    """One array by the UTC date of its stamp."""
    days = [dt.datetime.fromtimestamp(int(at), dt.UTC).date().isoformat() for at in candles["t"]]
    return dict(zip(days, candles[array], strict=True))


def test_candles_are_parallel_arrays_of_numbers(stock: Get) -> None:
    """The documented keys, all of one length, and a status."""
    found = daily(stock, "XYZ", "2024-06-24", "2024-06-28")
    assert set(found) == {"c", "h", "l", "o", "s", "t", "v"}
    assert found["s"] == "ok"
    assert {len(found[name]) for name in "chlotv"} == {5}


def test_daily_stamps_are_midnight_utc_and_both_ends_inclusive(stock: Get) -> None:
    """The first and the last second asked for are in."""
    found = daily(stock, "XYZ", "2024-06-24", "2024-06-26")
    assert list(by_date(found)) == ["2024-06-24", "2024-06-25", "2024-06-26"]
    assert all(int(at) % 86_400 == 0 for at in found["t"])


def test_daily_prices_are_over_later_splits_and_volume_is_not(stock: Get, bars: Ask) -> None:
    """NVDA before 10:1 of June 2024 (and 4:1 of 2021): a fortieth of the price, the volume as traded."""
    found = daily(stock, "NVDA", "2021-07-12", "2021-07-16")
    raw = raw_bars(bars("NVDA", "2021-07-12", "2021-07-16"), "NVDA")
    closes, volumes = by_date(found), by_date(found, "v")
    assert set(closes) == set(raw)
    for day, bar in raw.items():
        assert abs(closes[day] * 40 - bar["c"]) < Decimal("1e-9"), day
        assert volumes[day] == bar["v"]


def test_minutes_are_as_traded(stock: Get, bars: Ask, market: Market) -> None:
    """Stamped with their start, equal to what the tape of the day says."""
    opened, closed = market.calendar.hours(dt.date(2024, 6, 7))
    answer = stock("candle", "NVDA", int(opened.timestamp()), int(closed.timestamp()) - 1, resolution="1")
    found = json.loads(answer.text, parse_float=Decimal)
    raw = bars("NVDA", "2024-06-07", "2024-06-07", timeframe="1Min", limit=10_000).json()["bars"]["NVDA"]
    assert len(found["t"]) == len(raw)
    assert found["t"][0] == int(opened.timestamp())
    assert [float(close) for close in found["c"]] == [bar["c"] for bar in raw]
    assert found["v"] == [bar["v"] for bar in raw]


def test_the_current_day_is_absent_until_after_its_close() -> None:
    """Half an hour before the close there is no candle of today; minutes there are."""
    at = dt.datetime(2024, 6, 28, 19, 30, tzinfo=dt.UTC)
    with (
        SandboxServer(market=Market.synthetic(seed=7, now=at)) as server,
        httpx.Client(base_url=server.url, headers=KEY) as client,
    ):
        asked = {"symbol": "XYZ", "from": epoch("2024-06-27"), "to": epoch("2024-06-29")}
        days = client.get("/finnhub/api/v1/stock/candle", params={**asked, "resolution": "D"}).json()
        minutes = client.get("/finnhub/api/v1/stock/candle", params={**asked, "resolution": "1"}).json()
    assert list(by_date(days)) == ["2024-06-27"]
    assert minutes["t"][-1] == int(at.timestamp()) - 60


@pytest.mark.parametrize(
    ("symbol", "start", "end"),
    [
        ("ZZTOP", "2024-06-24", "2024-06-28"),
        ("XYZ", "2024-06-22", "2024-06-23"),
        ("FB", "2022-01-03", "2022-01-07"),
    ],
    ids=["unknown", "weekend", "renamed away"],
)
def test_no_data_has_no_arrays(stock: Get, symbol: str, start: str, end: str) -> None:
    """One answer for everything there is nothing of."""
    assert daily(stock, symbol, start, end) == {"s": "no_data"}


@pytest.mark.parametrize(
    "more", [{"resolution": "7"}, {"resolution": "D", "from": "soon"}, {"resolution": "D", "to": ""}]
)
def test_wrong_arguments_are_a_422(client: httpx.Client, more: dict[str, str]) -> None:
    """With an error document."""
    params = {"symbol": "XYZ", "from": "1719187200", "to": "1719532800"} | more
    answer = client.get("/finnhub/api/v1/stock/candle", params=params, headers=KEY)
    assert (answer.status_code, answer.json()) == (422, {"error": "Wrong arguments"})


@pytest.mark.parametrize(
    ("key", "what", "status", "words"),
    [
        ("", "candle", 401, "use an API key"),
        ("bad-key", "candle", 401, "Invalid API key"),
        ("bad-key", "profile2", 401, "Invalid API key"),
        ("free-key", "candle", 403, "don't have access"),
        ("free-key", "split", 403, "don't have access"),
    ],
)
def test_keys_are_looked_at(client: httpx.Client, key: str, what: str, status: int, words: str) -> None:
    """Missing, wrong, or of a plan without candles."""
    answer = client.get(
        f"/finnhub/api/v1/stock/{what}", params={"symbol": "XYZ"}, headers={"X-Finnhub-Token": key}
    )
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_a_key_in_the_url_is_accepted_too(client: httpx.Client) -> None:
    """``token`` is the older way; profiles are free."""
    answer = client.get("/finnhub/api/v1/stock/profile2", params={"symbol": "XYZ", "token": "free-key"})
    assert answer.json()["ticker"] == "XYZ"


def test_splits_have_factors(stock: Get) -> None:
    """Old shares and new ones, by date."""
    found = stock("split", "NVDA", "2021-01-01", "2024-12-31").json()
    assert found == [
        {"symbol": "NVDA", "date": "2021-07-20", "fromFactor": 1, "toFactor": 4},
        {"symbol": "NVDA", "date": "2024-06-10", "fromFactor": 1, "toFactor": 10},
    ]
    assert stock("split", "NVDA", "2022-01-01", "2023-12-31").json() == []
    assert stock("split", "ZZTOP", "2022-01-01", "2023-12-31").json() == []


def test_dividends_are_as_paid_and_restated_side_by_side(stock: Get, market: Market) -> None:
    """``amount`` is what was paid, ``adjustedAmount`` over later splits; newest first."""
    found = stock("dividend", "NVDA", "2021-01-01", "2021-12-31").json()
    paid = {d.ex_date.isoformat(): d.amount for d in market.known_dividends("NVDA") if d.ex_date.year == 2021}
    assert {fact["date"]: Decimal(str(fact["amount"])) for fact in found} == paid
    assert [fact["date"] for fact in found] == sorted(paid, reverse=True)
    assert found[-1]["adjustedAmount"] == pytest.approx(float(paid["2021-02-09"]) / 40)
    assert set(found[0]) == {
        "symbol", "date", "amount", "adjustedAmount", "payDate", "recordDate", "declarationDate", "currency",
        "freq",
    }  # fmt: skip


def test_a_profile_of_nobody_is_an_empty_object(stock: Get) -> None:
    """Not a 404."""
    answer = stock("profile2", "ZZTOP")
    assert (answer.status_code, answer.json()) == (200, {})


def test_faults_look_like_the_vendors(stock: Get, fault: Fault) -> None:
    """The limit's sentence with status 429, and the same with 200."""
    fault("finnhub", "status", params={"status": 429})
    limited = stock("candle", "XYZ", epoch("2024-06-24"), epoch("2024-06-28"), resolution="D")
    fault("finnhub", "error200")
    hidden = stock("candle", "XYZ", epoch("2024-06-24"), epoch("2024-06-28"), resolution="D")
    assert (limited.status_code, hidden.status_code) == (429, 200)
    assert limited.json() == hidden.json() == {
        "error": "API limit reached. Please try again later. Remaining Limit: 0"
    }  # fmt: skip
