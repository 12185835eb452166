"""Compaction: fewer files, the same rows, and old snapshots stay readable."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
from lake_rows import bars, batch, day, key

from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake


def fill(lake: Lake, commits: int) -> None:
    """``commits`` small files in one month, newest first."""
    for number in reversed(range(commits)):
        lake.commit(batch(bars("MSFT", [day(number)]), bars("AAPL", [day(number)])))


def minute_files(lake: Lake) -> int:
    """Files of bars_1m in the newest snapshot."""
    return next(table.files for table in lake.status().tables if table.name == "bars_1m")


def test_small_files_of_a_month_become_one(lake: Lake) -> None:
    """Same rows, one file, sorted by symbol and time."""
    fill(lake, 9)
    before = lake.connect().execute("FROM bars_1m ORDER BY symbol, ts").fetchall()
    (receipt,) = lake.compact()
    assert (receipt.files_before, receipt.files_after, receipt.rows) == (9, 1, 54)
    assert minute_files(lake) == 1
    reader = lake.connect()
    assert reader.execute("FROM bars_1m ORDER BY symbol, ts").fetchall() == before
    (path,) = reader.execute("SELECT DISTINCT filename FROM lake.bars_1m").fetchone() or ("",)
    rows = pq.read_table(path, columns=["symbol", "ts"]).to_pylist()
    assert rows == sorted(rows, key=lambda row: (row["symbol"], row["ts"]))
    assert lake.verify(deep=True) == []


def test_few_files_are_left_alone(lake: Lake) -> None:
    """Below the minimum nothing is rewritten."""
    fill(lake, 3)
    assert lake.compact(min_files=4) == []
    assert minute_files(lake) == 3


def test_months_are_kept_apart(lake: Lake) -> None:
    """A file lies in the month of its first session, and is merged with that month only."""
    fill(lake, 30)  # weekdays from 2024-01-02: 22 in January, 8 in February
    receipts = {receipt.month: receipt.files_before for receipt in lake.compact()}
    assert receipts == {"2024-01": 22, "2024-02": 8}
    folders = {path.parent.name for path in (lake.root / "data" / "main" / "bars_1m").rglob("*.parquet")}
    assert folders == {"2024-01", "2024-02"}


def test_older_snapshots_survive_compaction(lake: Lake) -> None:
    """A reader as of before the compaction still finds its files."""
    fill(lake, 8)
    before = lake.snapshots()[-1].snapshot_id
    lake.compact()
    lake.commit(batch(bars("AAPL", [day(0)], close="1"), replaces=[key("AAPL", 0)]))
    reader = lake.connect(as_of=before)
    assert reader.execute("SELECT count(*), min(close) FROM bars_1m").fetchone() == (48, bars_min())


def test_open_readers_are_undisturbed(lake: Lake) -> None:
    """A connection made before keeps answering."""
    fill(lake, 8)
    reader = lake.connect()
    lake.compact()
    assert reader.execute("SELECT count(*) FROM bars_1m").fetchone() == (48,)


def test_partitions_can_be_replaced_after_compaction(lake: Lake) -> None:
    """Replace finds its partition in the merged file."""
    fill(lake, 8)
    lake.compact()
    lake.commit(batch(bars("AAPL", [day(2)], per=1, close="5"), replaces=[key("AAPL", 2)]))
    assert lake.connect().execute("SELECT count(*) FROM bars_1m").fetchone() == (46,)
    assert lake.verify(deep=True) == []
    assert lake.coverage(Dataset.BARS_1M).num_rows == 16


def test_compaction_leaves_no_temporary_files(lake: Lake) -> None:
    """Every file in the data directory is finished."""
    fill(lake, 8)
    lake.compact()
    assert [path for path in Path(lake.root / "data").rglob("*") if path.suffix == ".tmp"] == []


def bars_min() -> object:
    """The lowest close of the fixture's bars."""
    from decimal import Decimal

    return Decimal("100.25")
