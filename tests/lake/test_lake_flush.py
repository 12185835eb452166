"""Flush: inlined ledger rows move to files without changing what anyone reads."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from lake_rows import bars, batch, day

from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake
from mdc_resources.lake import flush as flushing


def test_flush_changes_nothing_that_is_read(lake: Lake) -> None:
    """Coverage before and after is equal, and nothing is left inlined but the identity."""
    for number in range(4):
        lake.commit(batch(bars("AAPL", [day(number)])))
    before = lake.coverage(Dataset.BARS_1M)
    assert lake.flush() == 4
    assert lake.coverage(Dataset.BARS_1M).equals(before)
    inlined = {table.name: table.inlined_rows for table in lake.status().tables}
    assert {name for name, rows in inlined.items() if rows} == {"lake_identity"}


def test_older_snapshots_stay_readable_after_a_flush(lake: Lake) -> None:
    """Rows flushed later are not visible in a snapshot before they were committed."""
    first = lake.commit(batch(bars("AAPL", [day(0)])))
    lake.commit(batch(bars("AAPL", [day(1)])))
    lake.flush()
    reader = lake.connect(as_of=first.snapshot_id)
    assert reader.execute("SELECT session FROM coverage").fetchall() == [(day(0),)]


def test_flushed_files_are_sorted_and_compressed(lake: Lake) -> None:
    """A flushed ledger file is in key order and zstd."""
    for symbol, number in (("MSFT", 1), ("AAPL", 3), ("MSFT", 0), ("AAPL", 2)):
        lake.commit(batch(bars(symbol, [day(number)])))
    lake.flush()
    (path,) = (lake.root / "data" / "main" / "coverage").rglob("*.parquet")
    rows = pq.read_table(path, columns=["symbol", "session"]).to_pylist()
    assert [(row["symbol"], row["session"]) for row in rows] == sorted(
        (r["symbol"], r["session"]) for r in rows
    )
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_flush_of_nothing_does_nothing(lake: Lake) -> None:
    """No rows, no snapshot."""
    before = lake.snapshots()[-1]
    assert lake.flush() == 0
    assert lake.snapshots()[-1] == before


def test_a_commit_flushes_when_the_ledger_is_full(lake_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the maximum of inlined rows the commit flushes by itself."""
    monkeypatch.setattr(flushing, "INLINED_ROWS_MAX", 5)
    lake = Lake.open(lake_dir)
    for number in range(8):
        lake.commit(batch(bars("AAPL", [day(number)])))
    inlined = {table.name: table.inlined_rows for table in lake.status().tables}
    assert inlined["coverage"] <= 5
    assert lake.coverage(Dataset.BARS_1M).num_rows == 8


def test_limit_and_order_respect_filters_on_inlined_rows(lake: Lake) -> None:
    """ORDER BY with LIMIT over rows that still lie in the catalog honours WHERE."""
    for number in range(6):
        lake.commit(batch(bars("AAPL" if number % 2 else "MSFT", [day(number)])))
    query = "SELECT symbol FROM coverage_log WHERE symbol = 'AAPL' ORDER BY session DESC LIMIT 3"
    assert lake.connect().execute(query).fetchall() == [("AAPL",)] * 3


def test_a_file_lost_with_a_failed_commit_is_put_back(lake: Lake) -> None:
    """A flush that died between a failed commit and its clean-up loses no ledger row."""
    lake.commit(batch(bars("AAPL", [day(0)])))
    lake.flush()
    lake.close()
    (path,) = (lake.root / "data" / "main" / "coverage").glob("*.parquet")
    path.rename(path.with_name(path.name + flushing.KEEP))  # what DuckLake's clean-up leaves
    again = Lake.open(lake.root)
    assert again.coverage(Dataset.BARS_1M).num_rows == 1
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_second_names_are_gone_after_a_flush(lake: Lake) -> None:
    """Each flushed file has one name."""
    lake.commit(batch(bars("AAPL", [day(0)])))
    lake.flush()
    assert flushing.kept_files(lake.root / "data") == []
    assert {p.stat().st_nlink for p in (lake.root / "data").rglob("*.parquet")} == {1}
