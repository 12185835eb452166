"""A lake of version 1, without what came later, goes on being used and gains it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import StorageFailed
from mdc_resources.lake import Lake
from mdc_resources.lake import catalog as catalog_module
from mdc_resources.lake import lake as lake_module
from mdc_resources.lake.catalog import Catalog
from mdc_resources.lake.tables import SCHEMA_VERSION, TABLES
from tests.lake.lake_rows import bars, batch, day

ADDED = ("trades", "quotes", "depth", "segments")


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake as the program of version 1 made it, with a bar in it."""
    with monkeypatch.context() as then:
        then.setattr(catalog_module, "TABLES", tuple(t for t in TABLES if t.name not in ADDED))
        then.setattr(catalog_module, "SCHEMA_VERSION", 1)
        then.setattr(lake_module, "SCHEMA_VERSION", 1)
        with contextlib.closing(Lake.create(tmp_path / "lake")) as made:
            made.commit(batch(bars("AAPL", [day(0)])))
    return tmp_path / "lake"


def tables(lake: Lake) -> set[str]:
    """Tables of the catalog."""
    with contextlib.closing(lake.connect()) as connection:
        found = connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake'")
        return {name for (name,) in found.fetchall()}


def test_opening_gives_it_the_new_tables(old: Path) -> None:
    """Once; what was stored is there, and the lake can take everything."""
    with contextlib.closing(Lake.open(old)) as lake:
        assert set(ADDED) <= tables(lake)
        with contextlib.closing(lake.connect()) as connection:
            assert connection.execute("SELECT count(*) FROM bars_1m").fetchone() == (3,)
            assert connection.execute("SELECT count(*) FROM trades").fetchone() == (0,)
        snapshots = len(lake.snapshots())
        assert lake.verify(deep=True) == []
    with contextlib.closing(Lake.open(old)) as again:
        assert len(again.snapshots()) == snapshots
        again.commit(batch(bars("IBM", [day(0)])))


def test_the_past_has_no_new_tables_and_reads(old: Path) -> None:
    """As of a snapshot before the upgrade trades are an empty view; bars are what they were."""
    with contextlib.closing(Lake.open(old)) as lake:
        before = next(s for s in lake.snapshots() if s.message.startswith("3 rows"))
        with contextlib.closing(lake.connect(as_of=before.snapshot_id)) as connection:
            assert connection.execute("SELECT count(*) FROM bars_1m").fetchone() == (3,)
            found = connection.execute("SELECT ts, price, valid FROM trades")
            assert [column[0] for column in found.description] == ["ts", "price", "valid"]
            assert found.fetchall() == []


def test_what_cannot_be_upgraded_can_be_read(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, a lock that is held: readers go on with what there is, a writer tries again."""

    def refuse(_: Catalog) -> None:
        raise StorageFailed("no space left")

    with monkeypatch.context() as full:
        full.setattr(Catalog, "upgrade", refuse)
        with contextlib.closing(Lake.open(old)) as lake:
            assert not set(ADDED) & tables(lake)
            with contextlib.closing(lake.connect()) as connection:
                assert connection.execute("SELECT count(*) FROM bars_1m").fetchone() == (3,)
                assert connection.execute("SELECT count(*) FROM quotes").fetchone() == (0,)
            assert lake.coverage(Dataset.TRADES).num_rows == 0
            assert lake.landed_segments() == {}
            assert lake.compact() == []
            assert [t.rows for t in lake.status().tables if t.name in ADDED] == [0] * len(ADDED)
            assert lake.verify(deep=True) == []
            with pytest.raises(StorageFailed):
                lake.commit(batch(bars("IBM", [day(0)])))
    with contextlib.closing(Lake.open(old)) as lake:
        lake.commit(batch(bars("IBM", [day(0)])))
        assert set(ADDED) <= tables(lake)


def test_a_killed_upgrade_is_finished_by_the_next(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables made, version not yet written: the same again."""
    with monkeypatch.context() as dying:
        dying.setattr(catalog_module, "SCHEMA_VERSION", 1)  # the tables are made, the old version stays
        Lake.open(old).close()
    with contextlib.closing(Lake.open(old)) as lake:
        assert set(ADDED) <= tables(lake)
        assert lake._catalog.identity()["schema_version"] == str(SCHEMA_VERSION)
