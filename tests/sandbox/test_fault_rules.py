"""When faults fire, what is told about them, and which are refused."""

from __future__ import annotations

import httpx
import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import KEYS, RANGE, Ask, Fault


def statuses(chart: Ask, count: int, symbol: str = "XYZ") -> list[int]:
    return [chart(symbol, *RANGE).status_code for _ in range(count)]


def test_a_fault_fires_once_unless_told(chart: Ask, fault: Fault) -> None:
    """Neither times, every nor probability: the next request only."""
    fault("yahoo", "status")
    assert statuses(chart, 3) == [429, 200, 200]


def test_times_and_every(chart: Ask, fault: Fault) -> None:
    """The first n matching requests; every n-th; every n-th but no more than so often."""
    fault("yahoo", "status", times=2)
    assert statuses(chart, 3) == [429, 429, 200]
    fault("yahoo", "status", every=2, times=2, params={"status": 503})
    assert statuses(chart, 7) == [200, 503, 200, 503, 200, 200, 200]


def test_chance_is_seeded(market: Market) -> None:
    """Two sandboxes of one seed fail at the same requests; about as often as asked."""
    seen = []
    for _ in range(2):
        with SandboxServer(market=market) as server, httpx.Client(base_url=server.url) as client:
            server.add_fault("stooq", "status", probability=0.3)
            seen.append([client.get("/stooq/q/d/l/?s=zz.us").status_code for _ in range(100)])
    assert seen[0] == seen[1]
    assert 15 <= seen[0].count(429) <= 45


def test_match_picks_requests(chart: Ask, bars: Ask, fault: Fault) -> None:
    """Only requests whose path and query the expression is found in."""
    fault("yahoo", "status", probability=1, match="/AAPL\\?")
    assert statuses(chart, 1, "XYZ") + statuses(chart, 1, "AAPL") == [200, 429]
    fault("alpaca", "status", probability=1, match="symbols=[^&]*MSFT")
    assert bars("AAPL,MSFT", *RANGE).status_code == 429
    assert bars("AAPL", *RANGE).status_code == 200


def test_other_providers_are_spared(csv: Ask, chart: Ask, fault: Fault) -> None:
    """A fault of one vendor leaves the others alone; ``*`` means all."""
    fault("stooq", "status", times=9)
    assert chart("XYZ", *RANGE).status_code == 200
    assert csv("xyz.us", *RANGE).status_code == 429


def test_the_list_says_how_often_each_fired(client: httpx.Client, chart: Ask, fault: Fault) -> None:
    """GET tells seen and fired; DELETE lifts all."""
    made = fault("yahoo", "status", every=2)
    statuses(chart, 5)
    told = client.get("/_sandbox/faults").json()["faults"]
    assert [(rule["id"], rule["kind"], rule["seen"], rule["fired"]) for rule in told] == [
        (made["id"], "status", 5, 2)
    ]
    assert client.delete("/_sandbox/faults").json() == {"cleared": 1}
    assert client.get("/_sandbox/faults").json() == {"faults": []}
    assert statuses(chart, 2) == [200, 200]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"provider": "yahoo", "kind": "meteor"}, "gzip_bomb", id="kind lists the known"),
        pytest.param({"provider": "yahoo"}, "not a kind", id="no kind"),
        pytest.param({"provider": "bloomberg", "kind": "status"}, "yahoo, stooq, alpaca", id="provider"),
        pytest.param({"kind": "status", "tiems": 3}, "tiems", id="unknown field"),
        pytest.param({"kind": "status", "params": {"code": 500}}, "retry_after", id="unknown parameter"),
        pytest.param({"kind": "status", "params": {"status": "500"}}, "Write it like 429", id="type"),
        pytest.param({"kind": "status", "params": []}, "must be an object", id="params"),
        pytest.param({"kind": "slow", "params": {"seconds": -1}}, "At least 0", id="negative"),
        pytest.param({"kind": "gzip_bomb", "params": {"megabytes": 10**6}}, "at most 1024", id="too large"),
        pytest.param({"kind": "restated", "params": {"factor": "half"}}, "decimal", id="factor"),
        pytest.param({"kind": "restated", "params": {"factor": "NaN"}}, "decimal", id="factor NaN"),
        pytest.param({"kind": "status", "times": 0}, "1 or more", id="times"),
        pytest.param({"kind": "status", "times": True}, "1 or more", id="times bool"),
        pytest.param({"kind": "status", "probability": 1.5}, "from 0 to 1", id="probability"),
        pytest.param({"kind": "status", "probability": 0.5, "every": 2}, "not both", id="both"),
        pytest.param({"kind": "status", "match": "("}, "regular expression", id="match"),
        pytest.param({"provider": "stooq", "kind": "token_loop"}, "alpaca", id="no pages"),
        pytest.param([], "JSON object", id="list"),
    ],
)
def test_bad_faults_are_refused(client: httpx.Client, body: object, words: str) -> None:
    """A 400 that says what is wrong and what is known; nothing is put in force."""
    answer = client.post("/_sandbox/faults", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"] + answer.json()["hint"]
    assert client.get("/_sandbox/faults").json() == {"faults": []}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 50_000, b'"' + b"x" * 100_000 + b'"'],
    ids=["empty", "broken", "deep", "large"],
)
def test_bad_json_is_refused(client: httpx.Client, content: bytes) -> None:
    """What is no JSON object of at most 64 KiB is a 400."""
    assert client.post("/_sandbox/faults", content=content).status_code == 400


def test_keys_do_not_reach_the_log(bars: Ask, client: httpx.Client) -> None:
    """The request log holds targets, never headers."""
    bars("XYZ", *RANGE)
    told = client.get("/_sandbox/requests").text
    assert "timeframe=1Day" in told
    assert KEYS["APCA-API-SECRET-KEY"] not in told
