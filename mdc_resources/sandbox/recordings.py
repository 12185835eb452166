"""What a recorded file answers: who was asked, for which symbols, interval and range, and its bytes.

The same reading of a URL serves recordings and live requests, so that both sides of a match mean
the same. Ranges are epoch seconds, both ends as the vendor spells them; they only rank matches.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox.answers import JSON, Answer

_HOSTS = {"finance.yahoo.com": "yahoo", "stooq.com": "stooq", "data.alpaca.markets": "alpaca"}
_CHART = re.compile(r".*/v8/finance/chart/([^/]+)")
_STOOQ_FILE = re.compile(r"([a-z0-9.-]+?)(?:_([a-z]{2}))?_d")
_STOOQ_HEADERS = (b"Date,Open,", b"Data,Otwarcie,")
_KEPT_HEADERS = frozenset({"retry-after", "content-disposition", "x-request-id"})
_SECOND = dt.timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for. ``interval`` is 1d, 1m, the vendor's word for another, or "" (any)."""

    provider: str
    symbols: frozenset[str]
    interval: str = ""
    start: float = float("-inf")
    end: float = float("inf")
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded answer; ``next_token`` is the page token it ends with."""

    wanted: Wanted
    file: Path
    next_token: str = ""

    def overlap(self, asked: Wanted) -> float | None:
        """Seconds of ``asked`` that this recording covers; None where it answers another question."""
        mine = self.wanted
        if mine.provider != asked.provider or not mine.symbols & asked.symbols:
            return None
        if mine.interval and asked.interval and mine.interval != asked.interval:
            return None
        if mine.page_token != asked.page_token:
            return None
        common = min(mine.end, asked.end) - max(mine.start, asked.start)
        return common if common >= 0 else None


class _Response(msgspec.Struct, rename="camel"):
    status: int = 200
    headers: dict[str, str] = {}
    body_json: msgspec.Raw = msgspec.Raw()  # a union with None would refuse objects
    body: str | None = None


class _Exchange(msgspec.Struct):
    request: dict[str, Any]
    response: _Response


def read_url(provider: str, path: str, params: Mapping[str, str]) -> Wanted:
    """What ``path`` and ``params`` of ``provider`` ask for; raises ValueError if that cannot be read."""
    if provider == "yahoo":
        chart = _CHART.fullmatch(path)
        symbols = frozenset({unquote(chart[1]).upper()}) if chart else frozenset[str]()
        start, end = float(params.get("period1", "-inf")), float(params.get("period2", "inf"))
        return Wanted(provider, symbols, params.get("interval", "1d"), start, end)
    if provider == "stooq":
        days = (params.get("d1") or "19000101", params.get("d2") or "22000101")
        start, end = (dt.datetime.strptime(day, "%Y%m%d").replace(tzinfo=dt.UTC).timestamp() for day in days)
        interval = {"d": "1d"}.get(params.get("i", "d"), params.get("i", ""))
        return Wanted(provider, frozenset({params.get("s", "").upper()}), interval, start, end)
    interval = {"1Day": "1d", "1D": "1d", "1Min": "1m", "1T": "1m"}.get(
        params.get("timeframe", ""), params.get("timeframe", "")
    )
    start = _instant(params.get("start"), float("-inf"))
    end = _instant(params.get("end"), float("inf"))
    if len(params.get("end", "")) == len("2024-01-31"):
        end += 86_400
    symbols = frozenset(params.get("symbols", "").split(","))
    return Wanted(provider, symbols, interval, start, end, params.get("page_token", ""))


def recognise(file: Path) -> Recording | None:
    """The recording in ``file``; None where it is nothing that the sandbox understands."""
    raw = file.read_bytes()
    if file.suffix == ".csv":
        return _stooq_csv(file, raw) if raw.startswith(_STOOQ_HEADERS) else None
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    try:
        if "request" in body and "response" in body:
            return _exchange(file, body)
        if isinstance(body.get("chart"), dict):
            return _chart_body(file, body)
        if isinstance(body.get("bars"), dict) and body["bars"]:
            return _bars_body(file, body)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None
    return None


def answer_of(file: Path) -> Answer:
    """The recorded answer in ``file``, body bytes as recorded; raises UsageError if it is gone or broken."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise UsageError(f"the recording {file} cannot be read: {error.strerror}") from None
    if file.suffix == ".gz":
        return Answer(200, raw, JSON, {"content-encoding": "gzip"})
    if file.suffix != ".json":
        return Answer(200, raw, "text/csv")
    try:
        response = msgspec.json.decode(raw, type=_Exchange).response
    except msgspec.MsgspecError:
        return Answer(200, raw, JSON)
    body = bytes(response.body_json) if bytes(response.body_json) else (response.body or "").encode()
    headers = {name.lower(): value for name, value in response.headers.items()}
    kept = {name: value for name, value in headers.items() if name in _KEPT_HEADERS}
    return Answer(response.status, body, headers.get("content-type", JSON), kept)


def follow(recording: Recording, token: str) -> Recording:
    """``recording`` as the page that ``token`` leads to."""
    return replace(recording, wanted=replace(recording.wanted, page_token=token))


def _exchange(file: Path, body: dict[str, Any]) -> Recording | None:
    url = urlsplit(body["request"]["url"])
    provider = next((name for host, name in _HOSTS.items() if (url.hostname or "").endswith(host)), None)
    if provider is None:
        return None
    wanted = read_url(provider, url.path, dict(parse_qsl(url.query, keep_blank_values=True)))
    inner = body["response"].get("bodyJson")
    token = (inner.get("next_page_token") or "") if isinstance(inner, dict) else ""
    return Recording(wanted, file, token)


def _chart_body(file: Path, body: dict[str, Any]) -> Recording:
    chart = body["chart"]["result"][0]
    stamps, meta = chart["timestamp"], chart["meta"]
    symbols = frozenset({meta["symbol"].upper()})
    return Recording(Wanted("yahoo", symbols, meta["dataGranularity"], min(stamps), max(stamps)), file)


def _bars_body(file: Path, body: dict[str, Any]) -> Recording:
    times = [_instant(bar["t"], 0.0) for bars in body["bars"].values() for bar in bars]
    wanted = Wanted("alpaca", frozenset(body["bars"]), "", min(times), max(times))
    return Recording(wanted, file, body.get("next_page_token") or "")


def _stooq_csv(file: Path, raw: bytes) -> Recording | None:
    name = _STOOQ_FILE.fullmatch(file.stem.lower())
    if not name:
        return None
    symbol = f"{name[1]}.{name[2]}" if name[2] else name[1]
    lines = raw.split()
    first, last = (
        dt.datetime.fromisoformat(line.split(b",")[0].decode()).replace(tzinfo=dt.UTC).timestamp()
        for line in (lines[1], lines[-1])
    )
    return Recording(Wanted("stooq", frozenset({symbol.upper()}), "1d", first, last), file)


def _instant(text: str | None, default: float) -> float:
    if not text:
        return default
    at = dt.datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).timestamp()
