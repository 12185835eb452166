"""Alpha Vantage's dialect against its vendor's manners."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from mdc_resources.sandbox.dialects.alphavantage import AlphaVantage
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.providers.recorded.alphavantage import first_content
from tests.sandbox.asking import Ask, Fault, raw_bars

NEW_YORK = ZoneInfo("America/New_York")
Get = Callable[..., Any]


@pytest.fixture
def query(client: httpx.Client) -> Get:
    """Ask with a good key; the document, which always comes with status 200."""

    def ask(function: str, symbol: str = "XYZ", **more: str) -> Any:
        params = {"function": function, "symbol": symbol, "apikey": "key", **more}
        answer = client.get("/alphavantage/query", params=params)
        assert answer.status_code == 200
        return answer.json()

    return ask


def series(document: Any, label: str = "Daily") -> dict[str, dict[str, str]]:
    """The rows by time."""
    found: dict[str, dict[str, str]] = document[f"Time Series ({label})"]
    return found


def test_a_daily_series_has_the_recorded_structure(query: Get, payloads: Path) -> None:
    """The same metadata, the same fields in the same order, all of them texts, newest first."""
    name = "alpha_vantage/tickertrace-vcr/alpha_vantage_get_prices.yaml"
    theirs = json.loads(first_content((payloads / name).read_bytes()))
    ours = query("TIME_SERIES_DAILY")
    assert list(ours) == list(theirs)
    assert list(ours["Meta Data"]) == list(theirs["Meta Data"])
    assert ours["Meta Data"]["4. Output Size"] == theirs["Meta Data"]["4. Output Size"] == "Compact"
    assert len(series(ours)) == len(series(theirs)) == 100
    for document in (ours, theirs):
        days = list(series(document))
        assert days == sorted(days, reverse=True)
        fields = series(document)[days[0]]
        assert list(fields) == ["1. open", "2. high", "3. low", "4. close", "5. volume"]
        assert all(isinstance(text, str) for text in fields.values())
        assert [len(text.partition(".")[2]) for text in fields.values()] == [4, 4, 4, 4, 0]


def test_minutes_have_the_recorded_structure(query: Get, payloads: Path) -> None:
    """Metadata and fields of the recorded body; its wording has changed since."""
    theirs = json.loads((payloads / "alpha_vantage" / "romeltorres" / "mock_time_series.json").read_text())
    ours = query("TIME_SERIES_INTRADAY", interval="1min", adjusted="false", month="2024-06")
    assert list(ours) == list(theirs)
    assert list(ours["Meta Data"]) == list(theirs["Meta Data"])
    first = next(iter(series(theirs, "1min")))
    assert len(first) == len(next(iter(series(ours, "1min"))))


def test_daily_bars_are_as_traded(query: Get, bars: Ask) -> None:
    """Across NVDA's split the prices jump, as the tape did."""
    ours = series(query("TIME_SERIES_DAILY", "NVDA", outputsize="full"))
    raw = raw_bars(bars("NVDA", "2024-06-03", "2024-06-14"), "NVDA")
    assert len(raw) == 10
    for day, bar in raw.items():
        assert Decimal(ours[day]["4. close"]) == bar["c"]
        assert Decimal(ours[day]["5. volume"]) == bar["v"]


def test_compact_is_the_last_hundred_rows(query: Get) -> None:
    """And the default; ``full`` goes back to the listing."""
    compact, full = query("TIME_SERIES_DAILY"), query("TIME_SERIES_DAILY", outputsize="full")
    assert list(series(compact)) == list(series(full))[:100]
    assert (list(series(full))[-1], full["Meta Data"]["4. Output Size"]) == ("2000-01-03", "Full size")


def test_a_month_of_minutes_is_naive_new_york_time(query: Get, market: Market) -> None:
    """From the first open of the month to its last minute, each stamped with its start."""
    found = series(
        query("TIME_SERIES_INTRADAY", interval="1min", adjusted="false", month="2024-03", outputsize="full"),
        "1min",
    )
    times = list(found)
    assert (times[-1][:10], times[0][:10]) == ("2024-03-01", "2024-03-28")
    opened = dt.datetime.fromisoformat(times[-1]).replace(tzinfo=NEW_YORK)
    assert opened == market.calendar.hours(dt.date(2024, 3, 1))[0]
    assert {time[11:] for time in times} <= {f"{h:02d}:{m:02d}:00" for h in range(9, 16) for m in range(60)}


def test_minutes_are_adjusted_unless_told_otherwise(query: Get) -> None:
    """The vendor's default is not what was traded."""
    asked = {"interval": "1min", "month": "2024-06", "outputsize": "full"}
    raw = series(query("TIME_SERIES_INTRADAY", "NVDA", adjusted="false", **asked), "1min")
    adjusted = series(query("TIME_SERIES_INTRADAY", "NVDA", **asked), "1min")
    before = next(time for time in raw if time.startswith("2024-06-07"))
    ratio = float(raw[before]["4. close"]) / float(adjusted[before]["4. close"])
    assert ratio == pytest.approx(10, rel=0.001)
    after = next(iter(raw))
    assert raw[after] == adjusted[after]


