"""Commit: rows, coverage and ledgers become visible together, or not at all."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from lake_rows import ASOF, FETCHED, action, actions, bars, batch, day, explain, fetch, key

from mdc_resources.domain.coverage import CoverageRow, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import DataError, FencedOut, LakeError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import CommitBatch, Incident, Lake, Observation, QuarantineRow, fingerprints

MINUTES = Dataset.BARS_1M


def test_committed_rows_read_back_exactly(lake: Lake) -> None:
    """What went in comes out: decimals, nulls, instants, to the last digit."""
    table = bars("AAPL", [day(0)], close="123.456789012")
    table = table.set_column(
        table.schema.get_field_index("volume"),
        table.schema.field("volume"),
        pa.array(
            [Decimal("99999999999999999999.12345678"), None, Decimal("0.00000001")], pa.decimal128(28, 8)
        ),
    )
    lake.commit(batch(table))
    found = lake.connect().execute("FROM bars_1m ORDER BY ts").to_arrow_table()
    assert found.to_pylist() == table.to_pylist()


def test_every_dataset_has_a_place(lake: Lake) -> None:
    """One commit may carry several datasets; all become visible with it."""
    split = actions(action("AAPL", day(1), "split", ratio_to=4, ratio_from=1))
    daily = bars("AAPL", [day(1)], per=1)
    lake.commit(
        CommitBatch(
            "run-1",
            7,
            {Dataset.BARS_1D: daily, Dataset.CORPORATE_ACTIONS: split},
            [*explain(Dataset.BARS_1D, daily), *explain(Dataset.CORPORATE_ACTIONS, split)],
        )
    )
    reader = lake.connect()
    assert reader.execute("SELECT ratio_to, ratio_from FROM corporate_actions").fetchall() == [(4, 1)]
    assert reader.execute("SELECT count(*) FROM bars_1d").fetchone() == (1,)


def test_receipt_counts_and_numbers_the_snapshot(lake: Lake) -> None:
    """The receipt's snapshot is the newest one and the commit_seq of its ledger rows."""
    receipt = lake.commit(batch(bars("AAPL", [day(0), day(1)])))
    assert (receipt.rows, receipt.files) == (6, 1)
    assert lake.snapshots()[-1].snapshot_id == receipt.snapshot_id
    assert lake.coverage(MINUTES).column("commit_seq").to_pylist() == [receipt.snapshot_id] * 2


def test_commit_seq_grows_with_every_commit_and_flush(lake: Lake) -> None:
    """Later commits have higher numbers, whatever happens between them."""
    first = lake.commit(batch(bars("AAPL", [day(0)])))
    lake.flush()
    second = lake.commit(batch(bars("AAPL", [day(1)])))
    assert second.snapshot_id > first.snapshot_id


def test_commit_message_names_the_run(lake: Lake) -> None:
    """A snapshot says which run made it."""
    lake.commit(batch(bars("AAPL", [day(0)]), run_id="run-42"))
    newest = lake.snapshots()[-1]
    assert (newest.run_id, newest.message) == ("run-42", "3 rows, 1 partitions")


def test_newest_coverage_wins(lake: Lake) -> None:
    """The ledger is append-only; readers see the newest row per partition."""
    missing = CoverageRow(MINUTES, Symbol("AAPL"), day(0), PartitionState.QUARANTINED, reason="high < low")
    lake.commit(batch(coverage=[missing]))
    lake.commit(batch(bars("AAPL", [day(0)])))
    rows = lake.coverage(MINUTES).to_pylist()
    assert [(row["state"], row["row_count"]) for row in rows] == [("present", 3)]
    assert lake.connect().execute(
        "SELECT state, reason FROM coverage_log ORDER BY commit_seq"
    ).fetchall() == [
        ("quarantined", "high < low"),
        ("present", ""),
    ]


def test_coverage_filters_are_inclusive(lake: Lake) -> None:
    """symbols, start and end narrow what is returned; both ends are included."""
    lake.commit(batch(bars("AAPL", [day(n) for n in range(6)]), bars("MSFT", [day(2)])))
    found = lake.coverage(MINUTES, symbols=[Symbol("AAPL")], start=day(1), end=day(3))
    assert found.column("session").to_pylist() == [day(1), day(2), day(3)]
    assert lake.coverage(MINUTES, symbols=[]).num_rows == 0
    assert lake.coverage(Dataset.BARS_1D).num_rows == 0


def test_confirmed_content_changes_only_the_verification(lake: Lake) -> None:
    """The same content again is one ledger row: later verified_at and basis_confirmed_asof."""
    lake.commit(batch(bars("AAPL", [day(0)])))
    (before,) = lake.coverage(MINUTES).to_pylist()
    (row,) = explain(MINUTES, bars("AAPL", [day(0)]))
    again = replace(row, basis_confirmed_asof=ASOF + dt.timedelta(days=1))
    lake.commit(batch(coverage=[again]))
    (after,) = lake.coverage(MINUTES).to_pylist()
    assert after["verified_at"] > before["verified_at"]
    assert after["basis_confirmed_asof"] == ASOF + dt.timedelta(days=1)
    assert (after["basis_asof"], after["fingerprint"]) == (before["basis_asof"], before["fingerprint"])
    assert lake.connect().execute("SELECT count(*) FROM bars_1m").fetchone() == (3,)


