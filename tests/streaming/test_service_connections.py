"""One connection against a server that misbehaves: noticed in time, closed, reconnected, and logged."""

from __future__ import annotations

import base64
import hashlib
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mdc_resources.wal import Kind, marks
from tests.streaming.capturing import (
    FAST,
    QUICK,
    capturing,
    coinbase,
    frames,
    home_at,
    marked,
    marks_of,
    records,
    until,
)
from tests.streaming.server import Exchange


def test_what_the_server_sent_is_in_the_log_byte_for_byte(tmp_path: Path) -> None:
    """Every frame of a connection is logged, in order and unchanged."""
    with Exchange(stop_after=200, every=0.001) as server:
        home = home_at(tmp_path, coinbase(server.url, "BTC-USD", "ETH-USD"))
        with capturing(home) as running:
            running.ready()
            until(lambda: running.shard()["frames"] >= 201)
        assert [f.decode() for f in frames(home)[1]] == server.sent[1]


def test_a_handshake_is_told_in_marks(tmp_path: Path) -> None:
    """Started, Wanted, Opened, Confirmed, Closed, Stopped: in this order, with their pairs."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
    kinds = [type(mark).__name__ for _, mark in marks_of(home)]
    assert kinds == ["Started", "Wanted", "Opened", "Confirmed", "Closed", "Stopped"]
    pairs = (("trades", "COINBASE:BTC-USD"),)
    assert marked(home, marks.Wanted)[0].pairs == pairs == marked(home, marks.Confirmed)[0].pairs
    assert marked(home, marks.Closed)[0].reason == "stopped"
    assert marked(home, marks.Closed)[0].last_ns > 0


def test_a_silent_server_is_left_within_twice_the_allowed_silence(tmp_path: Path) -> None:
    """Confirmed, then nothing: the watchdog closes and reconnects, though pongs still come."""
    with Exchange(mute=True) as server:
        home = home_at(tmp_path, coinbase(server.url, more='silence = "1s"'))
        with capturing(home) as running:
            running.ready()
            until(lambda: len(server.opened) >= 2)
            assert server.opened[1] - server.opened[0] < 2.5
            assert running.shard()["ends"]["silence"] == 1
    assert marked(home, marks.Closed)[0].reason.startswith("silence: nothing for 1")


def test_a_missing_pong_ends_the_connection(tmp_path: Path) -> None:
    """A peer that sends data and answers no ping is half dead: it is replaced within the deadline."""
    with Exchange(no_pong=True) as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            until(lambda: running.shard()["ends"].get("pong"))
            until(lambda: len(server.opened) >= 2)
    assert "no pong within" in marked(home, marks.Closed)[0].reason


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1012, 1013, 4001])
def test_a_close_keeps_its_code_and_is_followed_by_a_new_connection(tmp_path: Path, code: int) -> None:
    """Also after a clean close: subscribed again, with the server's code in the log and on /status."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            server.drop_all(code)
            until(lambda: len(server.opened) == 2)
            running.ready()
            assert running.shard()["lines"][0]["last_code"] == code
            assert running.shard()["holes"]["disconnect"] == 1
    closed = marked(home, marks.Closed)[0]
    assert (closed.code, closed.reason.partition(":")[0]) == (code, "closed")
    assert len(marked(home, marks.Confirmed)) == 2


def test_a_cut_line_is_followed_by_a_new_connection(tmp_path: Path) -> None:
    """No close frame, only a reset: the same, without a code."""
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            server.drop_all()
            until(lambda: len(server.opened) == 2)
            running.ready()
    assert marked(home, marks.Closed)[0].code is None
    assert marked(home, marks.Closed)[0].reason.startswith("dropped")


