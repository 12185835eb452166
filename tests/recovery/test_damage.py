"""Deep verification as a duty: damage is named, told once, and on request becomes a gap that is refilled."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mdc_resources import config
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeBusy, LakeError, LakeMarkerMissing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want, backfill
from mdc_resources.lake import Lake
from mdc_resources.recovery.damage import verify_lake
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.state import State
from tests.homes import KEYS, Served, make_home

SYMBOLS = tuple(Symbol(name) for name in ("AAPL", "MSFT", "NVDA"))
START, END = dt.date(2024, 1, 2), dt.date(2024, 1, 12)
SESSIONS = 9


@pytest.fixture(scope="module")
def vendor() -> Iterator[SandboxServer]:
    """One sandbox for this module."""
    with SandboxServer(market=Market.synthetic(seed=7)) as running:
        yield running


@pytest.fixture(scope="module")
def stocked(tmp_path_factory, vendor) -> Path:
    """Three symbols, each in a data file of its own, since each was fetched by itself; to be copied."""
    home = make_home(tmp_path_factory.mktemp("stocked") / "home", vendor.url, providers=("stooq",))
    Served(home, vendor).calm()
    for symbol in SYMBOLS:
        backfill(home, want(symbol), run_id=f"first-{symbol}")
    return home.root


@pytest.fixture
def home(stocked, tmp_path):
    """A copy of the stocked home, to be damaged."""
    shutil.copytree(stocked, tmp_path / "home")
    return config.load(tmp_path / "home" / config.FILE_NAME, environ=KEYS)


def want(*symbols):
    """Daily bars of the range."""
    return Want(Dataset.BARS_1D, symbols, START, END)


def file_of(home, symbol):
    """The data file of a symbol's bars."""
    with closing(Lake.open(home.lake_dir)) as lake, closing(lake.connect()) as connection:
        query = "SELECT DISTINCT filename FROM lake.bars_1d WHERE symbol = ?"
        (row,) = connection.execute(query, [symbol]).fetchall()
    return Path(row[0])


def states(home):
    """{partition: (state, reason, fingerprint)} of daily bars."""
    with closing(Lake.open(home.lake_dir)) as lake:
        table = lake.coverage(Dataset.BARS_1D)
    columns = ("symbol", "session", "state", "reason", "fingerprint")
    rows = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    return {PartitionKey(row[0], row[1]): row[2:] for row in rows}


def counted(home):
    """{symbol: rows} as a reader sees them."""
    with closing(Lake.open(home.lake_dir)) as lake, closing(lake.connect()) as connection:
        return dict(
            connection.execute("SELECT symbol, count(*) FROM bars_1d_stored GROUP BY 1 ORDER BY 1").fetchall()
        )


def incidents(home):
    """Messages of the storage incidents, in order."""
    with closing(Lake.open(home.lake_dir)) as lake, closing(lake.connect()) as connection:
        rows = connection.execute("SELECT message FROM incidents WHERE kind = 'storage'").fetchall()
    return sorted(row[0] for row in rows)


def gone(path):
    """The file is deleted."""
    path.unlink()


def emptied(path):
    """A file system lost its content."""
    path.write_bytes(b"")


def flipped(path):
    """One bit of a page."""
    content = bytearray(path.read_bytes())
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(3)
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0x01
    path.write_bytes(content)


def headless(path):
    """The footer is unreadable."""
    content = bytearray(path.read_bytes())
    content[-2] ^= 0xFF
    path.write_bytes(content)


DAMAGES = pytest.mark.parametrize(
    "damage", [gone, emptied, flipped, headless], ids=["gone", "emptied", "flipped-bit", "footer"]
)


def test_a_sound_lake_is_sound(home):
    """No finding, no incident, nothing to repair."""
    found = verify_lake(home, run_id="verify", repair=True)
    assert (found.findings, found.damage, found.new, found.repaired) == ((), (), 0, 0)
    assert found.in_words() == "the lake is sound"
    assert incidents(home) == []


@DAMAGES
def test_the_partitions_of_a_damaged_file_are_named(home, damage):
    """They cannot be asked of the file: they are what no readable file holds."""
    damage(file_of(home, "MSFT"))
    found = verify_lake(home, run_id="verify")
    assert found.errors == 1
    (item,) = found.damage
    assert {key.symbol for key in item.keys} == {"MSFT"}
    assert len(item.keys) == found.damaged == SESSIONS
    assert found.repaired == 0
    assert "9 partitions damaged" in found.in_words()


def test_a_finding_is_an_incident_once(home):
    """A month later the same damage is found again, and not told again; new damage is."""
    gone(file_of(home, "MSFT"))
    assert verify_lake(home, run_id="first").new == 1
    assert verify_lake(home, run_id="second").new == 0
    assert len(incidents(home)) == 1
    gone(file_of(home, "NVDA"))
    assert verify_lake(home, run_id="third").new == 1
    assert len(incidents(home)) == 2


def test_without_being_asked_nothing_is_given_up(home):
    """Verification reads; the ledger is what it was."""
    before = states(home)
    gone(file_of(home, "MSFT"))
    verify_lake(home, run_id="verify")
    assert states(home) == before


