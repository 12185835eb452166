"""Tiingo's dialect against its vendor's manners."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import Ask, Params, raw_bars

TOKEN = {"Authorization": "Token token"}
CASSETTES = "tiingo/tiingo-python-vcr"
JUNE = {"startDate": "2024-06-03", "endDate": "2024-06-28"}


def _get(client: httpx.Client, path: str, **params: Any) -> Any:
    answer = client.get(f"/tiingo{path}", params=params, headers=TOKEN)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_float=Decimal)


def _days(client: httpx.Client, ticker: str, start: str, end: str) -> dict[str, dict[str, Decimal]]:
    rows = _get(client, f"/tiingo/daily/{ticker}/prices", startDate=start, endDate=end)
    return {row["date"][:10]: row for row in rows}


def _recorded(payloads: Path, name: str) -> Any:
    import yaml

    text = (payloads / CASSETTES / f"{name}.yaml").read_text(encoding="utf-8")
    return json.loads(yaml.safe_load(text)["interactions"][0]["response"]["body"]["string"])


def _kinds(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Keys in order, with text and number told apart."""
    return [(key, "text" if isinstance(value, str) else "number") for key, value in row.items()]


def test_tiingos_days_have_the_recorded_structure(client: httpx.Client, payloads: Path) -> None:
    """The same columns in the same order, and a date that looks like an instant."""
    ours = _get(client, "/tiingo/daily/XYZ/prices", **JUNE)
    theirs = _recorded(payloads, "ticker_price_with_date")
    assert _kinds(ours[0]) == _kinds(theirs[0])
    assert ours[0]["date"][10:] == theirs[0]["date"][10:] == "T00:00:00.000Z"


def test_tiingos_minutes_have_the_recorded_structure(client: httpx.Client, payloads: Path) -> None:
    """No volume unless it is asked for; instants in UTC."""
    ours = _get(client, "/iex/XYZ/prices", startDate="2024-06-27", endDate="2024-06-27", resampleFreq="1min")
    theirs = _recorded(payloads, "intraday_price")
    assert _kinds(ours[0]) == _kinds(theirs[0])
    assert ours[0]["date"] == "2024-06-27T13:30:00.000Z"


def test_tiingos_ticker_has_the_recorded_keys(client: httpx.Client, payloads: Path) -> None:
    """All texts."""
    ours = _get(client, "/tiingo/daily/BRK-B")
    assert set(ours) == set(_recorded(payloads, "ticker_metadata"))
    assert ours["ticker"] == "BRK-B"
    assert all(isinstance(value, str) for value in ours.values())


def test_tiingos_csv_has_the_recorded_header(client: httpx.Client, payloads: Path) -> None:
    """The same columns with a bare date."""
    import yaml

    text = (payloads / CASSETTES / "ticker_price_with_date_csv.yaml").read_text(encoding="utf-8")
    theirs = yaml.safe_load(text)["interactions"][0]["response"]["body"]["string"]
    ours = client.get("/tiingo/tiingo/daily/XYZ/prices", params={**JUNE, "format": "csv"}, headers=TOKEN)
    assert ours.text.splitlines()[0] == theirs.splitlines()[0]
    assert ours.text.splitlines()[1].startswith("2024-06-03,")


def test_tiingos_raw_prices_are_alpacas(client: httpx.Client, bars: Ask) -> None:
    """One market: raw closes and volumes are equal on every day, splits or not."""
    ours = _days(client, "NVDA", "2024-05-20", "2024-06-20")
    theirs = raw_bars(bars("NVDA", "2024-05-20", "2024-06-20"), "NVDA")
    assert {day: (row["close"], row["volume"]) for day, row in ours.items()} == {
        day: (bar["c"], bar["v"]) for day, bar in theirs.items()
    }


def test_tiingo_tells_what_happened_on_its_day(client: httpx.Client) -> None:
    """A factor of ten on the split's ex-date, cash on the dividend's, and else nothing."""
    rows = _days(client, "NVDA", "2024-05-01", "2024-06-20")
    factors = {day: row["splitFactor"] for day, row in rows.items() if row["splitFactor"] != 1}
    assert factors == {"2024-06-10": 10}
    (paid,) = [day for day, row in rows.items() if row["divCash"]]
    assert paid == "2024-05-09"


def test_tiingo_adjusts_for_splits_and_dividends_beside_it(client: httpx.Client) -> None:
    """The newest day is as traded; before the split a tenth, and a little less for each dividend."""
    rows = _days(client, "NVDA", "2024-06-05", "2024-06-28")
    newest, before = rows["2024-06-28"], rows["2024-06-07"]
    assert newest["adjClose"] == newest["close"]
    assert abs(before["adjClose"] * 10 - before["close"]) < Decimal("0.001")
    assert before["adjVolume"] == before["volume"] * 10
    older = _days(client, "NVDA", "2021-01-04", "2021-01-04")["2021-01-04"]
    assert older["adjClose"] * 40 < older["close"]


