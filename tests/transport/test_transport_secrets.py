"""A canary: a secret used in every place a credential can stand is found nowhere afterwards."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mdc_resources.domain.errors import MdcError, ProviderError, TransportError
from mdc_resources.domain.requests import HttpResponse
from mdc_resources.telemetry import get_logger, setup_logging

NAMES = {
    "auth": (("authorization", "CANARY"), ("APCA-API-SECRET-KEY", "CANARY")),
    "query_auth": (("apikey", "CANARY"), ("t", "CANARY")),
}


def _echo(call: Any) -> None:
    call.reply(
        200, call.head.encode(), x_echo=call.head.split("apikey=")[1].split()[0], location=call.head[:200]
    )


def _echo_error(call: Any) -> None:
    call.reply(500, b'{"message": "your key ' + call.head.encode("unicode_escape") + b' is wrong"}')


def _redirect(call: Any) -> None:
    call.reply(302, call.head.encode(), location="http://127.0.0.1:9/?" + call.head.split("?")[1].split()[0])


def _cut(call: Any) -> None:
    call.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n" + call.head.encode())
    call.hang_up()


def _nonsense(call: Any) -> None:
    call.raw(call.head.split("apikey=")[1].encode() + b"\r\n\r\n")
    call.hang_up()


VENDORS = {
    "echoes it in the body": _echo,
    "echoes it in an error": _echo_error,
    "redirects with it": _redirect,
    "breaks off": _cut,
    "answers with it": _nonsense,
    "resets": lambda call: call.reset(),
    "401": lambda call: call.reply(401, call.head.encode()),
    "429": lambda call: call.reply(429, call.head.encode(), retry_after="99999"),
}


def _dialect(response: HttpResponse) -> ProviderError | None:
    if response.status == 500:
        return TransportError(f"the vendor says {response.body.decode()} with {dict(response.headers)}")
    return None


@pytest.mark.parametrize("answer", VENDORS.values(), ids=VENDORS.keys())
@pytest.mark.parametrize("alphabet", ["plain", "awkward"])
def test_a_canary_is_found_nowhere(
    desks: Callable[..., Any],
    vendor: Any,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    answer: Any,
    alphabet: str,
) -> None:
    """Not in the archive, index, state, logs, attempts or errors, in no common encoding."""
    random = secrets.token_hex(12)
    canary = f"SEKRET_{random}" if alphabet == "plain" else f"SEKRET/{random}+a=b&c \"d'e"
    setup_logging(json=alphabet == "plain", level="DEBUG")
    logging.getLogger().setLevel(logging.DEBUG)
    desk = desks(environ={"CANARY": canary}, max_attempts=2, deadline_seconds=5)
    desk.classify = _dialect
    vendor.answer = answer
    try:
        desk.fetch(f"{vendor.url}/x", **NAMES)
    except MdcError as error:
        get_logger().exception("fetch.failed", error=error, url=f"{vendor.url}?apikey={canary}")
        caplog.records.append(logging.makeLogRecord({"msg": repr(error) + str(error)}))
    assert vendor.requests >= 1
    assert quote(canary, safe="") in vendor.heads[0] or canary in vendor.heads[0]
    said = capfd.readouterr()
    written = {
        "logs": (said.out + said.err + caplog.text).encode(),
        "records": "".join(record.getMessage() for record in caplog.records).encode(),
        "attempts": repr(desk.attempts).encode(),
        **{str(path): path.read_bytes() for path in _files(desk.home.root)},
    }
    assert len(written) >= 5
    for place, content in written.items():
        for form in (
            canary.encode(),
            random.encode(),
            base64.b64encode(canary.encode())[:20],
            quote(canary).encode(),
        ):
            assert form not in content, place


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
