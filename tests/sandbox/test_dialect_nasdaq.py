"""Nasdaq Data Link's dialect against its vendor's manners."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from mdc_resources.sandbox.market import Market
from tests.sandbox.asking import Ask, Fault, raw_bars

KEY = {"X-Api-Token": "key"}
Get = Callable[..., httpx.Response]


@pytest.fixture
def series(client: httpx.Client) -> Get:
    """Ask for a series with a good key."""

    def ask(path: str, start: str = "", end: str = "", **more: str) -> httpx.Response:
        params = {"start_date": start, "end_date": end, **more}
        return client.get(f"/nasdaq/api/v3/datasets/{path}.json", params=params, headers=KEY)

    return ask


def dataset(answer: httpx.Response) -> dict[str, Any]:
    """The one object, numbers as decimals."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)["dataset"]
    return found


def column(found: dict[str, Any], name: str) -> dict[str, Any]:
    """One column by date."""
    at = found["column_names"].index(name)
    return {row[0]: row[at] for row in found["data"]}


def test_a_series_has_the_recorded_structure(series: Get, payloads: Path) -> None:
    """The same keys, the same columns, dates as text and everything else as floats."""
    folder = payloads / "nasdaq_data_link" / "beanprice"
    theirs = json.loads((folder / "_test_valid_response.json").read_text())["dataset"]
    ours = series("WIKI/GOOGL", "2018-03-27", "2018-03-27").json()["dataset"]
    assert set(ours) == set(theirs)
    assert ours["column_names"] == theirs["column_names"]
    for found in (ours, theirs):
        (row,) = found["data"]
        assert [type(cell) for cell in row] == [str, *[float] * 12]
    assert [ours[key] for key in ("database_code", "dataset_code", "newest_available_date")] == [
        theirs[key] for key in ("database_code", "dataset_code", "newest_available_date")
    ]


def test_newest_first_unless_asked_otherwise(series: Get) -> None:
    """Both dates are inclusive."""
    days = ["2018-03-19", "2018-03-20", "2018-03-21"]
    assert list(column(dataset(series("WIKI/XYZ", days[0], days[-1])), "Close")) == days[::-1]
    assert list(column(dataset(series("WIKI/XYZ", days[0], days[-1], order="asc")), "Close")) == days
    assert list(column(dataset(series("WIKI/XYZ", limit="1")), "Close")) == ["2018-03-27"]


def test_raw_columns_are_as_traded(series: Get, bars: Ask) -> None:
    """Equal to the tape, volume with a decimal point; nothing to do with later splits."""
    found = dataset(series("WIKI/AAPL", "2018-03-19", "2018-03-23", order="asc"))
    raw = raw_bars(bars("AAPL", "2018-03-19", "2018-03-23"), "AAPL")
    assert column(found, "Close") == {day: bar["c"] for day, bar in raw.items()}
    assert column(found, "Volume") == {day: bar["v"] for day, bar in raw.items()}


def test_adjusted_columns_stand_beside_them(series: Get) -> None:
    """Over the 4:1 split of 2020 and all dividends since."""
    found = dataset(series("WIKI/AAPL", "2018-03-19", "2018-03-23"))
    raw, adjusted = column(found, "Close"), column(found, "Adj. Close")
    assert all(0.2 < adjusted[day] / raw[day] < 0.25 for day in raw)
    volumes = column(found, "Adj. Volume")
    assert all(volumes[day] == 4 * volume for day, volume in column(found, "Volume").items())


def test_facts_stand_on_their_ex_dates(series: Get, market: Market) -> None:
    """Ratio and amount on the day, 1 and 0 on all others."""
    found = dataset(series("EOD/NVDA", "2021-05-03", "2021-08-31", order="asc"))
    splits = {day: ratio for day, ratio in column(found, "Split").items() if ratio != 1}
    paid = {day: amount for day, amount in column(found, "Dividend").items() if amount}
    assert splits == {"2021-07-20": 4}
    told = {d.ex_date.isoformat(): d.amount for d in market.known_dividends("NVDA")}
    assert paid == {day: told[day] for day in ("2021-05-10", "2021-08-09")}


def test_wiki_has_ended_and_eod_goes_on(series: Get) -> None:
    """The last day of WIKI is 2018-03-27."""
    assert list(column(dataset(series("WIKI/XYZ", "2018-03-26", "2018-04-02")), "Close")) == [
        "2018-03-27",
        "2018-03-26",
    ]
    assert dataset(series("WIKI/XYZ", "2024-06-03", "2024-06-07"))["data"] == []
    assert len(dataset(series("EOD/XYZ", "2024-06-03", "2024-06-07"))["data"]) == 5


