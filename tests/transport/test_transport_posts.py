"""Requests with a body, and headers with a scheme: sent as they are, archived without secrets."""

from __future__ import annotations

import base64

import pytest

from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.transport.archive_reader import read_record
from mdc_resources.transport.notes import from_json, masked_request, to_json

BODY = b'[{"idType": "TICKER", "idValue": "BRK/B"}]'


def posting(vendor, bodies):
    """Read the body that the head promises, and answer with it."""

    def answer(call):
        length = next(
            int(line.split(":")[1])
            for line in call.head.splitlines()
            if line.lower().startswith("content-length")
        )
        body = call.head.partition("\r\n\r\n")[2].encode("latin-1")
        while len(body) < length:
            body += call.sock.recv(65536)
        bodies.append(body)
        call.reply(200, body)

    vendor.answer = answer


def test_a_body_is_sent_as_it_is_and_kept_with_the_answer(desk, vendor):
    """Method, length and type of content; the archive says what was asked."""
    bodies = []
    posting(vendor, bodies)
    got = desk.fetch(
        f"{vendor.url}/v3/mapping", method="POST", body=BODY, headers=(("content-type", "application/json"),)
    )
    assert got.response.body == BODY
    assert bodies == [BODY]
    assert vendor.heads[0].startswith("POST /v3/mapping HTTP/1.1")
    assert "content-type: application/json" in vendor.heads[0].lower()
    kept = read_record(desk.home.raw_dir, got.record_id)
    assert (kept.wire.method, kept.wire.body) == ("POST", BODY)


def test_a_get_has_no_body(desk, vendor):
    """Not even a length."""
    desk.fetch(f"{vendor.url}/x")
    assert "content-length" not in vendor.heads[0].lower()


def test_a_secret_in_a_body_is_masked_in_the_archive(desks, vendor):
    """Raw and in base64, with its length kept."""
    key = "SEKRET_0123456789abcdef"
    desk = desks(environ={"CANARY": key})
    posting(vendor, bodies := [])
    body = b'{"token": "%s", "b": "%s"}' % (key.encode(), base64.b64encode(key.encode()))
    desk.fetch(f"{vendor.url}/x", method="POST", body=body, auth=(("x-key", "CANARY"),))
    assert bodies == [body]
    written = b"".join(path.read_bytes() for path in desk.home.root.rglob("*") if path.is_file())
    assert b"request_body" in written
    assert key.encode() not in written
    assert base64.b64encode(key.encode()) not in written


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_request_with_a_body_follows_no_redirect(desk, vendor, status):
    """Some of these would turn it into a GET."""
    vendor.answer = lambda call: call.reply(status, b"", location="/elsewhere")
    with pytest.raises(PayloadError, match="with a body"):
        desk.fetch(f"{vendor.url}/x", method="POST", body=BODY)
    assert vendor.requests == 1


def test_a_header_with_a_scheme_gets_scheme_and_credential(desks, vendor):
    """``Authorization: Bearer``; the name of the credential is all the archive knows."""
    key = "SEKRET_bearer_0123456789"
    desk = desks(environ={"CANARY": key})
    got = desk.fetch(f"{vendor.url}/x", auth=(("Authorization: Bearer", "CANARY"), ("X-Token", "CANARY")))
    head = vendor.heads[0]
    assert f"Authorization: Bearer {key}\r\n" in head
    assert f"X-Token: {key}\r\n" in head
    assert read_record(desk.home.raw_dir, got.record_id).wire.auth[0] == ("Authorization: Bearer", "CANARY")


@pytest.mark.parametrize("body", [b"", BODY, bytes(range(256))], ids=["none", "json", "every-byte"])
def test_a_note_gives_the_body_back(desk, vendor, wish, body):
    """Byte for byte; a request without one leaves no trace of it."""
    from mdc_resources.domain.time import now
    from mdc_resources.transport.notes import Note

    wire = masked_request(HttpRequest("http://x/y", method="POST", body=body))
    note = Note(wish(), wire, 200, {}, now(), 1, 1, "f")
    assert from_json(to_json(note)).wire == wire
    assert ("request_body" in to_json(note)) is bool(body)
    assert to_json(note).isascii()
