"""The tests' present, keys, and a few ways to read an answer."""

from __future__ import annotations

import datetime as dt
import json
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx

NOW = dt.datetime(2024, 6, 28, 22, 0, tzinfo=dt.UTC)  # a Friday, two hours after the close
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}

Ask = Callable[..., httpx.Response]
Params = dict[str, str | int]
Fault = Callable[..., dict[str, Any]]

RANGE = ("2024-06-03", "2024-06-29")  # 19 sessions, as Yahoo's ends go


def epoch(text: str) -> int:
    """Epoch seconds of midnight UTC of an ISO date."""
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp())


def result(answer: httpx.Response) -> dict[str, Any]:
    """The one result of a chart."""
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()["chart"]
    assert body["error"] is None
    found: dict[str, Any] = body["result"][0]
    return found


def single(value: Decimal) -> float:
    """``value`` as a float32 widened to double."""
    return float(struct.unpack("f", struct.pack("f", float(value)))[0])


def by_session(chart: dict[str, Any], column: str = "close") -> dict[str, float]:
    """One column of a daily chart by New York date (its stamps are opens, so UTC dates do)."""
    values = chart["indicators"]["quote"][0][column]
    days = [dt.datetime.fromtimestamp(at, dt.UTC).date().isoformat() for at in chart["timestamp"]]
    return dict(zip(days, values, strict=True))


def raw_bars(answer: httpx.Response, symbol: str) -> dict[str, dict[str, Decimal]]:
    """Alpaca's bars of ``symbol`` by date, prices exact."""
    body = json.loads(answer.text, parse_float=Decimal)
    return {bar["t"][:10]: bar for bar in body["bars"][symbol]}


def table(answer: httpx.Response) -> dict[str, list[Decimal]]:
    """Stooq's rows by date."""
    lines = answer.text.split("\r\n")
    assert lines[0] == "Date,Open,High,Low,Close,Volume"
    assert lines[-1] == ""
    return {line.split(",")[0]: [Decimal(f) for f in line.split(",")[1:]] for line in lines[1:-1]}
