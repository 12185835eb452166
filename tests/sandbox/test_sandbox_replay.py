"""Recorded exchanges served in place of the synthetic market."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.replay import Replay
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import KEYS, Params, epoch

YEAR: Params = {
    "period1": epoch("2021-02-01"),
    "period2": epoch("2022-01-29"),
    "interval": "1d",
    "events": "div|split",
}


@contextmanager
def replaying(market: Market, replay: Replay | Path) -> Iterator[httpx.Client]:
    """A client of a sandbox that replays."""
    with SandboxServer(market=market, replay=replay) as server, httpx.Client(base_url=server.url) as client:
        yield client


def exchange(url: str, body: Any, *, status: int = 200, **headers: str) -> str:
    """A recorded exchange as JSON text."""
    return json.dumps(
        {"request": {"url": url}, "response": {"status": status, "headers": headers, "bodyJson": body}}
    )


def chart_url(symbol: str, start: str, end: str, interval: str = "1d") -> str:
    """A chart request as a recorder would have sent it."""
    period = f"period1={epoch(start)}&period2={epoch(end)}"
    return f"https://query2.finance.yahoo.com/v8/finance/chart/{symbol}?interval={interval}&{period}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings of our own, in each form that is understood, and some noise."""
    (tmp_path / "a.json").write_text(exchange(chart_url("AAA", "2024-01-01", "2024-01-31"), {"part": 1.50}))
    (tmp_path / "b.json").write_text(exchange(chart_url("AAA", "2024-02-01", "2024-06-30"), {"part": 2}))
    (tmp_path / "c.json").write_text(
        exchange(chart_url("AAA", "2024-01-01", "2024-01-05", "1m"), {"part": "1m"})
    )
    refused = exchange(
        "https://data.alpaca.markets/v2/stocks/bars?symbols=AAA&timeframe=1Day&start=2024-01-01",
        {"message": "forbidden."},
        status=403,
        **{"Content-Type": "application/json", "Content-Encoding": "gzip", "Retry-After": "7"},
    )
    (tmp_path / "d.json").write_text(refused)
    (tmp_path / "aaa_us_d.csv").write_text("Date,Open,High,Low,Close,Volume\r\n2024-01-02,1,1,1,1,10.5\r\n")
    pages = tmp_path / "pages"
    pages.mkdir()
    for number, day, token in ((1, "02", "NEXT"), (2, "03", None)):
        bar = {"t": f"2024-01-{day}T05:00:00Z", "o": 1, "h": 1, "l": 1, "c": 1, "v": 1, "n": 1, "vw": 1}
        body = {"bars": {"PPP": [bar]}, "next_page_token": token}
        (pages / f"bars__{number}.json").write_text(json.dumps(body))
    (tmp_path / "notes.json").write_text('{"hello": 1}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "elsewhere.json").write_text(exchange("https://example.com/x", {}))
    return tmp_path


def test_a_folder_is_searched_for_what_is_understood(folder: Path) -> None:
    """Seven recordings by provider and symbol; the rest is passed over."""
    replay = Replay.load(folder)
    assert len(replay) == 7
    assert replay.symbols() == {"alpaca": ["AAA", "PPP"], "stooq": ["AAA.US"], "yahoo": ["AAA"]}


@pytest.mark.parametrize(
    ("start", "end", "interval", "part"),
    [
        pytest.param("2024-01-03", "2024-01-20", "1d", 1.5, id="inside the first"),
        pytest.param("2024-01-25", "2024-05-01", "1d", 2, id="mostly the second"),
        pytest.param("2024-01-02", "2024-01-04", "1m", "1m", id="the interval counts"),
    ],
)
def test_the_recording_that_overlaps_most_answers(
    market: Market, folder: Path, start: str, end: str, interval: str, part: object
) -> None:
    """Symbol and interval must fit; of several recordings the one that covers most."""
    params: Params = {"period1": epoch(start), "period2": epoch(end), "interval": interval}
    with replaying(market, folder) as client:
        answer = client.get("/yahoo/v8/finance/chart/aaa", params=params)
    assert answer.json() == {"part": part}


def test_a_body_is_passed_on_byte_for_byte(market: Market, tmp_path: Path) -> None:
    """The digits of the recording, not a parser's idea of them."""
    body = '{"price": 1.50000,  "big": 123456789012345678901234567890.10}'
    url = chart_url("AAA", "2024-01-01", "2024-01-31")
    (tmp_path / "a.json").write_text(
        f'{{"request": {{"url": "{url}"}}, "response": {{"ok": true, "status": 200, "bodyJson": {body}}}}}'
    )
    with replaying(market, tmp_path) as client:
        params: Params = {"period1": epoch("2024-01-02"), "period2": epoch("2024-01-03")}
        assert client.get("/yahoo/v8/finance/chart/AAA", params=params).text == body


def test_status_and_telling_headers_are_kept(market: Market, folder: Path) -> None:
    """A recorded refusal is refused again; headers about the transfer are not repeated."""
    with replaying(market, folder) as client:
        asked: Params = {"symbols": "AAA", "timeframe": "1Day", "start": "2024-01-01"}
        answer = client.get("/alpaca/v2/stocks/bars", params=asked)
    assert (answer.status_code, answer.headers["retry-after"]) == (403, "7")
    assert "content-encoding" not in answer.headers
    assert answer.json() == {"message": "forbidden."}


def test_pages_follow_their_tokens(market: Market, folder: Path) -> None:
    """Numbered bodies of one symbol in one folder are one chain."""
    asked: Params = {"symbols": "PPP", "timeframe": "1Day", "start": "2024-01-01", "end": "2024-01-31"}
    with replaying(market, folder) as client:
        first = client.get("/alpaca/v2/stocks/bars", params=asked).json()
        second = client.get(
            "/alpaca/v2/stocks/bars", params=asked | {"page_token": first["next_page_token"]}
        ).json()
        lost = client.get("/alpaca/v2/stocks/bars", params=asked | {"page_token": "OTHER"}).json()
    days = [page["bars"]["PPP"][0]["t"][8:10] for page in (first, second)]
    assert (days, second["next_page_token"]) == (["02", "03"], None)
    assert lost == {"bars": {}, "next_page_token": None}


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        pytest.param("/yahoo/v8/finance/chart/BBB?interval=1d", 404, "may be delisted", id="yahoo"),
        pytest.param(
            "/yahoo/v8/finance/chart/AAA?period1=1&period2=2", 404, "may be delisted", id="no overlap"
        ),
        pytest.param("/yahoo/v8/finance/chart/AAA?period1=x", 404, "may be delisted", id="unreadable"),
        pytest.param("/stooq/q/d/l/?s=bbb.us&i=d", 200, "No data", id="stooq"),
        pytest.param("/alpaca/v2/stocks/bars?symbols=BBB", 200, '{"bars":{}', id="alpaca"),
    ],
)
def test_what_was_not_recorded_is_unknown(
    market: Market, folder: Path, target: str, status: int, words: str
) -> None:
    """No synthetic bar is mixed into recordings: the vendor's "unknown" is answered."""
    with replaying(market, folder) as client:
        answer = client.get(target, headers=KEYS)
    assert answer.status_code == status
    assert words in answer.text


