"""Polygon's pages as columns: ``{"status": ..., "results"?: [{...}], "next_url"?: ...}``.

A strict scanner finds that the body is one complete document and what its envelope says; a typed
columnar parser then reads all rows at once, numbers exactly. Where it refuses (a NaN, a tenth
decimal, text for a number) the page is read again row by row, so that a bad row costs one row.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as paj

from mdc_resources.domain.errors import PayloadError
from mdc_resources.providers.decoding.arrow_limits import beyond_arrow
from mdc_resources.providers.decoding.bodies import NumberText, load_exact
from mdc_resources.providers.decoding.json_rows import JsonRows
from mdc_resources.providers.decoding.numbers import Numbers, read_one
from mdc_resources.schema.arrow import SIZE

FINE = frozenset({"OK", "DELAYED"})  # the second: the same data, on a plan that gets them later


class Envelope(msgspec.Struct):
    """A page without its rows; ``results`` is their text."""

    status: str = ""
    ticker: str | None = None
    adjusted: bool | None = None
    results: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    results_count: int | None = msgspec.field(default=None, name="resultsCount")
    next_url: str | None = None


_SCANNER = msgspec.json.Decoder(Envelope)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a page by key: decimals as :class:`Numbers`, other columns of the type asked for."""

    size: int
    numbers: Mapping[str, Numbers]
    columns: Mapping[str, pa.Array]
    raw: Callable[[int], str]
    errors: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.size


def read(body: bytes, kind: pa.StructType, *, derived: frozenset[str] = frozenset()) -> tuple[Envelope, Rows]:
    """The envelope and the rows of ``body`` with the fields of ``kind``; absent cells are null.

    ``derived`` are keys whose numbers may be rounded. Raises PayloadError: no page of Polygon's, or
    a truncated one.
    """
    try:
        envelope = _SCANNER.decode(body)
        if beyond_arrow(body):
            raise ValueError("a number that Arrow cannot be asked")
        if any(pattern.search(body) for pattern in _quoted_decimals(kind)):
            raise ValueError("text where a number belongs")
        rows = _fast(body, kind) if _has_rows(envelope) else _none(kind)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        envelope, rows = _slow(body, kind, derived)
    if envelope.status not in FINE:
        raise PayloadError(
            f"polygon sent a document of status {envelope.status[:40]!a}, without results", provider="polygon"
        )
    if not len(rows) and envelope.results_count:
        raise PayloadError(
            f"polygon announces {envelope.results_count} results and sends none", provider="polygon"
        )
    return envelope, rows


@cache
def _quoted_decimals(kind: pa.StructType) -> tuple[re.Pattern[bytes], ...]:
    """The columnar parser would read a decimal from a JSON string without a word."""
    keys = [part.name for part in kind if pa.types.is_decimal(part.type)]
    return tuple(re.compile(rb'"%s"\s*:\s*"' % key.encode()) for key in keys)


def _has_rows(envelope: Envelope) -> bool:
    return isinstance(envelope.results, msgspec.Raw) and bytes(envelope.results).strip() not in (b"", b"null")


def _none(kind: pa.StructType) -> Rows:
    return _rows_of(pa.array([], kind), kind)


def _fast(body: bytes, kind: pa.StructType) -> Rows:
    """All rows at once; ValueError (Arrow's) where one is not what the type promises."""
    table = paj.read_json(
        io.BytesIO(body),
        read_options=paj.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=paj.ParseOptions(
            explicit_schema=pa.schema([("results", pa.list_(kind))]),
            unexpected_field_behavior="ignore",
            newlines_in_values=True,
        ),
    )
    if table.num_rows != 1:
        raise ValueError("not one document")
    found = table.column("results").chunk(0).flatten()
    if found.null_count:
        raise ValueError("a row that is null")
    found.validate(full=True)  # the parser does not check that a decimal's digits fit its precision
    return _rows_of(found, kind)


def _rows_of(found: pa.StructArray, kind: pa.StructType) -> Rows:
    by_key = dict(zip([part.name for part in kind], found.flatten(), strict=True))
    numbers = {key: Numbers(column) for key, column in by_key.items() if pa.types.is_decimal(column.type)}
    return Rows(
        len(found),
        numbers,
        {key: column for key, column in by_key.items() if key not in numbers},
        lambda row: json.dumps({key: column[row].as_py() for key, column in by_key.items()}, default=str),
    )


def _slow(body: bytes, kind: pa.StructType, derived: frozenset[str]) -> tuple[Envelope, Rows]:
    """Row by row, every number as text."""
    document = load_exact(body, provider="polygon")
    if not isinstance(document, dict):
        raise PayloadError("polygon sent no JSON object", provider="polygon")
    found = document.get("results")
    if found is not None and not isinstance(found, list):
        raise PayloadError("polygon sent results that are no list", provider="polygon")
    rows = JsonRows(found or [])
    numbers: dict[str, Numbers] = {}
    columns: dict[str, pa.Array] = {}
    for part in kind:
        if pa.types.is_decimal(part.type):
            numbers[part.name] = rows.decimals(
                part.name, part.type, quoted=False, derived=part.name in derived
            )
        elif pa.types.is_floating(part.type):
            columns[part.name] = pa.array(rows.doubles(part.name), part.type)
        else:
            columns[part.name] = pa.array(_cells(rows, part), part.type)
    return _envelope(document), Rows(len(rows), numbers, columns, rows.raw, rows.errors)


def _cells(rows: JsonRows, part: pa.Field) -> list[Any]:
    """A column of texts, integers or lists of integers; what is something else is an error of its row."""
    cells: list[Any] = []
    for number, cell in enumerate(rows.column(part.name)):
        try:
            cells.append(None if cell is None else _cell(cell, part.type))
        except (ValueError, TypeError):
            rows.errors.setdefault(number, f"{part.name}: {str(cell)[:40]!a} is not {part.type}")
            cells.append(None)
    return cells


def _cell(cell: Any, kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        if not isinstance(cell, list):
            raise TypeError("no list")
        return [_cell(item, kind.value_type) for item in cell]
    if pa.types.is_string(kind):
        if isinstance(cell, NumberText) or not isinstance(cell, str):
            raise TypeError("no text")
        return cell
    if not isinstance(cell, NumberText):
        raise TypeError("no number")
    value, _ = read_one(cell, SIZE)
    # 1.2e+06 is an integer that the fast parser refuses; one beyond 2**53 has lost its last digits.
    if value != int(value) or abs(value) >= (2**63 if cell.lstrip("-").isdecimal() else 2**53):
        raise ValueError("no integer of 64 bits")
    return int(value)


def _envelope(document: Mapping[str, Any]) -> Envelope:
    def text(key: str) -> str | None:
        value = document.get(key)
        if value is not None and (isinstance(value, NumberText) or not isinstance(value, str)):
            raise PayloadError(
                f"polygon sent {key} {str(value)[:40]!a}, which is no text", provider="polygon"
            )
        return value

    adjusted, count = document.get("adjusted"), document.get("resultsCount")
    return Envelope(
        status=text("status") or "",
        ticker=text("ticker"),
        adjusted=adjusted if isinstance(adjusted, bool) else None,
        results_count=int(count) if isinstance(count, NumberText) and count.isdecimal() else None,
        next_url=text("next_url"),
    )


def joined(lists: pa.Array) -> pa.Array:
    """Lists of codes as text joined by commas; null where there are none."""
    texts = pc.binary_join(lists.cast(pa.list_(pa.string())), ",")
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
