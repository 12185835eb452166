"""What was streamed is what history answers: the same trades, field by field, at every vendor with both."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import KEYS
from tests.sandbox.listening import RATE, subscribed, trade_ids, trades


@pytest.fixture(scope="module")
def taped() -> Iterator[SandboxServer]:
    """A server whose history shows its live tape."""
    with SandboxServer(market=Market.synthetic(seed=7), live_rate=RATE) as server:
        yield server


@pytest.fixture
def history(taped: SandboxServer) -> Iterator[httpx.Client]:
    """A plain HTTP client of the same server."""
    with httpx.Client(base_url=taped.url, timeout=20) as client:
        yield client


def read(answer: httpx.Response) -> Any:
    """A JSON body with exact numbers."""
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_float=Decimal)


def heard(server: SandboxServer, feed: str) -> tuple[list[Any], list[dict[str, Any]]]:
    """Two seconds of a feed, and the trades in it."""
    with subscribed(server, feed) as listener:
        frames = listener.collect(2.0)
    found = trades(feed, frames)
    assert len(found) > RATE
    return frames, found


def test_alpaca(taped: SandboxServer, history: httpx.Client) -> None:
    """Trades and quotes by time: ids, instants, prices, sizes, exchanges and conditions."""
    frames, streamed = heard(taped, "alpaca")
    quotes = [one for frame in frames for one in frame if one["T"] == "q"]
    for kind, sent in (
        ("trades", [one for frame in frames for one in frame if one["T"] == "t"]),
        ("quotes", quotes),
    ):
        asked = {"symbols": "AAPL", "start": sent[0]["t"], "end": sent[-1]["t"]}
        told = read(history.get(f"/alpaca/v2/stocks/{kind}", params=asked, headers=KEYS))
        assert told["next_page_token"] is None
        assert told[kind]["AAPL"] == [{k: v for k, v in one.items() if k not in "TS"} for one in sent]
    assert trade_ids("alpaca", frames) == [trade["id"] for trade in streamed]


def test_alpaca_in_pages(taped: SandboxServer, history: httpx.Client) -> None:
    """Pages of an hour that has not ended: every trade once, ids without a gap."""
    now = dt.datetime.now(dt.UTC)
    asked: dict[str, str | int] = {
        "symbols": "MSFT",
        "start": (now - dt.timedelta(minutes=75)).isoformat(),
        "end": now.isoformat(),
        "limit": 10_000,
    }
    ids: list[int] = []
    while True:
        told = read(history.get("/alpaca/v2/stocks/trades", params=asked, headers=KEYS))
        ids += [trade["i"] for trade in told["trades"].get("MSFT", [])]
        if told["next_page_token"] is None:
            break
        asked["page_token"] = told["next_page_token"]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert abs(len(ids) - 75 * 60 * RATE) < 5 * RATE


def test_polygon(taped: SandboxServer, history: httpx.Client) -> None:
    """History has nanoseconds where the stream has milliseconds; all else is equal."""
    _, streamed = heard(taped, "polygon")
    span = {"timestamp.gte": streamed[0]["time"] * 10**6, "timestamp.lt": (streamed[-1]["time"] + 1) * 10**6}
    params = span | {"order": "asc", "limit": 50_000, "apiKey": "key"}
    told = read(history.get("/polygon/v3/trades/AAPL", params=params))["results"]
    assert [
        {
            "id": int(one["id"]),
            "time": one["sip_timestamp"] // 10**6,
            "price": one["price"],
            "size": one["size"],
            "more": (one["exchange"], one.get("conditions", []), one["sequence_number"], one.get("trf_id")),
        }
        for one in told
    ] == streamed


def test_polygon_quotes(taped: SandboxServer, history: httpx.Client) -> None:
    """Sequence numbers, sides and sizes of quotes agree."""
    frames, _ = heard(taped, "polygon")
    sent = [one for frame in frames for one in frame if one["ev"] == "Q"]
    span = {"timestamp.gte": sent[0]["t"] * 10**6, "timestamp.lt": (sent[-1]["t"] + 1) * 10**6}
    params = span | {"order": "asc", "limit": 50_000, "apiKey": "key"}
    told = read(history.get("/polygon/v3/quotes/AAPL", params=params))["results"]
    names = {"q": "sequence_number"}
    for side, letter in (("bid", "b"), ("ask", "a")):
        names |= {
            f"{letter}p": f"{side}_price",
            f"{letter}s": f"{side}_size",
            f"{letter}x": f"{side}_exchange",
        }
    assert [[one[name] for name in names.values()] for one in told] == [
        [one[key] for key in names] for one in sent
    ]


def test_polygon_newest_first_in_pages(taped: SandboxServer, history: httpx.Client) -> None:
    """The pages of one answer end where the first one did, though trades go on meanwhile."""
    params: dict[str, str | int] = {"limit": 500, "apiKey": "key"}
    url, ids = "/polygon/v3/trades/MSFT", []
    for _ in range(4):
        told = read(history.get(url, params=params))
        ids += [int(one["id"]) for one in told["results"]]
        url, params = told["next_url"].removeprefix(str(history.base_url)), {"apiKey": "key"}
        params["cursor"] = url.partition("cursor=")[2]
        url = url.partition("?")[0]
    assert ids == list(range(ids[0], ids[0] - 2_000, -1))


def test_finnhub(taped: SandboxServer, history: httpx.Client) -> None:
    """The ticks of the New York date, in milliseconds, without ids on either side."""
    _, streamed = heard(taped, "finnhub")
    at = dt.datetime.fromtimestamp(streamed[0]["time"] / 1000, dt.UTC)
    day = at.astimezone(dt.timezone(dt.timedelta(hours=-5))).date()
    asked: dict[str, str | int] = {"symbol": "AAPL", "date": day.isoformat(), "token": "key", "limit": 1}
    total = read(history.get("/finnhub/api/v1/stock/tick", params=asked))["total"]
    told = read(
        history.get(
            "/finnhub/api/v1/stock/tick",
            params=asked | {"skip": max(0, total - 400), "limit": 25_000},
        )
    )
    rows = list(zip(told["t"], told["p"], told["v"], told["c"], strict=True))
    first = rows.index(tuple(streamed[0][name] for name in ("time", "price", "size", "more")))
    sent = [tuple(one[name] for name in ("time", "price", "size", "more")) for one in streamed]
    assert rows[first : first + len(sent)] == sent


def test_binance(taped: SandboxServer, history: httpx.Client) -> None:
    """Aggregate trades by id and by time."""
    _, streamed = heard(taped, "binance")
    by_id = {"symbol": "BTCUSDT", "fromId": streamed[0]["id"], "limit": len(streamed)}
    by_time = {"symbol": "BTCUSDT", "startTime": streamed[0]["time"], "endTime": streamed[-1]["time"]}
    for asked in (by_id, by_time):
        told = read(history.get("/binance/api/v3/aggTrades", params=asked))
        assert [
            {"id": one["a"], "time": one["T"], "price": one["p"], "size": one["q"], "more": one["m"]}
            for one in told
        ] == streamed


@pytest.mark.parametrize("feed", ["coinbase", "coinbase-advanced"])
def test_coinbase(taped: SandboxServer, history: httpx.Client, feed: str) -> None:
    """Both feeds show the trades of the one exchange; history is paged back by id."""
    _, streamed = heard(taped, feed)
    asked = {"after": streamed[-1]["id"] + 1, "limit": len(streamed)}
    told = read(history.get("/coinbase/products/BTC-USD/trades", params=asked))
    taker = {"sell": "BUY", "buy": "SELL"} if feed == "coinbase-advanced" else {"sell": "sell", "buy": "buy"}
    assert [
        (one["trade_id"], one["time"], Decimal(one["price"]), Decimal(one["size"]), taker[one["side"]])
        for one in reversed(told)
    ] == [
        (one["id"], one["time"], Decimal(one["price"]), Decimal(one["size"]), one["more"]) for one in streamed
    ]


def test_kraken(taped: SandboxServer, history: httpx.Client) -> None:
    """v2 has the ids of history, v1 its instants; both its prices, sizes and sides."""
    for feed in ("kraken", "kraken-v1"):
        _, streamed = heard(taped, feed)
        first, last = (nanoseconds(streamed[at]["time"]) for at in (0, -1))
        asked = {"pair": "XBTUSD", "since": first - 1}
        rows = read(history.get("/kraken/0/public/Trades", params=asked))["result"]["XXBTZUSD"]
        told = [row for row in rows if row[2] * 10**9 <= last]
        assert [(nanoseconds(str(row[2])), Decimal(row[0]), Decimal(row[1]), row[3]) for row in told] == [
            (nanoseconds(one["time"]), Decimal(one["price"]), Decimal(one["size"]), one["more"][0])
            for one in streamed
        ]
        if feed == "kraken":
            assert [row[6] for row in told] == [one["id"] for one in streamed]


def test_history_before_the_tape_is_the_markets_own(taped: SandboxServer, history: httpx.Client) -> None:
    """Nothing before the tape's first instant changes, ids rise across it, and nothing is there twice."""
    since = dt.datetime.fromisoformat(history.get("/_sandbox/live").json()["since"])
    with SandboxServer(market=Market.synthetic(seed=7)) as plain, httpx.Client(base_url=plain.url) as without:
        asked = {"pair": "XBTUSD", "since": int((since - dt.timedelta(minutes=30)).timestamp()) * 10**9}
        before, after = (
            read(client.get("/kraken/0/public/Trades", params=asked))["result"]["XXBTZUSD"]
            for client in (without, history)
        )
    own = [row for row in before if row[2] < since.timestamp()]
    assert own
    assert after[: len(own)] == own
    ids = [row[6] for row in after]
    assert all(row[2] >= since.timestamp() for row in after[len(own) :])
    assert ids == sorted(set(ids))


def nanoseconds(text: str) -> int:
    """RFC 3339 or decimal seconds as whole nanoseconds."""
    if "T" in text:
        whole, _, part = text.rstrip("Z").partition(".")
        seconds = int(dt.datetime.fromisoformat(f"{whole}+00:00").timestamp())
        return seconds * 10**9 + int(part.ljust(9, "0"))
    return int(Decimal(text) * 10**9)
