"""What Alpaca is asked: parameters read as the vendor reads them, or refused with its 400.

``start`` and ``end`` are inclusive instants; a bare date is New York's, from its first instant or
to its last. A page token is base64 of ``SYMBOL|D|instant``, the last bar already sent (recorded so).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mdc_resources.sandbox.answers import Row
from mdc_resources.sandbox.market import Market

NEW_YORK = ZoneInfo("America/New_York")
_ANCIENT, _LATEST = dt.datetime(1990, 1, 2, tzinfo=dt.UTC), dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.]{0,11}")
_TIMEFRAMES = {"1Day": "D", "1D": "D", "1Min": "M", "1T": "M"}
_ADJUSTMENTS = {"raw", "split", "dividend", "spin-off", "all"}


class BadRequest(ValueError):
    """A parameter that Alpaca answers with 400 and this message."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for bars, read."""

    symbols: tuple[str, ...]
    kind: str  # D or M
    start: dt.datetime
    end: dt.datetime
    limit: int
    adjustment: frozenset[str]
    asof: str
    after: tuple[str, int] | None  # resume after this bar
    descending: bool
    token: str = ""  # as received


def read(params: Mapping[str, str], market: Market) -> Asked:
    """Read the parameters of a request for bars; raises BadRequest."""
    symbols = symbols_of(params)
    kind = _TIMEFRAMES.get(params.get("timeframe", ""))
    if kind is None:
        raise BadRequest(f"invalid timeframe: {params.get('timeframe', '')[:40]}")
    adjustment = frozenset(params.get("adjustment", "raw").split(","))
    if not adjustment <= _ADJUSTMENTS:
        raise BadRequest(f"invalid adjustment: {params['adjustment'][:40]}")
    midnight = dt.datetime.combine(market.today(), dt.time(), NEW_YORK)
    start = read_instant(params.get("start"), "start", default=midnight, end=False)
    end = read_instant(params.get("end"), "end", default=market.now(), end=True)
    if end < start:
        raise BadRequest("end should not be before start")
    asof = params.get("asof", "")
    if asof not in ("", "-") and not _DATE.fullmatch(asof):
        raise BadRequest(f"invalid asof: {asof[:40]}")
    limit = read_limit(params.get("limit", "1000"), most=10_000)
    token = params.get("page_token", "")
    return Asked(
        symbols=symbols,
        kind=kind,
        start=start,
        end=end,
        limit=limit,
        adjustment=adjustment,
        asof=asof,
        after=_resume(token) if token else None,
        descending=params.get("sort") == "desc",
        token=token,
    )


def symbols_of(params: Mapping[str, str]) -> tuple[str, ...]:
    """The symbols asked for; raises BadRequest where there are none, or one is malformed."""
    symbols = tuple(symbol for symbol in params.get("symbols", "").split(",") if symbol)
    if not symbols:
        raise BadRequest("symbols is required")
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise BadRequest(f"invalid symbol: {symbol[:40]}")
    return symbols


def read_limit(text: str, *, most: int) -> int:
    """A page size of 1 to ``most``; raises BadRequest."""
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise BadRequest(f"limit must be between 1 and {most}")
    return int(text)


def read_instant(text: str | None, name: str, *, default: dt.datetime, end: bool) -> dt.datetime:
    """RFC 3339, or a date of New York: its first instant, or its last where it ends the range."""
    if not text:
        return default
    try:
        if _DATE.fullmatch(text):
            day = dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), NEW_YORK)
            return min(day + dt.timedelta(days=1, microseconds=-1), _LATEST) if end else day
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(
            f"Invalid format for parameter {name}: error parsing '{text[:40]}' as RFC3339"
        ) from None
    if at.tzinfo is None:
        raise BadRequest(f"Invalid format for parameter {name}: error parsing '{text[:40]}' as RFC3339")
    return max(_ANCIENT, min(at, _LATEST))


def token_of(row: Row, kind: str) -> str:
    """The token that resumes after ``row``."""
    at = dt.datetime.fromtimestamp(row.start, dt.UTC)
    return base64.b64encode(f"{row.symbol}|{kind}|{at:%Y-%m-%dT%H:%M:%S}.000000000Z".encode()).decode()


def _resume(token: str) -> tuple[str, int]:
    try:
        symbol, _, at = base64.b64decode(token, validate=True).decode().split("|")
        return symbol, int(dt.datetime.fromisoformat(at).timestamp())
    except (binascii.Error, ValueError):
        raise BadRequest("invalid page token") from None