def test_eod_names_its_columns_otherwise(series: Get) -> None:
    """Underscores, and shorter names of facts."""
    names = dataset(series("EOD/XYZ", "2024-06-03", "2024-06-03"))["column_names"]
    assert names[5:9] == ["Volume", "Dividend", "Split", "Adj_Open"]


def test_class_shares_are_spelled_with_an_underscore(series: Get, bars: Ask) -> None:
    """BRK_B is BRK.B of others."""
    found = dataset(series("EOD/BRK_B", "2024-06-03", "2024-06-03"))
    raw = raw_bars(bars("BRK.B", "2024-06-03", "2024-06-03"), "BRK.B")
    assert found["dataset_code"] == "BRK_B"
    assert column(found, "Close") == {day: bar["c"] for day, bar in raw.items()}


def test_metadata_has_no_data(series: Get, payloads: Path) -> None:
    """All that a series says of itself."""
    found = dataset(series("WIKI/GOOGL/metadata"))
    folder = payloads / "nasdaq_data_link" / "beanprice"
    theirs = json.loads((folder / "_test_valid_response.json").read_text())["dataset"]
    assert "data" not in found
    assert set(found) <= set(theirs)
    assert found["name"].endswith("(GOOGL) Prices, Dividends, Splits and Trading Volume")


@pytest.mark.parametrize(
    ("path", "key", "status", "code"),
    [
        ("WIKI/XYZ", "", 400, "QEAx01"),
        ("WIKI/XYZ", "bad-key", 400, "QEAx01"),
        ("WIKI/ZZTOP", "key", 404, "QECx02"),
        ("WIKI/FB", "key", 404, "QECx02"),
        ("NONE/XYZ", "key", 404, "QECx02"),
        ("WIKI", "key", 404, "QECx02"),
        ("EOD/XYZ", "free-key", 403, "QEPx04"),
        ("WIKI/XYZ?start_date=soon", "key", 422, "QESx04"),
        ("WIKI/XYZ?order=up", "key", 422, "QESx04"),
    ],
)
def test_errors_have_codes(client: httpx.Client, path: str, key: str, status: int, code: str) -> None:
    """``quandl_error`` with a code and a message."""
    answer = client.get(f"/nasdaq/api/v3/datasets/{path}", headers={"X-Api-Token": key})
    error = answer.json()["quandl_error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert set(error) == {"code", "message"}


def test_refusals_are_the_recorded_ones(client: httpx.Client, payloads: Path) -> None:
    """Word for word where a body was recorded."""
    folder = payloads / "nasdaq_data_link" / "beanprice"
    theirs = json.loads((folder / "test_error_subscription.json").read_text())
    answer = client.get("/nasdaq/api/v3/datasets/EOD/XYZ.json", headers={"X-Api-Token": "free-key"})
    assert answer.json() == theirs


def test_a_key_in_the_url_is_accepted_too(client: httpx.Client) -> None:
    """``api_key``, as the documentation has it."""
    answer = client.get("/nasdaq/api/v3/datasets/WIKI/XYZ.json", params={"api_key": "key", "limit": "1"})
    assert len(dataset(answer)["data"]) == 1


def test_faults_look_like_the_vendors(series: Get, fault: Fault) -> None:
    """Ten minutes with status 429, the day with 200, another code in the answer."""
    fault("nasdaq", "status", params={"status": 429})
    limited = series("WIKI/XYZ", "2018-03-26", "2018-03-27")
    assert (limited.status_code, limited.json()["quandl_error"]["code"]) == (429, "QELx04")
    fault("nasdaq", "error200")
    assert series("WIKI/XYZ").json()["quandl_error"]["code"] == "QELx02"
    fault("nasdaq", "wrong_symbol", params={"symbol": "OTHER"})
    assert dataset(series("WIKI/XYZ", "2018-03-26", "2018-03-27"))["dataset_code"] == "OTHER"
    fault("nasdaq", "extra_field")
    found = dataset(series("WIKI/XYZ", "2018-03-27", "2018-03-27"))
    assert (found["column_names"][-1], len(found["data"][0])) == ("zz", 14)


def test_a_halted_session_has_no_row(series: Get) -> None:
    """No trades, no row."""
    found = dataset(series("EOD/HALT", "2024-03-12", "2024-03-15", order="asc"))
    assert list(column(found, "Close")) == ["2024-03-12", "2024-03-15"]
