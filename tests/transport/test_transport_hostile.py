"""Vendors and networks that misbehave: bounded in time and size, typed, archived, never parsed in part."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.errors import PayloadError, TransportError
from mdc_resources.transport.archive import ArchivedExchange, read_archive

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def _archived(desk: Any) -> list[ArchivedExchange]:
    return [item for item in read_archive(desk.home.raw_dir) if isinstance(item, ArchivedExchange)]


def _drip(call: Any) -> None:
    call.raw(HEAD + b"content-length: 1000\r\n\r\n")
    while not call.closing.wait(0.1):
        call.raw(b"x")


def _drip_headers(call: Any) -> None:
    call.raw(HEAD)
    while not call.closing.wait(0.1):
        call.raw(b"x-more: 1\r\n")


def _blackhole_after_headers(call: Any) -> None:
    call.raw(HEAD + b"content-length: 1000\r\n\r\n")
    call.silence()


SLOW = {
    "one byte at a time": _drip,
    "one header at a time": _drip_headers,
    "silence": lambda call: call.silence(),
    "silence after the headers": _blackhole_after_headers,
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW.keys())
def test_one_deadline_covers_everything(desks: Callable[..., Any], vendor: Any, answer: Any) -> None:
    """However a vendor stalls, all tries together end at the deadline."""
    desk = desks(deadline_seconds=1.0)
    vendor.answer = answer
    began = time.monotonic()
    with pytest.raises(TransportError, match=r"no (complete )?answer"):
        desk.fetch(f"{vendor.url}/x")
    assert time.monotonic() - began < 5  # without it: for ever
    assert len(desk.attempts) == vendor.requests
    assert all(attempt.error for attempt in desk.attempts)


def test_silence_leaves_time_for_a_second_try(desks: Callable[..., Any], vendor: Any) -> None:
    """A connection that hangs once does not use up the whole deadline."""
    desk = desks(deadline_seconds=2.0)
    vendor.answer = lambda call: call.silence() if call.number == 1 else call.reply(200, b"late")
    assert desk.fetch(f"{vendor.url}/x").response.body == b"late"


def _reset_mid_body(call: Any) -> None:
    call.raw(HEAD + b"content-length: 1000\r\n\r\n" + b'{"rows": [1, 2')
    time.sleep(0.05)  # let it arrive before the RST throws it away
    call.reset()


def _short_body(call: Any) -> None:
    call.raw(HEAD + b"content-length: 1000\r\n\r\n" + b'{"rows": [1, 2')
    call.hang_up()


def _chunk_missing(call: Any) -> None:
    call.raw(HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"e\r\n" + b'{"rows": [1, 2' + b"\r\n")
    call.hang_up()


def _gzip_cut(call: Any) -> None:
    body = gzip.compress(os.urandom(5000))[:2000]
    call.raw(HEAD + b"content-encoding: gzip\r\ncontent-length: 2000\r\n\r\n" + body)


CUT = {
    "reset mid-body": _reset_mid_body,
    "shorter than its content-length": _short_body,
    "last chunk missing": _chunk_missing,
    "gzip cut": _gzip_cut,
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT.keys())
def test_a_cut_body_is_never_handed_on(desks: Callable[..., Any], vendor: Any, answer: Any) -> None:
    """A truncated answer is asked for again; what came of it is archived as truncated."""
    desk = desks(max_attempts=2)
    seen: list[bytes] = []
    desk.classify = lambda response: seen.append(response.body)
    vendor.answer = answer
    with pytest.raises(TransportError):
        desk.fetch(f"{vendor.url}/x")
    assert seen == []
    assert vendor.requests == 2
    kept = _archived(desk)
    assert all(item.truncated and item.error for item in kept)
    vendor.answer = lambda call: call.reply(200, b"whole")
    assert desk.fetch(f"{vendor.url}/x").response.body == b"whole"


def test_lying_headers_about_compression(desk: Any, vendor: Any) -> None:
    """``content-encoding: gzip`` over a plain body is a wrong payload, kept as evidence."""
    vendor.answer = lambda call: call.reply(200, b'{"plain": true}', content_encoding="gzip")
    with pytest.raises(PayloadError, match="not compressed as its header says"):
        desk.fetch(f"{vendor.url}/x")
    assert vendor.requests == 1
    assert len(_archived(desk)) == 1


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x\ty"], ids=ascii)
def test_an_encoding_nobody_asked_for(desk: Any, vendor: Any, encoding: str) -> None:
    """Only gzip and deflate are asked for; anything else is refused, not guessed."""
    vendor.answer = lambda call: call.reply(200, b"\x1f\x8b", content_encoding=encoding)
    with pytest.raises(PayloadError, match="which was not asked for"):
        desk.fetch(f"{vendor.url}/x")


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b"body" * 999),
        gzip.compress(b"body" * 500) + gzip.compress(b"body" * 499),
        zlib.compress(b"body" * 999),
        zlib.compress(b"body" * 999, wbits=-15),
    ],
    ids=["gzip", "two gzip members", "zlib", "raw deflate"],
)
def test_honest_compression_is_undone(desk: Any, vendor: Any, packed: bytes) -> None:
    """The decoder gets the plain body, and headers that describe it."""
    encoding = "gzip" if packed[:2] == b"\x1f\x8b" else "deflate"
    vendor.answer = lambda call: call.reply(200, packed, content_encoding=encoding)
    response = desk.fetch(f"{vendor.url}/x").response
    assert response.body == b"body" * 999
    assert (response.headers.get("content-encoding"), response.headers["content-length"]) == (None, "3996")


def test_a_body_over_the_limit(desks: Callable[..., Any], vendor: Any) -> None:
    """A plain body is cut at the configured size, and the message names the setting."""
    desk = desks(max_body_mb=1)
    vendor.answer = lambda call: call.reply(200, bytes(2_000_000))
    with pytest.raises(PayloadError, match=r"larger than 1048576 bytes.*transport\.max_body_mb"):
        desk.fetch(f"{vendor.url}/x")
    assert len(_archived(desk)[0].response.body) <= 1024 * 1024


_BOMB = """
    import resource, sys
    from pathlib import Path
    sys.path.insert(0, {here!r})
    import conftest
    from mdc_resources import config
    from mdc_resources.domain.errors import PayloadError

    desk = conftest.Desk(config.load(Path({config!r}), environ={{}}))
    desk.fetch({url!r} + "/warm-up")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        desk.fetch({url!r} + "/data")
    except PayloadError as error:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


