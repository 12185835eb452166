"""One run as a line of the queue: what it fetches, who asked, whether its process lives.

What a run wants is in its tags (:func:`mdc_assets.jobs.tags_of`); a run of the web UI has the
partitions of its asset instead. Reads only; counting the partitions of a range costs one look at
the keys of its shard.
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster import AssetKey, DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord

from mdc_assets.owners import owner_of
from mdc_assets.partitions import from_dagster
from mdc_assets.priorities import PART, is_paused, priority_of
from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.errors import MdcError
from mdc_resources.domain.queue import QueuedRun

ASKED_BY = "mdc/asked_by"
PARTITIONS = "mdc/partitions"
COMMAND_LINE = "command line"

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_SINGLE = "dagster/partition"
_ASKERS = (
    ("dagster/sensor_name", "sensor {}"),
    ("dagster/schedule_name", "schedule {}"),
    (ASKED_BY, "{}"),
    ("dagster/backfill", "web UI, backfill {}"),
)


def entry_of(record: RunRecord, instance: DagsterInstance, home: Home) -> QueuedRun:
    """``record`` as the queue shows it."""
    run = record.dagster_run
    waiting = run.status is DagsterRunStatus.QUEUED
    dataset, symbols, sessions, partitions = _wanted(run, instance, home)
    owner = owner_of(run.run_id, run.tags)
    return QueuedRun(
        run_id=run.run_id,
        status=run.status.value.lower(),
        priority=priority_of(run.tags),
        paused=waiting and is_paused(run.tags),
        dataset=dataset,
        symbols=symbols,
        sessions=sessions,
        partitions=partitions,
        part=run.tags.get(PART, ""),
        asked_by=asked_by(run.tags),
        created_at=record.create_timestamp,
        lost=not waiting and owner is not None and owner.is_dead(),
    )


def asked_by(tags: Mapping[str, str]) -> str:
    """Who asked for a run with these ``tags``, in words."""
    found = next((words.format(tags[name]) for name, words in _ASKERS if name in tags), "web UI")
    return f"retry, {found}" if "dagster/parent_run_id" in tags else found


def _wanted(run: DagsterRun, instance: DagsterInstance, home: Home) -> tuple[str, str, str, int | None]:
    """Dataset, symbols, sessions and number of partitions."""
    tags = run.tags
    if "mdc/dataset" in tags:
        count = tags.get(PARTITIONS, "")
        found = (tags["mdc/dataset"], tags.get("mdc/symbols", ""), tags.get("mdc/sessions", ""))
        return *found, int(count) if count.isdecimal() else None
    keys = sorted(run.asset_selection or (), key=str)
    if not keys:
        return "", "", "", None
    dataset = ", ".join(dict.fromkeys(key.path[0] for key in keys))
    first, last = tags.get(_RANGE_START, tags.get(_SINGLE, "")), tags.get(_RANGE_END, "")
    try:
        start = from_dagster(first)
        end = from_dagster(last) if last else start
        return dataset, *_range(start, end), _count(instance, home, keys, (start, end))
    except (MdcError, ValueError):  # keys of another kind, such as an instrument's
        return dataset, f"{first}..{last}" if last else first, "", None


def _range(start: PartitionKey, end: PartitionKey) -> tuple[str, str]:
    symbols = start.symbol if start.symbol == end.symbol else f"{start.symbol}..{end.symbol}"
    return symbols, f"{start.session}..{end.session}"


def _count(
    instance: DagsterInstance, home: Home, keys: list[AssetKey], between: tuple[PartitionKey, PartitionKey]
) -> int | None:
    """Symbols times sessions of a range, for every asset of the run; ValueError for unknown symbols."""
    start, end = between
    total = 0
    for key in keys:
        symbols = instance.get_dynamic_partitions(key.path[-1])
        universe = home.settings.universes.get(key.path[-1].rpartition("_")[0])
        if universe is None:
            return None
        wide = symbols.index(end.symbol) - symbols.index(start.symbol) + 1
        total += wide * len(get_calendar(universe.calendar, home.root).sessions(start.session, end.session))
    return total
