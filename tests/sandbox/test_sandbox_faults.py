"""Every kind of fault, seen by a client that knows nothing of the sandbox."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import socket
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from mdc_resources.sandbox.faults import KINDS
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.sandbox.asking import RANGE, Ask, Fault, result

SESSIONS = 19


def quote(answer: httpx.Response) -> dict[str, list[Any]]:
    """The columns of a chart, ``t`` being the stamps."""
    chart = result(answer)
    columns: dict[str, list[Any]] = chart["indicators"]["quote"][0]
    return columns | {"t": chart["timestamp"]}


def rows(answer: httpx.Response) -> list[list[str]]:
    """The fields of a CSV's rows."""
    return [line.split(",") for line in answer.text.split("\r\n")[1:-1]]


def raw_exchange(server: SandboxServer, target: str) -> bytes:
    """All bytes of the answer to a plain GET; raises ConnectionResetError on RST."""
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname, url.port), timeout=5) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        found = io.BytesIO()
        while chunk := connection.recv(65536):
            found.write(chunk)
    return found.getvalue()


CHART = "/yahoo/v8/finance/chart/XYZ?period1=1717372800&period2=1719619200&interval=1d"

# --- statuses and bodies -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
@pytest.mark.parametrize("provider", ["yahoo", "stooq", "alpaca"])
def test_status(client: httpx.Client, fault: Fault, provider: str, status: int) -> None:
    """The vendor's own answer to that status, in place of any other."""
    fault(provider, "status", params={"status": status})
    answer = client.get(f"/{provider}/whatever")
    assert answer.status_code == status
    assert answer.content


