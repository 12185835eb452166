"""The lake's Parquet files: written by us, so that they are on disk before the catalog names them.

zstd; time, prices and sequences as DELTA_BINARY_PACKED integers (decimals of up to 18 digits are
stored as integers), statistics as byte streams, dictionaries on the rest; rows sorted by the
dataset's row key. A file is new or it is not there: temp, fsync, rename, fsync of the directory.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import DataError
from mdc_resources.lake.crashpoints import crashpoint
from mdc_resources.lake.durable import make_dirs, publish, storage
from mdc_resources.schema.arrow import ROW_KEYS, schema_of

ROW_GROUP_ROWS = 131_072
COMPRESSION_LEVEL = 3


@dataclass(frozen=True, slots=True)
class DataFile:
    """A durable file of ``rows`` rows; ``path`` is absolute."""

    path: Path
    rows: int
    bytes: int


def write_data_file(data_dir: Path, dataset: Dataset, table: pa.Table) -> DataFile:
    """Write ``table`` (canonical schema, any order) as one new durable file below ``data_dir``.

    The file lies in the folder of its first session's month. Raises DataError if the schema is not
    the dataset's or the table is empty, StorageFailed if the disk refuses.
    """
    table = _canonical(dataset, table)
    first = pc.min(table.column("session")).as_py()
    return _write(data_dir / "main" / dataset.value / f"{first:%Y-%m}", table)


def write_ledger_file(data_dir: Path, ledger: str, rows: pa.Table) -> DataFile:
    """Write ``rows`` of a ledger, sorted where it is keyed, as one new durable file."""
    keys = [(name, "ascending") for name in ("dataset", "symbol", "session") if name in rows.column_names]
    return _write(data_dir / "main" / ledger, rows.sort_by(keys) if keys else rows)


def _write(folder: Path, table: pa.Table) -> DataFile:
    make_dirs(folder)
    final = folder / f"{uuid.uuid4()}.parquet"
    temp = final.with_name(final.name + ".tmp")
    delta, split, dictionary = _encodings(table.schema)
    with storage("write", temp):
        try:
            with temp.open("xb") as sink:
                crashpoint("file.created")
                pq.write_table(
                    table,
                    sink,
                    compression="zstd",
                    compression_level=COMPRESSION_LEVEL,
                    column_encoding={**delta, **split},
                    use_dictionary=dictionary,
                    store_decimal_as_integer=True,
                    row_group_size=ROW_GROUP_ROWS,
                    write_page_checksum=True,
                )
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
    crashpoint("file.written")
    size = temp.stat().st_size
    publish(temp, final)
    return DataFile(final, table.num_rows, size)


def _canonical(dataset: Dataset, table: pa.Table) -> pa.Table:
    """``table`` sorted, with exactly the dataset's columns, types and nullability."""
    schema = schema_of(dataset)
    if table.num_rows == 0:
        raise DataError(f"there are no rows of {dataset} to write")
    if table.column_names != schema.names or table.schema.types != schema.types:
        raise DataError(
            f"the table is not in the canonical schema of {dataset}: {_difference(table.schema, schema)}",
            hint="Decoders emit mdc_resources.schema.arrow.schema_of(dataset)",
        )
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise DataError(
                f"{dataset}.{field.name} holds nulls", hint="Quarantine such rows before the commit"
            )
    order = [(name, "ascending") for name in ROW_KEYS[dataset]]
    return table.sort_by(order).cast(schema)


def _difference(got: pa.Schema, wanted: pa.Schema) -> str:
    """The first column that differs, in words."""
    for name in wanted.names:
        if name not in got.names:
            return f"{name} is missing"
        if got.field(name).type != wanted.field(name).type:
            return f"{name} is {got.field(name).type}, not {wanted.field(name).type}"
    extra = [name for name in got.names if name not in wanted.names]
    return f"unexpected {', '.join(extra)}" if extra else "the columns are in another order"


def _encodings(schema: pa.Schema) -> tuple[dict[str, str], dict[str, str], list[str]]:
    delta = {f.name: "DELTA_BINARY_PACKED" for f in schema if _is_delta(f.type)}
    split = {f.name: "BYTE_STREAM_SPLIT" for f in schema if pa.types.is_floating(f.type)}
    rest = [f.name for f in schema if f.name not in delta and f.name not in split]
    return delta, split, rest


def _is_delta(kind: pa.DataType) -> bool:
    """Time, prices and sequences: integers in the file that move in small steps."""
    if pa.types.is_decimal128(kind):
        return bool(kind.precision <= 18)
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_int64(kind))
