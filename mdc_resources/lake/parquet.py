"""The lake's Parquet files: written by us, so that they are on disk before the catalog names them.

zstd; time, prices and sequences as DELTA_BINARY_PACKED integers (decimals of up to 18 digits are
stored as integers), statistics as byte streams, identities as DELTA_BYTE_ARRAY, dictionaries on the
rest; rows sorted by the dataset's row key. A file is new or it is not there: temp, fsync, rename,
fsync of the directory. A partition of events is written row group by row group into a spool of the
caller's and becomes a data file when it is committed (:func:`adopt`).
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import DataError
from mdc_resources.lake.crashpoints import crashpoint
from mdc_resources.lake.durable import make_dirs, publish, storage
from mdc_resources.lake.model import PreparedFile
from mdc_resources.schema.arrow import ROW_KEYS, schema_of

ROW_GROUP_ROWS = 131_072
COMPRESSION_LEVEL = 3
_IDENTITIES = frozenset({"trade_id"})  # nearly all different: a dictionary of them is wasted


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
    with storage("write", temp):
        try:
            with temp.open("xb") as sink:
                crashpoint("file.created")
                with _writer(sink, table.schema) as writer:
                    writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
    crashpoint("file.written")
    size = temp.stat().st_size
    publish(temp, final)
    return DataFile(final, table.num_rows, size)


class EventWriter:
    """One partition of events on its way to ``path``: one row group per :meth:`write`.

    The caller gives rows in the order of the dataset's row key and at most ``ROW_GROUP_ROWS`` at a time.
    Nothing is durable before :func:`adopt`.
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.path = path
        self._schema = schema_of(dataset)
        with storage("write", path):
            self._sink = path.open("xb")
            self._writer = _writer(self._sink, self._schema)

    def write(self, table: pa.Table) -> None:
        """Append ``table`` (canonical schema) as one row group; raises StorageFailed."""
        with storage("write", self.path):
            self._writer.write_table(table.cast(self._schema), row_group_size=ROW_GROUP_ROWS)

    def close(self) -> None:
        """Finish the file; raises StorageFailed."""
        with storage("write", self.path):
            self._writer.close()
            self._sink.close()

    def abandon(self) -> None:
        """Close and remove the file, whatever state it is in."""
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.close()
        self._sink.close()
        self.path.unlink(missing_ok=True)


def adopt(data_dir: Path, prepared: PreparedFile) -> DataFile:
    """Make a finished spool a durable data file: moved where it can be, copied from another disk."""
    folder = data_dir / "main" / prepared.dataset.value / f"{prepared.key.session:%Y-%m}"
    make_dirs(folder)
    final = folder / f"{uuid.uuid4()}.parquet"
    temp = final.with_name(final.name + ".tmp")
    with storage("move", prepared.path):
        try:
            prepared.path.rename(temp)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copyfile(prepared.path, temp)
    crashpoint("file.written")
    size = temp.stat().st_size
    publish(temp, final)
    prepared.path.unlink(missing_ok=True)  # where it was copied
    return DataFile(final, prepared.rows, size)


def _writer(sink: IO[bytes], schema: pa.Schema) -> pq.ParquetWriter:
    encodings, dictionary = _encodings(schema)
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        column_encoding=encodings,
        use_dictionary=dictionary,
        store_decimal_as_integer=True,
        write_page_checksum=True,
    )


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


def _encodings(schema: pa.Schema) -> tuple[dict[str, str], list[str]]:
    """Encoding by column, and the columns that have a dictionary instead."""
    found = {f.name: "DELTA_BINARY_PACKED" for f in schema if _is_delta(f.type)}
    found |= {f.name: "BYTE_STREAM_SPLIT" for f in schema if pa.types.is_floating(f.type)}
    found |= {f.name: "DELTA_BYTE_ARRAY" for f in schema if f.name in _IDENTITIES}
    return found, [f.name for f in schema if f.name not in found]


def _is_delta(kind: pa.DataType) -> bool:
    """Time, prices and sequences: integers in the file that move in small steps."""
    if pa.types.is_decimal128(kind):
        return bool(kind.precision <= 18)
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_int64(kind))
