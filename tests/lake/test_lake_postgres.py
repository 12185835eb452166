"""The same lake on a PostgreSQL catalog: one setting, a real server."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
from lake_rows import bars, batch, day, fetch, key
from postgres_server import postgres

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeBusy, LakeMarkerMissing
from mdc_resources.lake import Lake
from mdc_resources.lake.locks import AdvisoryLock

pytest.importorskip("psycopg2", reason="pip install 'mdc[postgres]'")
MINUTES = Dataset.BARS_1M


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a running server."""
    with postgres() as url:
        yield url


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    """URL of a database of the test's own."""
    import psycopg2

    name = f"lake_{abs(hash(request.node.name))}"
    session = psycopg2.connect(server)
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    session.close()
    return server.replace("/postgres", f"/{name}").replace("postgresql://", "postgresql+psycopg2://")


@pytest.fixture
def pg_lake(url: str, tmp_path: Path) -> Iterator[Lake]:
    """An empty lake on PostgreSQL."""
    lake = Lake.create(tmp_path / "lake", catalog_url=url)
    yield lake
    lake.close()


def test_commit_replace_flush_compact_and_time_travel(pg_lake: Lake) -> None:
    """The whole protocol, on the other catalog."""
    from dataclasses import replace

    first = pg_lake.commit(replace(batch(bars("AAPL", [day(0), day(1)])), attempts=[fetch(1)]))
    pg_lake.commit(batch(bars("AAPL", [day(1)], per=5, close="7"), replaces=[key("AAPL", 1)]))
    assert pg_lake.flush() == 4
    for number in range(2, 5):
        pg_lake.commit(batch(bars("AAPL", [day(number)])))
    assert [receipt.files_before for receipt in pg_lake.compact(min_files=2)] == [4]
    assert pg_lake.connect().execute("SELECT count(*), min(close)::INT FROM bars_1m").fetchone() == (17, 7)
    as_of = pg_lake.connect(as_of=first.snapshot_id)
    assert as_of.execute("SELECT count(*) FROM bars_1m").fetchone() == (6,)
    assert as_of.execute("SELECT count(*) FROM coverage").fetchone() == (2,)
    assert pg_lake.coverage(MINUTES).num_rows == 5
    assert pg_lake.verify(deep=True) == []
    assert pg_lake.status().catalog == "postgres"


def test_reopening_finds_the_same_lake(pg_lake: Lake, url: str) -> None:
    """Marker and catalog agree after a restart; no SQLite file appears."""
    pg_lake.commit(batch(bars("AAPL", [day(0)])))
    pg_lake.close()
    assert Lake.open(pg_lake.root, catalog_url=url).coverage(MINUTES).num_rows == 1
    assert not list(pg_lake.root.glob("*.sqlite*"))


def test_a_marker_of_another_lake_is_refused(pg_lake: Lake, url: str, tmp_path: Path) -> None:
    """Pointing a directory at the wrong database is found at once."""
    import shutil

    other = Path(shutil.copytree(pg_lake.root, tmp_path / "other"))
    marker = other / "MARKER"
    marker.write_text(marker.read_text().replace(pg_lake.status().lake_id, "0" * 32))
    with pytest.raises(LakeMarkerMissing, match="is of lake 0000"):
        Lake.open(other, catalog_url=url)


def test_the_advisory_lock_excludes_and_times_out(url: str) -> None:
    """Two holders never overlap; the second gets LakeBusy."""
    dsn = url.replace("+psycopg2", "")
    mine, other = AdvisoryLock(dsn, "lake"), AdvisoryLock(dsn, "lake")
    with mine.hold(), pytest.raises(LakeBusy, match="not free"), other.hold(timeout=0.1):
        pass
    with other.hold(timeout=5):
        pass
    with mine.hold(), AdvisoryLock(dsn, "another lake").hold(timeout=5):
        pass


def commit_many(lake_dir: str, url: str, symbol: str) -> None:
    """Body of a writer process."""
    lake = Lake.open(Path(lake_dir), catalog_url=url)
    for number in range(5):
        lake.commit(batch(bars(symbol, [day(number)])))


def test_three_processes_commit_without_conflict(pg_lake: Lake, url: str) -> None:
    """Writers on one catalog serialise on the lock; nothing is lost or doubled."""
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=commit_many, args=(str(pg_lake.root), url, symbol))
        for symbol in ("A", "B", "C")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    table = pg_lake.coverage(MINUTES)
    assert table.num_rows == 15
    assert len(set(table.column("commit_seq").to_pylist())) == 15
    assert pg_lake.verify(deep=True) == []
