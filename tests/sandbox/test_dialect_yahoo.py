"""Yahoo's dialect against its vendor's manners."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import httpx
import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import Ask, Params, epoch, result, single


def test_yahoo_period2_is_exclusive(chart: Ask, client: httpx.Client) -> None:
    """A bar whose open is period2 is left out, one whose open is period1 is in."""
    opened = int(dt.datetime(2024, 1, 30, 14, 30, tzinfo=dt.UTC).timestamp())
    params: Params = {"period1": opened, "period2": opened + 86_400, "interval": "1d"}
    found = result(client.get("/yahoo/v8/finance/chart/XYZ", params=params))
    assert found["timestamp"] == [opened]


def test_yahoo_tells_splits_and_restated_dividends(chart: Ask) -> None:
    """Events are those asked for, keyed by the ex-date's open; dividends restated by later splits."""
    found = result(chart("NVDA", "2021-05-01", "2021-08-15", events="div|split"))
    splits, dividends = found["events"]["splits"], found["events"]["dividends"]
    assert list(splits.values()) == [
        {"date": 1626787800, "numerator": 4, "denominator": 1, "splitRatio": "4:1"}
    ]
    assert [d["amount"] for d in dividends.values()] == [0.004, 0.004]
    assert {str(event["date"]) for event in dividends.values()} == set(dividends)
    assert (
        result(chart("NVDA", "2021-05-01", "2021-08-15", events="div,splits,capitalGains"))["events"]
        == found["events"]
    )
    assert "dividends" not in result(chart("NVDA", "2021-05-01", "2021-08-15", events="split"))["events"]
    assert "events" not in result(chart("NVDA", "2021-05-01", "2021-08-15"))


def test_yahoo_without_bars_has_no_timestamp(chart: Ask) -> None:
    """A weekend is a 200 with an empty quote."""
    found = result(chart("XYZ", "2024-06-22", "2024-06-24"))
    assert "timestamp" not in found
    assert found["indicators"]["quote"] == [{}]


def test_yahoo_sends_nulls_for_a_halted_session(chart: Ask) -> None:
    """The halted session has a stamp and null in each column."""
    found = result(chart("HALT", "2024-03-12", "2024-03-16"))
    assert [value is None for value in found["indicators"]["quote"][0]["close"]] == [False, True, True, False]
    assert found["indicators"]["quote"][0]["volume"][1] is None


@pytest.mark.parametrize(
    ("symbol", "start", "end", "params", "status", "words"),
    [
        pytest.param("ZZTOP", "2024-01-02", "2024-01-05", {}, 404, "may be delisted", id="unknown"),
        pytest.param("FB", "2022-01-03", "2022-01-07", {}, 404, "may be delisted", id="renamed away"),
        pytest.param(
            "NEWCO", "2023-01-02", "2023-01-05", {}, 400, "Data doesn't exist", id="before its listing"
        ),
        pytest.param(
            "TWTR", "2023-01-02", "2023-01-05", {}, 400, "Data doesn't exist", id="after its delisting"
        ),
        pytest.param("XYZ", "2024-01-05", "2024-01-02", {}, 400, "cannot be after", id="reversed"),
        pytest.param(
            "XYZ", "2024-06-01", "2024-06-28", {"interval": "1m"}, 422, "Only 8 days", id="1m too long"
        ),
        pytest.param(
            "XYZ", "2024-05-01", "2024-05-03", {"interval": "1m"}, 422, "last 30 days", id="1m too old"
        ),
        pytest.param(
            "XYZ", "2024-05-01", "2024-05-03", {"interval": "7m"}, 422, "not supported", id="interval"
        ),
        pytest.param("XYZ", "2024-05-01", "2024-05-03", {"period1": "soon"}, 400, "epoch", id="no number"),
    ],
)
def test_yahoo_errors(
    chart: Ask, symbol: str, start: str, end: str, params: dict[str, str], status: int, words: str
) -> None:
    """Errors come as ``chart.error`` with a null result."""
    answer = chart(symbol, start, end, **params)
    body = answer.json()["chart"]
    assert (answer.status_code, body["result"]) == (status, None)
    assert words in body["error"]["description"]


def test_yahoo_spells_class_shares_with_a_dash(chart: Ask, bars: Ask) -> None:
    """BRK-B of Yahoo is BRK.B of Alpaca; the chart says BRK-B."""
    found = result(chart("BRK-B", "2024-01-02", "2024-01-05"))
    raw = bars("BRK.B", "2024-01-02", "2024-01-04").json()["bars"]["BRK.B"]
    assert found["meta"]["symbol"] == "BRK-B"
    assert found["indicators"]["quote"][0]["close"] == [single(Decimal(str(bar["c"]))) for bar in raw]


def test_yahoos_running_session_is_stamped_now() -> None:
    """In a session the last daily row carries the present time, not the open."""
    at = dt.datetime(2024, 6, 28, 15, 30, 20, tzinfo=dt.UTC)
    with (
        SandboxServer(market=Market.synthetic(seed=7, now=at)) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        params: Params = {"period1": epoch("2024-06-27"), "period2": epoch("2024-06-29"), "interval": "1d"}
        stamps = result(client.get("/yahoo/v8/finance/chart/XYZ", params=params))["timestamp"]
    assert stamps[0] % 60 == 0
    assert stamps[1] == int(at.timestamp()) - 1
