"""Verify: every kind of damage is found, named, and never hidden behind another."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake_rows import bars, batch, day

from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake
from mdc_resources.lake.parquet import write_data_file


@pytest.fixture
def damaged(lake: Lake) -> tuple[Lake, Path]:
    """A lake of two files and one of them, to be damaged."""
    lake.commit(batch(bars("AAPL", [day(0), day(1)], per=30)))
    lake.commit(batch(bars("MSFT", [day(0)], per=30)))
    (path,) = (
        Path(row[0])
        for row in lake.connect()
        .execute("SELECT DISTINCT filename FROM lake.bars_1m WHERE symbol = 'AAPL'")
        .fetchall()
    )
    return lake, path


def kinds(lake: Lake, *, deep: bool = False) -> list[tuple[str, str]]:
    """(kind, subject) of all findings."""
    return [(finding.kind, finding.subject) for finding in lake.verify(deep=deep)]


def test_a_sound_lake_has_no_findings(lake: Lake) -> None:
    """Nothing is found in a lake with commits and a flush."""
    lake.commit(batch(bars("AAPL", [day(0)])))
    lake.flush()
    assert lake.verify() == lake.verify(deep=True) == []


def test_a_missing_file_is_named(damaged: tuple[Lake, Path]) -> None:
    """The catalog names a file that is gone."""
    lake, path = damaged
    path.unlink()
    assert kinds(lake) == kinds(lake, deep=True) == [("missing", str(path))]


@pytest.mark.parametrize("left", [0, 10, -1], ids=["empty", "head-only", "last-byte-gone"])
def test_a_truncated_file_is_named(damaged: tuple[Lake, Path], left: int) -> None:
    """A file shorter than the catalog says."""
    lake, path = damaged
    path.write_bytes(path.read_bytes()[:left] if left >= 0 else path.read_bytes()[:-1])
    assert kinds(lake) == [("size", str(path))]


def test_a_flipped_footer_is_named(damaged: tuple[Lake, Path]) -> None:
    """A footer that cannot be read."""
    lake, path = damaged
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)
    assert kinds(lake) == [("unreadable", str(path))]


def test_a_flipped_bit_in_the_data_is_found_by_deep(damaged: tuple[Lake, Path]) -> None:
    """Page checksums find what size and footer do not show."""
    lake, path = damaged
    content = bytearray(path.read_bytes())
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(3)
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0x01
    path.write_bytes(content)
    assert kinds(lake) == []
    assert kinds(lake, deep=True) == [("unreadable", str(path))]


def test_a_swapped_file_is_found_by_deep(damaged: tuple[Lake, Path]) -> None:
    """A valid file of the same size with other prices does not match the ledger."""
    lake, path = damaged
    size = path.stat().st_size
    others = (
        write_data_file(
            lake.root / "elsewhere", Dataset.BARS_1M, bars("AAPL", [day(0), day(1)], per=30, close=f"{n}.25")
        )
        for n in range(101, 200)
    )
    same_size = next(other for other in others if other.bytes == size)
    path.write_bytes(same_size.path.read_bytes())
    assert kinds(lake) == []
    assert [kind for kind, _ in kinds(lake, deep=True)] == ["fingerprint", "fingerprint"]


def test_a_partition_that_differs_from_its_ledger_is_found(lake: Lake) -> None:
    """Deep recomputes fingerprints."""
    given = batch(bars("AAPL", [day(0)]))
    lake.commit(replace(given, coverage=[replace(given.coverage[0], fingerprint="f1-" + "0" * 32)]))
    assert kinds(lake) == []
    assert kinds(lake, deep=True) == [("fingerprint", f"bars_1m AAPL {day(0)}")]


def test_a_partition_whose_rows_are_nowhere_is_found(lake: Lake) -> None:
    """The ledger says rows, no file holds them."""
    lake.commit(batch(coverage=batch(bars("AAPL", [day(0)])).coverage))
    assert kinds(lake, deep=True) == [("lost", f"bars_1m AAPL {day(0)}")]


def test_rows_stored_twice_are_found(lake: Lake) -> None:
    """A partition in two files is a duplicate."""
    lake.commit(batch(bars("AAPL", [day(0)])))
    lake.commit(batch(bars("AAPL", [day(0)])))
    assert kinds(lake, deep=True) == [("duplicate", f"bars_1m AAPL {day(0)}")]


def test_rows_nobody_explains_are_found(lake: Lake) -> None:
    """A file that entered the catalog past the protocol."""
    file = write_data_file(lake.root / "data", Dataset.BARS_1M, bars("AAPL", [day(0)]))
    with lake._catalog.transaction():
        lake._catalog.add_file("bars_1m", file.path)
    assert kinds(lake, deep=True) == [("unexplained", f"bars_1m AAPL {day(0)}")]


def test_only_old_orphans_are_reported(lake: Lake) -> None:
    """A file being committed is no orphan; one that lies there since yesterday is."""
    file = write_data_file(lake.root / "data", Dataset.BARS_1M, bars("AAPL", [day(0)]))
    assert kinds(lake) == []
    yesterday = time.time() - 25 * 3600
    os.utime(file.path, (yesterday, yesterday))
    assert [(f.severity, f.kind, f.subject) for f in lake.verify()] == [("warning", "orphan", str(file.path))]


def test_files_of_older_snapshots_are_not_orphans(lake: Lake) -> None:
    """What a replace left behind is needed by --as-of."""
    from lake_rows import key

    lake.commit(batch(bars("AAPL", [day(0)])))
    lake.commit(batch(bars("AAPL", [day(0)], close="1"), replaces=[key("AAPL", 0)]))
    yesterday = time.time() - 25 * 3600
    for path in (lake.root / "data").rglob("*.parquet"):
        os.utime(path, (yesterday, yesterday))
    assert lake.verify() == []


def test_a_lost_marker_is_found_while_the_lake_is_open(lake: Lake) -> None:
    """Verify looks at the marker again."""
    (lake.root / "MARKER").unlink()
    assert [kind for kind, _ in kinds(lake)] == ["marker"]


def test_damage_to_one_file_leaves_the_others_readable(damaged: tuple[Lake, Path]) -> None:
    """A query for another symbol never touches the broken file."""
    lake, path = damaged
    path.write_bytes(b"")
    reader = lake.connect()
    assert reader.execute("SELECT count(*) FROM bars_1m WHERE symbol = 'MSFT'").fetchone() == (30,)


def test_several_faults_are_all_reported(damaged: tuple[Lake, Path]) -> None:
    """Errors come first, and none hides another."""
    lake, path = damaged
    path.unlink()
    orphan = write_data_file(
        lake.root / "data", Dataset.BARS_1M, pa.concat_tables([bars("IBM", [day(3)])])
    ).path
    yesterday = time.time() - 25 * 3600
    os.utime(orphan, (yesterday, yesterday))
    assert kinds(lake) == [("missing", str(path)), ("orphan", str(orphan))]
