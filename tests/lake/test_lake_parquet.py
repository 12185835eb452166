"""The files themselves: encodings, exactness, and what a full disk leaves behind."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import action, actions, bars, batch, day

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import DataError, StorageFailed
from mdc_resources.lake import Lake, durable
from mdc_resources.lake.parquet import ROW_GROUP_ROWS, write_data_file
from mdc_resources.schema.arrow import BARS, schema_of

MINUTES = Dataset.BARS_1M


def test_columns_are_encoded_as_designed(tmp_path: Path) -> None:
    """zstd; integers for prices and time; dictionaries for texts; checksums in pages."""
    file = write_data_file(tmp_path, MINUTES, bars("AAPL", [day(0)], per=390))
    group = pq.ParquetFile(file.path).metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    for name in ("ts", "session", "open", "high", "low", "close", "trade_count"):
        assert "DELTA_BINARY_PACKED" in columns[name].encodings, name
    assert columns["close"].physical_type == "INT64"
    for name in ("symbol", "source", "basis", "volume"):
        assert "RLE_DICTIONARY" in columns[name].encodings, name


def test_files_lie_in_the_month_of_their_first_session(tmp_path: Path) -> None:
    """data/main/<table>/<yyyy-mm>/<uuid>.parquet."""
    file = write_data_file(tmp_path, MINUTES, bars("AAPL", [day(25), day(21)]))
    assert file.path.parent == tmp_path / "main" / "bars_1m" / "2024-01"
    assert file.bytes == file.path.stat().st_size


def test_rows_are_sorted_by_key_whatever_their_order(tmp_path: Path) -> None:
    """Statistics prune only sorted files."""
    table = pa.concat_tables([bars("MSFT", [day(1)]), bars("AAPL", [day(2), day(0)])])
    found = pq.read_table(write_data_file(tmp_path, MINUTES, table).path, partitioning=None)
    assert found.select(["symbol", "ts"]).to_pylist() == sorted(
        table.select(["symbol", "ts"]).to_pylist(), key=lambda row: (row["symbol"], row["ts"])
    )


def test_row_groups_are_bounded(tmp_path: Path) -> None:
    """A large file has row groups of 128k rows."""
    one = bars("AAPL", [day(0)], per=100)
    table = pa.concat_tables([one] * (ROW_GROUP_ROWS // 100 + 2))
    metadata = pq.ParquetFile(write_data_file(tmp_path, MINUTES, table).path).metadata
    assert [metadata.row_group(n).num_rows for n in range(2)] == [
        ROW_GROUP_ROWS,
        table.num_rows - ROW_GROUP_ROWS,
    ]


@settings(max_examples=40, deadline=None)
@given(
    prices=st.lists(
        st.decimals("-999999999.999999999", "999999999.999999999", places=9, allow_nan=False),
        min_size=1,
        max_size=20,
    ),
    volumes=st.lists(
        st.none() | st.decimals("0", "99999999999999999999.99999999", places=8, allow_nan=False),
        min_size=1,
        max_size=20,
    ),
)
def test_decimals_survive_to_the_last_digit(
    tmp_path_factory: pytest.TempPathFactory, prices: list[Decimal], volumes: list[Decimal | None]
) -> None:
    """Whatever fits the column comes back equal."""
    count = min(len(prices), len(volumes))
    rows = bars("AAPL", [day(0)], per=count).to_pylist()
    for row, price, volume in zip(rows, prices, volumes, strict=False):
        row.update(close=price, volume=volume)
    file = write_data_file(tmp_path_factory.mktemp("p"), MINUTES, pa.Table.from_pylist(rows, schema=BARS))
    assert pq.read_table(file.path, partitioning=None).to_pylist() == rows


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: t.drop_columns(["vwap"]), "vwap is missing"),
        (lambda t: t.append_column("extra", t.column("vwap")), "unexpected extra"),
        (lambda t: t.set_column(6, "close", t.column("close").cast(pa.float64())), "close is double"),
        (lambda t: t.select(t.column_names[::-1]), "another order"),
        (lambda t: t.slice(0, 0), "no rows"),
    ],
    ids=["missing", "extra", "float-price", "order", "empty"],
)
def test_another_schema_is_refused(tmp_path: Path, spoil: object, words: str) -> None:
    """Only the canonical schema is written; the message says what differs."""
    assert callable(spoil)
    with pytest.raises(DataError, match=words):
        write_data_file(tmp_path, MINUTES, spoil(bars("AAPL", [day(0)])))


def test_nulls_in_required_columns_are_refused(tmp_path: Path) -> None:
    """A schema that says not null means it."""
    loose = pa.schema([field.with_nullable(True) for field in BARS])
    rows = bars("AAPL", [day(0)]).to_pylist()
    rows[1]["close"] = None
    with pytest.raises(DataError, match=r"bars_1m\.close holds nulls"):
        write_data_file(tmp_path, MINUTES, pa.Table.from_pylist(rows, schema=loose))


def test_corporate_actions_are_written_too(tmp_path: Path) -> None:
    """Every dataset with a schema has files."""
    rows = actions(action("AAPL", day(0), "split", ratio_to=4, ratio_from=1))
    file = write_data_file(tmp_path, Dataset.CORPORATE_ACTIONS, rows)
    assert pq.read_table(file.path, partitioning=None).cast(schema_of(Dataset.CORPORATE_ACTIONS)).equals(rows)


def test_publishing_over_a_file_is_refused(tmp_path: Path) -> None:
    """A finished file is never overwritten."""
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("new")
    with pytest.raises(StorageFailed, match="exists already"):
        durable.publish(tmp_path / "b", tmp_path / "a")
    assert (tmp_path / "a").read_text() == "old"


def test_every_new_directory_is_synced_in_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new month's folder survives a power cut: its parents are synced, top down."""
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_dir", synced.append)
    durable.make_dirs(tmp_path / "main" / "bars_1m" / "2024-01")
    assert synced == [tmp_path, tmp_path / "main", tmp_path / "main" / "bars_1m"]