def test_all_ledgers_take_their_rows(lake: Lake) -> None:
    """Fetches, observations, quarantine and incidents land with the commit that explains them."""
    observed = Observation(
        MINUTES,
        Symbol("AAPL"),
        day(0),
        "yahoo",
        3,
        high=Decimal("101.5"),
        volume=Decimal(7),
        fetch_id="fetch-1",
    )
    refused = QuarantineRow(MINUTES, None, None, "yahoo", "not json", "<html>" + "x" * 5000)
    outage = Incident("outage", "yahoo answered 503 for an hour", FETCHED, provider="yahoo")
    receipt = lake.commit(
        replace(
            batch(bars("AAPL", [day(0)])),
            attempts=[fetch(1), fetch(2, error="timeout")],
            observations=[observed],
            quarantine=[refused],
            incidents=[outage],
        )
    )
    reader = lake.connect()
    fetches = reader.execute(
        "SELECT fetch_id, symbols, status, error FROM fetches ORDER BY fetch_id"
    ).fetchall()
    assert fetches == [("fetch-1", "AAPL,MSFT", 200, ""), ("fetch-2", "AAPL,MSFT", None, "timeout")]
    assert reader.execute("SELECT source, high, low, volume FROM observations").fetchall() == [
        ("yahoo", Decimal("101.500000000"), None, Decimal("7.00000000"))
    ]
    assert reader.execute("SELECT length(raw), symbol, attempt FROM quarantine").fetchall() == [
        (2000, None, 1)
    ]
    assert reader.execute("SELECT commit_seq, kind, ended_at FROM incidents").fetchall() == [
        (receipt.snapshot_id, "outage", None)
    ]


def test_a_fenced_writer_publishes_nothing(lake: Lake) -> None:
    """before_commit may refuse: neither rows nor ledger rows appear, and the lake goes on working."""

    def fenced() -> None:
        raise FencedOut("attempt 1 lost its claim to attempt 2")

    before = lake.snapshots()[-1].snapshot_id
    with pytest.raises(FencedOut):
        lake.commit(batch(bars("AAPL", [day(0)]), before_commit=fenced))
    assert lake.snapshots()[-1].snapshot_id == before
    assert lake.coverage(MINUTES).num_rows == 0
    lake.commit(batch(bars("AAPL", [day(0)])))
    assert lake.connect().execute("SELECT count(*) FROM bars_1m").fetchone() == (3,)


def test_before_commit_runs_under_the_lock(lake: Lake) -> None:
    """While the fence is checked nobody else can commit."""
    from filelock import FileLock, Timeout

    def locked() -> None:
        with pytest.raises(Timeout):
            FileLock(lake.root / "commit.lock", timeout=0).acquire()

    lake.commit(batch(bars("AAPL", [day(0)]), before_commit=locked))


def test_rows_without_coverage_are_refused(lake: Lake) -> None:
    """A partition nobody explains cannot be stored."""
    given = batch(bars("AAPL", [day(0), day(1)]))
    with pytest.raises(DataError, match="its coverage says nothing"):
        lake.commit(replace(given, coverage=given.coverage[:1]))


def test_a_wrong_row_count_is_refused(lake: Lake) -> None:
    """Coverage that claims another number of rows is a bug upstream, found before it is stored."""
    given = batch(bars("AAPL", [day(0)]))
    with pytest.raises(DataError, match="has 3 rows, its coverage says 4"):
        lake.commit(replace(given, coverage=[replace(given.coverage[0], row_count=4)]))


def test_a_partition_explained_twice_is_refused(lake: Lake) -> None:
    """Two coverage rows for one partition in one commit have no order."""
    given = batch(bars("AAPL", [day(0)]))
    with pytest.raises(DataError, match="twice"):
        lake.commit(replace(given, coverage=[*given.coverage, *given.coverage]))


@pytest.mark.parametrize(
    ("sandbox", "source", "words"),
    [(True, "alpaca", "sandbox lake"), (False, "sandbox:alpaca", "synthetic")],
    ids=["real-rows-in-sandbox", "synthetic-rows-in-real-lake"],
)
def test_synthetic_and_real_never_mix(tmp_path: Path, sandbox: bool, source: str, words: str) -> None:
    """The marker decides which sources a lake takes."""
    with_mode = Lake.create(tmp_path / "lake", sandbox=sandbox)
    assert with_mode.sandbox is sandbox
    with pytest.raises(LakeError, match=words):
        with_mode.commit(batch(bars("AAPL", [day(0)], source=source)))
    allowed = "sandbox:alpaca" if sandbox else "alpaca"
    assert with_mode.commit(batch(bars("AAPL", [day(0)], source=allowed))).rows == 3