@DAMAGES
def test_a_repair_makes_the_rest_readable_and_the_damage_a_gap(home, damage):
    """Queries work again, the lost partitions are missing, a backfill brings back equal content."""
    before = states(home)
    damage(file_of(home, "MSFT"))
    found = verify_lake(home, run_id="verify", repair=True)
    assert found.repaired == SESSIONS
    assert counted(home) == {"AAPL": SESSIONS, "NVDA": SESSIONS}
    after = states(home)
    assert {key for key, line in after.items() if line[0] == "missing"} == {
        k for k in before if k.symbol == "MSFT"
    }
    assert {line[1] for line in after.values() if line[0] == "missing"} == {
        "its rows were damaged and given up"
    }
    outcome = backfill(home, want(*SYMBOLS), run_id="again")
    assert {key.symbol for key in outcome.fetched} == {"MSFT"}
    assert {k: v[2] for k, v in states(home).items()} == {k: v[2] for k, v in before.items()}
    assert counted(home) == dict.fromkeys(SYMBOLS, SESSIONS)


def test_the_damaged_file_stays_as_it_was(home):
    """Evidence, and what older snapshots name: no stand-in is left in its place."""
    path = file_of(home, "MSFT")
    flipped(path)
    content = path.read_bytes()
    verify_lake(home, run_id="verify", repair=True)
    assert path.read_bytes() == content
    assert not list(home.lake_dir.rglob("*.damaged"))
    with closing(Lake.open(home.lake_dir)) as lake:
        assert [finding.subject for finding in lake.verify(deep=True)] == [str(path)]


def test_a_deleted_file_does_not_come_back_empty(home):
    """The stand-in is taken away again."""
    path = file_of(home, "MSFT")
    gone(path)
    verify_lake(home, run_id="verify", repair=True)
    assert not path.exists()


def test_a_second_repair_has_nothing_to_do(home):
    """Old snapshots still name the file: found, known, and nothing is lost by it any more."""
    gone(file_of(home, "MSFT"))
    verify_lake(home, run_id="first", repair=True)
    found = verify_lake(home, run_id="second", repair=True)
    assert (found.new, found.damaged, found.repaired) == (0, 0, 0)


def test_rows_that_are_not_what_the_ledger_says_are_replaced(home):
    """A file was written over by another hand: readable, but of other content."""
    path = file_of(home, "MSFT")
    before = states(home)
    with closing(Lake.open(home.lake_dir)) as lake:
        catalog = lake._catalog
        rows = catalog.rows_of_files("bars_1d", [str(path)])
        at = rows.column_names.index("close")
        lower = rows.set_column(at, "close", rows["low"].cast(rows["close"].type))
        from mdc_resources.lake.parquet import write_data_file

        file = write_data_file(catalog.location.data_dir, Dataset.BARS_1D, pa.table(lower))
        with lake._lock.hold(), catalog.transaction(author="hand", message="tampered"):
            catalog.drop_files("bars_1d", [str(path)])
            catalog.add_file("bars_1d", file.path)
    found = verify_lake(home, run_id="verify", repair=True)
    assert {finding.kind for finding in found.findings} == {"fingerprint"}
    assert found.repaired == SESSIONS
    assert counted(home) == {"AAPL": SESSIONS, "NVDA": SESSIONS}
    backfill(home, want(*SYMBOLS), run_id="again")
    assert {k: v[2] for k, v in states(home).items()} == {k: v[2] for k, v in before.items()}
    with closing(Lake.open(home.lake_dir)) as lake:
        assert lake.verify(deep=True) == []


def test_too_much_damage_is_a_broken_disk(home):
    """More than half of a dataset is not refetched; a person is told what to do."""
    before = states(home)
    for symbol in ("AAPL", "MSFT"):
        gone(file_of(home, symbol))
    with pytest.raises(LakeError, match="18 of the 27 stored partitions") as caught:
        verify_lake(home, run_id="verify", repair=True)
    assert "mdc lake rebuild" in caught.value.hint
    assert states(home) == before


def test_what_a_run_is_storing_is_not_given_up(home):
    """A living claim on a damaged partition: refused as a whole."""
    before = states(home)
    gone(file_of(home, "MSFT"))
    key = PartitionKey(Symbol("MSFT"), START)
    with State.open(home) as state:
        claim = state.claim(Dataset.BARS_1D, [key], ttl=dt.timedelta(minutes=5))
        with pytest.raises(LakeBusy):
            verify_lake(home, run_id="verify", repair=True)
        state.release(claim)
    assert states(home) == before
    assert verify_lake(home, run_id="verify", repair=True).repaired == SESSIONS


def test_before_a_repair_a_reader_gets_an_error_not_a_part(home):
    """Damage is never silence."""
    gone(file_of(home, "MSFT"))
    with pytest.raises(duckdb.Error):
        counted(home)


def test_without_a_marker_there_is_nothing_to_verify(home):
    """An unmounted disk is not a damaged lake."""
    (home.lake_dir / "MARKER").unlink()
    with pytest.raises(LakeMarkerMissing):
        verify_lake(home, run_id="verify", repair=True)
