"""Reconcile: the event log and the ledger brought together, with a real instance and a real lake."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from contextlib import closing

import pytest
from dagster import AssetKey, AssetMaterialization, AssetRecordsFilter, DagsterRunStatus, RunsFilter

from mdc_assets import reconciling
from mdc_assets.instance import open_instance
from mdc_assets.jobs import backfill_job
from mdc_assets.launch import REPORTER
from mdc_assets.partitions import register
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeError, LakeMarkerMissing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want, backfill, rebuild
from mdc_resources.lake import CommitBatch, Lake
from mdc_resources.state import Owner, State
from tests.dagster.conftest import BARS, QUIET, key_of

AAPL, MSFT = Symbol("AAPL"), Symbol("MSFT")
ACTIONS = AssetKey(["corporate_actions", "us_00"])


def direct(home, *symbols, start="2024-01-02", end="2024-01-12", run_id="direct"):
    """What ``mdc backfill --direct`` does: Dagster hears nothing of it."""
    first, last = dt.date.fromisoformat(start), dt.date.fromisoformat(end)
    return backfill(home, Want(Dataset.BARS_1D, symbols or (AAPL, MSFT), first, last), run_id=run_id)


def differing(report):
    """(asset, unreported, unexplained) of assets that differ."""
    found = [(a.asset, a.unreported, a.unexplained) for a in report.assets]
    return [entry for entry in found if entry[1] or entry[2]]


def report_event(instance, *keys):
    """Tell Dagster of partitions that nobody stored."""
    for key in keys:
        instance.report_runless_asset_event(
            AssetMaterialization(BARS, partition=f"{key.session}|{key.symbol}")
        )


def states_of(home, dataset=Dataset.BARS_1D):
    """{partition: state} of the ledger."""
    with closing(Lake.open(home.lake_dir)) as lake:
        table = lake.coverage(dataset)
    columns = (table.column(name).to_pylist() for name in ("symbol", "session", "state"))
    return {PartitionKey(symbol, session): state for symbol, session, state in zip(*columns, strict=True)}


def incidents(home):
    """Messages of the storage incidents."""
    with closing(Lake.open(home.lake_dir)) as lake, closing(lake.connect()) as connection:
        return [
            row[0]
            for row in connection.execute("SELECT message FROM incidents WHERE kind = 'storage'").fetchall()
        ]


def test_a_direct_backfill_appears_without_a_request(home, instance, served):
    """The lake has it, Dagster does not know it: reported with the ledger's facts."""
    direct(home)
    assert not instance.get_materialized_partitions(BARS)
    served.calm()
    report = REPORTER.reconcile(home, dry_run=False)
    assert report.reported == report.unreported
    assert served.requests() == 0
    stored = states_of(home)
    assert instance.get_materialized_partitions(BARS) == {f"{k.session}|{k.symbol}" for k in stored}
    assert len(stored) == 18
    found = instance.fetch_materializations(
        AssetRecordsFilter(asset_key=BARS, asset_partitions=["2024-01-03|AAPL"]), limit=1
    ).records[0]
    metadata = found.asset_materialization.metadata
    assert metadata["mdc/state"].value == "present"
    assert metadata["dagster/row_count"].value == 1
    assert metadata["mdc/source"].value.startswith("sandbox:")


def test_what_came_along_is_reported_too(home, instance):
    """Corporate actions and instruments of the same answers."""
    direct(home)
    REPORTER.reconcile(home, dry_run=False)
    assert len(instance.get_materialized_partitions(ACTIONS)) == len(
        states_of(home, Dataset.CORPORATE_ACTIONS)
    )
    instruments = instance.get_materialized_partitions(AssetKey(["instruments", "us_00"]))
    assert instruments == {key.symbol for key in states_of(home, Dataset.INSTRUMENTS)}


def test_a_second_time_there_is_nothing_to_do(home, instance):
    """Idempotent: no event is written twice."""
    direct(home)
    REPORTER.reconcile(home, dry_run=False)
    report = REPORTER.reconcile(home, dry_run=False)
    assert (report.unreported, report.unexplained, report.reported) == (0, 0, 0)
    found = instance.fetch_materializations(AssetRecordsFilter(asset_key=BARS), limit=100).records
    assert len(found) == 18


def test_a_dry_run_counts_and_writes_nothing(home, instance):
    """Neither an event nor a run."""
    direct(home)
    runs = len(instance.get_runs())
    report = REPORTER.reconcile(home, dry_run=True)
    assert report.dry_run
    assert ("bars_1d/us_00", 18, 0) in differing(report)
    assert not instance.get_materialized_partitions(BARS)
    assert len(instance.get_runs()) == runs


