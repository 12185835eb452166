"""Creating, opening, moving: a directory is a lake only if its marker says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest
from lake_rows import bars, batch, day, key

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError, LakeError, LakeMarkerMissing, MdcError
from mdc_resources.lake import Lake
from mdc_resources.lake import lake as module
from mdc_resources.lake.location import Location
from mdc_resources.lake.tables import SCHEMA_VERSION


def test_created_lake_has_marker_catalog_and_data(lake_dir: Path) -> None:
    """The layout a home documents."""
    assert {path.name for path in lake_dir.iterdir()} >= {"MARKER", "catalog.sqlite", "data"}
    marker = json.loads((lake_dir / "MARKER").read_text())
    assert (marker["catalog"], marker["sandbox"], marker["format"]) == ("sqlite", False, 1)


def test_a_lake_is_not_created_over_a_lake(lake_dir: Path) -> None:
    """create refuses where a marker lies."""
    with pytest.raises(LakeError, match="is a lake already"):
        Lake.create(lake_dir)


def test_missing_marker_is_refused(lake: Lake) -> None:
    """An empty mount point is not an empty lake."""
    lake.commit(batch(bars("AAPL", [day(0)])))
    (lake.root / "MARKER").unlink()
    with pytest.raises(LakeMarkerMissing, match="cannot be read"):
        Lake.open(lake.root)
    with pytest.raises(LakeMarkerMissing, match="has no marker"):
        Lake.create(lake.root)


@pytest.mark.parametrize("state", ["absent", "empty"])
def test_an_absent_or_empty_directory_is_refused(tmp_path: Path, state: str) -> None:
    """Opening never creates anything."""
    target = tmp_path / "mnt"
    if state == "empty":
        target.mkdir()
    with pytest.raises(LakeMarkerMissing):
        Lake.open(target)
    assert not target.exists() or list(target.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"lake_id": 1, "surprise": 2}'])
def test_a_broken_marker_is_refused(lake_dir: Path, text: str) -> None:
    """Half a marker is no marker."""
    (lake_dir / "MARKER").write_text(text)
    with pytest.raises(LakeMarkerMissing, match="not a lake's marker"):
        Lake.open(lake_dir)


def test_another_lakes_catalog_is_refused(lake_dir: Path, tmp_path: Path) -> None:
    """Marker and catalog must be of one lake."""
    other = tmp_path / "other"
    Lake.create(other).close()
    shutil.copy(other / "catalog.sqlite", lake_dir / "catalog.sqlite")
    with pytest.raises(LakeMarkerMissing, match="is of lake"):
        Lake.open(lake_dir)


def test_a_missing_catalog_is_not_recreated(lake_dir: Path) -> None:
    """The marker without its catalog is an error, not a new lake."""
    (lake_dir / "catalog.sqlite").unlink()
    with pytest.raises(LakeError, match=r"catalog\.sqlite is missing"):
        Lake.open(lake_dir)
    assert not (lake_dir / "catalog.sqlite").exists()


def test_a_newer_schema_is_refused(lake_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lake of a later program is left alone."""
    monkeypatch.setattr(module, "SCHEMA_VERSION", 0)
    with pytest.raises(LakeError, match=f"schema version {SCHEMA_VERSION}, this program knows 0"):
        Lake.open(lake_dir)


def test_an_interrupted_create_can_be_repeated(lake_dir: Path) -> None:
    """The marker is written last; without data in it the catalog is adopted."""
    (lake_dir / "MARKER").unlink()
    lake = Lake.create(lake_dir)
    lake.commit(batch(bars("AAPL", [day(0)])))
    assert lake.verify(deep=True) == []


def test_a_moved_lake_reads_and_writes(lake: Lake, tmp_path: Path) -> None:
    """Paths in the catalog are relative: the directory can go anywhere."""
    lake.commit(batch(bars("AAPL", [day(0), day(1)])))
    lake.flush()
    lake.close()
    moved = tmp_path / "else where" / "o'lake"
    moved.parent.mkdir()
    lake.root.rename(moved)
    again = Lake.open(moved)
    assert again.connect().execute("SELECT count(*) FROM bars_1m").fetchone() == (6,)
    again.commit(batch(bars("AAPL", [day(1)], close="7"), replaces=[key("AAPL", 1)]))
    assert again.coverage(Dataset.BARS_1M).num_rows == 2
    assert again.verify(deep=True) == []
    assert not lake.root.exists()