def test_routes_written_by_hand(market: Market, tmp_path: Path) -> None:
    """The route with most fitting parameters answers, from the file as it is now."""
    files = {name: tmp_path / f"{name}.json" for name in ("any", "ge", "two")}
    for name, file in files.items():
        file.write_text(json.dumps({"from": name}))
    routes = {
        "alpaca/v2/stocks/bars": files["any"],
        "alpaca/v2/stocks/bars?symbols=GE": files["ge"],
        "alpaca/v2/stocks/bars?symbols=GE&page_token=T": files["two"],
    }
    with replaying(market, Replay.of(routes)) as client:
        said = [
            client.get(f"/alpaca/v2/stocks/bars?{query}").json().get("from")
            for query in ("symbols=X", "symbols=ge", "symbols=GE&page_token=T", "symbols=GE&page_token=U")
        ]
        assert said == ["any", "ge", "two", None]
        files["any"].write_text('{"from": "changed"}')
        assert client.get("/alpaca/v2/stocks/bars?symbols=X").json() == {"from": "changed"}


def test_faults_on_bytes_reach_recordings(market: Market, folder: Path) -> None:
    """A recorded body can be truncated like any other."""
    with SandboxServer(market=market, replay=folder) as server:
        server.add_fault("stooq", "truncated_json")
        answer = httpx.get(f"{server.url}/stooq/q/d/l/?s=aaa.us&i=d")
    whole = (folder / "aaa_us_d.csv").read_bytes()
    assert answer.content == whole[: len(whole) // 2]


def test_a_recording_that_is_gone_is_a_500_that_says_so(market: Market, tmp_path: Path) -> None:
    """The file is read when asked for; without it there is no answer to give."""
    with replaying(market, Replay.of({"yahoo/v8/finance/chart/AAA": tmp_path / "gone.json"})) as client:
        answer = client.get("/yahoo/v8/finance/chart/AAA")
    assert answer.status_code == 500
    assert "gone.json" in answer.json()["error"]


@pytest.mark.parametrize("what", ["absent", "empty"])
def test_a_useless_folder_is_refused(market: Market, tmp_path: Path, what: str) -> None:
    """Nothing to replay is an error at the start, not an empty market."""
    folder = tmp_path / "absent" if what == "absent" else tmp_path
    with pytest.raises(UsageError, match="recording"):
        SandboxServer(market=market, replay=folder)


def test_a_route_needs_a_path() -> None:
    """A provider alone is no route."""
    with pytest.raises(UsageError, match="not a route"):
        Replay.of({"yahoo": Path("x.json")})


# --- the recorded payloads -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "route"])
def test_recorded_nvda_is_served_as_it_lies(market: Market, payloads: Path, kind: str) -> None:
    """252 sessions of 2021 with the split, found by folder or by route."""
    name = "historical-via-chart-NVDA-split-2021-02-01-to-2022-01-31.csv.json"
    file = payloads / "yahoo/yahoo-finance2" / name
    replay = payloads / "yahoo" if kind == "folder" else Replay.of({"yahoo/v8/finance/chart/NVDA": file})
    with replaying(market, replay) as client:
        answer = client.get("/yahoo/v8/finance/chart/NVDA", params=YEAR)
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert answer.json() == json.loads(file.read_text())["response"]["bodyJson"]
    assert len(answer.json()["chart"]["result"][0]["timestamp"]) == 252
    assert answer.text in file.read_text()


def test_recorded_stooq_and_alpaca_are_served(market: Market, payloads: Path) -> None:
    """The CSV by its symbol; META's two pages by their token."""
    with replaying(market, payloads / "stooq") as client:
        served = client.get("/stooq/q/d/l/?s=tsm.us&i=d&d1=20240101&d2=20241231")
    assert served.content == (payloads / "stooq/wegar-2/tsm_us_d.csv").read_bytes()
    with replaying(market, payloads / "alpaca/alpaca-trade-api-go") as client:
        asked: Params = {"symbols": "META", "timeframe": "1Day", "start": "2022-06-08", "end": "2022-06-14"}
        first = client.get("/alpaca/v2/stocks/bars", params=asked).json()
        second = client.get(
            "/alpaca/v2/stocks/bars", params=asked | {"page_token": first["next_page_token"]}
        ).json()
    days = [bar["t"][8:10] for page in (first, second) for bar in page["bars"]["META"]]
    assert days == ["08", "09", "10", "13"]
