"""``mdc query``: one SELECT over the lake, printed with every digit.

Decimals are exact in every format (a string in JSON). Rows are streamed, so a large result costs no
memory; a table shows the first 100.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import UsageError

if TYPE_CHECKING:
    import duckdb

app = typer.Typer(rich_markup_mode=None)
_TABLE_ROWS = 100
_CHUNK = 10_000


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@app.command()
def query(
    ctx: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL", show_default=False)],
    form: Annotated[Format, typer.Option("--format", help="table, csv, json or parquet")] = Format.TABLE,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="The lake as of a snapshot id or an instant", show_default=False),
    ] = None,
    known_at: Annotated[
        str | None,
        typer.Option(
            "--known-at", help="Adjusted by what was known on a date or at an instant", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--output", help="A new file; default stdout", show_default=False)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Run one SELECT, read-only. Tables: mdc query 'SHOW TABLES'; columns: mdc query 'DESCRIBE bars_1d'."""
    from mdc_resources.query.session import parse_as_of, parse_known_at, run_select

    chosen = Format.JSON if as_json else form
    if out is not None and out.exists():
        raise UsageError(f"{out} exists already", hint="Name a new file")
    if chosen is Format.PARQUET and out is None and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal", hint="Add --output FILE, or pipe it")
    home = home_of(ctx)
    with run_select(home, sql, as_of=parse_as_of(as_of), known_at=parse_known_at(known_at)) as result:
        if out is None:
            _write(result, chosen, sys.stdout)
            return
        temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w", encoding="utf-8", newline="") as target:
                _write(result, chosen, target)
            temporary.replace(out)
        finally:
            temporary.unlink(missing_ok=True)
    output.note(f"written to {out}")


def _write(result: duckdb.DuckDBPyConnection, form: Format, target: TextIO) -> None:
    writers = {Format.TABLE: _table, Format.CSV: _csv, Format.JSON: _json, Format.PARQUET: _parquet}
    writers[form](result, target)


def _columns(result: duckdb.DuckDBPyConnection) -> list[str]:
    return [str(column[0]) for column in result.description or []]


def _rows(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[object, ...]]:
    while chunk := result.fetchmany(_CHUNK):
        yield from chunk


def _table(result: duckdb.DuckDBPyConnection, target: TextIO) -> None:
    columns = _columns(result)
    rows = result.fetchmany(_TABLE_ROWS + 1)
    numbers = [name for at, name in enumerate(columns) if rows and _is_number(rows[0][at])]
    with redirect_stdout(target):
        output.print_table(columns, rows[:_TABLE_ROWS], right=numbers)
    if len(rows) > _TABLE_ROWS:
        output.note(f"first {_TABLE_ROWS} rows; --format csv prints all")


def _csv(result: duckdb.DuckDBPyConnection, target: TextIO) -> None:
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(_columns(result))
    for row in _rows(result):
        writer.writerow([output.as_text(value) for value in row])


def _json(result: duckdb.DuckDBPyConnection, target: TextIO) -> None:
    columns = _columns(result)
    target.write("[")
    for number, row in enumerate(_rows(result)):
        document = {name: output.as_json(value) for name, value in zip(columns, row, strict=True)}
        target.write((",\n " if number else "\n ") + json.dumps(document, ensure_ascii=False))
    target.write("\n]\n")


def _parquet(result: duckdb.DuckDBPyConnection, target: TextIO) -> None:
    import pyarrow.parquet as pq

    reader = result.to_arrow_reader(_CHUNK)
    with pq.ParquetWriter(target.buffer, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