def test_readers_cannot_write(lake: Lake) -> None:
    """A connection handed out may read anything and change nothing of the lake."""
    lake.commit(batch(bars("AAPL", [day(0)])))
    reader = lake.connect()
    for statement in (
        "DELETE FROM lake.bars_1m",
        "INSERT INTO lake.coverage FROM lake.coverage",
        "DROP TABLE lake.fetches",
    ):
        with pytest.raises(duckdb.Error, match="read-only"):
            reader.execute(statement)


def test_nothing_is_downloaded(lake: Lake) -> None:
    """Extensions come from wheels: automatic install and load are off."""
    settings = lake.connect().execute(
        "SELECT value FROM duckdb_settings()"
        " WHERE name IN ('autoinstall_known_extensions', 'autoload_known_extensions',"
        " 'allow_unsigned_extensions')"
    )
    assert settings.fetchall() == [("false",)] * 3


def test_a_binary_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signature is checked again, although one of that name was good before."""
    from mdc_resources.lake import extensions

    copy = tmp_path / "sqlite_scanner.duckdb_extension"
    shutil.copy(extensions.extension_path("sqlite_scanner"), copy)
    monkeypatch.setattr(extensions, "extension_path", lambda _: copy)
    for _ in range(2):
        extensions.open_duckdb("sqlite_scanner").close()
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    changed = tmp_path / "changed"
    changed.write_bytes(data)
    changed.replace(copy)
    with pytest.raises(LakeError, match="signature"):
        extensions.open_duckdb("sqlite_scanner")


def test_a_missing_wheel_names_the_package() -> None:
    """What to install is in the message."""
    from mdc_resources.lake.extensions import extension_path

    with pytest.raises(LakeError, match="duckdb-extension-nonesuch for DuckDB") as caught:
        extension_path("nonesuch")
    assert "pip install duckdb-extension-nonesuch==" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgresql://mdc@db.example/archive", "host=db.example user=mdc dbname=archive"),
        (
            "postgresql+psycopg2://a%40b:p%27w@h:5433/d",
            r"host=h port=5433 user='a@b' password='p\'w' dbname=d",
        ),
    ],
)
def test_catalog_urls_become_connection_strings(url: str, dsn: str, tmp_path: Path) -> None:
    """SQLAlchemy's spelling and the plain one mean the same; odd characters are quoted."""
    assert Location(tmp_path, url).dsn == dsn


def test_another_database_is_a_config_error(tmp_path: Path) -> None:
    """Only PostgreSQL serves several writers."""
    with pytest.raises(ConfigError, match="not a PostgreSQL URL"):
        Lake.create(tmp_path / "lake", catalog_url="mysql://u@h/d")


def test_an_unreachable_server_names_no_password(tmp_path: Path) -> None:
    """The error of a dead server does not carry the connection string."""
    with pytest.raises(MdcError) as caught:
        Lake.create(tmp_path / "lake", catalog_url="postgresql://u:sekret@127.0.0.1:1/d")
    assert "sekret" not in str(caught.value)


def test_status_counts_tables_rows_and_files(lake: Lake) -> None:
    """Status says what is there and where it lies."""
    lake.commit(batch(bars("AAPL", [day(0)])))
    status = lake.status()
    minutes = next(table for table in status.tables if table.name == "bars_1m")
    assert (minutes.rows, minutes.files, minutes.inlined_rows) == (3, 1, 0)
    assert minutes.bytes == sum(path.stat().st_size for path in (lake.root / "data").rglob("*.parquet"))
    assert (status.sandbox, status.catalog, status.root) == (False, "sqlite", str(lake.root))
    assert status.inlined_rows >= 1
    assert status.snapshot_id == lake.snapshots()[-1].snapshot_id
