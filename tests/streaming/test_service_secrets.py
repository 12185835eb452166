"""A canary for every credential: it reaches the server, and nothing that is written down."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from mdc_resources import config
from mdc_resources.domain.errors import BadCredentials
from mdc_streaming.service import Service
from tests.streaming.capturing import FAST, QUICK, Process, Running, home_at, until
from tests.streaming.server import Exchange

CANARY = "canary-key/with+odd=chars-5d1c"
_STREAM = '[stream.finnhub]\nws_url = "{url}"\nsymbols = ["AAPL"]\nhours = "always"\nsilence = "20s"\n'


def _everything(folder: Path) -> bytes:
    """All bytes below ``folder``, sealed segments unpacked."""
    import zstandard

    found = []
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in (".env",):
            found.append(path.read_bytes())
            if path.name.endswith(".zst"):
                with path.open("rb") as packed:
                    found.append(zstandard.ZstdDecompressor().stream_reader(packed).read())
    return b"\n".join(found)


def test_a_key_is_in_no_log_no_status_and_no_segment(tmp_path: Path) -> None:
    """Sent in the URL and echoed by the server: masked on stderr, /status, /metrics and in the log."""
    echo = json.dumps({"type": "welcome", "token": CANARY})
    with Exchange(echo_any=echo) as server:
        home = home_at(tmp_path, _STREAM.format(url=server.url))
        (tmp_path / ".env").write_text(f"FINNHUB_API_KEY={CANARY}\n")
        home = config.load(home.config_file)
        with Process(home) as process:
            url = process.url()
            until(lambda: server.paths)
            until(lambda: httpx.get(f"{url}/status").json()["shards"][0]["frames"] >= 1)
            answers = "".join(httpx.get(f"{url}{path}").text for path in ("/status", "/metrics", "/health"))
            server.drop_all(1008)
            until(lambda: len(server.paths) > 1)
            assert process.end() == 0, process.log
            written = _everything(tmp_path)
    assert "token=" in server.paths[0], "the server was given the key"
    for spelling in (CANARY, CANARY.replace("/", "%2F"), "canary-key", "with%2Bodd"):
        assert spelling not in answers
        assert spelling.encode() not in written
    assert "stream.closed" in process.log
    assert "token=***" in answers


def test_a_missing_key_ends_it_before_anything_is_sent(tmp_path: Path) -> None:
    """Exit code 3 and where to put it; no connection was opened."""
    with Exchange() as server:
        home = home_at(tmp_path, _STREAM.format(url=server.url))
        with Process(home, environ={"FINNHUB_API_KEY": ""}) as process:
            assert process.process.wait(30) == 3, process.log
        assert "FINNHUB_API_KEY is not set" in process.log
        assert not server.paths


@pytest.mark.parametrize("value", ["two\nlines", "schlüssel-mit-umlaut"])
def test_a_key_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    """What would break a header or a URL is refused by name, without its value."""
    home = home_at(tmp_path, _STREAM.format(url="ws://127.0.0.1:9"), environ={"FINNHUB_API_KEY": value})
    running = Running(Service(home, timing=FAST))
    running.start()
    running.stop()
    assert isinstance(running.error, BadCredentials)
    assert value not in str(running.error)


def test_a_refused_key_is_not_tried_again(tmp_path: Path) -> None:
    """HTTP 401 to the handshake of the only feed: one attempt, then the process ends with exit code 3."""
    with Exchange(status=401) as server:
        home = home_at(tmp_path, _STREAM.format(url=server.url))
        with Process(home, environ={"FINNHUB_API_KEY": CANARY}) as process:
            assert process.process.wait(30) == 3, process.log
        assert len(server.opened) == 1
        assert CANARY not in process.log


def test_a_refused_key_does_not_stop_the_other_feeds(tmp_path: Path) -> None:
    """One feed is given up, named and red; the other one goes on."""
    from tests.streaming.capturing import capturing, coinbase

    with Exchange(status=401) as refusing, Exchange() as server:
        stream = _STREAM.format(url=refusing.url) + coinbase(server.url)
        home = home_at(tmp_path, stream, sidecar=QUICK, environ={"FINNHUB_API_KEY": CANARY})
        with capturing(home) as running:
            until(lambda: running.get("/health").status_code == 503)
            assert "HTTP 401" in running.get("/health").json()["troubles"][0]
            until(lambda: running.shard()["confirmed"] == 1)
        assert len(refusing.opened) == 1