@pytest.mark.parametrize("code", [1000, None], ids=["hangs up", "cuts the line"])
def test_a_flapping_server_is_asked_ever_more_seldom(tmp_path: Path, code: int | None) -> None:
    """A server that accepts and ends at once sees a bounded number of connections, not a hot loop."""
    with Exchange(live_for=0.01, close_code=code) as server:
        pace = QUICK.replace("longest_backoff_seconds = 0.4", "longest_backoff_seconds = 1.6")
        home = home_at(tmp_path, coinbase(server.url), sidecar=pace)
        with capturing(home) as running:
            until(lambda: len(server.opened) >= 3)
            begun, many = time.monotonic(), len(server.opened)
            until(lambda: time.monotonic() - begun > 3, what="three seconds")
            assert len(server.opened) - many <= 3 / 0.4 + 8  # an unbounded one makes hundreds
            assert running.shard()["lines"][0]["failures_in_a_row"] >= 3
            until(lambda: running.get("/ready").status_code == 503)  # between two short lives


def test_refused_connections_back_off_too(tmp_path: Path) -> None:
    """HTTP 503 to the handshake: counted, named on /status, and no hot loop."""
    with Exchange(status=503) as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            until(lambda: len(server.opened) >= 3)
            line = running.shard()["lines"][0]
            assert (line["last_end"], line["last_code"]) == ("handshake: HTTP 503", 503)
            server.status = None
            running.ready()


def test_symbols_that_are_refused_are_visible_and_asked_for_again(tmp_path: Path) -> None:
    """Three of five are captured; two are named with the reason, marked, and retried until they are."""
    products = [f"{name}-USD" for name in ("BTC", "ETH", "LTC", "XRP", "ADA")]
    with Exchange(refuse=frozenset({"XRP-USD", "ADA-USD"})) as server:
        home = home_at(tmp_path, coinbase(server.url, *products))
        with capturing(home) as running:
            running.ready()
            refused = running.shard()["lines"][0]["connections"][0]["refused"]
            assert set(refused) == {"trades COINBASE:XRP-USD", "trades COINBASE:ADA-USD"}
            assert "not a valid product" in refused["trades COINBASE:XRP-USD"]
            assert running.shard()["holes"]["refused"] == 2
            server.refuse = frozenset()
            until(lambda: running.shard()["confirmed"] == 5)
        assert len(server.opened) == 1
    assert {pair[1] for mark in marked(home, marks.Refused) for pair in mark.pairs} == {
        "COINBASE:XRP-USD",
        "COINBASE:ADA-USD",
    }


def test_a_server_that_confirms_nothing_is_left(tmp_path: Path) -> None:
    """No answer to any subscription within the deadline: the connection ends and is made anew."""
    with Exchange(deaf=True) as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            until(lambda: running.shard()["ends"].get("unanswered"))
            assert running.get("/ready").status_code == 503
            server.deaf = False
            running.ready()
    assert marked(home, marks.Closed)[0].reason.startswith("unanswered")


def test_an_oversize_frame_is_a_clean_reconnect(tmp_path: Path) -> None:
    """A frame above the limit is never held in memory: its connection ends with 1009, the next goes on."""
    with Exchange(extra=lambda: "x" * 400_000) as server:
        home = home_at(tmp_path, coinbase(server.url), sidecar=QUICK + "max_frame_mb = 0.2\n")
        with capturing(home) as running:
            until(lambda: running.shard()["ends"].get("oversize"))
            server.extra = None
            running.ready()
    closed = marked(home, marks.Closed)[0]
    assert (closed.code, closed.reason.partition(":")[0]) == (1009, "oversize")
    assert max(len(frame) for found in frames(home).values() for frame in found) < 200_000


def test_fragments_beyond_the_limit_are_oversize_too(tmp_path: Path) -> None:
    """A message that grows piece by piece is cut off where its sum passes the limit."""
    with Exchange(extra=lambda: ["x" * 50_000] * 6) as server:
        home = home_at(tmp_path, coinbase(server.url), sidecar=QUICK + "max_frame_mb = 0.2\n")
        with capturing(home) as running:
            until(lambda: running.shard()["ends"].get("oversize"))
    assert marked(home, marks.Closed)[0].code == 1009


def test_fragments_are_one_frame(tmp_path: Path) -> None:
    """A message in pieces is logged as the whole it is."""
    with Exchange(extra=lambda: ['{"type":', '"heart', 'beat"}']) as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            until(lambda: running.shard()["frames"] > 3)
    assert b'{"type":"heartbeat"}' in frames(home)[1]


