"""One partition of events on its way to the lake: page by page in, one sorted Parquet file out.

Holds one row group at most, however long the session. Pages come oldest first; where they do not,
the finished spool is sorted on disk, in bounded memory. What a page repeats of the one before (a
cursor that includes its own row) is dropped and counted. Rows are checked once per row group.
"""

# ruff: noqa: S608 - the statement's only names are constants of this module

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.ingest.assessing import BadRow, bad_row
from mdc_resources.lake import Accumulator, PreparedFile
from mdc_resources.lake.extensions import open_duckdb, quote
from mdc_resources.lake.parquet import ROW_GROUP_ROWS, EventWriter
from mdc_resources.schema.arrow import schema_of
from mdc_resources.schema.checks import failures

SORT_MEMORY = "192MB"
_CONTENT = ("ts_event", "price", "size")


@dataclass(frozen=True, slots=True)
class Spooled:
    """A partition written to the end: its file and what the ledger says about it."""

    file: PreparedFile
    fingerprint: str


@dataclass(slots=True)
class Spool:
    """Takes the pages of ``key``; not for use by two threads at once.

    ``prefix`` is put before each row's source. ``bad`` are rows that break a rule of the dataset:
    with one of them the partition may not be stored. ``repeated`` counts rows that a page had in
    common with the one before.
    """

    folder: Path
    dataset: Dataset
    key: PartitionKey
    source: str
    attempt: int = 0
    rows: int = 0
    repeated: int = 0
    bad: list[BadRow] = field(default_factory=list)
    _held: list[pa.Table] = field(default_factory=list)
    _held_rows: int = 0
    _next_ordinal: int = 0
    _latest: int = -(2**63)
    _sorted: bool = True
    _before: pa.Table | None = None
    _writer: EventWriter | None = None
    _sums: Accumulator = field(init=False)

    def __post_init__(self) -> None:
        self._sums = Accumulator(self.dataset)

    def add(self, page: pa.Table) -> None:
        """Append a page's rows, sorted by time, with ordinals of its own; raises StorageFailed."""
        if page.num_rows == 0:
            return
        times = page["ts_event"].to_numpy()
        distinct = self._without_repeats(page, times)
        if distinct.num_rows:
            if distinct["ts_event"][0].as_py() < self._latest:
                self._sorted = False
            self._hold(distinct)
        self._before = page
        self._latest = max(self._latest, int(times[-1]))

    def finish(self) -> Spooled | None:
        """Write what is held and close the file; None where there are no rows, or bad ones."""
        while self._held_rows and not self.bad:
            self._write_group()
        if self._writer is None or self.bad:
            self.abandon()
            return None
        self._writer.close()
        path = self._writer.path if self._sorted else self._in_order(self._writer.path)
        file = PreparedFile(path, self.dataset, self.key, self.rows, self.source)
        return Spooled(file, self._sums.fingerprint)

    def abandon(self) -> None:
        """Remove the file; nothing is kept."""
        self._held, self._held_rows, self._before = [], 0, None
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None

    def _hold(self, page: pa.Table) -> None:
        ordinals = page["ordinal"].to_numpy() + self._next_ordinal
        self._next_ordinal = int(ordinals.max()) + 1
        at = page.column_names.index("ordinal")
        table = page.set_column(at, page.schema.field(at), pa.array(ordinals))
        self.rows += table.num_rows
        self._held.append(table)
        self._held_rows += table.num_rows
        while self._held_rows >= ROW_GROUP_ROWS and not self.bad:
            self._write_group()

    def _write_group(self) -> None:
        """Check and write the oldest rows held, as one row group."""
        held = pa.concat_tables(self._held)
        group, rest = held.slice(0, ROW_GROUP_ROWS), held.slice(ROW_GROUP_ROWS)
        at = group.column_names.index("source")
        source = pa.repeat(pa.scalar(self.source), group.num_rows)
        group = group.set_column(at, group.schema.field(at), source)
        self._held, self._held_rows = ([rest] if rest.num_rows else []), rest.num_rows
        self.bad += [bad_row(group, f.row, f.rule) for f in failures(self.dataset, group)]
        if self.bad:
            return
        self._sums.add(group)
        if self._writer is None:
            self._writer = EventWriter(self._path(), self.dataset)
        self._writer.write(group)

    def _without_repeats(self, page: pa.Table, times: npt.NDArray[np.int64]) -> pa.Table:
        """``page`` without what the page before had already; only rows at the edge are looked at."""
        before = self._before
        if before is None or "trade_id" not in page.column_names or int(times[0]) > self._latest:
            return page
        edge = int(np.searchsorted(times, self._latest, side="right"))
        names = ["venue", "trade_id", *_CONTENT]
        since = int(np.searchsorted(before["ts_event"].to_numpy(), times[0], side="left"))
        known: dict[tuple[object, object], tuple[object, ...]] = {}
        for venue, identity, *content in _rows(before.slice(since), names):
            if identity is not None:
                known[venue, identity] = tuple(content)
        dropped = []
        for at, (venue, identity, *content) in enumerate(_rows(page.slice(0, edge), names)):
            told = known.get((venue, identity)) if identity is not None else None
            if told is None:
                continue
            dropped.append(at)
            if told != tuple(content):
                self.bad.append(bad_row(page, at, "two different trades with one identity"))
        if not dropped:
            return page
        self.repeated += len(dropped)
        kept = np.ones(page.num_rows, bool)
        kept[dropped] = False
        return page.filter(pa.array(kept))

    def _in_order(self, path: Path) -> Path:
        """The same rows in a new file, by time and order of arrival, sorted by DuckDB on disk."""
        order = "ts_event, ordinal"
        writer = EventWriter(self._path(), self.dataset)
        schema = schema_of(self.dataset)
        with open_duckdb() as connection:
            connection.execute(f"SET memory_limit = '{SORT_MEMORY}'")
            connection.execute("SET threads = 2")
            connection.execute(f"SET temp_directory = {quote(str(path.with_suffix('.sorting')))}")
            names = ", ".join(schema.names)
            rows = connection.execute(
                f"SELECT {names} FROM read_parquet({quote(str(path))}) ORDER BY {order}"
            ).to_arrow_reader(ROW_GROUP_ROWS)
            held: list[pa.Table] = []
            for batch in rows:
                held.append(pa.Table.from_batches([batch]).cast(schema))
                if sum(table.num_rows for table in held) >= ROW_GROUP_ROWS:
                    joined = pa.concat_tables(held)
                    writer.write(joined.slice(0, ROW_GROUP_ROWS))
                    held = [joined.slice(ROW_GROUP_ROWS)]
            if held and held[-1].num_rows:
                writer.write(pa.concat_tables(held))
        writer.close()
        path.unlink()
        return writer.path

    def _path(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{self.attempt}-{uuid.uuid4()}.parquet"


def sweep(folder: Path, living: Sequence[int]) -> None:
    """Remove spools of attempts that are over: a killed run leaves its own behind."""
    for path in folder.glob("*.parquet") if folder.is_dir() else ():
        attempt = path.name.split("-", 1)[0]
        if not attempt.isdecimal() or int(attempt) not in living:
            path.unlink(missing_ok=True)


def _rows(table: pa.Table, names: Sequence[str]) -> list[tuple[object, ...]]:
    known = [name for name in names if name in table.column_names]
    return list(zip(*(table[name].to_pylist() for name in known), strict=True))
