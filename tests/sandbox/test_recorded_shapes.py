"""The sandbox's answers have the keys, types and texts of the vendors' recorded ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandbox.asking import KEYS, Ask


def shape(value: Any) -> Any:
    """Nested key and type structure; a list is the set of its elements' shapes, numbers are one kind."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape(inner), sort_keys=True) for inner in value})
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


def recorded_chart(payloads: Path, symbol: str, kind: str) -> dict[str, Any]:
    """The recorded year of a symbol."""
    name = f"historical-via-chart-{symbol}-{kind}-2021-02-01-to-2022-01-31.csv.json"
    body = json.loads((payloads / "yahoo/yahoo-finance2" / name).read_text())
    found: dict[str, Any] = body["response"]["bodyJson"]
    return found


@pytest.mark.parametrize(
    ("symbol", "kind", "events"),
    [
        pytest.param("NVDA", "split", "split", id="split"),
        pytest.param("MSFT", "dividends", "div", id="dividends"),
    ],
)
def test_a_chart_has_the_recorded_structure(
    payloads: Path, chart: Ask, symbol: str, kind: str, events: str
) -> None:
    """Same keys and kinds at every level; event keys are stamps and compared as such."""
    ours = chart(symbol, "2021-02-01", "2022-01-31", events=events).json()
    theirs = recorded_chart(payloads, symbol, kind)
    for body in (ours, theirs):
        told = body["chart"]["result"][0]["events"]
        for group, by_stamp in told.items():
            assert all(re.fullmatch(r"\d{10}", stamp) for stamp in by_stamp)
            told[group] = list(by_stamp.values())
    assert shape(ours) == shape(theirs)
    assert len(ours["chart"]["result"][0]["timestamp"]) == 252


def test_a_charts_stamps_are_the_recorded_ones(payloads: Path, chart: Ask) -> None:
    """The 252 sessions of the recording, at the same opens, and the split at the same stamp."""
    ours = chart("NVDA", "2021-02-01", "2022-01-31", events="split").json()["chart"]["result"][0]
    theirs = recorded_chart(payloads, "NVDA", "split")["chart"]["result"][0]
    assert ours["timestamp"] == theirs["timestamp"]
    assert ours["events"]["splits"] == theirs["events"]["splits"]


def test_chart_prices_are_widened_singles(payloads: Path, chart: Ask) -> None:
    """Recorded and served prices alike survive a trip through float32, and need it."""
    import numpy as np

    ours = chart("NVDA", "2021-02-01", "2022-01-31").json()
    for body in (ours, recorded_chart(payloads, "NVDA", "split")):
        closes = body["chart"]["result"][0]["indicators"]["quote"][0]["close"]
        assert [float(np.float32(value)) for value in closes] == closes
        assert any(len(repr(value)) > 12 for value in closes)


def test_a_csv_has_the_recorded_structure(payloads: Path, csv: Ask) -> None:
    """Same header, CRLF, ISO dates, plain decimals; some volumes are fractional."""
    recorded = (payloads / "stooq/wegar-2/tsm_us_d.csv").read_bytes().decode()
    served = csv("msft.us", "2024-01-02", "2024-06-28").text
    row = re.compile(r"\d{4}-\d{2}-\d{2}(,\d+(\.\d+)?){5}")
    for text in (recorded, served):
        lines = text.split("\r\n")
        assert lines[0] == "Date,Open,High,Low,Close,Volume"
        assert lines[-1] == ""
        assert all(row.fullmatch(line) for line in lines[1:-1])
        assert any("." in line.rsplit(",", 1)[1] for line in lines[1:-1])


@pytest.mark.parametrize(
    "name",
    [
        "alpaca-trade-api-go/rest_test__TestGetMultiBars__1.json",
        "alpaca-trade-api-go/rest_test__TestGetBars_Asof__1.json",
        "alpaca-py/test_historical_stock_data__test_multisymbol_get_bars.json",
    ],
)
def test_a_page_of_bars_has_the_recorded_structure(payloads: Path, bars: Ask, name: str) -> None:
    """Bars by symbol with the recorded keys, and a token of the recorded type."""
    theirs = json.loads((payloads / "alpaca" / name).read_text())
    token = theirs["next_page_token"]
    symbols = ",".join(theirs["bars"])
    ours = bars(symbols, "2024-06-03", "2024-06-05", limit=1 if token else 1000).json()
    assert list(ours) == list(theirs)
    assert shape(next(iter(ours["bars"].values()))) == shape(next(iter(theirs["bars"].values())))
    assert type(ours["next_page_token"]) is type(token)
    stamps = [bar["t"] for body in (ours, theirs) for rows in body["bars"].values() for bar in rows]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT0[45]:00:00Z", stamp) for stamp in stamps)


@pytest.mark.parametrize(
    ("group", "symbol"), [("forward_splits", "NVDA"), ("reverse_splits", "GE"), ("cash_dividends", "MSFT")]
)
def test_corporate_actions_use_recorded_keys(
    payloads: Path, client: httpx.Client, group: str, symbol: str
) -> None:
    """No key that the vendor's samples lack, and none missing that its document requires."""
    recorded: dict[str, Any] = {}
    for name in ("", "__1"):
        file = payloads / f"alpaca/alpaca-py/test_corporate_actions__test_get_corporate_actions{name}.json"
        recorded |= json.loads(file.read_text())["corporate_actions"]
    asked = {"symbols": symbol, "start": "2020-01-01", "end": "2024-06-28"}
    told = client.get("/alpaca/v1/corporate-actions", params=asked, headers=KEYS).json()["corporate_actions"]
    ours, theirs = shape(told[group][0]), shape(recorded[group][0])
    assert {name: kind for name, kind in theirs.items() if name in ours} == ours
    document = json.loads((payloads / "alpaca/spec/market-data-api.openapi.json").read_text())
    assert set(document["components"]["schemas"][group.removesuffix("s")]["required"]) <= set(ours)


def test_quoted_error_bodies_are_the_ones_served(payloads: Path, client: httpx.Client) -> None:
    """What was seen live for rate limits and hidden errors is what the faults answer."""
    lines = (payloads / "_quoted/error_bodies.ndjson").read_text().splitlines()
    quoted = [json.loads(line) for line in lines]
    bodies = {(q["provider"], q["http_status"], json.dumps(q["body"])) for q in quoted}
    for provider, kind, status in (
        ("yahoo", "status", 429),
        ("alpaca", "status", 429),
        ("stooq", "error200", 200),
    ):
        client.post("/_sandbox/faults", json={"provider": provider, "kind": kind})
        answer = client.get(f"/{provider}/anything")
        assert (provider, status, json.dumps(answer.text)) in bodies
        assert answer.status_code == status