@pytest.mark.parametrize("odd", [b"\x00\xff binary", b"\x80", b""], ids=["binary", "no text", "empty"])
def test_binary_frames_are_logged_as_they_are(tmp_path: Path, odd: bytes) -> None:
    """What they are worth is the decoder's question; the connection goes on."""
    with Exchange(extra=lambda: odd) as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            until(lambda: running.shard()["frames"] > 3)
        assert len(server.opened) == 1
    assert odd in frames(home)[1]


def test_text_that_is_no_utf8_is_logged_and_survived(tmp_path: Path) -> None:
    """Invalid text goes to the log byte for byte; the session is not confused by it."""
    odd = b'{"type":"error \xff\xfe"}'
    with Exchange(extra_text=odd) as server:
        home = home_at(tmp_path, coinbase(server.url))
        with capturing(home) as running:
            running.ready()
            until(lambda: running.shard()["frames"] > 3)
    assert odd in frames(home)[1]


def test_more_symbols_than_a_connection_takes_are_several_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for two symbols each, five make three connections, and each is subscribed once."""
    from dataclasses import replace

    from mdc_streaming.plan import feed_of

    feed = feed_of("coinbase")
    monkeypatch.setattr(feed, "spec", replace(feed.spec, max_symbols=2))
    products = [f"{name}-USD" for name in ("BTC", "ETH", "LTC", "XRP", "ADA")]
    with Exchange() as server:
        home = home_at(tmp_path, coinbase(server.url, *products))
        with capturing(home) as running:
            running.ready()
            assert [line["symbols"] for line in running.shard()["lines"]] == [2, 2, 1]
        assert sorted(p for held in server.subscribed.values() for p in held) == sorted(products)


def test_a_burst_keeps_memory_bounded_and_loses_nothing(tmp_path: Path) -> None:
    """A hundred times the usual rate: every frame is logged, monitors shed, the log's queue stays bounded."""
    with Exchange(every=0.01) as server:
        home = home_at(tmp_path, coinbase(server.url), sidecar=QUICK + "queue_mb = 1\nmonitor_frames = 500\n")
        with capturing(home, timing=FAST) as running:
            running.ready()
            server.burst = 1000
            until(lambda: len(server.sent[1]) > 15_000, 30)
            server.burst = 1
            pending = running.shard()["pending_bytes"]
            assert pending < 2_500_000
            server.stop_after = 0
            until(lambda: running.shard()["frames"] == len(server.sent[1]))
        logged = [json.loads(f).get("trade_id") for f in frames(home)[1]]
        assert logged == [json.loads(text).get("trade_id") for text in server.sent[1]]


def test_a_greeting_in_the_packet_of_the_handshake_is_not_lost(tmp_path: Path) -> None:
    """What comes together with the answer to the handshake is logged, after the mark that it is open."""
    greeting = b'{"type":"heartbeat"}'
    with _raw_server(b"\x81" + bytes([len(greeting)]) + greeting) as url:
        home = home_at(tmp_path, coinbase(url))
        with capturing(home) as running:
            until(lambda: running.shard()["frames"] >= 1)
    order = [(r.kind, r.frames[0]) for r in records(home) if r.connection == 1]
    assert b'"opened"' in order[0][1]
    assert order[1] == (Kind.FRAMES, greeting)


def test_a_compressed_frame_that_nobody_agreed_on_is_a_protocol_error(tmp_path: Path) -> None:
    """No extension is negotiated, so there is no deflate bomb: such a frame ends the connection."""
    with _raw_server(b"\xc1\x05bombs") as url:
        home = home_at(tmp_path, coinbase(url))
        with capturing(home) as running:
            until(lambda: running.shard()["ends"].get("protocol"))
    assert not frames(home)


@contextmanager
def _raw_server(after_handshake: bytes) -> Iterator[str]:
    """Answers each handshake and sends ``after_handshake`` in the same packet."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            head = self.request.recv(65536).decode()
            key = next(line for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
            raw = key.partition(":")[2].strip() + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(raw.encode()).digest())
            answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            self.request.sendall(answer + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + after_handshake)
            while self.request.recv(65536):
                pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A reset is what is expected here."""

    with Server(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.server_address[1]}/ws"
        server.shutdown()
