"""One page of Alpaca bars: ``{"bars": {SYMBOL: [{t,o,h,l,c,v,n?,vw?}]}, "next_page_token": ...}``.

A strict scanner finds which symbols are there and that the body is one complete document; a typed
columnar parser then reads all rows at once, numbers exactly. Where it refuses (a NaN, a tenth
decimal, text for a number), the page is read again row by row, so that one bad row costs one row.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.json as paj

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError, UsageError
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import parse_instant
from mdc_resources.providers.decoding.arrow_limits import beyond_arrow
from mdc_resources.providers.decoding.bars import BarColumns, assemble
from mdc_resources.providers.decoding.bodies import NumberText, load_exact
from mdc_resources.providers.decoding.numbers import Numbers, read_one, read_texts
from mdc_resources.providers.decoding.sessions import NO_DAY, Days, Micros, day_of
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE

_KEYS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
_KINDS = {key: SIZE if key == "v" else PRICE for key in _KEYS}
_BAR = pa.struct(
    [("t", pa.string()), *_KINDS.items(), ("n", pa.int64()), ("vw", pa.float64())],
)
# The columnar parser would read a decimal from a JSON string without a word.
_TEXT_NUMBER = re.compile(rb'"[ohlcv]"\s*:\s*"')
_MICROS = pa.timestamp("us", tz="UTC")


class _Page(msgspec.Struct):
    bars: dict[str, msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    next_page_token: str | None = None


_SCANNER = msgspec.json.Decoder(_Page)


def decode(body: bytes, *, request: FetchRequest, dialect: Dialect) -> tuple[Page, str | None]:
    """The page and its token; raises PayloadError (malformed, truncated, another symbol)."""
    try:
        scanned = _SCANNER.decode(body)
        found, token = scanned.bars, scanned.next_page_token
        columns = (
            None
            if found is msgspec.UNSET
            else _fast(body, _asked_for(found or {}, request), request, dialect)
        )
    except (msgspec.MsgspecError, RecursionError, ValueError):
        columns, token = _slow(body, request, dialect)
    if columns is None:
        raise PayloadError("alpaca sent a document without bars", provider="alpaca")
    bars = assemble(columns, request=request, dialect=dialect)
    page = Page(
        tables={request.dataset: bars.table},
        rejected=bars.rejected,
        dropped=bars.dropped,
        rounded=bars.rounded,
    )
    return page, token


def _asked_for(found: Mapping[str, object], request: FetchRequest) -> tuple[Symbol, ...]:
    strangers = sorted(set(found) - set(request.symbols))
    if strangers:
        raise PayloadError(
            f"alpaca answered for {ascii(strangers[0])[:40]}, which was not asked for", provider="alpaca"
        )
    return tuple(symbol for symbol in request.symbols if symbol in found)


def _fast(body: bytes, names: tuple[Symbol, ...], request: FetchRequest, dialect: Dialect) -> BarColumns:
    """All rows at once; ValueError (Arrow's) where a row is not what the type promises."""
    if _TEXT_NUMBER.search(body) or beyond_arrow(body):
        raise ValueError("text where a number belongs, or a number that Arrow cannot be asked")
    schema = pa.schema([("bars", pa.struct([(name, pa.list_(_BAR)) for name in names]))])
    if not names:
        return _columns((), np.zeros(0, np.int32), pa.array([], _BAR).flatten(), request, dialect)
    table = paj.read_json(
        io.BytesIO(body),
        read_options=paj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=paj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    parts = [column.flatten() for column in table.column("bars").chunk(0).flatten()]
    codes = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    bars = pa.concat_arrays(parts)
    bars.validate(full=True)  # the parser does not check that a decimal's digits fit its precision
    return _columns(names, codes, bars.flatten(), request, dialect)


def _columns(
    names: tuple[Symbol, ...],
    codes: Any,
    columns: Sequence[pa.Array],
    request: FetchRequest,
    dialect: Dialect,
) -> BarColumns:
    by_key = dict(zip([field.name for field in _BAR.fields], columns, strict=True))
    instants, errors = _instants(by_key["t"])
    return BarColumns(
        names=names,
        codes=codes,
        numbers={name: Numbers(by_key[key]) for key, name in _KEYS.items()},
        counts=by_key["n"],
        vwap=by_key["vw"],
        raw=lambda row: json.dumps({key: column[row].as_py() for key, column in by_key.items()}, default=str),
        **_when(instants, errors, request, dialect),
    )


def _slow(body: bytes, request: FetchRequest, dialect: Dialect) -> tuple[BarColumns | None, str | None]:
    """Row by row, every number as text."""
    document = load_exact(body, provider="alpaca")
    found = document.get("bars", msgspec.UNSET) if isinstance(document, dict) else msgspec.UNSET
    if found is msgspec.UNSET:
        return None, None
    token = document.get("next_page_token")
    groups = {} if found is None else found
    if not isinstance(groups, dict) or not isinstance(token, str | None) or isinstance(token, NumberText):
        raise PayloadError("alpaca sent bars whose structure is not the documented one", provider="alpaca")
    names = _asked_for(groups, request)
    rows: list[Any] = []
    codes: list[int] = []
    for code, name in enumerate(names):
        group = [] if groups[name] is None else groups[name]
        if not isinstance(group, list):
            raise PayloadError(f"alpaca sent no list of bars for {name}", provider="alpaca")
        rows += group
        codes += [code] * len(group)
    errors: dict[int, str] = {}
    texts = {key: pa.array(_texts(rows, key, errors), pa.string()) for key in _KEYS}
    numbers = {
        name: read_texts(texts[key], _KINDS[key], derived=name in dialect.offer(request.dataset).derived)
        for key, name in _KEYS.items()
    }
    stamps = pa.array([_stamp(row) for row in rows], pa.string())
    instants, unreadable = _instants(stamps)
    counts = [_count(text, row, errors) for row, text in enumerate(_texts(rows, "n", errors))]
    vwap = [_double(text, row, errors) for row, text in enumerate(_texts(rows, "vw", errors))]
    return BarColumns(
        names=names,
        codes=np.array(codes, np.int32),
        numbers=numbers,
        counts=pa.array(counts, pa.int64()),
        vwap=pa.array(vwap, pa.float64()),
        raw=lambda row: json.dumps(rows[row]),
        **_when(instants, unreadable, request, dialect, also=errors),
    ), token


def _when(
    instants: Micros,
    unreadable: dict[int, str],
    request: FetchRequest,
    dialect: Dialect,
    *,
    also: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """Days (New York dates of midnights) or instants, with the rows that have neither."""
    errors = {**(also or {}), **unreadable}
    if request.dataset is not Dataset.BARS_1D:
        return {"instants": instants, "errors": errors}
    distinct, inverse = np.unique(instants, return_inverse=True)
    dates = [
        dt.datetime.fromtimestamp(micros // 1_000_000, dialect.calendar.tz) for micros in distinct.tolist()
    ]
    days: Days = np.array([day_of(date.date()) for date in dates], np.int32)[inverse]
    days[list(unreadable)] = NO_DAY
    return {"days": days, "errors": errors}


def _instants(stamps: pa.Array) -> tuple[Micros, dict[int, str]]:
    """µs since 1970 of RFC-3339 texts; one without a zone is an error of its row."""
    if not stamps.null_count:
        try:
            return stamps.cast(_MICROS).view(pa.int64()).to_numpy(), {}
        except pa.ArrowInvalid:
            pass  # some row is wrong: find out which
    micros = np.zeros(len(stamps), np.int64)
    errors: dict[int, str] = {}
    for row, text in enumerate(stamps.to_pylist()):
        try:
            if text is None:
                raise UsageError("t is missing")
            instant = parse_instant(text)
            micros[row] = int(instant.timestamp()) * 1_000_000 + instant.microsecond
        except (UsageError, OverflowError, OSError) as error:
            errors[row] = str(error)
    return micros, errors


def _texts(rows: Sequence[Any], key: str, errors: dict[int, str]) -> list[str | None]:
    """The number under ``key`` of each row as text; another type is an error of its row."""
    found: list[str | None] = []
    for row, bar in enumerate(rows):
        value = bar.get(key) if isinstance(bar, dict) else None
        if not isinstance(bar, dict):
            errors.setdefault(row, f"{str(bar)[:40]!a} is not a bar")
        elif value is not None and not isinstance(value, NumberText):
            errors.setdefault(row, f"{key}: {str(value)[:40]!a} is not a JSON number")
            value = None
        found.append(value)
    return found


def _stamp(bar: Any) -> str | None:
    value = bar.get("t") if isinstance(bar, dict) else None
    return value if isinstance(value, str) and not isinstance(value, NumberText) else None


def _count(text: str | None, row: int, errors: dict[int, str]) -> int | None:
    try:
        value = None if text is None else read_one(text, SIZE)[0]
        if value is None or (value == int(value) and abs(value) < 2**63):
            return None if value is None else int(value)
        errors.setdefault(row, f"n: {text} is not a count")
    except ValueError as error:
        errors.setdefault(row, f"n: {error}")
    return None


def _double(text: str | None, row: int, errors: dict[int, str]) -> float | None:
    try:
        if text is not None:
            read_one(text, SIZE, derived=True)
            return float(text)
    except ValueError as error:
        errors.setdefault(row, f"vw: {error}")
    return None
