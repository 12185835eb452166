"""Rows of the ``depth`` table, written as capture does: a snapshot, then what changed, in order."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Accumulator, CommitBatch, HoleRow, Lake, PreparedFile
from mdc_resources.lake.parquet import ROW_GROUP_ROWS, EventWriter
from mdc_resources.schema.arrow import schema_of

SYMBOL = Symbol("COINBASE:BTC-USD")
DAY = dt.date(2026, 11, 20)
MIDNIGHT = int(dt.datetime(2026, 11, 20, tzinfo=dt.UTC).timestamp()) * 10**9
SECOND = 10**9

Level = tuple[str, str]


class DepthLog:
    """Rows of one symbol in the order of capture; ``at`` is seconds after midnight."""

    def __init__(self, source: str = "sandbox:coinbase/live", symbol: Symbol = SYMBOL) -> None:
        self.source, self.symbol = source, symbol
        self.rows: list[dict[str, Any]] = []

    def snapshot(self, at: float, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """The whole book."""
        self._row(at, "snapshot_begin")
        self.change(at, bids, asks)

    def change(self, at: float, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Absolute sizes; zero deletes."""
        for side, levels in (("bid", bids), ("ask", asks)):
            for price, size in levels:
                self._row(at, "set" if Decimal(size) else "delete", side, price, size)

    def invalid(self, at: float) -> None:
        """The book cannot be believed from here on."""
        self._row(at, "invalid")

    def _row(self, at: float, action: str, side: str | None = None, *level: str) -> None:
        instant = MIDNIGHT + round(at * SECOND)
        session = DAY + dt.timedelta(days=int(at // 86_400))
        price, size = (Decimal(cell) for cell in level) if level else (None, None)
        self.rows.append({
            "symbol": self.symbol, "session": session, "ts_event": instant - 1_000_000, "ts_recv": instant,
            "ordinal": len(self.rows), "side": side, "price": price, "size": size, "action": action,
            "sequence": None, "source": self.source,
        })  # fmt: skip

    def table(self) -> pa.Table:
        """All rows."""
        return pa.Table.from_pylist(self.rows, schema=schema_of(Dataset.DEPTH))


def store(lake_dir: Path, *logs: DepthLog, holes: Sequence[HoleRow] = ()) -> None:
    """Commit the rows of ``logs``, one finished file per partition."""
    tables = [log.table() for log in logs if log.rows]
    store_tables(lake_dir, *_partitions(tables), holes=holes)


def store_tables(lake_dir: Path, *tables: pa.Table, holes: Sequence[HoleRow] = ()) -> None:
    """Commit ``tables``, each of one partition and in order."""
    files, lines = [], []
    for number, table in enumerate(tables):
        key = PartitionKey(Symbol(table["symbol"][0].as_py()), table["session"][0].as_py())
        writer = EventWriter(lake_dir.parent / f"spool-{number}.parquet", Dataset.DEPTH)
        sums = Accumulator(Dataset.DEPTH)
        for at in range(0, table.num_rows, ROW_GROUP_ROWS):
            writer.write(table.slice(at, ROW_GROUP_ROWS))
            sums.add(table.slice(at, ROW_GROUP_ROWS))
        writer.close()
        source = table["source"][0].as_py()
        files.append(PreparedFile(writer.path, Dataset.DEPTH, key, table.num_rows, source))
        lines.append(
            CoverageRow(
                Dataset.DEPTH,
                key.symbol,
                key.session,
                PartitionState.PRESENT,
                "",
                source,
                row_count=table.num_rows,
                fingerprint=sums.fingerprint,
            )
        )
    with contextlib.closing(Lake.open(lake_dir)) as lake:
        lake.commit(CommitBatch("run", 1, {}, tuple(lines), files=tuple(files), holes=tuple(holes)))


def _partitions(tables: list[pa.Table]) -> list[pa.Table]:
    """One table per partition, in order of capture."""
    found: list[pa.Table] = []
    for table in tables:
        for session in table["session"].unique().to_pylist():
            found.append(table.filter(pc.equal(table["session"], pa.scalar(session, pa.date32()))))
    return found
