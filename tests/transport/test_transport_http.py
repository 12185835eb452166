"""The ordinary ways of an exchange: sent, archived, judged, asked again, given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from mdc_resources.config import Limits
from mdc_resources.domain.errors import (
    BadCredentials,
    CircuitOpen,
    NotEntitled,
    PayloadError,
    QuotaExhausted,
    RateLimited,
    TransportError,
    UnknownSymbol,
    UsageError,
)
from mdc_resources.domain.requests import HttpRequest, HttpResponse
from mdc_resources.transport.archive import ArchivedExchange, read_archive, read_record


def test_a_plain_answer(desk: Any, vendor: Any) -> None:
    """The body comes back, is archived, and leaves one line of the ledger."""
    vendor.answer = lambda call: call.reply(
        200, b'{"close": 34.10}', content_type="application/json; charset=x"
    )
    exchange = desk.fetch(f"{vendor.url}/bars", params=(("symbol", "BRK.B"),), headers=(("accept", "x/y"),))
    assert exchange.response.body == b'{"close": 34.10}'
    assert exchange.response.content_type == "application/json"
    (attempt,) = desk.attempts
    assert (attempt.status, attempt.error, attempt.body_bytes) == (200, "", 16)
    assert attempt.sha256 == sha256(b'{"close": 34.10}').hexdigest()
    assert attempt.url == f"{vendor.url}/bars?symbol=BRK.B"
    assert (attempt.fetch_id, attempt.record_id) == (exchange.fetch_id, exchange.record_id)
    assert read_record(desk.home.raw_dir, exchange.record_id).response == exchange.response
    assert "GET /bars?symbol=BRK.B HTTP/1.1" in vendor.heads[0]
    assert "accept: x/y" in vendor.heads[0].lower()


def test_a_url_keeps_its_own_query(desk: Any, vendor: Any) -> None:
    """Parameters join what the URL already has, repeated ones included."""
    desk.fetch(f"{vendor.url}/x?a=1", params=(("s", "A"), ("s", "B/C D")))
    assert vendor.heads[0].startswith("GET /x?a=1&s=A&s=B%2FC%20D ") or "s=A&s=B%2FC+D" in vendor.heads[0]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, PayloadError),
        (401, BadCredentials),
        (402, NotEntitled),
        (403, BadCredentials),
        (404, PayloadError),
        (410, PayloadError),
        (451, PayloadError),
    ],
)
def test_a_final_status_is_asked_once(desk: Any, vendor: Any, status: int, error: type[Exception]) -> None:
    """Nothing is gained by asking again: one request, one record, one typed error."""
    vendor.answer = lambda call: call.reply(status, b"no")
    with pytest.raises(error, match=f"acme answered {status} for {vendor.url}/x"):
        desk.fetch(f"{vendor.url}/x")
    assert vendor.requests == 1
    assert [a.status for a in desk.attempts] == [status]
    (archived,) = _archived(desk)
    assert (archived.response.body, archived.error) == (b"no", desk.attempts[0].error)


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 599])
def test_a_passing_failure_is_asked_again(desk: Any, vendor: Any, status: int) -> None:
    """Two bad answers, then a good one: the caller sees the good one, the ledger all three."""
    vendor.answer = lambda call: call.reply(status if call.number < 3 else 200, b"%d" % call.number)
    assert desk.fetch(f"{vendor.url}/x").response.body == b"3"
    assert [a.status for a in desk.attempts] == [status, status, 200]
    assert len({a.fetch_id for a in desk.attempts}) == 3
    assert [e.response.body for e in _archived(desk)] == [b"1", b"2", b"3"]


def test_tries_are_bounded(desks: Callable[..., Any], vendor: Any) -> None:
    """``max_attempts`` requests, then the last error."""
    desk = desks(max_attempts=3)
    vendor.answer = lambda call: call.reply(500)
    with pytest.raises(TransportError) as caught:
        desk.fetch(f"{vendor.url}/x")
    assert (vendor.requests, caught.value.status, caught.value.provider) == (3, 500, "acme")


def test_the_dialect_is_asked_first(desk: Any, vendor: Any) -> None:
    """A provider's own reading of an answer beats the status, whatever the status."""

    def classify(response: HttpResponse) -> UnknownSymbol | None:
        return UnknownSymbol("no such symbol", symbol="AAPL") if response.status == 500 else None

    desk.classify = classify
    vendor.answer = lambda call: call.reply(500)
    with pytest.raises(UnknownSymbol) as caught:
        desk.fetch(f"{vendor.url}/x")
    assert (vendor.requests, caught.value.provider, caught.value.status) == (1, "acme", 500)


