"""Partition keys: true (symbol, session), one definition per shard of a universe.

``date`` is a daily window with the calendar's closures excluded, known a year ahead; ``symbol`` is
dynamic, one name per shard. The date dimension is in UTC whatever the exchange's zone: a session
date is a label, midnight exists every day in UTC, and it falls after the close of every exchange
from New York eastwards to Tokyo. Promises that no text reaches Dagster as a key that is not a
canonical symbol and a date: Dagster itself accepts ``A|B`` and ``..``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

from dagster import (
    AssetKey,
    DagsterInstance,
    DynamicPartitionsDefinition,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    TimeWindowPartitionsDefinition,
)

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home, UniverseSettings
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError, UsageError
from mdc_resources.domain.symbols import Symbol, parse_symbol
from mdc_resources.domain.time import UTC, parse_session
from mdc_resources.state import Member

SYMBOL = "symbol"
DATE = "date"
SESSION_DATASETS = (Dataset.BARS_1D, Dataset.BARS_1M, Dataset.CORPORATE_ACTIONS)
EVENT_DATASETS = (Dataset.TRADES, Dataset.QUOTES)
_UNIVERSE = re.compile(r"[a-z][a-z0-9_]{0,30}")


def shard_name(universe: str, shard: int) -> str:
    """``us``, 3 -> ``us_03``: the asset's name and the name of its dynamic partitions."""
    if not _UNIVERSE.fullmatch(universe):
        raise ConfigError(
            f"{universe!a} cannot be a universe's name",
            key=f"universes.{universe}",
            hint="Use a-z, 0-9 and _ starting with a letter",
        )
    return f"{universe}_{shard:02d}"


def shard_names(universe: str, settings: UniverseSettings) -> list[str]:
    """All shards of a universe, as its settings say; the lake is not asked."""
    return [shard_name(universe, number) for number in range(settings.shards)]


def session_datasets(home: Home) -> tuple[Dataset, ...]:
    """Datasets whose assets are partitioned by (symbol, session).

    Ticks are among them where the home's settings name them: few fetch millions of rows a day unasked.
    """
    named = {name.split(".")[1] for name in home.origins if name.startswith("datasets.")}
    return (*SESSION_DATASETS, *(dataset for dataset in EVENT_DATASETS if dataset in named))


def asset_key(dataset: Dataset, shard: str) -> AssetKey:
    """The asset of ``dataset`` for one shard: ``bars_1d/us_00``."""
    return AssetKey([str(dataset), shard])


def symbols_of(shard: str) -> DynamicPartitionsDefinition:
    """The symbol dimension of one shard."""
    return DynamicPartitionsDefinition(name=shard)


def sessions_of(calendar: Calendar, start: dt.date) -> TimeWindowPartitionsDefinition:
    """The date dimension: every session of ``calendar`` from ``start`` on whose day has ended."""
    trading = {day.weekday() for day in calendar.dates}
    never = [weekday for weekday in range(7) if weekday not in trading]
    sessions = set(calendar.dates)
    span = (calendar.last_known - start).days + 1
    days = (start + dt.timedelta(offset) for offset in range(span))
    closed = [day for day in days if day.weekday() in trading and day not in sessions]
    return TimeWindowPartitionsDefinition(
        start=start.isoformat(),
        cron_schedule="0 0 * * *",
        fmt="%Y-%m-%d",
        timezone="UTC",
        exclusions=[
            # cron counts the weekday from Sunday, Python from Monday
            *(f"0 0 * * {(weekday + 1) % 7}" for weekday in never),
            *(dt.datetime(day.year, day.month, day.day, tzinfo=UTC) for day in closed),
        ],
    )


def partitions_of(shard: str, sessions: TimeWindowPartitionsDefinition) -> MultiPartitionsDefinition:
    """(symbol, session) of one shard."""
    return MultiPartitionsDefinition({SYMBOL: symbols_of(shard), DATE: sessions})


def to_dagster(key: PartitionKey) -> MultiPartitionKey:
    """Dagster's key of one partition; its text is ``2024-07-03|AAPL``."""
    return MultiPartitionKey({SYMBOL: parse_symbol(key.symbol), DATE: key.session.isoformat()})


def from_dagster(text: str) -> PartitionKey:
    """Invert :func:`to_dagster`; raises UsageError on a key typed into the UI that is none."""
    if isinstance(text, MultiPartitionKey):
        parts = text.keys_by_dimension
        return PartitionKey(parse_symbol(parts[SYMBOL]), parse_session(parts[DATE]))
    session, bar, symbol = text.partition("|")
    if not bar:
        raise UsageError(f"{text[:60]!a} is not a partition", hint="Write it as 2024-07-03|AAPL")
    return PartitionKey(parse_symbol(symbol), parse_session(session))


def register(instance: DagsterInstance, members: Iterable[Member]) -> list[Symbol]:
    """Make the members' symbols keys of their shards, in order of position; returns the new ones.

    A key is never removed: a symbol that left a universe keeps its history.
    """
    added: list[Symbol] = []
    by_shard: dict[str, list[Member]] = {}
    for member in members:
        by_shard.setdefault(shard_name(member.universe, member.shard), []).append(member)
    for shard, group in by_shard.items():
        known = set(instance.get_dynamic_partitions(shard))
        symbols = [parse_symbol(member.symbol) for member in sorted(group, key=lambda m: m.position)]
        new = [symbol for symbol in symbols if symbol not in known]
        if new:
            instance.add_dynamic_partitions(shard, new)
            added.extend(new)
    return added
