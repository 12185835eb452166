"""The server: control paths, ports, stopping, the command, and its speed."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox.command import app
from mdc_resources.sandbox.dialects import DIALECTS
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import KEYS, Ask

SERVE = [sys.executable, "-c", "from mdc_resources.sandbox.command import app; app()", "serve"]


def test_health_says_what_is_served(client: httpx.Client) -> None:
    """Seed, calendar, providers, the market's present."""
    told = client.get("/_sandbox/health").json()
    assert told == {
        "status": "ok",
        "seed": 7,
        "calendar": "XNYS",
        "now": "2024-06-28T22:00:00+00:00",
        "providers": list(DIALECTS),
        "replay": 0,
    }


def test_requests_are_counted(client: httpx.Client, chart: Ask, csv: Ask, server: SandboxServer) -> None:
    """Counts per provider and path, every target with its status and fault, and a reset."""
    server.add_fault("yahoo", "status", params={"status": 503})
    chart("XYZ", "2024-01-02", "2024-01-05")
    chart("XYZ", "2024-01-02", "2024-01-05")
    csv("zz.us", "2024-01-02", "2024-01-05")
    told = client.get("/_sandbox/requests").json()
    assert told["total"] == 3
    assert told["providers"] == {"yahoo": 2, "stooq": 1}
    assert told["paths"] == {"yahoo": {"/v8/finance/chart/XYZ": 2}, "stooq": {"/q/d/l/": 1}}
    assert [(r["provider"], r["status"], r["fault"]) for r in told["requests"]] == [
        ("yahoo", 503, "status"),
        ("yahoo", 200, ""),
        ("stooq", 200, ""),
    ]
    assert told["requests"][2]["target"] == "/q/d/l/?s=zz.us&i=d&d1=20240102&d2=20240105"
    assert client.delete("/_sandbox/requests").json() == {"cleared": 3}
    assert client.get("/_sandbox/requests").json()["total"] == 0


@pytest.mark.parametrize(
    "target", ["/bloomberg/x", "/yahoo/v7/finance/quote", "/stooq/", "/alpaca/v2/x", "/", "/_sandbox/no"]
)
def test_other_paths_are_not_found(client: httpx.Client, target: str) -> None:
    """What is not spoken here is a 404."""
    assert client.get(target, headers=KEYS).status_code == 404


@pytest.mark.parametrize("symbol", ["%2e%2e%2fetc", "A%00B", "%E9", "A%0D%0AX", "x" * 4000])
@pytest.mark.parametrize(
    "provider", ["yahoo/v8/finance/chart/", "stooq/q/d/l/?s=", "alpaca/v2/stocks/bars?symbols="]
)
def test_hostile_symbols_are_unknown(client: httpx.Client, provider: str, symbol: str) -> None:
    """Whatever the symbol, the answer is the vendor's refusal and never a 5xx."""
    answer = client.get(f"/{provider}{symbol}", headers=KEYS)
    assert answer.status_code < 500
    assert answer.status_code != 200 or answer.text == "No data"


def test_it_listens_on_loopback_only(server: SandboxServer) -> None:
    """The URL is 127.0.0.1, and so is the socket."""
    assert server.url.startswith("http://127.0.0.1:")
    assert server.provider_url("yahoo") == f"{server.url}/yahoo"


def test_a_taken_port_is_refused(market: Market, server: SandboxServer) -> None:
    """The error names the port and the option."""
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(UsageError, match=f"port {port}") as refused:
        SandboxServer(market=market, port=port).start()
    assert "--port" in str(refused.value)


def test_stopping_frees_the_port(market: Market) -> None:
    """After the context the port can be taken again; before start there is no URL."""
    server = SandboxServer(market=market)
    with pytest.raises(UsageError, match="not running"):
        _ = server.url
    with server:
        port = int(server.url.rsplit(":", 1)[1])
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))
    with SandboxServer(market=market, port=port) as second:
        assert httpx.get(f"{second.url}/_sandbox/health").status_code == 200


def test_answers_are_quick(chart: Ask, bars: Ask) -> None:
    """A year of daily bars and a week of minutes, warm, well inside 25 and 100 ms with the network stack."""
    for ask, limit in (
        (lambda: chart("XYZ", "2023-06-01", "2024-06-01"), 0.025),
        (lambda: bars("XYZ", "2024-06-24", "2024-06-28", "1Min", limit=10000), 0.1),
    ):
        best = min(_seconds(ask) for _ in range(5))
        assert best < limit


def test_serve_prints_what_to_do_and_stops_on_interrupt(tmp_path: Path) -> None:
    """``mdc sandbox serve`` names the base URLs, answers, and ends with 0 on Ctrl-C."""
    output = tmp_path / "output"
    with output.open("wb") as sink:
        ran = subprocess.Popen([*SERVE, "--port", "0", "--seed", "3"], stdout=sink, stderr=sink)
    try:
        url = _printed_url(output)
        assert _answers(url)["seed"] == 3
        ran.send_signal(signal.SIGINT)
        assert ran.wait(timeout=20) == 0
    finally:
        ran.kill()
    said = output.read_text()
    assert f"MDC__PROVIDERS__YAHOO__BASE_URL={url}/yahoo" in said
    assert f"{url}/_sandbox/faults" in said
    assert said.endswith("sandbox stopped\n")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--replay", "/nonexistent"], "not a folder", id="folder"),
        pytest.param(["--port", "70000"], "port", id="port"),
    ],
)
def test_serve_refuses_with_exit_code_2(arguments: list[str], words: str) -> None:
    """Usage errors are said in a line on stderr."""
    ran = CliRunner().invoke(app, ["serve", *arguments])
    assert ran.exit_code == 2
    assert words in ran.output


def _seconds(ask: Ask) -> float:
    began = time.perf_counter()
    assert ask().status_code == 200
    return time.perf_counter() - began


def _answers(url: str) -> dict[str, object]:
    """Health, once the server has come up."""
    deadline = time.monotonic() + 10
    while True:
        try:
            told: dict[str, object] = httpx.get(f"{url}/_sandbox/health").json()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        else:
            return told


def _printed_url(output: Path) -> str:
    """The URL in the first line of ``output``, once it is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = re.search(r"http://127\.0\.0\.1:\d+", output.read_text())
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(output.read_text())