def test_the_running_day_has_a_row() -> None:
    """Unlike others the vendor shows today before it is over."""
    at = dt.datetime(2024, 6, 28, 17, 0, tzinfo=dt.UTC)
    with (
        SandboxServer(market=Market.synthetic(seed=7, now=at)) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        params = {"function": "TIME_SERIES_DAILY", "symbol": "XYZ", "apikey": "key"}
        found = client.get("/alphavantage/query", params=params).json()
    assert next(iter(series(found))) == "2024-06-28"


def test_class_shares_are_spelled_with_a_dash(query: Get, bars: Ask) -> None:
    """BRK-B is BRK.B of others."""
    found = query("TIME_SERIES_DAILY", "BRK-B")
    raw = raw_bars(bars("BRK.B", "2024-06-28", "2024-06-28"), "BRK.B")
    assert found["Meta Data"]["2. Symbol"] == "BRK-B"
    assert Decimal(series(found)["2024-06-28"]["4. close"]) == raw["2024-06-28"]["c"]


def test_splits_are_rounded_factors_newest_first(query: Get) -> None:
    """Four decimals; one for eight is 0.1250."""
    assert query("SPLITS", "NVDA") == {
        "symbol": "NVDA",
        "data": [
            {"effective_date": "2024-06-10", "split_factor": "10.0000"},
            {"effective_date": "2021-07-20", "split_factor": "4.0000"},
        ],
    }
    assert query("SPLITS", "GE")["data"] == [{"effective_date": "2021-08-02", "split_factor": "0.1250"}]
    assert query("SPLITS", "XYZ") == {"symbol": "XYZ", "data": []}


def test_dividends_are_as_paid(query: Get, market: Market) -> None:
    """Everything ever, newest first, amounts as texts."""
    data = query("DIVIDENDS", "KO")["data"]
    paid = market.known_dividends("KO")
    assert [(fact["ex_dividend_date"], Decimal(fact["amount"])) for fact in data] == [
        (dividend.ex_date.isoformat(), dividend.amount) for dividend in reversed(paid)
    ]
    assert set(data[0]) == {"ex_dividend_date", "declaration_date", "record_date", "payment_date", "amount"}


def test_an_overview_has_recorded_fields(query: Get, payloads: Path) -> None:
    """Texts all of them; nobody's is an empty object."""
    theirs = json.loads(
        (payloads / "alpha_vantage" / "romeltorres" / "mock_company_overview.json").read_text()
    )
    ours = query("OVERVIEW")
    assert {"Symbol", "AssetType", "Name", "Exchange", "Currency", "Country", "Sector"} <= set(theirs) & set(
        ours
    )
    assert all(isinstance(value, str) for value in ours.values())
    assert query("OVERVIEW", "ZZTOP") == {}


@pytest.mark.parametrize(
    ("function", "more", "key", "words"),
    [
        ("TIME_SERIES_DAILY", {"apikey": ""}, "Error Message", "apikey is invalid or missing"),
        ("TIME_SERIES_DAILY", {"apikey": "bad"}, "Error Message", "apikey is invalid or missing"),
        ("TIME_SERIES_DAILY", {"symbol": "ZZTOP"}, "Error Message", "Invalid API call"),
        ("TIME_SERIES_DAILY", {"symbol": "FB"}, "Error Message", "Invalid API call"),
        ("TIME_SERIES_DAILY", {"apikey": "free", "outputsize": "full"}, "Information", "premium feature"),
        ("TIME_SERIES_INTRADAY", {"apikey": "free"}, "Information", "premium endpoint"),
        ("TIME_SERIES_INTRADAY", {"interval": "7min"}, "Error Message", "Invalid API call"),
        ("TIME_SERIES_INTRADAY", {"interval": "1min", "month": "soon"}, "Error Message", "Invalid API call"),
        ("TIME_SERIES_HOURLY", {}, "Error Message", "Invalid API call"),
    ],
)
def test_every_refusal_is_a_200_with_a_sentence(
    client: httpx.Client, function: str, more: dict[str, str], key: str, words: str
) -> None:
    """One key, one sentence."""
    params = {"function": function, "symbol": "XYZ", "apikey": "key", **more}
    answer = client.get("/alphavantage/query", params=params)
    assert answer.status_code == 200
    ((told, sentence),) = answer.json().items()
    assert told == key
    assert words in sentence


def test_a_free_key_gets_compact_and_facts(client: httpx.Client) -> None:
    """Daily bars of the last hundred sessions, splits and dividends."""
    for function in ("TIME_SERIES_DAILY", "SPLITS", "DIVIDENDS", "OVERVIEW"):
        params = {"function": function, "symbol": "KO", "apikey": "free-key"}
        assert "Information" not in client.get("/alphavantage/query", params=params).json()


def test_the_notices_are_the_quoted_ones(market: Market, fault: Fault, query: Get) -> None:
    """The day's notice repeats a key; the burst's also speaks of the day."""
    fault("alphavantage", "error200")
    assert "detected your API key as" in query("TIME_SERIES_DAILY")["Information"]
    burst = json.loads(AlphaVantage(market).burst().body)["Information"]
    assert "1 request per second" in burst
    assert "25 requests per day" in burst


@pytest.mark.parametrize("kind", ["duplicates", "conflicting_duplicates"])
def test_repeated_rows_are_repeated_keys(client: httpx.Client, fault: Fault, kind: str) -> None:
    """The text has the same time twice, which a JSON parser would swallow."""
    fault("alphavantage", kind, params={"rows": 1})
    params = {"function": "TIME_SERIES_DAILY", "symbol": "XYZ", "apikey": "key"}
    text = client.get("/alphavantage/query", params=params).text
    assert text.count('"1. open"') == 101
    assert len(series(json.loads(text))) == 100
