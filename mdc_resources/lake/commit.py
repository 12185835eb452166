"""The commit protocol: old or new, never partial, whatever dies on the way.

    write files (temp, fsync, rename, fsync dir)  ->  lock  ->  begin  ->  replace  ->  ledgers
    ->  add files  ->  before_commit (fence, raw archive)  ->  catalog commit  ->  unlock

Until the catalog commits, nothing refers to the new files; a crash leaves them as orphans that no
reader sees. Replace is copy-on-write: what else lies in a touched file moves to a new one.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version

import pyarrow as pa
import pyarrow.compute as pc

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import DataError, LakeError
from mdc_resources.domain.time import now
from mdc_resources.lake.captured import key_table, tails
from mdc_resources.lake.catalog import Catalog
from mdc_resources.lake.crashpoints import crashpoint
from mdc_resources.lake.ledgers import Stamp, ledger_rows
from mdc_resources.lake.locks import CommitLock
from mdc_resources.lake.model import CommitBatch, CommitReceipt
from mdc_resources.lake.parquet import DataFile, adopt, write_data_file, write_ledger_file

SANDBOX_PREFIX = "sandbox:"
# An inlined row costs about 0.1 ms, a file about 30 ms whatever its size.
LEDGER_FILE_ROWS = 1_000
Counts = Mapping[tuple[Dataset, PartitionKey], int]


def commit(catalog: Catalog, lock: CommitLock, batch: CommitBatch, *, sandbox: bool) -> CommitReceipt:
    """Commit ``batch``; see :class:`CommitBatch` and the module's protocol.

    Raises:
        DataError: rows without coverage, counts that differ, a wrong schema, a batch that explains
            a partition twice.
        LakeError: rows of the sandbox for a real lake, or the other way round.
        LakeBusy, FencedOut, StorageFailed: nothing was published.
    """
    started = time.perf_counter()
    _check(batch, sandbox=sandbox)
    replaced = _by_dataset(batch)
    fresh = {d: t for d, t in batch.tables.items() if t.num_rows}
    # Rows that replace none are written before the lock is taken; a replacement must first read
    # what else lies in the files it touches, which only holds still under the lock.
    files = {
        d: write_data_file(catalog.location.data_dir, d, t) for d, t in fresh.items() if d not in replaced
    }
    adopted = [(file.dataset, adopt(catalog.location.data_dir, file)) for file in batch.files]
    with lock.hold():
        crashpoint("commit.locked")
        with catalog.transaction(author=batch.run_id, message=_message(batch), extra=_extra(batch)) as seq:
            crashpoint("commit.begun")
            _check_appends(catalog, batch)
            for dataset, keys in replaced.items():
                if file := replace_rows(catalog, dataset, keys, fresh.get(dataset)):
                    files[dataset] = file
            for name, rows in ledger_rows(batch, Stamp(seq, now(), batch.run_id)):
                append(catalog, name, rows)
            crashpoint("commit.appended")
            for dataset, file in files.items():
                catalog.add_file(dataset.value, file.path)
            for dataset, file in adopted:
                catalog.add_file(dataset.value, file.path)
            crashpoint("commit.added")
            batch.before_commit()
            crashpoint("commit.checked")
        crashpoint("commit.done")
    rows_committed = sum(t.num_rows for t in fresh.values()) + sum(file.rows for file in batch.files)
    return CommitReceipt(seq, rows_committed, len(files) + len(adopted), time.perf_counter() - started)


def append(catalog: Catalog, ledger: str, rows: pa.Table) -> None:
    """Few rows are inlined into the catalog; many go into a file of their own, which is faster."""
    if rows.num_rows < LEDGER_FILE_ROWS:
        catalog.append(ledger, rows)
    else:
        catalog.add_file(ledger, write_ledger_file(catalog.location.data_dir, ledger, rows).path)


def replace_rows(
    catalog: Catalog, dataset: Dataset, keys: pa.Table, rows: pa.Table | None
) -> DataFile | None:
    """Drop the files that hold ``keys``; their other rows and ``rows`` go into one new file."""
    touched = catalog.files_with(dataset.value, keys)
    parts = [rows] if rows is not None else []
    if touched:
        survivors = catalog.rows_of_files(dataset.value, touched, but=keys)
        if survivors.num_rows:
            parts.append(survivors)
    file = None
    if parts:
        merged = pa.concat_tables([part.cast(parts[0].schema) for part in parts])
        file = write_data_file(catalog.location.data_dir, dataset, merged)
    if touched:
        catalog.drop_files(dataset.value, touched)
        crashpoint("replace.deleted")
    return file


def _by_dataset(batch: CommitBatch) -> dict[Dataset, pa.Table]:
    """The replaced keys of each dataset as a table (symbol, session)."""
    return {dataset: key_table(keys) for dataset, keys in _grouped(batch.replaces).items()}


def _grouped(keys: Iterable[tuple[Dataset, PartitionKey]]) -> dict[Dataset, list[PartitionKey]]:
    grouped: dict[Dataset, list[PartitionKey]] = defaultdict(list)
    for dataset, key in keys:
        grouped[dataset].append(key)
    return grouped


def _check_appends(catalog: Catalog, batch: CommitBatch) -> None:
    """Rows that are stored and rows that are added must come to what coverage says."""
    for dataset, keys in _grouped(batch.appends).items():
        stored = tails(catalog, dataset, keys)
        added = _counts(batch.tables[dataset]) if dataset in batch.tables else {}
        said = {row.key: row.row_count for row in batch.coverage if row.dataset is dataset}
        for key in keys:
            total = (stored[key].rows if key in stored else 0) + added.get(key, 0)
            _check_count(dataset, key, total, {(dataset, key): said[key]} if key in said else {})


def _check(batch: CommitBatch, *, sandbox: bool) -> None:
    explained: dict[tuple[Dataset, PartitionKey], int] = {}
    for row in batch.coverage:
        if (row.dataset, row.key) in explained:
            raise DataError(f"the batch explains {row.dataset} {row.symbol} {row.session} twice")
        explained[row.dataset, row.key] = row.row_count
        _check_source(row.source, sandbox=sandbox)
    for dataset, table in batch.tables.items():
        for source in pc.unique(table.column("source")).to_pylist():
            _check_source(source, sandbox=sandbox)
        for key, count in _counts(table).items():
            if (dataset, key) not in batch.appends:
                _check_count(dataset, key, count, explained)
    for file in batch.files:
        _check_source(file.source, sandbox=sandbox)
        if file.key in _keys(batch.tables.get(file.dataset)):
            raise DataError(
                f"{file.dataset} {file.key.symbol} {file.key.session} is in a table and in a file"
            )
        _check_count(file.dataset, file.key, file.rows, explained)


def _counts(table: pa.Table) -> dict[PartitionKey, int]:
    grouped = (
        table.select(["symbol", "session"]).group_by(["symbol", "session"]).aggregate([([], "count_all")])
    )
    columns = (grouped.column(name).to_pylist() for name in ("symbol", "session", "count_all"))
    return {PartitionKey(symbol, session): count for symbol, session, count in zip(*columns, strict=True)}


def _check_count(dataset: Dataset, key: PartitionKey, count: int, explained: Counts) -> None:
    said = explained.get((dataset, key))
    if said != count:
        claim = "nothing" if said is None else said
        raise DataError(
            f"{dataset} {key.symbol} {key.session} has {count} rows, its coverage says {claim}",
            hint="A batch holds all rows of a partition or none",
        )


def _keys(table: pa.Table | None) -> set[PartitionKey]:
    return set() if table is None else set(_counts(table))


def _check_source(source: str, *, sandbox: bool) -> None:
    if not source or source.startswith(SANDBOX_PREFIX) == sandbox:
        return
    if sandbox:
        raise LakeError(
            f"this is a sandbox lake and takes no rows of {source!r}",
            hint="Use a lake of your own for real data",
        )
    raise LakeError(
        f"rows of {source!r} are synthetic and may not enter a real lake",
        hint="Use a lake made with --sandbox",
    )


def _message(batch: CommitBatch) -> str:
    rows = sum(table.num_rows for table in batch.tables.values()) + sum(file.rows for file in batch.files)
    return f"{rows} rows, {len(batch.coverage)} partitions"


def _extra(batch: CommitBatch) -> dict[str, object]:
    return {"run_id": batch.run_id, "attempt": batch.attempt, "code": _code_version()}


def _code_version() -> str:
    try:
        return f"mdc {version('mdc')}"
    except PackageNotFoundError:
        return "mdc"
