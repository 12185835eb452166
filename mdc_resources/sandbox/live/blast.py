"""``python -m mdc_resources.sandbox.live.blast``: frames as fast as TCP takes them, for benchmarks.

Completes one WebSocket handshake per connection, optionally waits for the client's first message, then
sends the lines of a file over and over, framed beforehand, until ``--frames`` are out (0: for ever),
and closes with 1000. Prints a line of JSON with its port, then one per connection that is over.
Runs in a process of its own, so that what is measured shares no interpreter with it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mdc_resources.sandbox.live.frames import frame

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PIECE = 1 << 18
_DRAIN_SECONDS = 30.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve ``--connections`` connections (0: any number), then end."""
    asked = _parser().parse_args(arguments)
    lines = Path(asked.frame_file).read_bytes().splitlines()
    framed = [frame(line) for line in lines if line]
    greeting = b"".join(frame(text.encode()) for text in asked.greeting)
    with socket.create_server(("127.0.0.1", asked.port)) as listener:
        _tell(port=listener.getsockname()[1], frames_in_file=len(framed))
        threads: list[threading.Thread] = []
        while not asked.connections or len(threads) < asked.connections:
            peer, _ = listener.accept()
            thread = threading.Thread(target=_serve, args=(peer, framed, greeting, asked), daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()


def pieces(framed: Sequence[bytes], frames: int) -> Iterator[tuple[int, bytes]]:
    """``framed`` over and over, ``frames`` of them (0: for ever), as (count, bytes) of about 256 KiB."""
    around: list[bytes] = []
    counts: list[int] = []
    at = 0
    while not around or at % len(framed):  # whole pieces until the file is through
        start, size = at, 0
        while size < _PIECE and (at == start or at % len(framed)):
            size += len(framed[at % len(framed)])
            at += 1
        around.append(b"".join(framed[start:at]))
        counts.append(at - start)
    sent = turn = 0
    while not frames or sent < frames:
        piece, count = around[turn % len(around)], counts[turn % len(around)]
        if frames and sent + count > frames:
            first = sent % len(framed)
            count = frames - sent
            piece = b"".join(framed[first : first + count])
        yield count, piece
        sent, turn = sent + count, turn + 1


def _serve(peer: socket.socket, framed: list[bytes], greeting: bytes, asked: argparse.Namespace) -> None:
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sent = octets = 0
    with peer:
        try:
            rest = _shake_hands(peer)
            peer.sendall(greeting)
            if asked.await_message and not rest:
                peer.recv(65_536)
            began = time.perf_counter()
            for count, piece in pieces(framed, asked.frames):
                if asked.per_second:
                    time.sleep(max(0.0, began + sent / asked.per_second - time.perf_counter()))
                peer.sendall(piece)
                sent, octets = sent + count, octets + len(piece)
            seconds = time.perf_counter() - began
            peer.sendall(frame(struct.pack("!H", 1000), 0x8))
            peer.shutdown(socket.SHUT_WR)
            peer.settimeout(_DRAIN_SECONDS)
            while peer.recv(65_536):  # closing before the client has read everything might reset it
                pass
        except OSError as error:
            _tell(frames=sent, bytes=octets, error=str(error))
            return
    _tell(frames=sent, bytes=octets, seconds=round(seconds, 6))


def _shake_hands(peer: socket.socket) -> bytes:
    """Answer the upgrade; returns what the client sent after it."""
    request = b""
    while b"\r\n\r\n" not in request:
        got = peer.recv(65_536)
        if not got:
            raise ConnectionError("closed during the handshake")
        request += got
    head, _, rest = request.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"sec-websocket-key" not in headers:
        raise ConnectionError("no WebSocket handshake")
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    digest = hashlib.sha1(key.partition(b":")[2].strip() + _MAGIC, usedforsecurity=False).digest()
    peer.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )
    return rest


def _tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="blast", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--frame-file", required=True, help="one frame per line")
    parser.add_argument("--frames", type=int, default=0, help="how many frames per connection; 0 for ever")
    parser.add_argument("--per-second", type=int, default=0, help="at most so many frames; 0: no limit")
    parser.add_argument("--connections", type=int, default=1, help="end after so many; 0 for never")
    parser.add_argument("--await-message", action="store_true", help="wait for the client's first message")
    parser.add_argument("--greeting", action="append", default=[], help="a frame to send at once")
    return parser


if __name__ == "__main__":
    main()
