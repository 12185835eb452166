"""Alpha Vantage's time series: an object keyed by time, newest first, every number a text.

``{"Meta Data": {"2. Symbol": ..}, "Time Series (Daily)": {"2024-03-08": {"1. open": "..", ..}}}``. The
numbers before the names of fields and of metadata vary by function, so names are matched without
them. A repeated key would be swallowed by an ordinary JSON parser: here it is seen, for the rule
about contradicting rows to judge.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from mdc_resources.domain.errors import OutOfRange, PayloadError, UsageError
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.time import parse_session
from mdc_resources.providers.decoding.bars import PRICES, BarColumns, assemble
from mdc_resources.providers.decoding.bodies import NumberText
from mdc_resources.providers.decoding.json_rows import JsonRows
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.decoding.sessions import NO_DAY, Days, Micros, day_of
from mdc_resources.providers.decoding.unfinished import finished
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE

_NUMBER_OF_FIELD = re.compile(r"\d+[a-z]?[.:] ?")
_MINUTE = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:00", re.ASCII)
_COMPACT_ROWS = 100


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs, in order, repeated keys included."""


class _Series:
    """One document: ``meta`` by plain names, ``times`` and ``rows`` in the vendor's order."""

    def __init__(self, body: bytes, label: str, symbol: str) -> None:
        document = dict(_load(body))
        meta, series = document.get("Meta Data"), document.get(f"Time Series ({label})")
        if not isinstance(meta, _Pairs) or not isinstance(series, _Pairs):
            raise PayloadError(
                f"alphavantage sent a document without a series ({label})", provider="alphavantage"
            )
        self.meta = {_plain(name).lower(): str(value) for name, value in meta}
        if self.meta.get("symbol", "").upper().replace(".", "-") != symbol.upper():
            raise PayloadError(
                f"alphavantage answered for {quoted(self.meta.get('symbol'))} when asked for {symbol}",
                provider="alphavantage",
            )
        self.times = [time for time, _ in series]
        self.rows = JsonRows([_fields(time, row) for time, row in series])
        # Fewer rows are all there is of the symbol, or of the month.
        compact = "compact" in self.meta.get("output size", "").lower()
        self.is_cut = compact and len(self.times) >= _COMPACT_ROWS


def daily(response: HttpResponse, symbol: str, *, request: FetchRequest, dialect: Dialect) -> Page:
    """Daily bars; raises OutOfRange where a compact answer starts after the range does."""
    series = _Series(response.body, "Daily", symbol)
    days, errors = _days(series.times)
    first = dialect.calendar.sessions(request.start, request.end)[:1]
    reached = min((int(day) for day in days if day != NO_DAY), default=None)
    if series.is_cut and first and reached is not None and reached > day_of(first[0]):
        raise OutOfRange(
            f"alphavantage's compact answer of {symbol} does not reach back to {first[0]}",
            provider="alphavantage",
            hint="Its free plan has the last 100 sessions only",
        )
    return _page(series, errors, response, request=request, dialect=dialect, days=days)


def minutes(
    response: HttpResponse,
    symbol: str,
    *,
    request: FetchRequest,
    dialect: Dialect,
    following: HttpRequest | None,
) -> Page:
    """Minutes of one month; the page continues with ``following``.

    Of a compact answer, in which a month was cut to its newest rows, the sessions before them and the
    one it was cut in are incomplete.
    """
    series = _Series(response.body, "1min", symbol)
    instants, errors = _instants(series.times, _zone(series))
    page = _page(
        series, errors, response, request=request, dialect=dialect, instants=instants, following=following
    )
    if not series.is_cut:
        return page
    oldest = min((time[:10] for row, time in enumerate(series.times) if row not in errors), default="")
    lost = [
        (request.symbols[0], session)
        for session in dialect.calendar.sessions(request.start, request.end)
        if session.isoformat() <= oldest and session.isoformat()[:7] == oldest[:7]
    ]
    return replace(page, incomplete=tuple(sorted({*page.incomplete, *lost})))


def _page(
    series: _Series,
    errors: dict[int, str],
    response: HttpResponse,
    *,
    request: FetchRequest,
    dialect: Dialect,
    days: Days | None = None,
    instants: Micros | None = None,
    following: HttpRequest | None = None,
) -> Page:
    rows = series.rows
    numbers = {name: rows.decimals(name, PRICE, quoted=True) for name in PRICES}
    numbers["volume"] = rows.decimals("volume", SIZE, quoted=True)
    columns = BarColumns(
        names=request.symbols[:1],
        codes=np.zeros(len(rows), np.int32),
        numbers=numbers,
        days=days,
        instants=instants,
        errors={**rows.errors, **errors},
        raw=rows.raw,
    )
    over = finished(
        assemble(columns, request=request, dialect=dialect),
        request=request,
        dialect=dialect,
        received_at=response.received_at,
    )
    found = over.bars
    return Page(
        tables={request.dataset: found.table},
        rejected=found.rejected,
        next=following,
        dropped=found.dropped,
        rounded=found.rounded,
        incomplete=over.incomplete,
    )


def _load(body: bytes) -> _Pairs:
    """The document with its objects as pairs and its numbers as text; raises PayloadError."""
    try:
        document = json.loads(
            body.decode("utf-8-sig", "replace"),
            object_pairs_hook=_Pairs,
            parse_float=NumberText,
            parse_int=NumberText,
            parse_constant=NumberText,
        )
    except RecursionError:
        raise PayloadError(
            "alphavantage sent JSON that is nested too deeply", provider="alphavantage"
        ) from None
    except ValueError as error:
        raise PayloadError(
            f"alphavantage sent malformed or truncated JSON: {error}", provider="alphavantage"
        ) from None
    if not isinstance(document, _Pairs):
        raise PayloadError("alphavantage sent a document that is no object", provider="alphavantage")
    return document


def _plain(name: str) -> str:
    """``1. open`` as ``open``."""
    return _NUMBER_OF_FIELD.sub("", name, count=1)


def _fields(time: str, row: Any) -> Any:
    """A row by plain names, with its time, for messages to show."""
    return {"time": time, **{_plain(name): value for name, value in row}} if isinstance(row, _Pairs) else row


def _days(times: Sequence[str]) -> tuple[Days, dict[int, str]]:
    days = np.full(len(times), NO_DAY, np.int32)
    errors: dict[int, str] = {}
    for row, time in enumerate(times):
        try:
            days[row] = day_of(parse_session(time))
        except UsageError as error:
            errors[row] = error.message
    return days, errors


def _zone(series: _Series) -> ZoneInfo:
    try:
        return ZoneInfo(series.meta["time zone"])
    except (KeyError, ValueError, OSError):
        raise PayloadError(
            f"alphavantage names no time zone for its minutes but {quoted(series.meta.get('time zone'))}",
            provider="alphavantage",
        ) from None


def _instants(times: Sequence[str], zone: ZoneInfo) -> tuple[Micros, dict[int, str]]:
    """µs UTC of naive local times, whole minutes only."""
    instants = np.zeros(len(times), np.int64)
    errors: dict[int, str] = {}
    for row, time in enumerate(times):
        try:
            if not _MINUTE.fullmatch(time):
                raise ValueError
            local = dt.datetime.fromisoformat(time).replace(tzinfo=zone)
            instants[row] = int(local.timestamp()) * 1_000_000
        except (ValueError, OverflowError):
            errors[row] = f"{time[:30]!a} is not a local minute"
    return instants, errors
