"""Verify: does the lake hold what its catalog and its ledger say?

Plain: the marker, every file the catalog names (there, of its size, readable, with its rows), and
files nobody names. Deep: every page's checksum, and every partition's fingerprint against the
newest line of the coverage ledger. Reports findings and changes nothing.
"""

# ruff: noqa: S608 - names in statements are constants of this package; values are bound

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeError
from mdc_resources.lake.catalog import Catalog
from mdc_resources.lake.fingerprint import Accumulator, by_partition, fingerprints
from mdc_resources.lake.marker import read_marker
from mdc_resources.lake.model import Finding
from mdc_resources.lake.parquet import ROW_GROUP_ROWS
from mdc_resources.lake.views import NEWEST_COVERAGE
from mdc_resources.schema.arrow import SCHEMAS

ORPHAN_SECONDS = 24 * 3600
ROW_KINDS = frozenset({"lost", "duplicate", "unexplained", "fingerprint"})
"""Kinds of findings whose subject is a partition: ``bars_1d AAPL 2024-07-03``."""
Expected = dict[PartitionKey, tuple[int, str]]


def verify(catalog: Catalog, *, deep: bool) -> list[Finding]:
    """What is wrong, errors before warnings; an empty list means nothing was found."""
    findings = list(_marker(catalog))
    try:
        bad = list(_files(catalog, deep=deep))
        findings += bad
        if deep:
            findings += _contents(catalog, skip={finding.subject for finding in bad})
        findings += _orphans(catalog)
    except LakeError as error:
        findings.append(Finding("error", "catalog", str(catalog.location.lake_dir), str(error)))
    return sorted(findings, key=lambda finding: (finding.severity != "error", finding.kind, finding.subject))


def stored_partitions(catalog: Catalog, dataset: Dataset) -> set[PartitionKey]:
    """Partitions of ``dataset`` that the ledger says have rows."""
    return set(_ledger(catalog, dataset))


def _marker(catalog: Catalog) -> Iterator[Finding]:
    lake_dir = catalog.location.lake_dir
    try:
        marker = read_marker(lake_dir)
    except LakeError as error:
        yield Finding("error", "marker", str(lake_dir), str(error))
        return
    if catalog.identity().get("lake_id") != marker.lake_id:
        yield Finding("error", "marker", str(lake_dir), "the marker is not of the lake in the catalog")


def _files(catalog: Catalog, *, deep: bool) -> Iterator[Finding]:
    for _, name, rows, size in catalog.file_records():
        if message := _file_fault(Path(name), rows=rows, size=size, deep=deep):
            yield Finding("error", message.split(":")[0], name, message.partition(": ")[2])


def _file_fault(path: Path, *, rows: int, size: int, deep: bool) -> str:
    """``kind: message`` of the first thing wrong with a file, or nothing."""
    try:
        found = path.stat().st_size
    except OSError as error:
        return f"missing: the catalog names it, but: {error.strerror}"
    if found != size:
        return f"size: it has {found} bytes, the catalog says {size}"
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if file.metadata.num_rows != rows:
                return f"rows: it has {file.metadata.num_rows} rows, the catalog says {rows}"
            if deep:
                for _ in file.iter_batches():
                    pass
    except (OSError, pa.ArrowException) as error:
        return f"unreadable: {' '.join(str(error).split())[:200]}"
    return ""


def _contents(catalog: Catalog, *, skip: set[str]) -> Iterator[Finding]:
    """Fingerprints of what lies in the files against the ledger."""
    for dataset in SCHEMAS:
        expected = _ledger(catalog, dataset)
        seen: set[PartitionKey] = set()
        names = [name for name, _ in catalog.files(dataset.value)]
        read = [name for name in names if name not in skip]
        unread = len(read) < len(names)
        if dataset.is_events:  # what was appended lies in files of its own
            pieces: Iterable[dict[PartitionKey, str]] = [_events(dataset, read)]
        else:
            pieces = (_fingerprints(dataset, name) for name in read)
        for found in pieces:
            for key, fingerprint in found.items():
                yield from _compare(dataset, key, fingerprint, expected, seen)
        if not unread:
            for key in expected.keys() - seen:
                rows = expected[key][0]
                yield _partition(dataset, key, "lost", f"the ledger says {rows} rows, no file holds any")


def _fingerprints(dataset: Dataset, name: str) -> dict[PartitionKey, str]:
    """Of each partition in one file."""
    return fingerprints(dataset, pq.read_table(name, partitioning=None).cast(SCHEMAS[dataset]))


def _events(dataset: Dataset, names: Iterable[str]) -> dict[PartitionKey, str]:
    """Of each partition of events in all files together, read row group by row group."""
    found: dict[PartitionKey, Accumulator] = {}
    for name in names:
        with pq.ParquetFile(name, page_checksum_verification=True) as file:
            for batch in file.iter_batches(ROW_GROUP_ROWS):
                table = pa.Table.from_batches([batch]).cast(SCHEMAS[dataset])
                for key, rows in by_partition(table):
                    found.setdefault(key, Accumulator(dataset)).add(rows)
    return {key: sums.fingerprint for key, sums in found.items()}


def _compare(
    dataset: Dataset, key: PartitionKey, fingerprint: str, expected: Expected, seen: set[PartitionKey]
) -> Iterator[Finding]:
    if key in seen:
        yield _partition(dataset, key, "duplicate", "its rows lie in more than one file")
    elif key not in expected:
        yield _partition(dataset, key, "unexplained", "it has rows, the ledger says it has none")
    elif expected[key][1] and expected[key][1] != fingerprint:
        yield _partition(
            dataset, key, "fingerprint", f"its rows hash to {fingerprint}, the ledger says {expected[key][1]}"
        )
    seen.add(key)


def _ledger(catalog: Catalog, dataset: Dataset) -> Expected:
    """Rows and fingerprint of every partition the ledger says has rows."""
    query = (
        f"SELECT symbol, session, row_count, fingerprint FROM ({NEWEST_COVERAGE})"
        " WHERE dataset = ? AND row_count > 0"
    )
    table = catalog.query(query, [dataset.value])
    columns = (table.column(name).to_pylist() for name in table.column_names)
    return {
        PartitionKey(symbol, session): (rows, mark)
        for symbol, session, rows, mark in zip(*columns, strict=True)
    }


def _partition(dataset: Dataset, key: PartitionKey, kind: str, message: str) -> Finding:
    return Finding("error", kind, f"{dataset} {key.symbol} {key.session}", message)


def _orphans(catalog: Catalog) -> Iterator[Finding]:
    """Files older than a day that no snapshot needs: leftovers of writers that died."""
    known = catalog.known_paths()
    for path in sorted(catalog.location.data_dir.rglob("*")):
        if str(path) in known or not path.is_file():
            continue
        age = time.time() - path.stat().st_mtime
        if age > ORPHAN_SECONDS:
            yield Finding("warning", "orphan", str(path), f"no snapshot names it; {age / 3600:.0f} h old")
