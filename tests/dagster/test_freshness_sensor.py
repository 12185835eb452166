"""The check ``fresh`` and its sensor: evaluated without a run, told when it is news or an hour old."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import closing

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance, DefaultSensorStatus, build_sensor_context
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from mdc_assets import freshness
from mdc_assets.definition_set import build
from mdc_resources.domain.coverage import CoverageRow, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.time import now
from mdc_resources.lake import CommitBatch, Lake
from tests.coverage.test_freshness import sessions_before
from tests.dagster.conftest import BARS

SLA = {
    "MDC__SLA__US_DAILY__DATASET": "bars_1d",
    "MDC__SLA__US_DAILY__WITHIN": "2h",
    "MDC__SLA__US_DAILY__SESSIONS": "2",
}


@pytest.fixture
def promised(served):
    """The home with a promise about daily bars."""
    return served.reload(**SLA)


def store(home, sessions, *symbols, state=PartitionState.PRESENT):
    """Ledger lines of daily bars."""
    rows = [CoverageRow(Dataset.BARS_1D, symbol, day, state) for symbol in symbols for day in sessions]
    with closing(Lake.open(home.lake_dir)) as lake:
        lake.commit(CommitBatch(run_id="test", attempt=1, tables={}, coverage=rows))


def look(home, instance, cursor=None):
    """One tick of the sensor, its events reported as the daemon does."""
    sensor = freshness.freshness_sensor_of(home)
    with build_sensor_context(instance=instance, cursor=cursor) as context:
        data = sensor.evaluate_tick(context)
    for event in data.asset_events:
        instance.report_runless_asset_event(event)
    return data


def shown(instance: DagsterInstance, key: AssetKey):
    """The newest evaluation of ``fresh`` as the web UI reads it."""
    check = AssetCheckKey(key, freshness.FRESH)
    records = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    return records[0] if records else None


def test_a_tick_writes_the_verdict_without_a_run(promised, instance):
    """Complete: the check is green; nothing was launched."""
    store(promised, sessions_before(now(), 2), "AAPL", "MSFT")
    data = look(promised, instance)
    assert [event.passed for event in data.asset_events] == [True]
    assert shown(instance, BARS).status is AssetCheckExecutionRecordStatus.SUCCEEDED
    assert not data.run_requests
    assert not instance.get_runs()


def test_a_broken_promise_is_red_and_names_the_symbols(promised, instance):
    """Which session, how many of how many, and who."""
    days = sessions_before(now(), 2)
    store(promised, days, "AAPL")
    store(promised, days[1:], "MSFT")
    (event,) = look(promised, instance).asset_events
    assert not event.passed
    assert f"{days[0]} lacks 1 of 2 (MSFT)" in event.description
    record = shown(instance, BARS)
    assert record.status is AssetCheckExecutionRecordStatus.FAILED
    assert "MSFT missing" in event.metadata["mdc/sla"].value


def test_only_news_is_told(promised, instance):
    """The same verdict two minutes later is no event; a changed one is."""
    days = sessions_before(now(), 2)
    store(promised, days, "AAPL")
    store(promised, days[1:], "MSFT")
    first = look(promised, instance)
    second = look(promised, instance, first.cursor)
    assert list(second.asset_events) == []
    assert "1 promises looked at, 1 broken, 0 told" in second.skip_message
    store(promised, days[:1], "MSFT")
    third = look(promised, instance, second.cursor)
    assert [event.passed for event in third.asset_events] == [True]


def test_an_old_verdict_is_told_again(promised, instance):
    """Once an hour, so that a person sees it is looked after."""
    store(promised, sessions_before(now(), 2), "AAPL", "MSFT")
    data = look(promised, instance)
    ((name, (verdict, since)),) = json.loads(data.cursor).items()
    recent = (dt.datetime.fromisoformat(since) - dt.timedelta(minutes=50)).isoformat()
    old = (dt.datetime.fromisoformat(since) - dt.timedelta(minutes=70)).isoformat()
    assert list(look(promised, instance, json.dumps({name: [verdict, recent]})).asset_events) == []
    assert len(look(promised, instance, json.dumps({name: [verdict, old]})).asset_events) == 1


def test_without_a_promise_nothing_is_evaluated(home, instance):
    """Said in words; no asset has the check."""
    data = look(home, instance)
    assert list(data.asset_events) == []
    assert "no [sla.NAME]" in data.skip_message
    assert freshness.freshness_checks_of(home) == []


def test_each_shard_and_dataset_has_its_check(served):
    """Two promises about one asset are one check."""
    more = {
        **SLA,
        "MDC__SLA__SOON__DATASET": "bars_1d",
        "MDC__SLA__SOON__WITHIN": "1h",
        "MDC__SLA__ACTIONS__DATASET": "corporate_actions",
    }
    home = served.reload(**more, MDC__UNIVERSES__US__SHARDS="2")
    found = {spec.asset_key for check in freshness.freshness_checks_of(home) for spec in check.check_specs}
    expected = {AssetKey([d, f"us_0{n}"]) for d in ("bars_1d", "corporate_actions") for n in (0, 1)}
    assert found == expected


def test_the_button_evaluates_the_same(promised, instance, served):
    """On demand in the web UI, without a request."""
    store(promised, sessions_before(now(), 2), "AAPL", "MSFT")
    job = build(promised).resolve_implicit_global_asset_job_def()
    wanted = AssetCheckKey(BARS, freshness.FRESH)
    result = job.get_subset(asset_check_selection={wanted}, asset_selection=set()).execute_in_process(
        instance=instance
    )
    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.passed
    assert served.requests() == 0


def test_the_preset_decides_whether_the_sensor_is_on(served):
    """[schedule] freshness."""
    on = freshness.freshness_sensor_of(served.home)
    off = freshness.freshness_sensor_of(served.reload(MDC__SCHEDULE__FRESHNESS="false"))
    assert on.default_status is DefaultSensorStatus.RUNNING
    assert off.default_status is DefaultSensorStatus.STOPPED
