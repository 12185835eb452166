"""The contract behind ``materialize_many``: a batch leaves what Dagster's own way would leave.

It uses internals of the pinned release. When this file fails after an upgrade, the batches of
``mdc_assets/events.py`` must be adapted, or left out: ``context.log_event`` always works.
"""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    MultiPartitionKey,
    Nothing,
    Out,
    in_process_executor,
    job,
    op,
)
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from sqlalchemy import select

from mdc_assets import events
from mdc_assets import instance as instances
from mdc_resources import config
from tests.dagster.conftest import QUIET

BARS = AssetKey(["bars_1d", "us_00"])
ACTIONS = AssetKey(["corporate_actions", "us_00"])
COUNT = events.BATCH + 3


def materializations():
    """More than a batch of one asset, and a few of another in between."""
    for at in range(COUNT):
        key = MultiPartitionKey(
            {"symbol": f"S{at % 7}", "date": f"2024-{at // 28 % 12 + 1:02d}-{at % 28 + 1:02d}"}
        )
        yield AssetMaterialization(
            ACTIONS if at % 100 == 5 else BARS,
            partition=key,
            metadata={"dagster/row_count": at, "mdc/state": "present", "mdc/unchanged": False},
        )


@op(out=Out(Nothing))
def in_batches(context):
    """Our way."""
    assert events.materialize_many(context, list(materializations())) == COUNT


@op(out=Out(Nothing))
def one_by_one(context):
    """Dagster's way."""
    for materialization in materializations():
        context.log_event(materialization)


@job(executor_def=in_process_executor)
def batch_job():
    """Reports in batches."""
    in_batches()


@job(executor_def=in_process_executor)
def single_job():
    """Reports one by one."""
    one_by_one()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def both(request, tmp_path_factory):
    """The same events reported both ways, on each storage: (instance, run id) of each."""
    found = []
    with ExitStack() as stack:
        for name, definition in (("batch", batch_job), ("single", single_job)):
            root = tmp_path_factory.mktemp(f"{request.param}_{name}")
            instance = stack.enter_context(make_instance(request, root, request.param, name))
            result = definition.execute_in_process(instance=instance, run_config=QUIET)
            assert result.success
            found.append((instance, result.run_id))
        yield found


def make_instance(request, root, kind, name):
    """An instance of a home whose events are stored in ``kind``."""
    lines = ""
    if kind == "postgres":
        pytest.importorskip("dagster_postgres", reason="pip install 'mdc[postgres]'")
        lines = f'[dagster]\nstorage_url = "{database(request.getfixturevalue("postgres_server"), name)}"\n'
    (root / "mdc.toml").write_text(lines, encoding="utf-8")
    home = config.load(root / "mdc.toml", environ={})
    return instances.open_instance(home, silent=True)


def database(url, name):
    """A fresh database on the server."""
    from sqlalchemy import create_engine, text

    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS dagster_{name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE dagster_{name}"))
    engine.dispose()
    return url.rpartition("/")[0] + f"/dagster_{name}"


def stored(instance: DagsterInstance, run_id, *, index):
    """The materialisation rows of a run as stored, without ids, times and what names the run."""
    table = SqlEventLogStorageTable
    storage = instance.event_log_storage
    connect = storage.index_connection() if index else storage.run_connection(run_id)
    query = (
        select(
            table.c.event, table.c.dagster_event_type, table.c.step_key, table.c.asset_key, table.c.partition
        )
        .where(table.c.run_id == run_id, table.c.dagster_event_type == "ASSET_MATERIALIZATION")
        .order_by(table.c.asset_key, table.c.id)
    )
    with connect as connection:
        return [(_plain(json.loads(row[0])), *row[1:]) for row in connection.execute(query)]


def _plain(event):
    """An event without what differs between any two runs."""
    volatile = {
        "run_id",
        "timestamp",
        "pid",
        "pipeline_name",
        "step_key",
        "step_handle",
        "solid_handle",
        "message",
        "user_message",
    }
    if isinstance(event, dict):
        return {key: _plain(value) for key, value in event.items() if key not in volatile | {"logging_tags"}}
    return [_plain(value) for value in event] if isinstance(event, list) else event


def tags(instance):
    """Rows of the table behind the dimension queries."""
    table = AssetEventTagsTable
    query = select(table.c.asset_key, table.c.key, table.c.value).order_by(
        table.c.asset_key, table.c.event_id, table.c.key
    )
    with instance.event_log_storage.index_connection() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_both_ways_store_the_same_rows(both):
    """The run's log and the cross-run index agree field by field with Dagster's own."""
    (batch, run), (single, other) = both
    for index in (True, False):
        ours = [(event, *rest) for event, kind, _step, *rest in stored(batch, run, index=index)]
        theirs = [(event, *rest) for event, kind, _step, *rest in stored(single, other, index=index)]
        assert len(ours) == COUNT
        assert ours == theirs


def test_both_ways_show_the_same_partitions(both):
    """What the partition bar of the web UI is drawn from."""
    (batch, _), (single, _) = both
    for key in (BARS, ACTIONS):
        assert batch.get_materialized_partitions(key) == single.get_materialized_partitions(key)
        assert batch.get_materialized_partitions(key)
    assert tags(batch) == tags(single)


def test_the_newest_event_of_each_asset_is_its_last_one(both):
    """A batch updates the asset's newest event once: it must be of that asset, and the last."""
    (batch, _), (single, _) = both
    for key in (BARS, ACTIONS):
        newest = [i.get_latest_materialization_event(key).asset_materialization for i in (batch, single)]
        assert newest[0].partition == newest[1].partition
        assert newest[0].metadata == newest[1].metadata
        assert batch.has_asset_key(key)


def test_an_event_is_found_by_its_partition(both):
    """The page of one partition shows our event with its metadata."""
    (batch, _), _ = both
    wanted = list(materializations())[40]
    filter_ = AssetRecordsFilter(asset_key=BARS, asset_partitions=[str(wanted.partition)])
    found = [
        record.asset_materialization for record in batch.fetch_materializations(filter_, limit=10).records
    ]
    assert wanted.metadata in [m.metadata for m in found]
    assert {m.partition for m in found} == {str(wanted.partition)}


def test_the_run_log_has_every_event_with_its_step(both):
    """What the run's page lists."""
    (batch, run), _ = both
    logs = batch.all_logs(run, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    assert len(logs) == COUNT
    assert {entry.step_key for entry in logs} == {"in_batches"}
    assert batch.get_run_stats(run).materializations == COUNT


def test_a_storage_we_do_not_know_gets_the_public_way(monkeypatch):
    """No guess about internals of anything but the two storages that are tested."""
    with DagsterInstance.ephemeral() as instance:
        assert events._batch_store(instance.event_log_storage) is None
        result = batch_job.execute_in_process(instance=instance, run_config=QUIET)
        assert result.success
        assert len(instance.get_materialized_partitions(BARS)) > 100


def test_nothing_to_report_is_fine():
    """An empty batch writes nothing."""

    @op(out=Out(Nothing))
    def nothing(context):
        assert events.materialize_many(context, []) == 0

    @job(executor_def=in_process_executor)
    def empty():
        nothing()

    with DagsterInstance.ephemeral() as instance:
        assert empty.execute_in_process(instance=instance, run_config=QUIET).success