def test_an_error_behind_200_is_an_error(desk: Any, vendor: Any) -> None:
    """``{"Note": "5 calls a minute"}`` with a 200 is retried as the rate limit it is."""
    desk.classify = lambda r: RateLimited("slow down", retry_after=0.0) if b"Note" in r.body else None
    vendor.answer = lambda call: call.reply(200, b'{"Note": 1}' if call.number == 1 else b"{}")
    assert desk.fetch(f"{vendor.url}/x").response.body == b"{}"
    assert [bool(a.error) for a in desk.attempts] == [True, False]


def test_a_dialect_may_raise_its_error(desk: Any, vendor: Any) -> None:
    """Raised or returned is the same, and the body is archived either way."""

    def classify(_response: HttpResponse) -> None:
        raise NotEntitled("not in your plan")

    desk.classify = classify
    with pytest.raises(NotEntitled):
        desk.fetch(f"{vendor.url}/x")
    assert len(_archived(desk)) == 1


def test_a_million_brackets(desk: Any, vendor: Any) -> None:
    """A body nested a million deep is bytes to us; a dialect that chokes on it gives PayloadError."""
    import json

    body = b"[" * 1_000_000
    vendor.answer = lambda call: call.reply(200, body)
    assert desk.fetch(f"{vendor.url}/x").response.body == body

    def classify(response: HttpResponse) -> None:
        json.loads(response.body)

    desk.classify = classify
    with pytest.raises(PayloadError, match="nested too deeply"):
        desk.fetch(f"{vendor.url}/x")


def test_credentials_go_out_at_the_last_moment(desks: Callable[..., Any], vendor: Any) -> None:
    """The vendor sees the values; ledger and archive see the names."""
    desk = desks(environ={"ACME_KEY": "SEKRET_value_1234"})
    exchange = desk.fetch(
        f"{vendor.url}/x", auth=(("x-key", "ACME_KEY"),), query_auth=(("apikey", "ACME_KEY"),)
    )
    assert "apikey=SEKRET_value_1234" in vendor.heads[0]
    assert "x-key: SEKRET_value_1234" in vendor.heads[0]
    assert desk.attempts[0].url == f"{vendor.url}/x?apikey=***"
    archived = read_record(desk.home.raw_dir, exchange.record_id)
    assert archived.wire.auth == (("x-key", "ACME_KEY"),)
    assert archived.wire.query_auth == (("apikey", "ACME_KEY"),)


@pytest.mark.parametrize("place", ["auth", "query_auth"])
def test_a_missing_credential_sends_nothing(desk: Any, vendor: Any, place: str) -> None:
    """The error names the variable; no request, no attempt, no breaker."""
    with pytest.raises(BadCredentials, match=r"ACME_KEY is not set.*\.env"):
        desk.fetch(f"{vendor.url}/x", **{place: (("key", "ACME_KEY"),)})
    assert (vendor.requests, desk.attempts) == (0, [])


@pytest.mark.parametrize("value", ["two\nlines-secret", "nul\0-secret-x", "sekrét-long-enough"], ids=ascii)
def test_a_credential_that_cannot_be_sent(desks: Callable[..., Any], vendor: Any, value: str) -> None:
    """A key with a line end could forge a header: refused, without showing it."""
    desk = desks(environ={"ACME_KEY": value})
    with pytest.raises(BadCredentials, match="ACME_KEY holds a control") as caught:
        desk.fetch(f"{vendor.url}/x", auth=(("x-key", "ACME_KEY"),))
    assert value not in str(caught.value)
    assert vendor.requests == 0


@pytest.mark.parametrize("url", ["ftp://h/x", "gopher://h", "http://", "javascript:1", "/etc/passwd"])
def test_other_schemes_are_refused(desk: Any, url: str) -> None:
    """Only http, https and file; anything else is a mistake of ours, not the vendor's."""
    with pytest.raises(UsageError):
        desk.fetch(url)


def test_connections_are_bounded(desks: Callable[..., Any], vendor: Any) -> None:
    """Sixty fetches at once use four connections, kept open between requests."""
    desk = desks(connections=4)

    def answer(call: Any) -> None:
        time.sleep(0.005)
        call.reply()

    vendor.answer = answer

    async def many(transport: Any) -> None:
        await asyncio.gather(*[desk.ask(transport, HttpRequest(f"{vendor.url}/{n}")) for n in range(60)])

    desk.run(many)
    assert vendor.requests == 60
    assert vendor.open_most <= 4


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    desk: Any, vendor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox and a drop server on this machine are reached directly."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert desk.fetch(f"{vendor.url}/x").response.status == 200


def test_cookies_are_not_kept(desk: Any, vendor: Any) -> None:
    """No session builds up between requests, and no cookie reaches the archive."""
    vendor.answer = lambda call: call.reply(200, b"{}", set_cookie="sid=SEKRET_cookie")

    async def twice(transport: Any) -> None:
        for _ in range(2):
            await desk.ask(transport, HttpRequest(f"{vendor.url}/x"))

    desk.run(twice)
    assert "cookie" not in "".join(vendor.heads).lower()
    assert b"SEKRET" not in b"".join(p.read_bytes() for p in desk.home.raw_dir.rglob("*.*"))


