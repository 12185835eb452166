"""What Polygon is asked: keys, instants, limits and cursors, read as the vendor reads them.

A cursor is base64 of a query string. It holds what the first request said (order, limit) and where the
next page starts, never the key. ``next_url`` is absolute, on the host that was asked.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from mdc_resources.sandbox import noise
from mdc_resources.sandbox.answers import Answer, Query

NEW_YORK = ZoneInfo("America/New_York")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DAY = dt.timedelta(days=1)


class BadRequest(ValueError):
    """A parameter that Polygon answers with 400 and this message."""


@dataclass(frozen=True, slots=True)
class Span:
    """Instants in nanoseconds since 1970, half-open."""

    start: int
    end: int


def refusal(query: Query) -> Answer | None:
    """401 where there is no key, or one that starts with ``bad``."""
    scheme, _, header = query.headers.get("authorization", "").partition(" ")
    key = header.strip() if scheme.lower() == "bearer" else query.params.get("apiKey", "")
    if not key:
        return error(401, "API Key was not provided")
    return error(401, "Unknown API Key") if key.startswith("bad") else None


def error(status: int, message: str) -> Answer:
    """Polygon's error document."""
    return reply({"status": "ERROR", "request_id": request_id(message), "error": message}, status)


def reply(document: Mapping[str, Any], status: int = 200) -> Answer:
    """A document as bytes; the id of the request is in a header too, as recorded."""
    told = {"x-request-id": str(document.get("request_id", ""))}
    return Answer(status, json.dumps(document, separators=(",", ":")).encode(), headers=told)


def request_id(*parts: object) -> str:
    """Thirty-two hexadecimal digits."""
    return f"{noise.key('polygon', *map(str, parts)) % 2**64:016x}" * 2


def continued(query: Query) -> dict[str, str]:
    """The parameters of a request, those of its cursor in their place; raises BadRequest."""
    cursor = query.params.get("cursor")
    if cursor is None:
        return dict(query.params)
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        return dict(parse_qsl(text, strict_parsing=True))
    except (binascii.Error, ValueError):
        raise BadRequest("invalid cursor") from None


def next_url(query: Query, path: str, params: Mapping[str, str]) -> str:
    """The address of the following page, on the host that was asked."""
    text = urlencode({name: value for name, value in params.items() if name != "apiKey"})
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return f"http://{query.headers.get('host', 'api.polygon.io')}/polygon{path}?cursor={cursor}"


def read_limit(params: Mapping[str, str], *, default: int, most: int) -> int:
    """A page size of 1 to ``most``; raises BadRequest."""
    text = params.get("limit", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise BadRequest(f"'limit' must be between 1 and {most}")
    return int(text)


def read_span(params: Mapping[str, str], name: str, *, now: dt.datetime) -> Span:
    """``name``, ``name.gte`` ... ``name.lt`` as one half-open span of nanoseconds; raises BadRequest."""
    start, end = 0, int(now.timestamp()) * 10**9 + now.microsecond * 1000
    if name in params:
        return Span(_instant(params[name], last=False), _instant(params[name], last=True) + 1)
    for suffix, text in ((key.removeprefix(f"{name}."), value) for key, value in params.items()):
        if suffix == "gte":
            start = max(start, _instant(text, last=False))
        elif suffix == "gt":
            start = max(start, _instant(text, last=True) + 1)
        elif suffix == "lte":
            end = min(end, _instant(text, last=True) + 1)
        elif suffix == "lt":
            end = min(end, _instant(text, last=False))
    return Span(start, end)


def read_milliseconds(text: str, *, last: bool) -> int:
    """An instant of an aggregate: a date of New York (its first or last ms), or milliseconds."""
    if text.isdecimal():
        return int(text)
    return _day(text, last=last) // 10**6


def _instant(text: str, *, last: bool) -> int:
    return int(text) if text.isdecimal() else _day(text, last=last)


def _day(text: str, *, last: bool) -> int:
    """The first nanosecond of a date of New York, or its last."""
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        day = dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), NEW_YORK)
    except ValueError:
        raise BadRequest(f"Could not parse the time parameter: '{text[:40]}'") from None
    if not last:
        return int(day.timestamp()) * 10**9
    after = dt.datetime.combine(day.date() + _DAY, dt.time(), NEW_YORK)
    return int(after.timestamp()) * 10**9 - 1