def test_tiingo_leaves_days_without_trades_out(client: httpx.Client) -> None:
    """HALT did not trade on the 13th and 14th of March 2024."""
    assert list(_days(client, "HALT", "2024-03-11", "2024-03-15")) == [
        "2024-03-11",
        "2024-03-12",
        "2024-03-15",
    ]


def test_tiingo_has_only_the_newest_day_without_a_start(client: httpx.Client) -> None:
    """As recorded."""
    (row,) = _get(client, "/tiingo/daily/XYZ/prices")
    assert row["date"][:10] == "2024-06-28"


@pytest.mark.parametrize(("clock", "last"), [((21, 29), "2024-06-27"), ((21, 30), "2024-06-28")])
def test_tiingos_day_is_out_at_half_past_five(clock: tuple[int, int], last: str) -> None:
    """In New York, an hour and a half after the close."""
    market = Market.synthetic(seed=7, now=dt.datetime(2024, 6, 28, *clock, tzinfo=dt.UTC))
    with SandboxServer(market=market) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        assert list(_days(client, "XYZ", "2024-06-24", "2024-06-28"))[-1] == last
        assert _get(client, "/tiingo/daily/XYZ")["endDate"] == last


def test_tiingos_minutes_are_iexs_part_of_the_volume(client: httpx.Client, bars: Ask) -> None:
    """Prices of the market, a few per cent of its shares, only where ``columns`` names them."""
    span = {"startDate": "2024-06-27", "endDate": "2024-06-27", "columns": "open,close,volume"}
    rows = _get(client, "/iex/XYZ/prices", **span)
    assert list(rows[0]) == ["date", "open", "close", "volume"]
    theirs = bars("XYZ", "2024-06-27", "2024-06-27", "1Min", limit=10_000).json()["bars"]["XYZ"]
    assert [float(row["close"]) for row in rows] == [bar["c"] for bar in theirs]
    assert all(0 < row["volume"] < max(bar["v"], 2) for row, bar in zip(rows, theirs, strict=True))


def test_tiingos_minutes_are_the_newest_two_thousand(client: httpx.Client) -> None:
    """Older ones of the range are left out without a word."""
    rows = _get(client, "/iex/XYZ/prices", startDate="2024-06-20", endDate="2024-06-28")
    assert len(rows) == 2000
    assert rows[-1]["date"].startswith("2024-06-28T19:59")
    assert rows[0]["date"].startswith("2024-06-21")


@pytest.mark.parametrize(
    ("headers", "params", "status"),
    [
        pytest.param({}, {}, 401, id="no token"),
        pytest.param({"Authorization": "Token bad-token"}, {}, 401, id="a bad token"),
        pytest.param({"Authorization": "Bearer token"}, {}, 401, id="another scheme"),
        pytest.param(TOKEN, {}, 200, id="any token"),
        pytest.param({}, {"token": "token"}, 200, id="in the query"),
    ],
)
def test_tiingo_wants_its_token(
    client: httpx.Client, headers: dict[str, str], params: Params, status: int
) -> None:
    """A header or a parameter; the message does not repeat it."""
    answer = client.get("/tiingo/tiingo/daily/XYZ/prices", params={**JUNE, **params}, headers=headers)
    assert answer.status_code == status
    assert "bad-token" not in answer.text
    if status == 401:
        assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize("path", ["/tiingo/daily/{}/prices", "/tiingo/daily/{}", "/iex/{}/prices"])
@pytest.mark.parametrize("ticker", ["ZZTOP", "BRK.B", "FB"])
def test_tiingo_does_not_know(client: httpx.Client, path: str, ticker: str) -> None:
    """Unknown, spelled with a dot, or renamed: 404 with the quoted sentence."""
    answer = client.get(f"/tiingo{path.format(ticker)}", headers=TOKEN)
    assert answer.status_code == 404
    assert answer.json() == {"detail": f"Error: Ticker '{ticker}' not found"}


def test_tiingo_reads_lower_case(client: httpx.Client) -> None:
    """Tickers in any case."""
    assert len(_days(client, "brk-b", "2024-06-24", "2024-06-28")) == 5


@pytest.mark.parametrize("params", [{"startDate": "then"}, {"resampleFreq": "weekly"}])
def test_tiingo_refuses(client: httpx.Client, params: Params) -> None:
    """Bad parameters are a 400 with a detail."""
    answer = client.get("/tiingo/tiingo/daily/XYZ/prices", params=params, headers=TOKEN)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("Error: ")


def test_tiingo_has_no_other_endpoint(client: httpx.Client) -> None:
    """A detail, as everywhere."""
    answer = client.get("/tiingo/tiingo/anything", headers=TOKEN)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize(("kind", "status"), [("status", 429), ("error200", 200)])
def test_tiingos_notices_are_details(client: httpx.Client, fault: Any, kind: str, status: int) -> None:
    """A 429, and the hour's allocation under a status of 200."""
    fault("tiingo", kind, times=1)
    answer = client.get("/tiingo/tiingo/daily/XYZ/prices", headers=TOKEN)
    assert answer.status_code == status
    assert ("hourly" in answer.json()["detail"]) is (status == 200)
