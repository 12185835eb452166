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
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.errors import CircuitOpen, PayloadError, RateLimited, TransportError
from mdc_resources.domain.requests import HttpRequest
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


def _date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("said", ["1", "1.0", lambda: _date(2)], ids=["seconds", "decimals", "HTTP date"])
def test_retry_after_is_honoured(desk: Any, vendor: Any, said: Any) -> None:
    """The next request comes no earlier than the vendor asked."""
    came: list[float] = []

    def answer(call: Any) -> None:
        came.append(time.monotonic())
        if call.number == 1:
            call.reply(429, b"", retry_after=said() if callable(said) else said)
        else:
            call.reply()

    vendor.answer = answer
    desk.fetch(f"{vendor.url}/x")
    assert came[1] - came[0] > 0.95
    assert [a.status for a in desk.attempts] == [429, 200]


@pytest.mark.parametrize(
    "said", ["1000000000", "3600", lambda: _date(10**7)], ids=["absurd", "an hour", "a far date"]
)
def test_a_long_retry_after_fails_over(desk: Any, vendor: Any, said: Any) -> None:
    """Nobody waits an hour: the error carries the wait, and the provider is left alone meanwhile."""
    vendor.answer = lambda call: call.reply(429, b"", retry_after=said() if callable(said) else said)
    began = time.monotonic()
    with pytest.raises(RateLimited) as caught:
        desk.fetch(f"{vendor.url}/x")
    assert time.monotonic() - began < 5
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 1000
    with pytest.raises(CircuitOpen):
        desk.fetch(f"{vendor.url}/x")
    assert vendor.requests == 1


@pytest.mark.parametrize(
    "said", ["-5", "soon", "", "NaN", "1e3", "-1e9", "Mon, 01 Jan 1990 00:00:00 GMT", "٣"], ids=ascii
)
def test_a_useless_retry_after_is_ignored(desk: Any, vendor: Any, said: str) -> None:
    """Negative, past and malformed values mean nothing: ordinary backoff applies."""
    line = f"HTTP/1.1 429 X\r\nretry-after: {said}\r\ncontent-length: 0\r\n\r\n".encode()
    vendor.answer = lambda call: call.raw(line) if call.number == 1 else call.reply()
    assert desk.fetch(f"{vendor.url}/x").response.status == 200


def test_retry_after_also_counts_with_503(desk: Any, vendor: Any) -> None:
    """RFC 9110 allows it there as well."""
    vendor.answer = lambda call: call.reply(503, b"", retry_after="7200")
    with pytest.raises(TransportError):
        desk.fetch(f"{vendor.url}/x")
    assert vendor.requests == 1


def test_a_storm_of_429_stays_small(desks: Callable[..., Any], vendor: Any) -> None:
    """A vendor that only ever says 429 opens the breaker like one that is down."""
    desk = desks(breaker_failures=3, max_attempts=2)
    vendor.answer = lambda call: call.reply(429)
    for _ in range(20):
        with pytest.raises((RateLimited, CircuitOpen)):
            desk.fetch(f"{vendor.url}/x")
    assert vendor.requests == 3


def test_another_host_never_gets_the_key(desks: Callable[..., Any], vendors: Callable[[], Any]) -> None:
    """A redirect to another origin is refused: nothing is sent there, credentials least of all."""
    desk = desks(environ={"ACME_KEY": "SEKRET_value_1234"})
    vendor, thief = vendors(), vendors()
    vendor.answer = lambda call: call.reply(302, b"", location=f"{thief.url}/take?apikey=SEKRET_value_1234")
    with pytest.raises(PayloadError, match=r"redirects to another host.*not followed") as caught:
        desk.fetch(f"{vendor.url}/x", auth=(("x-key", "ACME_KEY"),), query_auth=(("apikey", "ACME_KEY"),))
    assert (vendor.requests, thief.requests) == (1, 0)
    assert "SEKRET" not in str(caught.value)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "http://[", "//127.0.0.1:1/x", "http://user@127.0.0.1:9/"]
)
def test_strange_redirects_are_refused(desk: Any, vendor: Any, target: str) -> None:
    """No scheme, port or syntax trick leads elsewhere."""
    vendor.answer = lambda call: call.reply(301, b"", location=target)
    with pytest.raises(PayloadError):
        desk.fetch(f"{vendor.url}/x")
    assert vendor.requests == 1


def test_a_redirect_without_a_target(desk: Any, vendor: Any) -> None:
    """302 with no Location is a wrong payload."""
    vendor.answer = lambda call: call.reply(302)
    with pytest.raises(PayloadError, match="to nowhere"):
        desk.fetch(f"{vendor.url}/x")


def test_a_redirect_at_home_is_followed(desks: Callable[..., Any], vendor: Any) -> None:
    """Within the same origin it is followed with credentials, each hop a line of the ledger."""
    desk = desks(environ={"ACME_KEY": "SEKRET_value_1234"})

    def answer(call: Any) -> None:
        if call.number == 1:
            call.reply(301, b"", location="/new/place?page=2&apikey=SEKRET_value_1234")
        else:
            call.reply(200, b"here")

    vendor.answer = answer
    exchange = desk.fetch(f"{vendor.url}/x", params=(("page", "1"),), query_auth=(("apikey", "ACME_KEY"),))
    assert exchange.response.body == b"here"
    assert vendor.heads[1].startswith("GET /new/place?page=2&apikey=SEKRET_value_1234 ")
    assert [a.url for a in desk.attempts] == [
        f"{vendor.url}/x?page=1&apikey=***",
        f"{vendor.url}/new/place?page=2&apikey=***",
    ]


def test_a_circle_of_redirects_ends(desk: Any, vendor: Any) -> None:
    """Four requests, then a typed error."""
    vendor.answer = lambda call: call.reply(302, b"", location="/x")
    with pytest.raises(PayloadError, match="more than 3 redirects"):
        desk.fetch(f"{vendor.url}/x")
    assert vendor.requests == 4


def test_files_are_read_and_archived(desk: Any, tmp_path: Path) -> None:
    """``file://`` gives the bytes of a file with its media type, in the archive like any answer."""
    file = tmp_path / "drop in" / "=BRK%2EB é#?.csv"
    file.parent.mkdir()
    file.write_bytes(b"date,close\n")
    exchange = desk.fetch(file.as_uri())
    assert (exchange.response.status, exchange.response.body) == (200, b"date,close\n")
    assert exchange.response.content_type == "text/csv"
    (archived,) = _archived(desk)
    assert archived.response == exchange.response
    assert archived.wire == HttpRequest(file.as_uri())


def test_files_that_cannot_be_read(desks: Callable[..., Any], tmp_path: Path) -> None:
    """Missing, a folder, a pipe, too large: a typed error each, and nothing hangs."""
    desk = desks(max_body_mb=0.001)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(5000))
    for name, message in (
        ("absent", "answered 404"),
        ("", "not a regular file"),
        ("pipe", "not a regular file"),
        ("large", "has 5000 bytes"),
    ):
        with pytest.raises(PayloadError, match=message):
            desk.fetch((tmp_path / name).as_uri())
    assert len(desk.attempts) == 4
