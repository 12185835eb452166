"""Materialising ranges as the web UI does: what is settled is reported, what is not fails the run."""

from __future__ import annotations

import datetime as dt
import json

from dagster import AssetKey, DagsterEventType, DagsterRunStatus

from mdc_assets import metadata
from mdc_assets.partitions import register
from mdc_resources.coverage.expectation import ledger
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake
from mdc_resources.state import State
from tests.dagster.conftest import BARS, follow

ACTIONS = AssetKey(["corporate_actions", "us_00"])
FIRST, LAST = "2024-01-02", "2024-01-12"
SESSIONS = 9
SYMBOLS = ("AAPL", "MSFT")


def ledger_of(home, dataset=Dataset.BARS_1D):
    """What the ledger says of January 2024, by Dagster's key."""
    lake = Lake.open(home.lake_dir)
    try:
        rows = ledger(lake, dataset, SYMBOLS, dt.date(2024, 1, 1), dt.date(2024, 1, 31))
    finally:
        lake.close()
    return {f"{key.session}|{key.symbol}": row for key, row in rows.items()}


def events_of(result, key=BARS):
    """Metadata of the materialisations of ``key`` in a run, by partition."""
    found = {}
    for event in result.all_events:
        if event.is_step_materialization and event.asset_key == key:
            found[event.partition] = event.materialization.metadata
    return found


def error_of(instance, run_id):
    """Why the step failed."""
    logs = instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE)
    return logs[0].dagster_event.step_failure_data.error.to_string()


def range_of(*symbols, first=FIRST, last=LAST):
    """First and last key of a rectangle."""
    return f"{first}|{symbols[0]}", f"{last}|{symbols[-1]}"


