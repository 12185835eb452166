"""Recordings served again, and the blast: real sockets, real frames, exact counts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox.live.blast import pieces
from mdc_resources.sandbox.live.frames import frame
from mdc_resources.sandbox.live.replay import LiveReplay

RECORDED = [
    (0.0, '{"event":"systemStatus"}'),
    (0.2, '{"event":"heartbeat"}'),
    (0.2, '[1,[["1","2"]],"trade","A/B"]'),
]


def test_it_begins_with_the_clients_request() -> None:
    """Nothing before the client speaks, then every frame in order, and what it said is kept."""
    with LiveReplay(RECORDED) as replay, connect(f"{replay.ws_url}/any/path", compression=None) as socket:
        with pytest.raises(TimeoutError):
            socket.recv(0.1)
        socket.send('{"event":"subscribe"}')
        assert [socket.recv(5) for _ in RECORDED] == [text for _, text in RECORDED]
        assert replay.said == ['{"event":"subscribe"}']


def test_each_connection_gets_the_whole() -> None:
    """Two clients at once, from the start each."""
    with (
        LiveReplay(RECORDED, awaits=0) as replay,
        connect(replay.ws_url) as first,
        connect(replay.ws_url) as second,
    ):
        for socket in (first, second):
            assert [socket.recv(5) for _ in RECORDED] == [text for _, text in RECORDED]


def test_its_pace() -> None:
    """At full speed at once; at a pace of two in half the recorded time."""
    for pace, least, most in ((0.0, 0.0, 0.15), (2.0, 0.18, 0.6)):
        with LiveReplay(RECORDED, pace=pace, awaits=0) as replay, connect(replay.ws_url) as socket:
            began = time.monotonic()
            for _ in RECORDED:
                socket.recv(5)
            assert least <= time.monotonic() - began < most


def test_it_answers_http_beside_it() -> None:
    """A book snapshot by its path; anything else is not found."""
    with LiveReplay(RECORDED, answers={"/api/v3/depth?symbol=X": b'{"lastUpdateId":1}'}) as replay:
        assert httpx.get(f"{replay.http_url}/api/v3/depth?symbol=X").json() == {"lastUpdateId": 1}
        assert httpx.get(f"{replay.http_url}/other").status_code == 404


def test_it_closes_where_asked() -> None:
    """With the code, after the last frame."""
    with LiveReplay(RECORDED, awaits=0, close=1001) as replay, connect(replay.ws_url) as socket:
        assert [socket.recv(5) for _ in RECORDED]
        with pytest.raises(ConnectionClosedOK) as ended:
            socket.recv(5)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1001


def test_it_has_no_address_before_it_runs() -> None:
    """The error says what to do."""
    with pytest.raises(UsageError, match="not running"):
        _ = LiveReplay(RECORDED).ws_url


@contextmanager
def blasting(tmp_path: Path, lines: list[str], *options: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A blast in its own process: its port."""
    source = tmp_path / "frames"
    source.write_text("\n".join(lines))
    command = [
        sys.executable,
        "-m",
        "mdc_resources.sandbox.live.blast",
        "--frame-file",
        str(source),
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ran:
        try:
            assert ran.stdout is not None
            yield json.loads(ran.stdout.readline())["port"], ran
        finally:
            ran.kill()


def told(ran: subprocess.Popen[str]) -> Any:
    """What it says of a connection that is over."""
    assert ran.stdout is not None
    return json.loads(ran.stdout.readline())


def test_the_blast_sends_exactly_what_was_asked(tmp_path: Path) -> None:
    """The greeting, then so many frames, over and over in order, then a clean close."""
    lines = [f'{{"n":{at},"pad":"{"x" * (at % 300)}"}}' for at in range(700)]
    with (
        blasting(tmp_path, lines, "--frames", "5000", "--greeting", '{"hello":1}', "--await-message") as (
            port,
            ran,
        ),
        connect(f"ws://127.0.0.1:{port}", compression=None, max_queue=None) as socket,
    ):
        assert socket.recv(5) == '{"hello":1}'
        socket.send("go")
        assert [socket.recv(5) for _ in range(5_000)] == [lines[at % 700] for at in range(5_000)]
        with pytest.raises(ConnectionClosedOK):
            socket.recv(5)
        socket.close()
        assert told(ran)["frames"] == 5_000
        assert ran.wait(10) == 0


def test_the_blast_is_fast(tmp_path: Path) -> None:
    """More than half a million frames a second to a reader that only counts bytes, on a busy machine too."""
    import socket as plain

    frames = 1_000_000
    lines = [json.dumps({"stream": "btcusdt@trade", "data": {"t": at}}) for at in range(1_000)]
    expected = sum(len(frame(lines[at % 1_000].encode())) for at in range(1_000)) * frames // 1_000
    with (
        blasting(tmp_path, lines, "--frames", str(frames)) as (port, ran),
        plain.create_connection(("127.0.0.1", port)) as reader,
    ):
        reader.sendall(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAA\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += reader.recv(100)
        assert head.startswith(b"HTTP/1.1 101")
        got = len(head.partition(b"\r\n\r\n")[2])
        while got < expected + 4:
            got += len(reader.recv(1 << 20))
        reader.close()
        seconds = told(ran)["seconds"]
    assert got == expected + 4
    assert frames / seconds > 500_000


@pytest.mark.parametrize("count", [1, 2, 7, 999, 50_001])
@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_pieces_hold_every_frame_once(count: int, size: int) -> None:
    """Whatever the file's length, so many frames in their order."""
    framed = [frame(f"{at:05d}".encode() * (1 + at % 40)) for at in range(size)]
    joined = b"".join(piece for _, piece in pieces(framed, count))
    assert sum(number for number, _ in pieces(framed, count)) == count
    assert joined == b"".join(framed[at % size] for at in range(count))


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_frames_are_read_back(length: int) -> None:
    """Each of the three forms of a length, by the library's own reader."""
    from websockets.client import ClientProtocol
    from websockets.frames import Frame
    from websockets.protocol import State
    from websockets.uri import parse_uri

    reader = ClientProtocol(parse_uri("ws://127.0.0.1/"), state=State.OPEN, max_size=None)
    reader.receive_data(frame(b"x" * length))
    (event,) = reader.events_received()
    assert isinstance(event, Frame)
    assert event.data == b"x" * length