def test_a_failed_fsync_is_fatal_and_named(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync that fails is not tried again: StorageFailed, and nothing is visible."""
    calls: list[int] = []

    def failing(handle: int) -> None:
        calls.append(handle)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageFailed, match=r"fsync of .* failed: Input/output error"):
        lake.commit(batch(bars("AAPL", [day(0)])))
    monkeypatch.undo()
    assert len(calls) == 1
    assert lake.coverage(MINUTES).num_rows == 0


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    """Files of this process may not grow beyond 16 KiB (Python ignores SIGXFSZ, writes fail with EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_grow_fails_the_commit(lake_dir: Path, file_size_limit: None) -> None:
    """EFBIG while writing is StorageFailed; no temporary file stays."""
    with pytest.raises(StorageFailed, match="File too large"):
        write_data_file(lake_dir / "data", MINUTES, noisy(20_000))
    assert list((lake_dir / "data").rglob("*.tmp")) == []


def noisy(rows: int) -> pa.Table:
    """Bars that do not compress."""
    import numpy as np

    table = pa.concat_tables([bars("AAPL", [day(0)], per=100)] * (rows // 100))
    noise = np.random.default_rng(3).random(table.num_rows)
    return table.set_column(table.schema.get_field_index("vwap"), table.schema.field("vwap"), pa.array(noise))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB; needs root."""
    mount = tmp_path / "small"
    mount.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(mount)], check=False)
    if done.returncode:
        pytest.skip("this machine does not allow mounting a tmpfs")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_full_disk_stops_commits_and_loses_nothing(small_disk: Path) -> None:
    """Commit until the disk is full: the error is typed, what was committed is intact, and work resumes."""
    lake = Lake.create(small_disk / "lake")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 400_000)
    committed = commit_until_full(lake)
    assert 0 < committed < 200
    ballast.unlink()
    assert lake.coverage(MINUTES).num_rows == committed
    assert lake.verify(deep=True) == []
    lake.commit(batch(bars("AAPL", [day(0)])))
    assert lake.connect().execute("SELECT count(DISTINCT symbol) FROM bars_1m").fetchone() == (committed + 1,)


def commit_until_full(lake: Lake) -> int:
    """Commit a symbol after another until the disk refuses; returns how many were committed."""
    table = noisy(3_000)
    for number in range(200):
        given = batch(table.set_column(0, table.schema.field(0), pa.array([f"S{number}"] * 3_000)))
        try:
            lake.commit(given)
        except StorageFailed:
            return number
    return 200