def logged(instance, run_id, key=BARS):
    """Metadata of the materialisations in the event log, by partition."""
    logs = instance.all_logs(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    events = [entry.dagster_event for entry in logs]
    return {e.partition: e.materialization.metadata for e in events if e.asset_key == key}


def test_a_range_is_fetched_and_every_settled_key_is_materialised(launch, instance, home):
    """The event log shows exactly what the ledger calls settled."""
    result = launch(BARS, *range_of(*SYMBOLS))
    assert result.success
    settled = {key for key, row in ledger_of(home).items() if row.state.is_settled}
    assert len(settled) == SESSIONS * len(SYMBOLS)
    assert instance.get_materialized_partitions(BARS) == settled


def test_an_event_says_what_the_ledger_says(launch, instance, home):
    """State, rows, source, fingerprint and the snapshot that wrote it."""
    result = launch(BARS, *range_of("AAPL"))
    found = logged(instance, result.run_id)["2024-01-02|AAPL"]
    row = ledger_of(home)["2024-01-02|AAPL"]
    assert found[metadata.STATE].value == row.state == PartitionState.PRESENT
    assert found[metadata.ROW_COUNT].value == row.row_count == 1
    assert found[metadata.SOURCE].value == row.source
    assert found[metadata.SOURCE].value.startswith("sandbox:")
    assert found[metadata.FINGERPRINT].value == row.fingerprint
    assert found[metadata.UNCHANGED].value is False
    assert found[metadata.SNAPSHOT].value >= 1


def test_what_came_along_is_reported_too(launch, instance, home):
    """Splits and dividends come with the bars: their partitions are settled by the same answer."""
    launch(BARS, *range_of(*SYMBOLS))
    settled = {k for k, row in ledger_of(home, Dataset.CORPORATE_ACTIONS).items() if row.state.is_settled}
    assert settled
    assert instance.get_materialized_partitions(ACTIONS) == settled


def test_covered_keys_cost_no_request_but_are_reported(launch, instance, served):
    """A run's range is a promise: skipping covered keys would leave its backfill failed."""
    launch(BARS, *range_of("AAPL"))
    served.calm()
    result = launch(BARS, *range_of(*SYMBOLS, last="2024-01-05"))
    assert result.success
    found = logged(instance, result.run_id)
    assert set(found) == {f"2024-01-0{day}|{symbol}" for day in (2, 3, 4, 5) for symbol in SYMBOLS}
    assert found["2024-01-02|AAPL"][metadata.UNCHANGED].value is True
    assert found["2024-01-02|MSFT"][metadata.UNCHANGED].value is False
    assert served.requests() == 1


def test_refetch_asks_again_and_says_that_nothing_changed(launch, instance, served):
    """The same content again is confirmed, not written: the event says unchanged."""
    launch(BARS, *range_of("AAPL"))
    served.calm()
    result = launch(BARS, *range_of("AAPL"), refetch=True)
    assert result.success
    assert served.requests() == 1
    assert all(found[metadata.UNCHANGED].value is True for found in logged(instance, result.run_id).values())


def test_provider_can_be_chosen_per_launch(launch, instance, home):
    """The Launchpad's config reaches ingest."""
    launch(BARS, *range_of("AAPL"), provider="stooq")
    assert {row.source for row in ledger_of(home).values()} == {"sandbox:stooq"}


def test_a_failing_vendor_fails_the_run_and_keeps_what_was_stored(launch, instance, served):
    """AAPL is stored; MSFT cannot be had from anyone: the run fails, AAPL is reported."""
    launch(BARS, *range_of("AAPL"))
    served.fault("*", "status", probability=1.0, params={"status": 503})
    result = launch(BARS, *range_of(*SYMBOLS))
    served.calm()
    assert not result.success
    assert set(logged(instance, result.run_id)) == {k for k in ledger_of(served.home) if k.endswith("AAPL")}
    assert "launch the range again" in error_of(instance, result.run_id)
    assert launch(BARS, *range_of(*SYMBOLS)).success


def test_a_reversed_range_fails_instead_of_doing_nothing(launch, instance):
    """Dagster gives such a run no keys and would end it green."""
    result = launch(BARS, f"{FIRST}|MSFT", f"{FIRST}|AAPL")
    assert not result.success


def test_a_hostile_key_from_the_web_ui_is_refused_before_anything_is_fetched(launch, instance, served):
    """The UI can add any text as a symbol; the run that names it fails, and nothing was asked."""
    instance.add_dynamic_partitions("us_00", ["../etc"])
    result = launch(BARS, f"{FIRST}|../etc", f"{FIRST}|../etc")
    assert not result.success
    assert "is not a symbol" in error_of(instance, result.run_id)
    assert served.requests() == 0


def test_the_preview_and_the_costs_are_on_one_observation(launch, instance):
    """Not on every key: one observation per asset, with a chart that fits into an event."""
    result = launch(BARS, *range_of(*SYMBOLS))
    logs = instance.all_logs(result.run_id, of_type=DagsterEventType.ASSET_OBSERVATION)
    found = {
        e.dagster_event.asset_key: e.dagster_event.asset_observation_data.asset_observation for e in logs
    }
    about = found[BARS].metadata
    assert about[metadata.REQUESTS].value == about[metadata.REQUESTS_MINIMUM].value == 2
    assert about["mdc/present"].value == SESSIONS * 2
    text = about[metadata.PREVIEW].value
    assert "| AAPL | 9 | 9 |" in text
    assert "data:image/svg+xml;base64," in text
    assert len(text) < 10_000


def passed(instance, run_id):
    """Results of the checks a run evaluated, by (asset, check)."""
    logs = instance.all_logs(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [entry.dagster_event.asset_check_evaluation_data for entry in logs]
    return {(evaluation.asset_key, evaluation.check_name): evaluation.passed for evaluation in found}


def test_checks_are_evaluated_by_the_run_that_fetched(launch, instance):
    """No output, so Dagster skips the checks' own steps; the run reports them itself."""
    result = launch(BARS, *range_of(*SYMBOLS))
    assert passed(instance, result.run_id) == {
        (BARS, "coverage"): True,
        (BARS, "sane_prices"): True,
        (BARS, "no_duplicates"): True,
        (ACTIONS, "coverage"): True,
        (ACTIONS, "no_duplicates"): True,
    }


def test_instruments_are_by_symbol(launch, instance, home):
    """What a symbol is has no date."""
    launch(BARS, *range_of(*SYMBOLS))
    assert instance.get_materialized_partitions(AssetKey(["instruments", "us_00"])) <= set(SYMBOLS)


def test_minute_bars_of_a_session(launch, instance):
    """The same road for a dataset with 390 rows a partition."""
    key = AssetKey(["bars_1m", "us_00"])
    result = launch(key, "2026-11-17|AAPL", "2026-11-18|AAPL")
    assert result.success, error_of(instance, result.run_id)
    assert logged(instance, result.run_id, key)["2026-11-17|AAPL"][metadata.ROW_COUNT].value == 390


def test_nothing_is_pickled(launch, instance, home):
    """The instance's storage holds no object of ours after a run."""
    launch(BARS, *range_of("AAPL"))
    storage = home.dagster_home / "storage"
    left = [path for path in storage.rglob("*") if path.is_file()] if storage.exists() else []
    assert not [path for path in left if path.read_bytes()[:1] == b"\x80"]


def test_a_quarantined_partition_stays_open_and_the_run_succeeds(launch, instance, served):
    """Bad rows are the check's finding, not the run's failure."""
    served.fault("*", "high_lt_low", probability=1.0)
    result = launch(BARS, *range_of("AAPL"))
    served.calm()
    states = {key: row.state for key, row in ledger_of(served.home).items()}
    quarantined = {key for key, state in states.items() if state is PartitionState.QUARANTINED}
    assert quarantined
    assert result.success
    assert not quarantined & instance.get_materialized_partitions(BARS)
    assert not passed(instance, result.run_id)[BARS, "coverage"]


def test_a_symbol_of_another_shard_lands_in_its_own_asset(launch, instance, home):
    """The key's shard decides, so a second symbol of the same shard is its neighbour."""
    follow(home, "NVDA")
    with State.open(home) as state:
        register(instance, state.members())
    assert launch(BARS, *range_of("MSFT", "NVDA", last="2024-01-03")).success
    assert {k.split("|")[1] for k in instance.get_materialized_partitions(BARS)} == {"MSFT", "NVDA"}


def test_run_status_is_what_the_instance_shows(launch, instance):
    """A finished run is SUCCESS, and its log is valid JSON to the last event."""
    result = launch(BARS, *range_of("AAPL"))
    run = instance.get_run_by_id(result.run_id)
    assert run.status is DagsterRunStatus.SUCCESS
    assert all(json.loads(entry.to_json()) for entry in instance.all_logs(result.run_id))
