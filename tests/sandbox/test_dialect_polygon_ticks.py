"""Polygon's trades and quotes in the sandbox: recorded shape, order, pages, and the market behind them."""

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

KEY = {"Authorization": "Bearer key"}
MOCKS = "polygon/client-python-mocks/v3"
DAY = dt.date(2024, 6, 27)
ALL: dict[str, Any] = {"timestamp": DAY.isoformat(), "order": "asc", "limit": 50_000}


def _get(client: httpx.Client, kind: str, ticker: str = "THIN", **params: Any) -> dict[str, Any]:
    answer = client.get(f"/polygon/v3/{kind}/{ticker}", params=params or ALL, headers=KEY)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)
    return found


def test_polygons_trades_have_recorded_keys(client: httpx.Client, payloads: Path) -> None:
    """All of them are recorded ones; those that are always there are always there."""
    theirs = json.loads((payloads / MOCKS / "trades" / "AAPL&limit=2.json").read_text())["results"][0]
    rows = _get(client, "trades")["results"]
    assert {key for row in rows for key in row} | {"correction"} == set(theirs)
    always = {"exchange", "id", "participant_timestamp", "price", "sequence_number", "sip_timestamp"}
    assert all(always <= set(row) for row in rows)
    assert isinstance(rows[0]["id"], str)


def test_polygons_quotes_have_recorded_keys(client: httpx.Client, payloads: Path) -> None:
    """And conditions, which the vendor's document shows."""
    theirs = json.loads((payloads / MOCKS / "quotes" / "AAPL.json").read_text())["results"][0]
    assert set(_get(client, "quotes")["results"][0]) == set(theirs) | {"conditions"}


def test_polygons_trades_add_up_to_the_day(client: httpx.Client, market: Market) -> None:
    """First and last price, volume and count of the daily bar."""
    rows = _get(client, "trades")["results"]
    (bar,) = market.daily("THIN", DAY, DAY)
    assert (rows[0]["price"], rows[-1]["price"]) == (bar.open, bar.close)
    assert sum(row["size"] for row in rows) == bar.volume
    assert len(rows) == bar.trade_count


def test_polygons_ids_are_unique_per_exchange_and_trf(client: httpx.Client) -> None:
    """FINRA's trades, and only they, carry the facility."""
    rows = _get(client, "trades")["results"]
    keys = {(row["exchange"], row.get("trf_id"), row["id"]) for row in rows}
    assert len(keys) == len(rows)
    assert all((row["exchange"] == 4) is ("trf_id" in row) for row in rows)
    assert {row.get("trf_id") for row in rows} >= {None, 201, 202}


def test_polygon_tells_the_newest_first_unless_asked(client: httpx.Client) -> None:
    """A thousand of them; ``order=asc`` turns it around."""
    newest = _get(client, "trades", timestamp=DAY.isoformat())["results"]
    oldest = _get(client, "trades", **ALL)["results"]
    stamps = [row["sip_timestamp"] for row in newest]
    assert stamps == sorted(stamps, reverse=True)
    assert [row["id"] for row in newest] == [row["id"] for row in oldest[::-1]][:1000]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("kind", ["trades", "quotes"])
def test_polygons_ticks_are_paged(client: httpx.Client, kind: str, order: str) -> None:
    """Following ``next_url`` gives each once, over sessions too."""
    span: dict[str, Any] = {"timestamp.gte": "2024-06-26", "timestamp.lte": "2024-06-27", "order": order}
    whole = _get(client, kind, **span, limit=50_000)["results"]
    size = len(whole) // 3 + 1
    found: list[Any] = []
    page = _get(client, kind, **span, limit=size)
    while True:
        found += page["results"]
        if "next_url" not in page:
            break
        page = json.loads(client.get(page["next_url"], headers=KEY).text, parse_float=Decimal)
    assert found == whole
    assert len({row["sip_timestamp"] // (86_400 * 10**9) for row in whole}) == 2


def test_polygons_bounds_are_nanoseconds_or_dates(client: httpx.Client) -> None:
    """``gte`` and ``lte`` include, ``gt`` and ``lt`` do not."""
    stamps = [row["sip_timestamp"] for row in _get(client, "trades")["results"]]
    low, high = stamps[3], stamps[-4]
    for first, last, open_ in (("gte", "lte", 0), ("gt", "lt", 1)):
        bounds = {f"timestamp.{first}": low, f"timestamp.{last}": high}
        found = _get(client, "trades", **bounds, order="asc", limit=50_000)["results"]
        assert [row["sip_timestamp"] for row in found] == [
            t for t in stamps if low + open_ <= t <= high - open_
        ]


def test_polygons_sizes_are_round_lots_until_november_2025() -> None:
    """Friday's are lots, Monday's are shares: of one market, a hundred times as much."""
    market = Market.synthetic(seed=7, now=dt.datetime(2025, 11, 4, 22, tzinfo=dt.UTC))
    with SandboxServer(market=market) as server, httpx.Client(base_url=server.url, timeout=20) as client:
        sizes = {}
        for day in ("2025-10-31", "2025-11-03"):
            rows = _get(client, "quotes", timestamp=day, limit=50_000)["results"]
            sizes[day] = [row["bid_size"] for row in rows if row["bid_price"]]
    assert min(sizes["2025-10-31"]) == 1
    assert min(sizes["2025-11-03"]) == 100


def test_polygons_missing_side_is_zero(client: httpx.Client) -> None:
    """Price, size and exchange."""
    rows = _get(client, "quotes", "XYZ")["results"]
    alone = [row for row in rows if row["ask_price"] == 0]
    assert alone
    assert all((row["ask_size"], row["ask_exchange"]) == (0, 0) for row in alone)


def test_polygons_canceled_trades_stay(client: httpx.Client, market: Market) -> None:
    """With a correction of 8, and counted in the day's volume like the others."""
    (bar,) = market.daily("XYZ", DAY, DAY)
    rows = _get(client, "trades", "XYZ", **ALL)["results"]
    page = _get(client, "trades", "XYZ", timestamp=DAY.isoformat(), order="desc", limit=50_000)["results"]
    codes = {row.get("correction") for row in [*rows, *page]}
    assert codes == {None, 8}
    assert len(rows) == min(bar.trade_count, 50_000)


def test_polygon_has_no_ticks_of_a_ticker_it_does_not_know(client: httpx.Client) -> None:
    """An empty list."""
    assert _get(client, "trades", "ZZTOP")["results"] == []


@pytest.mark.parametrize(
    "params", [{"limit": 50_001}, {"order": "up"}, {"timestamp": "then"}, {"cursor": "!"}]
)
def test_polygon_refuses_bad_questions_about_ticks(client: httpx.Client, params: dict[str, Any]) -> None:
    """With a 400 and a message."""
    answer = client.get("/polygon/v3/trades/THIN", params=params, headers=KEY)
    assert answer.status_code == 400
    assert answer.json()["status"] == "ERROR"
