"""The one way partition events enter Dagster's log: :func:`materialize_many`.

One event per partition through ``context.log_event`` is the public way and costs two transactions
each. Storages known by name take a batch instead: Postgres by ``store_event_batch``, SQLite by one
transaction per database. Both are internals of the pinned release, guarded by the contract test
``tests/dagster/test_events.py``; any other storage gets the public way. Events of one batch are of
one asset, since the log updates the asset's newest event from the last of a batch only.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence

from dagster import AssetKey, AssetMaterialization, DagsterInvariantViolationError, OpExecutionContext
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

BATCH = 500
_POSTGRES = "PostgresEventLogStorage"  # by name: dagster-postgres is an extra

Store = Callable[[Sequence[EventLogEntry]], None]


def materialize_many(context: OpExecutionContext, materializations: Sequence[AssetMaterialization]) -> int:
    """Record ``materializations`` as events of the running step; returns how many.

    Order is kept within an asset. On return they are committed: the UI and the instance agree.
    """
    store = _batch_store(context.instance.event_log_storage)
    if store is None:
        for materialization in materializations:
            context.log_event(materialization)
        return len(materializations)
    by_asset: dict[AssetKey, list[AssetMaterialization]] = {}
    for materialization in materializations:
        by_asset.setdefault(materialization.asset_key, []).append(materialization)
    for group in by_asset.values():
        for at in range(0, len(group), BATCH):
            store([_entry(context, materialization) for materialization in group[at : at + BATCH]])
    return len(materializations)


def _batch_store(storage: EventLogStorage) -> Store | None:
    if type(storage) is SqliteEventLogStorage:
        return lambda entries: _store_sqlite(storage, entries)
    return storage.store_event_batch if type(storage).__name__ == _POSTGRES else None


def _entry(context: OpExecutionContext, materialization: AssetMaterialization) -> EventLogEntry:
    """What ``context.log_event`` would store, without its trip through the loggers."""
    step = context.get_step_execution_context()
    event = DagsterEvent(
        event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name=step.job_name,
        step_handle=step.step.handle,
        node_handle=step.step.node_handle,
        step_kind_value=step.step.kind.value,
        logging_tags=step.event_tags,
        event_specific_data=StepMaterializationData(materialization),
        message=materialization.description or "Materialized value.",
        pid=os.getpid(),
    )
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=logging.DEBUG,
        user_message="",
        run_id=context.run_id,
        timestamp=time.time(),
        step_key=step.step.key,
        job_name=step.job_name,
        dagster_event=event,
    )


def _store_sqlite(storage: SqliteEventLogStorage, entries: Sequence[EventLogEntry]) -> None:
    """``SqliteEventLogStorage.store_event`` for many: the run's database, then the index."""
    rows = [storage._event_to_row(entry) for entry in entries]
    with storage.run_connection(entries[0].run_id) as connection:
        connection.execute(SqlEventLogStorageTable.insert(), rows)
    with storage.index_transaction() as connection:
        inserts = (SqlEventLogStorageTable.insert().values(**row) for row in rows)
        ids = [_key_of(connection.execute(insert).inserted_primary_key) for insert in inserts]
        storage._store_asset_event_tags(connection, entries, ids)
        storage._store_asset_event(connection, entries[-1], ids[-1])


def _key_of(primary_key: Sequence[int] | None) -> int:
    if not primary_key:
        raise DagsterInvariantViolationError("an event was stored without an id")
    return primary_key[0]
