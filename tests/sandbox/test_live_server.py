"""The live half beside HTTP: one port, one log, the command, stopping, the book over REST, the load."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from mdc_resources.sandbox.live.feeds import FEEDS
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.listening import HELLOS, RATE, eventually, subscribed, trade_ids

SERVE = [sys.executable, "-c", "from mdc_resources.sandbox.command import app; app()", "serve"]


@pytest.fixture(scope="module")
def live() -> Iterator[SandboxServer]:
    """A server whose feeds are quick."""
    with SandboxServer(market=Market.synthetic(seed=7), live_rate=RATE) as server:
        yield server


def test_one_port_for_both(live: SandboxServer) -> None:
    """Requests are answered while feeds stream, HTTP's own faults too."""
    with subscribed(live, "coinbase") as listener, httpx.Client(base_url=live.url) as client:
        assert client.get("/_sandbox/health").json()["status"] == "ok"
        live.add_fault("coinbase", "reset")
        with pytest.raises(httpx.TransportError):
            client.get("/coinbase/products/BTC-USD")
        live.add_fault("coinbase", "truncated")
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/coinbase/products/BTC-USD")
        assert trade_ids("coinbase", listener.collect(0.5))


def test_frames_are_not_compressed(live: SandboxServer) -> None:
    """A client that offers compression is not given it."""
    with connect(live.live_url("coinbase"), compression="deflate") as socket:
        assert socket.protocol.extensions == []


def test_all_feeds_at_once(live: SandboxServer) -> None:
    """Nine connections, each with its own handshake, all sending."""
    with ExitStack() as stack:
        listeners = {feed: stack.enter_context(subscribed(live, feed)) for feed in FEEDS}
        for feed, listener in listeners.items():
            assert trade_ids(feed, listener.collect(0.3))
            listener.socket.close()


def test_two_listeners_hear_the_same(live: SandboxServer) -> None:
    """A feed tells each of its connections the same trades."""
    with subscribed(live, "kraken") as first, subscribed(live, "kraken") as second:
        ids = [trade_ids("kraken", listener.collect(0.5)) for listener in (first, second)]
    assert set(ids[0]) <= set(ids[1]) | {ids[0][0], ids[0][1]}
    assert len(ids[0]) > 5


def test_binances_snapshot_joins_its_stream(live: SandboxServer) -> None:
    """The book over REST is what the bundles have come to: applied by their numbers, both are equal."""
    with subscribed(live, "binance") as listener, httpx.Client(base_url=live.url) as client:
        bundles = [f["data"] for f in listener.collect(0.5) if "depth" in f.get("stream", "")]
        first, second = (_snapshot(client, bundles, listener) for _ in range(2))
    state = {side: dict(map(tuple, first[side])) for side in ("bids", "asks")}
    at = first["lastUpdateId"]
    for bundle in bundles:
        if bundle["u"] <= at:
            continue
        if bundle["u"] > second["lastUpdateId"]:
            break
        assert bundle["U"] <= at + 1
        at = bundle["u"]
        state["bids"].update(map(tuple, bundle["b"]))
        state["asks"].update(map(tuple, bundle["a"]))
    assert at == second["lastUpdateId"]
    for side, newest in (("bids", True), ("asks", False)):
        left = [(price, size) for price, size in state[side].items() if Decimal(size)]
        left.sort(key=lambda level: Decimal(level[0]), reverse=newest)
        assert left == [tuple(level) for level in second[side]]


def _snapshot(client: httpx.Client, bundles: list[Any], listener: Any) -> Any:
    """A snapshot at the very end of a bundle; what is streamed meanwhile is added to ``bundles``."""

    def ask() -> Any:
        found = client.get("/binance/api/v3/depth", params={"symbol": "BTCUSDT", "limit": 5000}).json()
        bundles.extend(f["data"] for f in listener.collect(0.25) if "depth" in f.get("stream", ""))
        return found

    return eventually(ask, lambda found: any(bundle["u"] == found["lastUpdateId"] for bundle in bundles))


