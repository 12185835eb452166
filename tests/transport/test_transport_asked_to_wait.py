"""Waits and redirects a vendor asks for: honoured within bounds, and no key for another host."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.errors import CircuitOpen, PayloadError, RateLimited, TransportError
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.transport.archive import ArchivedExchange, read_archive


def _archived(desk: Any) -> list[ArchivedExchange]:
    return [item for item in read_archive(desk.home.raw_dir) if isinstance(item, ArchivedExchange)]


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