def test_a_refused_commit_leaves_no_file_behind_in_the_catalog(lake: Lake) -> None:
    """A file that was written for a commit that failed belongs to no table."""

    def fail() -> None:
        raise FencedOut("no")

    with pytest.raises(FencedOut):
        lake.commit(batch(bars("AAPL", [day(0)]), before_commit=fail))
    assert {table.name: table.files for table in lake.status().tables}["bars_1m"] == 0


def test_replace_swaps_exactly_the_named_partitions(lake: Lake) -> None:
    """Copy-on-write: the other partitions of the touched file keep their rows, to the last digit."""
    kept = bars("AAPL", [day(0), day(2)], close="10")
    lake.commit(batch(pa.concat_tables([kept, bars("AAPL", [day(1)], close="20")])))
    new = bars("AAPL", [day(1)], per=5, close="30")
    lake.commit(batch(new, replaces=[key("AAPL", 1)]))
    found = lake.connect().execute("FROM bars_1m ORDER BY ts").to_arrow_table()
    assert found.to_pylist() == pa.concat_tables([kept, new]).sort_by("ts").to_pylist()
    assert fingerprints(MINUTES, found)[key("AAPL", 1)] == fingerprints(MINUTES, new)[key("AAPL", 1)]


def test_replace_over_several_files_and_symbols(lake: Lake) -> None:
    """Partitions scattered over files are replaced in one commit."""
    for number in range(4):
        lake.commit(batch(bars("AAPL", [day(number)]), bars("MSFT", [day(number)])))
    wanted = [key("AAPL", 1), key("MSFT", 3)]
    lake.commit(batch(bars("AAPL", [day(1)], close="1"), bars("MSFT", [day(3)], close="2"), replaces=wanted))
    found = lake.connect().execute(
        "SELECT symbol, session, count(*), min(close) FROM bars_1m GROUP BY ALL ORDER BY ALL"
    )
    old = Decimal("100.25")
    assert found.fetchall() == [
        (symbol, day(n), 3, {("AAPL", 1): Decimal(1), ("MSFT", 3): Decimal(2)}.get((symbol, n), old))
        for symbol in ("AAPL", "MSFT")
        for n in range(4)
    ]


def test_replace_writes_no_delete_files(lake: Lake) -> None:
    """Whole files leave the table; DuckLake never writes an unsynced delete file."""
    lake.commit(batch(bars("AAPL", [day(n) for n in range(5)])))
    lake.commit(batch(bars("AAPL", [day(1)], close="1"), replaces=[key("AAPL", 1)]))
    assert not [path for path in (lake.root / "data").rglob("*") if "delete" in path.name]
    assert {table.name: table.files for table in lake.status().tables}["bars_1m"] == 1


def test_replace_without_new_rows_empties_the_partition(lake: Lake) -> None:
    """A partition that turns out to hold nothing loses its rows in the commit that says so."""
    lake.commit(batch(bars("AAPL", [day(0), day(1)])))
    halted = CoverageRow(MINUTES, Symbol("AAPL"), day(0), PartitionState.EMPTY, reason="halted")
    lake.commit(batch(coverage=[halted], replaces=[key("AAPL", 0)]))
    assert lake.connect().execute("SELECT DISTINCT session FROM bars_1m").fetchall() == [(day(1),)]


def test_replacing_what_is_not_there_is_an_insert(lake: Lake) -> None:
    """A key without rows in the lake costs nothing and breaks nothing."""
    lake.commit(batch(bars("AAPL", [day(0)]), replaces=[key("AAPL", 0)]))
    assert lake.connect().execute("SELECT count(*) FROM bars_1m").fetchone() == (3,)


def test_a_file_cannot_enter_the_catalog_twice(lake: Lake) -> None:
    """Adding a path again would double its rows, so it is refused."""
    lake.commit(batch(bars("AAPL", [day(0)])))
    (path,) = (lake.root / "data").rglob("*.parquet")
    catalog = lake._catalog
    with pytest.raises(LakeError, match="in the catalog already"), catalog.transaction():
        catalog.add_file("bars_1m", path)
    assert lake.connect().execute("SELECT count(*) FROM bars_1m").fetchone() == (3,)


def test_hostile_text_is_data(lake: Lake) -> None:
    """Quotes, newlines and SQL in ledger texts are stored as they are."""
    nasty = "'); DROP TABLE coverage; --\n\x1b[31m"
    lake.commit(
        batch(
            coverage=[CoverageRow(MINUTES, Symbol("AAPL"), day(0), PartitionState.EMPTY, reason=nasty)],
            run_id=nasty,
        )
    )
    assert lake.coverage(MINUTES).column("reason").to_pylist() == [nasty]
    assert lake.snapshots()[-1].run_id == nasty