def test_binances_snapshot_has_its_limits(live: SandboxServer) -> None:
    """As many levels as asked for, best first; unknown symbols and limits are refused."""
    with httpx.Client(base_url=live.url) as client:
        told = client.get("/binance/api/v3/depth", params={"symbol": "BTCUSDT", "limit": 5}).json()
        assert [len(told["bids"]), len(told["asks"])] == [5, 5]
        assert Decimal(told["bids"][0][0]) < Decimal(told["asks"][0][0])
        for wrong in ({"symbol": "ZZXXX"}, {"symbol": "BTCUSDT", "limit": 0}, {}):
            assert client.get("/binance/api/v3/depth", params=wrong).status_code == 400


def test_the_log_tells_connections_and_accounts(live: SandboxServer) -> None:
    """``/_sandbox/requests`` has the connections, ``/_sandbox/live`` per symbol what was sent."""
    httpx.delete(f"{live.url}/_sandbox/requests")
    with subscribed(live, "polygon") as listener:
        ids = trade_ids("polygon", listener.collect(0.6))
        told = httpx.get(f"{live.url}/_sandbox/live").json()
        visits = httpx.get(f"{live.url}/_sandbox/requests").json()["connections"]
    assert (told["rate"], set(told["feeds"])) == (RATE, {"polygon"})
    account = told["feeds"]["polygon"]["AAPL"]["trades"]
    assert account["first_id"] == ids[0]
    assert account["sent"] >= len(ids)
    assert (visits[-1]["feed"], visits[-1]["target"], visits[-1]["end"]) == (
        "polygon",
        "/polygon/ws/stocks",
        "",
    )
    assert visits[-1]["sent"] >= len(ids)


def test_without_a_rate_history_is_the_markets_own() -> None:
    """The feeds stream all the same, five a second, and REST does not show it."""
    with SandboxServer(market=Market.synthetic(seed=7)) as server, subscribed(server, "coinbase") as listener:
        frame = listener.until(lambda frame: frame["type"] == "match")
        told = httpx.get(f"{server.url}/_sandbox/live").json()
        assert told["rate"] == 5
        rows = httpx.get(f"{server.url}/coinbase/products/BTC-USD/trades", params={"limit": 5}).json()
        assert all(row["trade_id"] < frame["trade_id"] - 10**12 for row in rows)


def test_stopping_closes_the_feeds() -> None:
    """The clients are told that the service restarts, and the server is down at once."""
    server = SandboxServer(market=Market.synthetic(seed=7), live_rate=RATE)
    server.start()
    with subscribed(server, "kraken") as listener:
        listener.hear()
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 4
        with pytest.raises(ConnectionClosed) as ended:
            listener.collect(5)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1012


def test_serve_names_the_feeds(tmp_path: Path) -> None:
    """``mdc sandbox serve --live-rate`` prints where the feeds are, and streams at that rate."""
    output = tmp_path / "output"
    with output.open("wb") as sink:
        ran = subprocess.Popen([*SERVE, "--port", "0", "--live-rate", "40"], stdout=sink, stderr=sink)
    try:
        said = eventually(output.read_text, lambda text: "MDC__STREAM__KRAKEN-V1__WS_URL" in text)
        found = re.search(r"MDC__STREAM__COINBASE__WS_URL=(ws://\S+)", said)
        assert found
        with connect(found[1], compression=None) as socket:
            socket.send(json.dumps(HELLOS["coinbase"][0]))
            assert json.loads(socket.recv(5))["type"] == "last_match"
        ran.send_signal(signal.SIGINT)
        assert ran.wait(timeout=20) == 0
    finally:
        ran.kill()


@pytest.mark.parametrize("option", ["0", "x", "99999"])
def test_serve_refuses_other_rates(option: str) -> None:
    """A usage error, in a line."""
    ran = subprocess.run([*SERVE, "--live-rate", option], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