@pytest.mark.parametrize("level", ["100 MB in 97 KB", "500 MB in 485 KB"])
def test_a_gzip_bomb_does_not_fill_memory(desk: Any, vendor: Any, level: str) -> None:
    """A few kilobytes that unpack to much more are refused within 64 MB of extra memory."""
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1_000_000)
    body = b"".join(packer.compress(zeros) for _ in range(int(level.split()[0]))) + packer.flush()

    def answer(call: Any) -> None:
        call.reply() if "warm" in call.head else call.reply(200, body, content_encoding="gzip")

    vendor.answer = answer
    here, file = str(Path(__file__).parent), str(desk.home.config_file)
    script = textwrap.dedent(_BOMB).format(here=here, config=file, url=vendor.url)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    grown_kb, _, message = done.stdout.partition(" ")
    assert "decompression bomb" in message, done.stderr
    assert int(grown_kb) < 32 * 1024


def test_endless_headers(desk: Any, vendor: Any) -> None:
    """A header section without end is cut off by the parser, not collected."""
    vendor.answer = lambda call: call.raw(HEAD + b"x: " + b"y" * 5_000_000 + b"\r\n\r\n")
    with pytest.raises(TransportError):
        desk.fetch(f"{vendor.url}/x")


def test_no_http_at_all(desk: Any, vendor: Any) -> None:
    """A server that speaks something else is a transport error, not a crash."""
    vendor.answer = lambda call: (call.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), call.hang_up())
    with pytest.raises(TransportError, match="no usable answer"):
        desk.fetch(f"{vendor.url}/x")


def test_nobody_listens(desk: Any) -> None:
    """Connection refused: tried again, then a typed error; each try is in the ledger."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(TransportError, match="ConnectError"):
            desk.fetch(f"http://127.0.0.1:{port}/x")
    assert len(desk.attempts) == 4
    assert _archived(desk) == []


def test_a_name_that_does_not_resolve(desks: Callable[..., Any]) -> None:
    """DNS failure is a transport error (RFC 6761: .invalid never resolves)."""
    with pytest.raises(TransportError):
        desks(max_attempts=1).fetch("http://vendor.invalid/x")


def test_tls_is_always_verified(desks: Callable[..., Any], tmp_path: Path) -> None:
    """A self-signed certificate fails before a byte of the request is sent; nothing turns that off."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("openssl is not installed")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run(
        [*make, "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(cert), "-keyout", str(key)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    received: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(listener.accept()[0], server_side=True) as line,
        ):
            received.append(line.recv(1000))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        with pytest.raises(TransportError, match="CERTIFICATE_VERIFY_FAILED"):
            desks(max_attempts=1).fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/x")
        thread.join(5)
    assert b"GET" not in b"".join(received)
