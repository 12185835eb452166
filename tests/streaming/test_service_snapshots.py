"""Book snapshots over HTTP: fetched once, at a bounded rate, again after a refusal, bounded in size."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mdc_resources.domain.requests import HttpRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import Fetch
from mdc_streaming.snapshots import Snapshots

_BTC, _ETH = Symbol("BINANCE:BTCUSDT"), Symbol("BINANCE:ETHUSDT")


@contextmanager
def _vendor(answers: list[tuple[int, bytes]]) -> Iterator[tuple[str, list[tuple[float, str]]]]:
    """Answers in turn, the last one for ever; what was asked, and when."""
    asked: list[tuple[float, str]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((time.monotonic(), self.path))
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(body)))
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def _run(
    url: str, *wanted: tuple[int, Symbol], expected: int, seconds: float = 10, **more: object
) -> tuple[list[tuple[int, Symbol, str, bytes]], Snapshots]:
    """Fetch until ``expected`` arrived, or one failed for good."""
    found: list[tuple[int, Symbol, str, bytes]] = []

    async def main() -> Snapshots:
        snapshots = Snapshots("binance", lambda *got: found.append(got), **more)  # type: ignore[arg-type]
        for connection, symbol in wanted:
            request = HttpRequest(f"{url}/depth", params=(("symbol", symbol.partition(":")[2]),))
            snapshots.want(connection, Fetch(symbol, request))
            snapshots.want(connection, Fetch(symbol, request))
        running = asyncio.create_task(snapshots.run(dict))
        deadline = time.monotonic() + seconds
        while (snapshots.waiting or len(found) < expected) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        running.cancel()
        return snapshots

    return found, asyncio.run(main())


def test_each_is_fetched_once_at_a_bounded_rate() -> None:
    """Wanted twice, fetched once; the pause lies between two requests."""
    with _vendor([(200, b'{"lastUpdateId":1}')]) as (url, asked):
        found, snapshots = _run(url, (1, _BTC), (1, _ETH), expected=2, pause=0.3)
    assert [(c, s, body) for c, s, _, body in found] == [
        (1, _BTC, b'{"lastUpdateId":1}'),
        (1, _ETH, b'{"lastUpdateId":1}'),
    ]
    assert [path for _, path in asked] == ["/depth?symbol=BTCUSDT", "/depth?symbol=ETHUSDT"]
    assert asked[1][0] - asked[0][0] >= 0.3
    assert (snapshots.done, snapshots.failed) == (2, 0)


@pytest.mark.parametrize("status", [429, 418, 500, 503])
def test_a_refusal_is_followed_by_another_attempt(status: int) -> None:
    """Too many requests, a ban or a server error: asked for again, after a pause."""
    with _vendor([(status, b""), (200, b"{}")]) as (url, asked):
        found, snapshots = _run(url, (1, _BTC), expected=1, pause=0.01)
    assert len(found) == 1
    assert len(asked) == 2
    assert snapshots.failed == 1


def test_a_body_without_end_is_refused() -> None:
    """Beyond the limit nothing is kept; the book waits for the next resync."""
    with _vendor([(200, b"x" * 5000)]) as (url, asked):
        found, snapshots = _run(url, (1, _BTC), expected=0, pause=0.01, max_bytes=1000)
    assert not found
    assert (len(asked), snapshots.failed) == (1, 1)


def test_a_redirect_is_not_followed() -> None:
    """A snapshot comes from the vendor's own address, or not at all."""
    with _vendor([(302, b""), (200, b"{}")]) as (url, asked):
        found, _ = _run(url, (1, _BTC), expected=1, pause=0.01)
    assert len(found) == 1
    assert [path for _, path in asked] == ["/depth?symbol=BTCUSDT"] * 2


def test_what_a_closed_connection_wanted_is_forgotten() -> None:
    """Its books begin anew with the next connection."""
    snapshots = Snapshots("binance", lambda *_: None)
    snapshots.want(1, Fetch(_BTC, HttpRequest("http://127.0.0.1:9/")))
    snapshots.want(2, Fetch(_BTC, HttpRequest("http://127.0.0.1:9/")))
    snapshots.forget(1)
    assert snapshots.waiting == 1