def test_a_cancelled_fetch_is_noted(desk: Any, vendor: Any) -> None:
    """Giving up from above still leaves a line for the request that was sent."""
    vendor.answer = lambda call: call.silence()

    async def impatient(transport: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await desk.ask(transport, HttpRequest(f"{vendor.url}/x"))

    desk.run(impatient)
    assert [a.error for a in desk.attempts] == [
        f"TransportError: acme: given up by the caller ({vendor.url}/x)"
    ]


def test_the_day_s_budget_ends_it_before_sending(desk: Any, vendor: Any) -> None:
    """With the allowance used up nothing goes out, also in a later run."""
    desk.limits = Limits(day=2)
    for _ in range(2):
        desk.fetch(f"{vendor.url}/x")
    with pytest.raises(QuotaExhausted, match=r"providers\.acme\.limits\.day"):
        desk.fetch(f"{vendor.url}/x")
    assert vendor.requests == 2


def test_retries_spend_budget_too(desk: Any, vendor: Any) -> None:
    """A storm of failures cannot send more than the budget allows."""
    desk.limits = Limits(hour=2)
    vendor.answer = lambda call: call.reply(503)
    with pytest.raises(RateLimited, match="budget of 2 requests a hour"):
        desk.fetch(f"{vendor.url}/x")
    assert vendor.requests == 2


def test_a_full_second_is_waited_out(desk: Any, vendor: Any) -> None:
    """Waiting for one's own rate limit is no failure and not part of the deadline."""
    desk.limits = Limits(second=5)

    async def many(transport: Any) -> None:
        await asyncio.gather(*[desk.ask(transport, HttpRequest(f"{vendor.url}/{n}")) for n in range(11)])

    began = time.monotonic()
    desk.run(many)
    assert time.monotonic() - began > 1.9
    assert vendor.requests == 11


def test_a_storm_of_503_opens_the_breaker(desks: Callable[..., Any], vendor: Any) -> None:
    """Two hundred wishes against a dead vendor cost a handful of requests, over restarts too."""
    desk = desks(breaker_failures=5, max_attempts=2, breaker_open_seconds=60)
    vendor.answer = lambda call: call.reply(503, b"down")

    async def storm(transport: Any) -> list[BaseException | object]:
        wires = [HttpRequest(f"{vendor.url}/{n}") for n in range(200)]
        return await asyncio.gather(*[desk.ask(transport, wire) for wire in wires], return_exceptions=True)

    outcomes = desk.run(storm)
    assert {type(outcome) for outcome in outcomes} <= {TransportError, CircuitOpen}
    assert sum(isinstance(outcome, CircuitOpen) for outcome in outcomes) > 150
    assert vendor.requests <= 16 + 5
    sent = vendor.requests
    with pytest.raises(CircuitOpen, match=r"not asked for bars_1d for another .* 503"):
        desk.fetch(f"{vendor.url}/x")
    assert vendor.requests == sent
    assert len(desk.attempts) == sent


def test_a_recovered_vendor_is_asked_again(desks: Callable[..., Any], vendor: Any) -> None:
    """After the pause one probe goes out; its success closes the breaker for everybody."""
    desk = desks(breaker_failures=2, max_attempts=1, breaker_open_seconds=1.5)
    vendor.answer = lambda call: call.reply(503 if call.number <= 2 else 200)
    for _ in range(2):
        with pytest.raises(TransportError):
            desk.fetch(f"{vendor.url}/x")
    with pytest.raises(CircuitOpen):
        desk.fetch(f"{vendor.url}/x")
    time.sleep(1.6)

    async def at_once(transport: Any) -> list[BaseException | object]:
        wires = [HttpRequest(f"{vendor.url}/{n}") for n in range(10)]
        return await asyncio.gather(*[desk.ask(transport, wire) for wire in wires], return_exceptions=True)

    outcomes = desk.run(at_once)
    assert sum(isinstance(outcome, CircuitOpen) for outcome in outcomes) >= 1
    assert desk.fetch(f"{vendor.url}/x").response.status == 200


def test_other_providers_are_not_held_back(desks: Callable[..., Any], vendor: Any) -> None:
    """A breaker belongs to one provider."""
    desk = desks(breaker_failures=1, max_attempts=1)
    vendor.answer = lambda call: call.reply(503 if "bad" in call.head else 200)
    with pytest.raises(TransportError):
        desk.fetch(f"{vendor.url}/bad")

    async def other(transport: Any) -> Any:
        return await desk.ask(transport, HttpRequest(f"{vendor.url}/good"), provider="other")

    assert desk.run(other).response.status == 200


def _archived(desk: Any) -> list[ArchivedExchange]:
    return [item for item in read_archive(desk.home.raw_dir) if isinstance(item, ArchivedExchange)]
