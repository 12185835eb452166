"""The sidecar's own address: what it answers, to whom, and that no secret is in it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from mdc_resources.domain.errors import ConfigError
from mdc_resources.landing.deadletters import DeadLetters
from mdc_resources.landing.letters import Cause, NewLetter
from tests.streaming.capturing import QUICK, capturing, coinbase, home_at, until
from tests.streaming.server import Exchange


def test_live_ready_health_and_status_answer(tmp_path: Path) -> None:
    """Live at once; ready and healthy once everything wanted arrives; status says how much."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url, "BTC-USD", "ETH-USD"))
        with capturing(home) as running:
            assert running.get("/live").json() == {"live": True}
            running.ready()
            health = running.get("/health").json()
            assert (health["healthy"], health["troubles"]) == (True, [])
            shard = until(lambda: (found := running.shard())["durable_through"] and found)
            assert (shard["wanted"], shard["confirmed"], shard["state"]) == (2, 2, "capturing")
            connection = shard["lines"][0]["connections"][0]
            assert (connection["state"], connection["subscribed"]) == ("live", 2)


def test_ready_is_red_while_nothing_arrives(tmp_path: Path) -> None:
    """No server: the process lives and answers, and says that it is not ready."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        home = home_at(tmp_path, coinbase(f"ws://127.0.0.1:{nobody.getsockname()[1]}"))
        with capturing(home) as running:
            assert running.get("/ready").status_code == 503
            assert running.get("/live").status_code == 200
            until(lambda: running.shard()["ends"].get("connect"))


def test_metrics_have_the_promised_names_and_bounded_labels(tmp_path: Path) -> None:
    """Prometheus text with the families of the design; no symbol and no URL in a label."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        DeadLetters.of(home).add(NewLetter(segment="coinbase-0/1", cause=Cause.UNDECODABLE, reason="no JSON"))
        with capturing(home) as running:
            running.ready()
            server.drop_all(1012)
            until(lambda: running.shard()["ends"].get("closed"))
            until(lambda: 'feed_lag_seconds{feed="coinbase"' in running.get("/metrics").text)
            text = running.get("/metrics").text
    for name in (
        "frames_total", "bytes_total", "reconnects_total", "connected", "subscribed", "wal_bytes",
        "wal_commit_seconds", "durable_lag_seconds", "holes_total", "feed_lag_seconds", "shed_frames_total",
    ):  # fmt: skip
        assert f"\nmdc_stream_{name}{{" in text, name
    assert 'mdc_stream_reconnects_total{feed="coinbase",reason="closed",shard="coinbase-0"} 1.0' in text
    assert "BTC" not in text
    assert 'mdc_stream_dead_letters_total{cause="' in text
    labels = set(re.findall(r"[{,](\w+)=", text))
    assert labels <= {"feed", "shard", "reason", "quantile", "dataset", "cause"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8791", 200), ("localhost", 200), ("[::1]:8791", 200), ("LOCALHOST:1", 200),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("169.254.169.254", 421),
    ],
)  # fmt: skip
def test_other_hosts_are_refused_on_loopback(tmp_path: Path, host: str, status: int) -> None:
    """A name that was rebound to 127.0.0.1 reads nothing."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            assert running.get("/status", headers={"Host": host}).status_code == status


def test_the_address_is_announced_and_withdrawn(tmp_path: Path) -> None:
    """state/sidecar.json names the bound port while the process runs."""
    from mdc_resources.domain.errors import UsageError
    from mdc_streaming.announce import ACTIVE, address

    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            until(lambda: (home.state_dir / ACTIVE).exists())
            assert address(home) == running.service.url
        with pytest.raises(UsageError, match="no sidecar runs"):
            address(home)


def test_an_address_of_a_dead_process_is_not_believed(tmp_path: Path) -> None:
    """A note that was left by a kill -9 counts for nothing."""
    import json
    from dataclasses import asdict

    from mdc_resources.domain.errors import UsageError
    from mdc_resources.state.owner import Owner
    from mdc_streaming.announce import ACTIVE, address

    home = home_at(tmp_path, "")
    home.state_dir.mkdir()
    note = {"url": "http://127.0.0.1:9", **asdict(Owner.current()), "pid": 4_000_000}
    (home.state_dir / ACTIVE).write_text(json.dumps(note))
    with pytest.raises(UsageError, match="no sidecar"):
        address(home)
    (home.state_dir / ACTIVE).write_text("{torn")
    with pytest.raises(UsageError, match="no sidecar"):
        address(home)


def test_a_port_of_somebody_else_is_an_error(tmp_path: Path) -> None:
    """The port is taken and no sidecar of this home has it: refused, with the key to change."""
    with Exchange() as server, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = QUICK.replace("port = 0", f"port = {taken.getsockname()[1]}")
        home = home_at(tmp_path, coinbase(server.url), sidecar=port)
        with capturing(home) as running:
            until(lambda: running.error)
    assert isinstance(running.error, ConfigError)
    assert running.error.key == "sidecar.port"


def test_live_events_are_served(tmp_path: Path) -> None:
    """/events streams what was just captured as lines of JSON."""
    import httpx

    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with (
            capturing(home) as running,
            httpx.stream("GET", f"{running.service.url}/events?dataset=trades", timeout=10) as answer,
        ):
            line = next(answer.iter_lines())
    assert '"COINBASE:BTC-USD"' in line
    assert '"42000.10"' in line
