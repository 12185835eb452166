"""One page of Alpaca trades or quotes: ``{"trades": {SYMBOL: [{t,x,p,s,c,i,z,u?}]}, "next_page_token"}``.

Quotes are ``{t,bx,bp,bs,ax,ap,as,c,z}``. As with bars a strict scanner sees that the body is one
document, a typed columnar parser reads all rows at once, and where it refuses, the page is read
again row by row. ``t`` has up to nine fractional digits and stays exact. ``u`` (canceled, incorrect,
corrected) becomes ``correction``. Before 2025-11-03 quote sizes are round lots of 100 shares, stored
as shares (the few stocks with other lots are told apart nowhere in the answer).
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as paj

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.arrow_limits import beyond_arrow
from mdc_resources.providers.decoding.bodies import NumberText, load_exact
from mdc_resources.providers.decoding.events import EventColumns, Nanos, assemble_events
from mdc_resources.providers.decoding.json_rows import JsonRows
from mdc_resources.providers.decoding.numbers import Numbers
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE


@dataclass(frozen=True, slots=True)
class _Shape:
    """One kind of event on the wire: its name, its fields, and the canonical name of each."""

    key: str
    fields: Mapping[str, pa.DataType]
    names: Mapping[str, str]

    @property
    def wire(self) -> pa.DataType:
        """A row as the columnar parser is told: sizes are whole there, and it refuses text for those."""
        whole = {key: pa.int64() if kind == SIZE else kind for key, kind in self.fields.items()}
        return pa.struct(list(whole.items()))

    def of_kind(self, *kinds: pa.DataType) -> list[str]:
        return [key for key, kind in self.fields.items() if kind in kinds]


_TRADES = _Shape(
    "trades",
    {"t": pa.string(), "x": pa.string(), "p": PRICE, "s": SIZE, "c": pa.list_(pa.string()), "i": pa.uint64(),
     "z": pa.string(), "u": pa.string()},
    {"x": "venue", "p": "price", "s": "size", "c": "conditions", "i": "trade_id", "z": "tape",
     "u": "correction"},
)  # fmt: skip
_QUOTES = _Shape(
    "quotes",
    {"t": pa.string(), "ax": pa.string(), "ap": PRICE, "as": SIZE, "bx": pa.string(), "bp": PRICE, "bs": SIZE,
     "c": pa.list_(pa.string()), "z": pa.string()},
    {"ax": "ask_venue", "ap": "ask_price", "as": "ask_size", "bx": "bid_venue", "bp": "bid_price",
     "bs": "bid_size", "c": "conditions", "z": "tape"},
)  # fmt: skip
_SHAPES = {Dataset.TRADES: _TRADES, Dataset.QUOTES: _QUOTES}
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NANOS = pa.timestamp("ns", tz="UTC")
# "Bid and ask sizes are shares since 2025-11-03, round lots before" (OpenAPI, stock_quote); in New York.
_SHARES_FROM = int(dt.datetime(2025, 11, 3, 5, tzinfo=dt.UTC).timestamp()) * 10**9
_WHOLE = pa.decimal128(19, 0)
_LOT = pa.scalar(decimal.Decimal(100), pa.decimal128(3, 0))
_MOST_LOTS = pa.scalar(decimal.Decimal(10**15), SIZE)


class _Page(msgspec.Struct):
    trades: dict[str, msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    quotes: dict[str, msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    next_page_token: str | None = None


_SCANNER = msgspec.json.Decoder(_Page)


def decode(body: bytes, *, request: FetchRequest, dialect: Dialect) -> tuple[Page, str | None]:
    """The page and its token; raises PayloadError (malformed, truncated, another symbol)."""
    shape = _SHAPES[request.dataset]
    try:
        scanned = _SCANNER.decode(body)
        groups, token = getattr(scanned, shape.key), scanned.next_page_token
        columns = None if groups is msgspec.UNSET else _fast(body, _asked_for(groups or {}, request), shape)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        columns, token = _slow(body, request, shape)
    if columns is None:
        raise PayloadError(f"alpaca sent a document without {shape.key}", provider="alpaca")
    if request.dataset is Dataset.QUOTES:
        columns = _in_shares(columns)
    events = assemble_events(columns, request=request, dialect=dialect)
    page = Page(tables={request.dataset: events.table}, rejected=events.rejected, dropped=events.dropped)
    return page, token


def _asked_for(found: Mapping[str, object], request: FetchRequest) -> tuple[Symbol, ...]:
    strangers = sorted(set(found) - set(request.symbols))
    if strangers:
        raise PayloadError(
            f"alpaca answered for {ascii(strangers[0])[:40]}, which was not asked for", provider="alpaca"
        )
    return tuple(symbol for symbol in request.symbols if symbol in found)


def _fast(body: bytes, names: tuple[Symbol, ...], shape: _Shape) -> EventColumns:
    """All rows at once; ValueError (Arrow's) where a row is not what the type promises."""
    if beyond_arrow(body):
        raise ValueError("a number that Arrow cannot be asked")
    gap = b" " if b'": ' in body[:256] else b""
    for key in shape.of_kind(PRICE):
        # The columnar parser would read a decimal from a JSON string without a word.
        if b'"%b":%b"' % (key.encode(), gap) in body:
            raise ValueError("text where a number belongs")
    kind = shape.wire
    if not names:
        return _columns((), np.zeros(0, np.int32), pa.array([], kind), shape)
    table = paj.read_json(
        pa.BufferReader(body),
        read_options=paj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=paj.ParseOptions(
            explicit_schema=pa.schema([(shape.key, pa.struct([(name, pa.list_(kind)) for name in names]))]),
            unexpected_field_behavior="ignore",
        ),
    )
    parts = [column.flatten() for column in table.column(shape.key).chunk(0).flatten()]
    codes = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    rows = parts[0] if len(parts) == 1 else pa.concat_arrays(parts)
    rows.validate(full=True)  # the parser does not check that a decimal's digits fit its precision
    if rows.null_count:
        raise ValueError("null where a row belongs")
    return _columns(names, codes, rows, shape)


def _columns(
    names: tuple[Symbol, ...], codes: np.ndarray[Any, np.dtype[np.int32]], rows: pa.Array, shape: _Shape
) -> EventColumns:
    cells = dict(zip(shape.fields, rows.flatten(), strict=True))
    cells |= {key: cells[key].cast(_WHOLE).cast(SIZE) for key in shape.of_kind(SIZE)}
    times = cells["t"].cast(_NANOS)
    if times.null_count:
        raise ValueError("a row without its time")
    named = {name: cells[key] for key, name in shape.names.items()}
    return EventColumns(
        names=names,
        codes=codes,
        times=times.view(pa.int64()).to_numpy(),
        numbers={shape.names[key]: Numbers(cells[key]) for key in shape.of_kind(PRICE, SIZE)},
        columns={
            name: _as_text(column) for name, column in named.items() if column.type not in (PRICE, SIZE)
        },
        raw=lambda row: json.dumps(rows[row].as_py(), default=str),
    )


def _as_text(column: pa.Array) -> pa.Array:
    """A column as the canonical text: codes joined by commas, ids in decimal, nothing for ``""``."""
    if pa.types.is_list(column.type):
        column = pc.binary_join(column, ",")
        return pc.if_else(pc.equal(column, ""), None, column)
    if pa.types.is_integer(column.type):
        return column.cast(pa.string())
    return column


def _slow(body: bytes, request: FetchRequest, shape: _Shape) -> tuple[EventColumns | None, str | None]:
    """Row by row, every number as text."""
    document = load_exact(body, provider="alpaca")
    found = document.get(shape.key, msgspec.UNSET) if isinstance(document, dict) else msgspec.UNSET
    if found is msgspec.UNSET:
        return None, None
    token = document.get("next_page_token")
    groups = {} if found is None else found
    if not isinstance(groups, dict) or not isinstance(token, str | None) or isinstance(token, NumberText):
        raise PayloadError(
            f"alpaca sent {shape.key} whose structure is not the documented one", provider="alpaca"
        )
    names = _asked_for(groups, request)
    cells: list[Any] = []
    codes: list[int] = []
    for code, name in enumerate(names):
        group = [] if groups[name] is None else groups[name]
        if not isinstance(group, list):
            raise PayloadError(f"alpaca sent no list of {shape.key} for {name}", provider="alpaca")
        cells.extend(group)
        codes.extend([code] * len(group))
    rows = JsonRows(cells)
    times = _times(rows)
    numbers = {
        shape.names[key]: rows.decimals(key, shape.fields[key], quoted=False)
        for key in shape.of_kind(PRICE, SIZE)
    }
    columns = {
        name: pa.array(_texts(rows, key, shape.fields[key]), pa.string())
        for key, name in shape.names.items()
        if shape.fields[key] not in (PRICE, SIZE)
    }
    return EventColumns(
        names=names,
        codes=np.array(codes, np.int32),
        times=times,
        numbers=numbers,
        columns=columns,
        raw=rows.raw,
        errors=rows.errors,
    ), token


def _times(rows: JsonRows) -> Nanos:
    """Nanoseconds of the column ``t``; what is no instant is its row's error."""
    found = np.zeros(len(rows), np.int64)
    for number, cell in enumerate(rows.column("t")):
        try:
            found[number] = nanos_of(cell if not isinstance(cell, NumberText) else "")
        except ValueError:
            rows.errors.setdefault(number, f"t: {str(cell)[:40]!a} is not an instant")
    return found


def nanos_of(text: object) -> int:
    """Nanoseconds since 1970 of an RFC 3339 text, exact; ValueError for anything else."""
    match = _STAMP.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("not an instant")
    seconds, fraction, zone = match.groups()
    instant = dt.datetime.fromisoformat(seconds + ("+00:00" if zone == "Z" else zone))
    nanos = int(instant.timestamp()) * 10**9 + int((fraction or "").ljust(9, "0"))
    if not -(2**63) <= nanos < 2**63:
        raise ValueError("beyond what nanoseconds can tell")
    return nanos


def _texts(rows: JsonRows, key: str, kind: pa.DataType) -> Sequence[str | None]:
    """One text column; an identity that is no whole number, or a code that is no text, is its row's error."""
    found: list[str | None] = []
    for number, cell in enumerate(rows.column(key)):
        text: str | None = None
        if pa.types.is_integer(kind):
            if isinstance(cell, NumberText) and cell.isascii() and cell.isdecimal() and int(cell) < 2**64:
                text = str(int(cell))
            elif cell is not None:
                rows.errors.setdefault(number, f"{key}: {str(cell)[:40]!a} is not an identity")
        elif pa.types.is_list(kind):
            if isinstance(cell, list) and all(_is_text(code) for code in cell):
                text = ",".join(cell) or None
            elif cell is not None:
                rows.errors.setdefault(number, f"{key}: {str(cell)[:40]!a} is no list of codes")
        elif _is_text(cell):
            text = cell
        elif cell is not None:
            rows.errors.setdefault(number, f"{key}: {str(cell)[:40]!a} is not a code")
        found.append(text)
    return found


def _is_text(cell: object) -> bool:
    return isinstance(cell, str) and not isinstance(cell, NumberText)


def _in_shares(events: EventColumns) -> EventColumns:
    """Quote sizes in shares, whatever the vendor counted in that day."""
    lots = events.times < _SHARES_FROM
    if not lots.any():
        return events
    numbers = dict(events.numbers)
    for name in ("bid_size", "ask_size"):
        given = numbers[name].values
        fits = pc.less(given, _MOST_LOTS)
        counted = pc.if_else(pc.and_(pa.array(lots), pc.fill_null(fits, False)), given, None)
        shares = pc.multiply(counted, _LOT).cast(SIZE)
        values = pc.if_else(pa.array(lots), shares, given)
        errors = dict(numbers[name].errors)
        for row in np.flatnonzero(lots & ~pc.fill_null(fits, True).to_numpy(zero_copy_only=False)).tolist():
            errors.setdefault(row, "so many lots are no size")
        numbers[name] = Numbers(values, errors)
    return replace(events, numbers=numbers)
