"""Giving up what is damaged: its partitions end as ``missing``, the rest of the lake reads again.

A file that cannot be read makes every query over its range fail. It is dropped from the table in
the transaction that writes the ledger's lines, so a reader sees the damage or the gap, never half.
DuckLake drops a file by deleting all its rows, which it counts by opening it: while the catalog
commits, an empty stand-in of as many rows lies in its place. The damaged file is put back after
that, for older snapshots and as evidence; ``verify`` goes on naming it until they expire.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now, parse_session
from mdc_resources.lake.catalog import Catalog
from mdc_resources.lake.commit import append, replace_rows
from mdc_resources.lake.durable import sync_dir
from mdc_resources.lake.ledgers import Stamp, ledger_rows
from mdc_resources.lake.locks import CommitLock
from mdc_resources.lake.model import CommitBatch, Damage, Finding
from mdc_resources.lake.parquet import ROW_GROUP_ROWS
from mdc_resources.lake.verify import ROW_KINDS, stored_partitions
from mdc_resources.schema.arrow import SCHEMAS

SUFFIX = ".damaged"


def damage_of(catalog: Catalog, findings: Sequence[Finding]) -> list[Damage]:
    """What ``findings`` of a deep verification come to: files that cannot be read, partitions that are lost.

    A file's partitions cannot be asked of it: they are those the ledger says have rows and that no
    readable file of the dataset holds.
    """
    bad = {finding.subject for finding in findings if finding.kind not in ROW_KINDS}
    wrong: dict[Dataset, set[PartitionKey]] = {dataset: set() for dataset in SCHEMAS}
    for finding in findings:
        if finding.kind in ROW_KINDS:
            name, symbol, session = finding.subject.split()
            wrong[Dataset(name)].add(PartitionKey(Symbol(symbol), parse_session(session)))
    found = []
    for dataset in SCHEMAS:
        files = [name for name, _ in catalog.files(dataset.value)]
        unread = tuple(name for name in files if name in bad)
        lost = set(wrong[dataset])
        if unread:
            lost |= stored_partitions(catalog, dataset) - _held([name for name in files if name not in bad])
        if unread or lost:
            found.append(Damage(dataset, unread, tuple(sorted(lost))))
    return found


def give_up(catalog: Catalog, lock: CommitLock, damage: Sequence[Damage], batch: CommitBatch) -> None:
    """Drop the damaged files and the rows of the lost partitions; append the ledger lines of ``batch``.

    ``batch`` carries no rows: its coverage says ``missing`` for every partition of ``damage``, and its
    ``before_commit`` may still refuse. Raises what a commit raises; nothing is changed then.
    """
    with lock.hold(), _stand_ins(catalog, [name for item in damage for name in item.files]):
        message = f"gave up {len(batch.coverage)} damaged partitions"
        with catalog.transaction(author=batch.run_id, message=message) as seq:
            for item in damage:
                if item.files:
                    catalog.drop_files(item.dataset.value, item.files)
                if item.keys and (file := replace_rows(catalog, item.dataset, _table(item.keys), None)):
                    catalog.add_file(item.dataset.value, file.path)
            for name, rows in ledger_rows(batch, Stamp(seq, now(), batch.run_id)):
                append(catalog, name, rows)
            batch.before_commit()


@contextmanager
def _stand_ins(catalog: Catalog, names: Sequence[str]) -> Iterator[None]:
    """Within it every file of ``names`` can be opened and has the shape the catalog says."""
    shapes = catalog.file_shapes()
    paths = [Path(name) for name in names]
    try:
        for path in paths:
            kept = path.with_name(path.name + SUFFIX)
            if path.exists() and not kept.exists():  # else a crash left a stand-in here
                path.replace(kept)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_stand_in(*shapes[str(path)]))
        yield
    finally:
        for path in paths:
            kept = path.with_name(path.name + SUFFIX)
            if kept.exists():
                kept.replace(path)
            else:
                path.unlink(missing_ok=True)
            if path.parent.exists():
                sync_dir(path.parent)


def _stand_in(rows: int, size: int, footer: int) -> bytes:
    """A Parquet file of ``rows`` rows without content, padded to the size and footer the catalog knows.

    DuckDB refuses a file whose footer is not as long as it was told. A footer ends where its structure
    ends, so the padding after it is not read.
    """
    sink = pa.BufferOutputStream()
    nothing = pa.table({"symbol": pa.nulls(rows, pa.string())})
    pq.write_table(nothing, sink, compression="none", write_statistics=False, store_schema=False)
    content: bytes = sink.getvalue().to_pybytes()
    length = int.from_bytes(content[-8:-4], "little")
    pages, structure = content[: -8 - length], content[-8 - length : -8]
    ended = structure.ljust(footer, b"\0")
    room = size - len(ended) - 8
    return pages.ljust(room, b"\0") + ended + len(ended).to_bytes(4, "little") + content[-4:]


def _held(names: Sequence[str]) -> set[PartitionKey]:
    """Every partition with rows in the files ``names``."""
    held: set[PartitionKey] = set()
    for name in names:
        with pq.ParquetFile(name) as file:
            for batch in file.iter_batches(ROW_GROUP_ROWS, columns=["symbol", "session"]):
                distinct = pa.Table.from_batches([batch]).group_by(["symbol", "session"]).aggregate([])
                columns = (distinct.column(at).to_pylist() for at in ("symbol", "session"))
                held.update(PartitionKey(symbol, session) for symbol, session in zip(*columns, strict=True))
    return held


def _table(keys: Sequence[PartitionKey]) -> pa.Table:
    return pa.table({
        "symbol": pa.array([key.symbol for key in keys], pa.string()),
        "session": pa.array([key.session for key in keys], pa.date32()),
    })  # fmt: skip