@pytest.mark.parametrize("text", ["5", "-1", "1000000000", "Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
def test_status_with_retry_after(chart: Ask, fault: Fault, text: str) -> None:
    """Retry-After is sent as given, sensible or not."""
    fault("yahoo", "status", params={"status": 429, "retry_after": text})
    assert chart("XYZ", *RANGE).headers["retry-after"] == text


def test_status_with_retry_after_as_a_date(chart: Ask, fault: Fault) -> None:
    """``retry_after_date`` is seconds from now, sent as an HTTP date."""
    fault("yahoo", "status", params={"retry_after_date": 30})
    at = parsedate_to_datetime(chart("XYZ", *RANGE).headers["retry-after"])
    assert 20 < (at - dt.datetime.now(dt.UTC)).total_seconds() <= 31


def test_redirect(chart: Ask, fault: Fault) -> None:
    """A redirect to another host."""
    fault("yahoo", "redirect", params={"location": "http://127.0.0.2:1/x"})
    answer = chart("XYZ", *RANGE)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://127.0.0.2:1/x")


def test_html200(csv: Ask, fault: Fault) -> None:
    """A page for people under a status of 200."""
    fault("stooq", "html200")
    answer = csv("xyz.us", *RANGE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("provider", "words"),
    [("yahoo", "Invalid Crumb"), ("stooq", "Exceeded the daily hits limit"), ("alpaca", "too many requests")],
)
def test_error200(client: httpx.Client, fault: Fault, provider: str, words: str) -> None:
    """Each vendor's error under a status of 200."""
    fault(provider, "error200")
    answer = client.get(f"/{provider}/whatever")
    assert answer.status_code == 200
    assert words in answer.text


def test_empty_body(chart: Ask, fault: Fault) -> None:
    """Status 200, nothing in it."""
    fault("yahoo", "empty_body")
    answer = chart("XYZ", *RANGE)
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")


def test_truncated_json(bars: Ask, fault: Fault) -> None:
    """Half of the JSON with a fitting Content-Length."""
    whole = bars("XYZ", *RANGE).content
    fault("alpaca", "truncated_json")
    answer = bars("XYZ", *RANGE)
    assert answer.content == whole[: len(whole) // 2]
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_gzip_bomb(server: SandboxServer, fault: Fault) -> None:
    """A few kilobytes that decode to megabytes."""
    fault("yahoo", "gzip_bomb", params={"megabytes": 20})
    head, body = raw_exchange(server, CHART).split(b"\r\n\r\n", 1)
    assert b"content-encoding: gzip" in head.lower()
    assert len(body) < 100_000
    assert len(gzip.decompress(body)) == 20 * 2**20 + 2


def test_gzip_plain(chart: Ask, fault: Fault) -> None:
    """The header says gzip, the body is not."""
    fault("yahoo", "gzip_plain")
    with pytest.raises(httpx.DecodingError):
        chart("XYZ", *RANGE)


def test_deep_json(chart: Ask, fault: Fault) -> None:
    """JSON nested deeper than any parser recurses."""
    fault("yahoo", "deep_json", params={"depth": 50_000})
    body = chart("XYZ", *RANGE).content
    assert body == b"[" * 50_000 + b"]" * 50_000


# --- the connection ----------------------------------------------------------------------------


def test_truncated(server: SandboxServer, chart: Ask, fault: Fault) -> None:
    """Content-Length promises more than comes; then the connection is closed."""
    fault("yahoo", "truncated", times=2, params={"keep": 0.25})
    head, body = raw_exchange(server, CHART).split(b"\r\n\r\n", 1)
    promised = int(
        next(line for line in head.split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1]
    )
    assert len(body) == promised // 4
    with pytest.raises(httpx.RemoteProtocolError):
        chart("XYZ", *RANGE)
    assert chart("XYZ", *RANGE).status_code == 200


@pytest.mark.parametrize("after", [0, 100])
def test_reset(server: SandboxServer, chart: Ask, fault: Fault, after: int) -> None:
    """RST before any byte, or in the middle of the body."""
    fault("yahoo", "reset", times=2, params={"after_bytes": after})
    with pytest.raises(ConnectionResetError):
        raw_exchange(server, CHART)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        chart("XYZ", *RANGE)


def test_slow(chart: Ask, fault: Fault) -> None:
    """A delay before an answer that is otherwise good, on top of other faults."""
    fault("yahoo", "slow", times=2, params={"seconds": 0.2})
    began = time.monotonic()
    assert chart("XYZ", *RANGE).status_code == 200
    assert time.monotonic() - began >= 0.2
    fault("yahoo", "status", params={"status": 503})
    assert chart("XYZ", *RANGE).status_code == 503
    assert time.monotonic() - began >= 0.4


def test_drip(chart: Ask, fault: Fault) -> None:
    """The good body, a few bytes at a time."""
    whole = chart("XYZ", *RANGE).content
    fault("yahoo", "drip", params={"bytes": len(whole) // 4, "seconds": 0.05})
    began = time.monotonic()
    assert chart("XYZ", *RANGE).content == whole
    assert time.monotonic() - began >= 0.2


def test_a_drip_does_not_keep_the_server_from_stopping(market: Market) -> None:
    """stop() gives up on an answer that would take minutes."""
    server = SandboxServer(market=market)
    server.start()
    server.add_fault("yahoo", "drip", params={"bytes": 1, "seconds": 1})
    with httpx.Client(timeout=5) as client, client.stream("GET", server.url + CHART) as answer:
        pieces = answer.iter_raw(1)  # kept: without the iterator httpx hangs up
        assert next(pieces) == b"{"
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5


# --- rows --------------------------------------------------------------------------------------


def test_null_rows(chart: Ask, csv: Ask, bars: Ask, fault: Fault) -> None:
    """Nulls in as many rows as asked for; empty fields in CSV."""
    fault("*", "null_rows", times=3, params={"rows": 3})
    columns = quote(chart("XYZ", *RANGE))
    assert [columns[name].count(None) for name in ("open", "high", "low", "close", "volume")] == [3] * 5
    assert sum(row[1:] == [""] * 5 for row in rows(csv("xyz.us", *RANGE))) == 3
    found = bars("XYZ", *RANGE).json()["bars"]["XYZ"]
    assert sum(bar["c"] is None and bar["v"] is None for bar in found) == 3


def test_wrong_symbol(chart: Ask, csv: Ask, bars: Ask, fault: Fault) -> None:
    """The answer says another symbol wherever the vendor says one."""
    fault("*", "wrong_symbol", times=3)
    assert result(chart("XYZ", *RANGE))["meta"]["symbol"] == "WRONG.MX"
    assert csv("xyz.us", *RANGE).headers["content-disposition"].endswith("filename=wrong_mx_d.csv")
    assert list(bars("XYZ", *RANGE).json()["bars"]) == ["WRONG.MX"]


def test_outside_range(chart: Ask, csv: Ask, fault: Fault) -> None:
    """Rows from weeks before the range, beside all the good ones."""
    fault("*", "outside_range", times=2, params={"rows": 2})
    stamps = quote(chart("XYZ", *RANGE))["t"]
    assert sum(at < 1717372800 for at in stamps) == 2
    assert len(stamps) == SESSIONS + 2
    assert sum(row[0] < RANGE[0] for row in rows(csv("xyz.us", *RANGE))) == 2


@pytest.mark.parametrize(("kind", "distinct"), [("duplicates", 0), ("conflicting_duplicates", 2)])
def test_duplicates(chart: Ask, fault: Fault, kind: str, distinct: int) -> None:
    """The same time twice, with the same or with another close."""
    fault("yahoo", kind, params={"rows": 2})
    columns = quote(chart("XYZ", *RANGE))
    pairs = [i for i in range(1, len(columns["t"])) if columns["t"][i] == columns["t"][i - 1]]
    assert len(pairs) == 2
    assert sum(columns["close"][i] != columns["close"][i - 1] for i in pairs) == distinct


def test_high_lt_low(chart: Ask, fault: Fault) -> None:
    """A bar whose high lies below its low."""
    fault("yahoo", "high_lt_low", params={"rows": 4})
    columns = quote(chart("XYZ", *RANGE))
    assert sum(high < low for high, low in zip(columns["high"], columns["low"], strict=True)) == 4


def test_nan(chart: Ask, csv: Ask, fault: Fault) -> None:
    """NaN, or whatever text is asked for, in place of a close."""
    fault("yahoo", "nan")
    assert chart("XYZ", *RANGE).text.count("NaN") == 1
    fault("stooq", "nan", params={"text": "1e400"})
    assert [row[4] for row in rows(csv("xyz.us", *RANGE))].count("1e400") == 1


def test_negative_volume(bars: Ask, fault: Fault) -> None:
    """A volume below zero."""
    fault("alpaca", "negative_volume")
    assert sum(bar["v"] < 0 for bar in bars("XYZ", *RANGE).json()["bars"]["XYZ"]) == 1


def test_unsorted(csv: Ask, fault: Fault) -> None:
    """All rows, in another order."""
    good = rows(csv("xyz.us", *RANGE))
    fault("stooq", "unsorted")
    shuffled = rows(csv("xyz.us", *RANGE))
    assert shuffled != good
    assert sorted(shuffled) == good


def test_restated(bars: Ask, fault: Fault) -> None:
    """Another history: every price times a factor, volumes as before."""
    good = bars("XYZ", *RANGE).json()["bars"]["XYZ"]
    fault("alpaca", "restated", params={"factor": "0.5"})
    other = bars("XYZ", *RANGE).json()["bars"]["XYZ"]
    assert [bar["c"] for bar in other] == pytest.approx([bar["c"] / 2 for bar in good], abs=6e-5)
    assert [bar["v"] for bar in other] == [bar["v"] for bar in good]


def test_missing_rows(chart: Ask, fault: Fault) -> None:
    """Fewer rows than there were sessions."""
    fault("yahoo", "missing_rows", params={"rows": 5})
    assert len(quote(chart("XYZ", *RANGE))["t"]) == SESSIONS - 5


def test_extra_field(chart: Ask, csv: Ask, bars: Ask, fault: Fault) -> None:
    """A field nobody documented."""
    fault("*", "extra_field", times=3)
    assert len(quote(chart("XYZ", *RANGE))["openInterest"]) == SESSIONS
    assert csv("xyz.us", *RANGE).text.startswith("Date,Open,High,Low,Close,Volume,OpenInt\r\n")
    assert "zz" in bars("XYZ", *RANGE).json()["bars"]["XYZ"][0]


def test_token_loop(bars: Ask, fault: Fault) -> None:
    """The last page keeps naming itself as the next one."""
    fault("alpaca", "token_loop", probability=1)
    first = bars("XYZ", *RANGE, limit=19).json()
    second = bars("XYZ", *RANGE, limit=19, page_token=first["next_page_token"]).json()
    assert first["next_page_token"] == second["next_page_token"] is not None


def test_every_kind_is_tested_here() -> None:
    """Each kind has a test of its name in this file."""
    named = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {kind for kind in KINDS if kind not in named} == {"conflicting_duplicates"}  # with duplicates