def test_after_a_backfill_there_is_no_difference(home, instance):
    """A run reports what it commits."""
    REPORTER.run(home, Want(Dataset.BARS_1D, (AAPL,), dt.date(2024, 1, 2), dt.date(2024, 1, 5)))
    assert differing(REPORTER.reconcile(home, dry_run=True)) == []


def test_a_lost_dagster_home_is_drawn_again_from_a_rebuilt_lake(home, served):
    """raw/ alone is left: the lake is rebuilt, an empty event log filled, nothing fetched."""
    REPORTER.run(home, Want(Dataset.BARS_1D, (AAPL, MSFT), dt.date(2024, 1, 2), dt.date(2024, 1, 12)))
    shutil.rmtree(home.dagster_home)
    assert not rebuild(home).differing
    served.calm()
    report = REPORTER.reconcile(home, dry_run=False)
    assert served.requests() == 0
    with open_instance(home, silent=True) as instance:
        assert len(instance.get_materialized_partitions(BARS)) == 18
        assert set(instance.get_dynamic_partitions("us_00")) == {"AAPL", "MSFT"}
    assert report.marked_missing == 0


def test_what_only_dagster_shows_becomes_a_gap(home, instance):
    """A line `missing` with its reason, and an incident: the gap sensor takes it from there."""
    REPORTER.run(home, Want(Dataset.BARS_1D, (AAPL, MSFT), dt.date(2024, 1, 2), dt.date(2024, 1, 12)))
    report_event(instance, key_of("AAPL", "2024-01-17"), key_of("MSFT", "2024-01-18"))
    report = REPORTER.reconcile(home, dry_run=False)
    assert (report.unexplained, report.marked_missing) == (2, 2)
    states = states_of(home)
    assert states[key_of("AAPL", "2024-01-17")] == "missing"
    assert states[key_of("MSFT", "2024-01-18")] == "missing"
    assert states[key_of("AAPL", "2024-01-12")] == "present"
    assert any("2 partitions" in message for message in incidents(home))
    again = REPORTER.reconcile(home, dry_run=False)
    assert (again.unexplained, again.marked_missing) == (0, 0)


def test_a_day_outside_a_listing_is_no_gap(home, instance):
    """A range launched from the UI shows such days; they are owed by nobody, however many they are."""
    REPORTER.run(home, Want(Dataset.BARS_1D, (AAPL, MSFT), dt.date(2024, 1, 2), dt.date(2024, 1, 5)))
    (home.root / "listings.toml").write_text("[MSFT]\nlast = 2024-01-05\n", encoding="utf-8")
    days = [dt.date(2024, 1, 8) + dt.timedelta(days) for days in range(90)]
    report_event(instance, *(key_of("MSFT", day.isoformat()) for day in days if day.weekday() < 5))
    report = REPORTER.reconcile(home, dry_run=False)
    assert (report.unexplained, report.marked_missing) == (0, 0)
    assert {key.symbol for key, state in states_of(home).items() if state == "missing"} == set()


def test_a_session_that_became_a_closure_is_no_gap(home, instance):
    """closures.toml was written later: Dagster's old event about that day is left alone."""
    REPORTER.run(home, Want(Dataset.BARS_1D, (AAPL, MSFT), dt.date(2024, 1, 2), dt.date(2024, 1, 12)))
    report_event(instance, key_of("AAPL", "2024-01-17"))
    (home.root / "closures.toml").write_text("[XNYS]\nclosed = [2024-01-17]\n", encoding="utf-8")
    assert REPORTER.reconcile(home, dry_run=False).marked_missing == 0


def test_an_unsettled_partition_is_explained(home, instance):
    """The ledger says why it lacks: no second line every hour."""
    REPORTER.run(home, Want(Dataset.BARS_1D, (AAPL,), dt.date(2024, 1, 2), dt.date(2024, 1, 12)))
    row = CoverageRow(Dataset.BARS_1D, MSFT, dt.date(2024, 1, 4), PartitionState.QUARANTINED, "high < low")
    with closing(Lake.open(home.lake_dir)) as lake:
        lake.commit(CommitBatch(run_id="test", attempt=0, tables={}, coverage=[row]))
    report_event(instance, row.key)
    assert REPORTER.reconcile(home, dry_run=False).unexplained == 0
    assert states_of(home)[row.key] == "quarantined"


def empty_lake(home):
    """The lake replaced by a new one: an empty mount that somebody initialised."""
    shutil.rmtree(home.lake_dir)
    Lake.create(home.lake_dir, sandbox=True).close()


def half_a_lake(home):
    """A lake restored from before most of what Dagster knows."""
    empty_lake(home)
    direct(home, AAPL, end="2024-01-05", run_id="restored")


def no_marker(home):
    """An empty mount point."""
    (home.lake_dir / "MARKER").unlink()


