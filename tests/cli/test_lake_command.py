"""``mdc lake``: status, versions, soundness, and a rebuild from the raw bytes alone."""

from __future__ import annotations

import shutil

import pytest

CONTENT = "SELECT * EXCLUDE (basis_asof) FROM bars_1d ORDER BY ALL"
PRINTS = "SELECT dataset, symbol, session, state, fingerprint FROM coverage ORDER BY ALL"


def test_status_counts_rows_files_and_bytes(stocked):
    """JSON and table agree."""
    seen = stocked("lake", "status", "--json").json
    bars = next(table for table in seen["tables"] if table["name"] == "bars_1d")
    assert bars["rows"] == 42
    assert bars["files"] >= 1
    assert seen["sandbox"] is True
    assert seen["bytes"] == sum(table["bytes"] for table in seen["tables"])
    assert "synthetic data only" in stocked("lake", "status").out


def test_snapshots_are_listed_oldest_first(stocked):
    """Ids ascend; --last limits."""
    found = stocked("lake", "snapshots", "--json").json
    ids = [snapshot["snapshot_id"] for snapshot in found]
    assert ids == sorted(ids)
    assert [s["snapshot_id"] for s in stocked("lake", "snapshots", "--last", "1", "--json").json] == ids[-1:]


def test_a_sound_lake_verifies(stocked):
    """Shallow and deep, exit 0."""
    assert stocked("lake", "verify", "--json").json == {"deep": False, "findings": []}
    assert stocked("lake", "verify", "--deep").code == 0


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_damage_is_found(stocked_copy, damage):
    """Exit 1 and the file's name; a flipped bit needs --deep."""
    path = max(
        (stocked_copy.root / "lake" / "data").rglob("*bars_1d*/**/*.parquet"), key=lambda p: p.stat().st_size
    )
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        middle = len(data) // 4
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :])
    ran = stocked_copy("lake", "verify", "--deep", "--json")
    assert ran.code == 1
    assert path.name in str(ran.json["findings"])


def test_a_lake_without_marker_is_exit_5(stocked_copy):
    """For every command that opens it."""
    (stocked_copy.root / "lake" / "MARKER").unlink()
    for words in (
        ["lake", "status"],
        ["lake", "verify"],
        ["query", "SELECT 1"],
        ["coverage", "--dataset", "bars_1d", "--symbols", "AAPL"],
    ):
        ran = stocked_copy(*words)
        assert ran.code == 5, words
        assert "MARKER" in ran.err


def test_a_moved_home_reads_the_same(stocked_copy, tmp_path):
    """Paths in the catalog are relative."""
    before = stocked_copy("query", CONTENT, "--format", "csv").out
    moved = tmp_path / "elsewhere" / "home"
    moved.parent.mkdir()
    shutil.move(stocked_copy.root, moved)
    from tests.cli.running import Mdc

    assert Mdc(moved, stocked_copy.server)("query", CONTENT, "--format", "csv").out == before


def test_rebuild_gives_the_same_fingerprints(stocked_copy):
    """From raw/ alone; the old lake is kept beside the new one, nothing is fetched."""
    content, prints = (stocked_copy("query", sql, "--format", "csv").out for sql in (CONTENT, PRINTS))
    requests = stocked_copy.requests()
    ran = stocked_copy("lake", "rebuild", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["differing"] == []
    assert (stocked_copy.root / "lake" / "MARKER").exists()
    assert stocked_copy.requests() == requests
    assert stocked_copy("query", CONTENT, "--format", "csv").out == content
    assert stocked_copy("query", PRINTS, "--format", "csv").out == prints


def test_rebuild_dry_run_keeps_the_lake(stocked_copy):
    """It compares and says so; not a byte of the lake changes."""
    before = stocked_copy.files()
    ran = stocked_copy("lake", "rebuild", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["backup"] == ""
    assert stocked_copy.files() == before


def test_rebuild_without_an_archive_is_exit_5_and_keeps_the_lake(mdc):
    """Nothing to rebuild from is no reason to lose anything."""
    before = mdc.files()
    assert mdc("lake", "rebuild").code == 5
    assert mdc.files() == before
