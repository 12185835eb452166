"""Instants and session dates.

Instants are timezone-aware UTC, ranges of instants half-open ``[start, end)``. A session date is
the exchange's trading date and a plain ``date``; ranges of session dates are inclusive at both
ends wherever a person types them. Nothing here reads the clock except :func:`now`.
"""

from __future__ import annotations

import datetime as dt
import re

from mdc_resources.domain.errors import UsageError

UTC = dt.UTC
_DURATION = re.compile(r"(\d+)(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def now() -> dt.datetime:
    """The present instant, UTC."""
    return dt.datetime.now(UTC)


def to_utc(instant: dt.datetime) -> dt.datetime:
    """``instant`` in UTC; a naive datetime is refused with UsageError."""
    if instant.tzinfo is None:
        raise UsageError(f"{instant.isoformat()} has no time zone", hint="Write it with Z or an offset")
    return instant.astimezone(UTC)


def parse_session(text: str) -> dt.date:
    """Parse an ISO session date, ``2024-07-03``; anything else is a UsageError."""
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            raise ValueError
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text[:40]!a} is not a date", hint="Write it as 2024-07-03") from None


def parse_session_range(start: str, end: str) -> tuple[dt.date, dt.date]:
    """Parse an inclusive range of session dates; a reversed one is a UsageError."""
    first, last = parse_session(start), parse_session(end)
    if first > last:
        raise UsageError(f"--start {start} lies after --end {end}", hint="Swap them")
    return first, last


def parse_instant(text: str) -> dt.datetime:
    """Parse an ISO instant with a zone (``2024-07-03T20:00:00Z``) into UTC."""
    try:
        return to_utc(dt.datetime.fromisoformat(text))
    except ValueError:
        raise UsageError(
            f"{text[:40]!a} is not an instant", hint="Write it as 2024-07-03T20:00:00Z"
        ) from None


def parse_duration(text: str) -> dt.timedelta:
    """Parse ``30m``, ``2h``, ``90s`` or ``1d``; raises UsageError."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text[:40]!a} is not a duration", hint="Write it as 30m, 2h, 90s or 1d")
    return dt.timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