@pytest.mark.parametrize("break_it", [empty_lake, half_a_lake], ids=["empty", "restored"])
def test_a_wrong_lake_is_refused_and_nothing_changes(home, instance, break_it):
    """It never means "everything is missing"."""
    REPORTER.run(home, Want(Dataset.BARS_1D, (AAPL, MSFT), dt.date(2024, 1, 2), dt.date(2024, 1, 12)))
    break_it(home)
    before = states_of(home)
    for dry_run in (True, False):
        with pytest.raises(LakeError, match="unknown to the lake"):
            REPORTER.reconcile(home, dry_run=dry_run)
    assert states_of(home) == before
    assert instance.get_runs(limit=1)[0].status is DagsterRunStatus.FAILURE
    assert len(instance.get_materialized_partitions(BARS)) == 18


def test_a_missing_marker_is_refused(home, instance):
    """The lake's own error reaches the command line."""
    direct(home)
    no_marker(home)
    with pytest.raises(LakeMarkerMissing):
        REPORTER.reconcile(home, dry_run=False)


def test_a_run_under_way_reports_its_own(home, instance):
    """What it committed and has not reported yet is left to it, until its process is gone."""
    register(instance, State.open(home).members())
    run = instance.create_run_for_job(backfill_job, run_config={**QUIET, **config_of_nothing()})
    direct(home, AAPL, run_id=run.run_id)
    direct(home, MSFT, run_id="another")
    instance.handle_new_event(started(run))
    assert instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED]))
    report = REPORTER.reconcile(home, dry_run=False)
    bars = next(asset for asset in report.assets if asset.asset == "bars_1d/us_00")
    assert (bars.unreported, bars.under_way) == (9, 9)
    assert {text.partition("|")[2] for text in instance.get_materialized_partitions(BARS)} == {"MSFT"}
    instance.report_run_failed(instance.get_run_by_id(run.run_id), "its process is gone")
    assert (
        next(
            a for a in REPORTER.reconcile(home, dry_run=False).assets if a.asset == "bars_1d/us_00"
        ).unreported
        == 9
    )
    assert len(instance.get_materialized_partitions(BARS)) == 18


def config_of_nothing():
    """A config the job takes."""
    return {"ops": {"fetch": {"config": {"symbols": ["AAPL"], "start": "2024-01-02", "end": "2024-01-03"}}}}


def started(run):
    """The event that marks a run as STARTED."""
    from dagster._core.events import DagsterEvent, DagsterEventType
    from dagster._core.events.log import EventLogEntry

    event = DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=run.job_name)
    return EventLogEntry(
        error_info=None, level=10, user_message="", run_id=run.run_id, timestamp=time.time(),
        job_name=run.job_name, dagster_event=event,
    )  # fmt: skip


def test_what_is_just_being_fetched_is_never_marked_missing(home, instance):
    """The key is claimed by a living process: left alone, and looked at the next time."""
    REPORTER.run(home, Want(Dataset.BARS_1D, (AAPL, MSFT), dt.date(2024, 1, 2), dt.date(2024, 1, 12)))
    key = key_of("AAPL", "2024-01-17")
    report_event(instance, key)
    with State.open(home) as state:
        claim = state.claim(Dataset.BARS_1D, [key], owner=Owner.current(), ttl=dt.timedelta(minutes=5))
        assert REPORTER.reconcile(home, dry_run=False).marked_missing == 0
        state.release(claim)
    assert REPORTER.reconcile(home, dry_run=False).marked_missing == 1


def test_symbols_of_no_universe_are_named_not_guessed(home, instance):
    """The machine state was lost: which shard they are of is not the job's to decide."""
    direct(home)
    shutil.rmtree(home.state_dir)
    with State.open(home) as state:
        state.add_members("us", [MSFT], shards=1)
    report = REPORTER.reconcile(home, dry_run=False)
    assert report.strangers == (AAPL,)
    assert {text.partition("|")[2] for text in instance.get_materialized_partitions(BARS)} == {"MSFT"}


def test_the_scheduled_job_does_the_same(home, instance, monkeypatch):
    """What the daemon launches every hour finds its home by itself."""
    direct(home)
    monkeypatch.setenv("MDC_CONFIG", str(home.config_file))
    result = reconciling.reconcile_job.execute_in_process(instance=instance, run_config=QUIET)
    assert result.success
    assert len(instance.get_materialized_partitions(BARS)) == 18


def test_the_scheduled_job_fails_on_a_wrong_lake(home, instance, monkeypatch):
    """Visible in the list of runs, with the reason."""
    direct(home)
    REPORTER.reconcile(home, dry_run=False)
    empty_lake(home)
    monkeypatch.setenv("MDC_CONFIG", str(home.config_file))
    result = reconciling.reconcile_job.execute_in_process(
        instance=instance, run_config=QUIET, raise_on_error=False
    )
    assert not result.success
    assert "unknown to the lake" in result.failure_data_for_node("compare").user_failure_data.description
