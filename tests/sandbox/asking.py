"""The tests' present, keys, and a few ways to read an answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import httpx

NOW = dt.datetime(2024, 6, 28, 22, 0, tzinfo=dt.UTC)  # a Friday, two hours after the close
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}

Ask = Callable[..., httpx.Response]
Params = dict[str, str | int]


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
