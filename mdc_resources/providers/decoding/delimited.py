"""CSV as columns of text, under a declared header. Nothing is guessed and nothing becomes a float.

Columns are found by name; unknown ones are left out, a missing required one refuses the file.
A line with another number of fields, or the last one if the body stops inside it, is *broken*:
it is reported with its text and costs no other line.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from pyarrow import csv

from mdc_resources.domain.errors import PayloadError
from mdc_resources.providers.decoding.bodies import RAW_LIMIT, snippet

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Delimited:
    """Columns of text by canonical name, equally long; empty fields are null."""

    columns: Mapping[str, pa.Array]
    broken: tuple[tuple[str, str], ...] = ()  # (reason, the line)
    ignored: tuple[str, ...] = ()  # header names nobody asked for
    raw: Callable[[int], str] = field(default=lambda _: "", repr=False)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def read_delimited(
    body: bytes,
    *,
    header: Mapping[str, str],
    required: Sequence[str],
    provider: str,
    quoted: bool = False,
    ends_with_newline: bool = True,
) -> Delimited:
    """Read ``body``, whose header names map to canonical ones by ``header``.

    Raises:
        PayloadError: no such header, a required column is missing or named twice.
    """
    body = _as_utf8(body.removeprefix(_BOM))
    first, newline, rest = body.partition(b"\n")
    names = [name.strip().strip('"') for name in first.decode("utf-8", "replace").rstrip("\r").split(",")]
    canonical = [header.get(name, "") for name in names]
    _check_header(canonical, required, first, provider)
    broken: list[tuple[str, str]] = []
    if ends_with_newline and not (newline and body.endswith(b"\n")):
        rest, _, torn = rest.rpartition(b"\n")
        broken.append(("the body ends inside this line", torn.decode("utf-8", "replace")[:RAW_LIMIT]))
    table = _parse(rest + b"\n", len(names), broken, quoted=quoted, provider=provider)
    columns = {name: table.column(at).combine_chunks() for at, name in enumerate(canonical) if name}
    return Delimited(
        columns=columns,
        broken=tuple(broken),
        ignored=tuple(name for name, known in zip(names, canonical, strict=True) if not known),
        raw=lambda row: json.dumps({name: column[row].as_py() for name, column in columns.items()}),
    )


def _parse(
    rest: bytes, width: int, broken: list[tuple[str, str]], *, quoted: bool, provider: str
) -> pa.Table:
    names = [f"f{at}" for at in range(width)]
    if not rest.strip():
        return pa.table({name: pa.array([], pa.string()) for name in names})

    def on_broken(row: csv.InvalidRow) -> str:
        broken.append(
            (f"{row.actual_columns} fields where {row.expected_columns} belong", (row.text or "")[:RAW_LIMIT])
        )
        return "skip"

    try:
        return csv.read_csv(
            io.BytesIO(rest),
            read_options=csv.ReadOptions(column_names=names, block_size=len(rest) + 1, use_threads=False),
            parse_options=csv.ParseOptions(
                quote_char='"' if quoted else False, invalid_row_handler=on_broken
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise PayloadError(f"{provider} sent CSV that cannot be read: {error}", provider=provider) from None


def _check_header(canonical: Sequence[str], required: Sequence[str], line: bytes, provider: str) -> None:
    known = [name for name in canonical if name]
    missing = [name for name in required if name not in known]
    if missing or len(set(known)) != len(known):
        what = f"has no {', '.join(missing)}" if missing else "names a column twice"
        raise PayloadError(f"{provider}: the CSV header {what}; it is {snippet(line)}", provider=provider)


def _as_utf8(body: bytes) -> bytes:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace").encode()
    return body
