"""Alpaca's dialect against its vendor's manners."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import KEYS, Ask, Params


def test_alpaca_daily_bars_carry_new_yorks_midnight(bars: Ask) -> None:
    """05:00Z in winter, 04:00Z in summer."""
    found = bars("XYZ", "2024-03-08", "2024-03-11").json()["bars"]["XYZ"]
    assert [bar["t"] for bar in found] == ["2024-03-08T05:00:00Z", "2024-03-11T04:00:00Z"]


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        pytest.param("2024-06-26T04:00:00Z", "2024-06-27T04:00:00Z", 2, id="both instants included"),
        pytest.param("2024-06-26T04:00:01Z", "2024-06-27T03:59:59Z", 0, id="just inside"),
        pytest.param("2024-06-26", "2024-06-27", 2, id="dates"),
        pytest.param("2024-06-26T00:00:00-04:00", "2024-06-26T00:00:00-04:00", 1, id="offset"),
    ],
)
def test_alpaca_ends_are_inclusive(bars: Ask, start: str, end: str, count: int) -> None:
    """A bar at exactly start or end is in the answer."""
    assert len(bars("XYZ", start, end).json()["bars"].get("XYZ", [])) == count


def test_alpaca_pages_by_symbol_then_time(bars: Ask) -> None:
    """``limit`` is for the page; following tokens gives each bar once, in order."""
    asked: Params = {"symbols": "XYZ,AAPL,MSFT", "start": "2024-06-03", "end": "2024-06-28", "limit": 7}
    seen: list[tuple[str, str]] = []
    pages, token = 0, None
    while True:
        body = bars(**asked, **({"page_token": token} if token else {})).json()
        page = [(symbol, bar["t"]) for symbol, rows in body["bars"].items() for bar in rows]
        assert len(page) <= 7
        seen += page
        pages, token = pages + 1, body["next_page_token"]
        if token is None:
            break
        assert base64.b64decode(token).decode().startswith(f"{page[-1][0]}|D|{page[-1][1][:19]}")
    whole = bars("XYZ,AAPL,MSFT", "2024-06-03", "2024-06-28").json()["bars"]
    assert seen == [(symbol, bar["t"]) for symbol in sorted(whole) for bar in whole[symbol]]
    assert (len(seen), pages) == (57, 9)


def test_alpaca_sorts_descending_when_asked(bars: Ask) -> None:
    """``sort=desc`` reverses time inside a symbol, also over pages."""
    asked: Params = {"symbols": "XYZ", "start": "2024-06-24", "end": "2024-06-28", "limit": 3, "sort": "desc"}
    first = bars(**asked).json()
    second = bars(**asked, page_token=first["next_page_token"]).json()
    days = [bar["t"][8:10] for page in (first, second) for bar in page["bars"]["XYZ"]]
    assert days == ["28", "27", "26", "25", "24"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="no keys"),
        pytest.param({"APCA-API-KEY-ID": "key"}, 401, id="no secret"),
        pytest.param({"APCA-API-KEY-ID": "", "APCA-API-SECRET-KEY": "x"}, 401, id="empty key"),
        pytest.param(KEYS, 200, id="any keys"),
    ],
)
def test_alpaca_wants_its_keys(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    """Without both headers nothing is told."""
    params: Params = {"symbols": "XYZ", "timeframe": "1Day", "start": "2024-06-24", "end": "2024-06-24"}
    answer = client.get("/alpaca/v2/stocks/bars", params=params, headers=headers)
    assert answer.status_code == status
    assert ("message" in answer.json()) is (status != 200)


def test_alpaca_checks_keys_where_some_are_set(market: Market) -> None:
    """With keys configured a wrong pair is a 403."""
    with SandboxServer(market=market, alpaca_keys={"key": "other"}) as server:
        params: Params = {"symbols": "XYZ", "timeframe": "1Day", "start": "2024-06-24", "end": "2024-06-24"}
        for secret, status in (("secret", 403), ("other", 200)):
            headers = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": secret}
            answer = httpx.get(f"{server.url}/alpaca/v2/stocks/bars", params=params, headers=headers)
            assert answer.status_code == status


def test_alpaca_leaves_unknown_symbols_out(bars: Ask) -> None:
    """An unknown symbol beside a known one is absent; alone, the answer is empty."""
    assert list(bars("XYZ,ZZTOP", "2024-06-24", "2024-06-24").json()["bars"]) == ["XYZ"]
    assert bars("ZZTOP", "2024-06-24", "2024-06-24").json() == {"bars": {}, "next_page_token": None}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        pytest.param({"symbols": "xyz!"}, "invalid symbol", id="symbol"),
        pytest.param({"symbols": ""}, "symbols is required", id="no symbols"),
        pytest.param({"timeframe": "1Fortnight"}, "invalid timeframe", id="timeframe"),
        pytest.param({"limit": "0"}, "limit", id="limit 0"),
        pytest.param({"limit": "10001"}, "limit", id="limit too large"),
        pytest.param({"start": "yesterday"}, "RFC3339", id="start"),
        pytest.param({"start": "2024-06-24T00:00:00"}, "RFC3339", id="naive start"),
        pytest.param({"end": "2024-06-01"}, "before start", id="reversed"),
        pytest.param({"adjustment": "none"}, "invalid adjustment", id="adjustment"),
        pytest.param({"page_token": "!"}, "invalid page token", id="token"),
        pytest.param({"asof": "then"}, "invalid asof", id="asof"),
    ],
)
def test_alpaca_refuses(client: httpx.Client, params: Params, words: str) -> None:
    """Bad parameters are a 400 with a message and the rate-limit headers."""
    asked: Params = {"symbols": "XYZ", "timeframe": "1Day", "start": "2024-06-24", "end": "2024-06-25"}
    answer = client.get("/alpaca/v2/stocks/bars", params=asked | params, headers=KEYS)
    assert answer.status_code == 400
    assert words in answer.json()["message"]
    assert int(answer.headers["x-ratelimit-limit"]) > 0


@pytest.mark.parametrize(
    ("symbol", "asof", "days"),
    [
        pytest.param("META", "", 4, id="META with its history"),
        pytest.param("META", "-", 2, id="META without mapping"),
        pytest.param("FB", "", 2, id="FB today"),
        pytest.param("FB", "2022-06-01", 4, id="FB as of then"),
        pytest.param("META", "2022-06-01", 2, id="META before there was one"),
        pytest.param("FB", "-", 2, id="FB without mapping"),
    ],
)
def test_alpaca_maps_renamed_symbols_by_asof(bars: Ask, symbol: str, asof: str, days: int) -> None:
    """FB became META on 2022-06-09; ``asof`` says whose name is meant."""
    found = bars(symbol, "2022-06-07", "2022-06-10", **({"asof": asof} if asof else {})).json()["bars"]
    assert len(found.get(symbol, [])) == days


def test_alpaca_tells_corporate_actions(client: httpx.Client) -> None:
    """Splits by their ex-date, dividends by the day they are paid, name changes; paged."""
    asked: Params = {"symbols": "NVDA,META,GE", "start": "2021-07-01", "end": "2022-06-30", "limit": 4}
    found: dict[str, list[dict[str, Any]]] = {}
    token: str | None = ""
    while token is not None:
        page = asked | ({"page_token": token} if token else {})
        body = client.get("/alpaca/v1/corporate-actions", params=page, headers=KEYS).json()
        for group, actions in body["corporate_actions"].items():
            found.setdefault(group, []).extend(actions)
        token = body["next_page_token"]
    split = found["forward_splits"][0]
    assert (split["symbol"], split["ex_date"], split["new_rate"], split["old_rate"]) == (
        "NVDA",
        "2021-07-20",
        4,
        1,
    )
    assert (found["reverse_splits"][0]["new_rate"], found["reverse_splits"][0]["old_rate"]) == (1, 8)
    assert (found["name_changes"][0]["old_symbol"], found["name_changes"][0]["new_symbol"]) == ("FB", "META")
    paid = [d for d in found["cash_dividends"] if d["symbol"] == "NVDA"]
    assert [d["ex_date"] for d in paid] == ["2021-08-09", "2021-11-09", "2022-02-09", "2022-05-09"]
    assert all(d["process_date"] > d["ex_date"] for d in paid)
    ids = [action["id"] for actions in found.values() for action in actions]
    assert len(ids) == len(set(ids))
