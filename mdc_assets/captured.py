"""Assets of live capture: what feeds bring that is fetched by nobody, and the sealed segments themselves.

``depth`` (and any other dataset that a home captures without naming it) is partitioned like every
dataset, but has no body: there is no history to ask. ``segments/<shard>`` is observed when its
segments are landed: how many, how large, from when to when. The checks are reports on what was
captured: open holes, the order of capture, trades that are there twice.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetObservation,
    AssetSpec,
    multi_asset_check,
)
from duckdb import DuckDBPyConnection

from mdc_assets import metadata
from mdc_assets.partitions import (
    asset_key,
    partitions_of,
    session_datasets,
    sessions_of,
    shard_name,
    shard_names,
)
from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.dagster_resources import LakeResource, captured_twice, open_holes, out_of_order
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import SegmentRow
from mdc_resources.providers.live import feed
from mdc_resources.state import State

SEGMENTS = "segments"
HOLES, ORDER, TWICE = "holes", "order_of_capture", "captured_once"
SHOWN = 20
_WHAT = {
    HOLES: "No hole of live capture is open.",
    ORDER: "Rows lie in the order in which they were received.",
    TWICE: "No trade was stored twice.",
}


def captured_datasets(home: Home) -> tuple[Dataset, ...]:
    """What the enabled feeds of ``home`` bring, in the order of the datasets."""
    found: set[Dataset] = set()
    for name, settings in home.settings.stream.items():
        if settings.enabled and settings.symbols:
            found |= {Dataset(each) for each in settings.datasets} or set(feed(name).spec.datasets)
    return tuple(dataset for dataset in Dataset if dataset in found)


def captured_assets_of(home: Home) -> list[AssetSpec]:
    """Assets without a body: captured datasets that nothing fetches, and the shards of the logs."""
    datasets = [each for each in captured_datasets(home) if each not in session_datasets(home)]
    found: list[AssetSpec] = []
    for name, universe in home.settings.universes.items() if datasets else ():
        sessions = sessions_of(get_calendar(universe.calendar, home.root), universe.start)
        found += [
            AssetSpec(
                asset_key(dataset, shard),
                partitions_def=partitions_of(shard, sessions),
                description=f"{dataset} of {shard} as captured live; nothing fetches it.",
                group_name=name,
                kinds={"parquet", "duckdb"},
                metadata=metadata.of_asset(home, dataset),
            )
            for shard in shard_names(name, universe)
            for dataset in datasets
        ]
    return found + [_segments(shard) for shard in shards_of(home)]


def shards_of(home: Home) -> list[str]:
    """The logs of the enabled feeds, ``coinbase-0``."""
    feeds = home.settings.stream.items()
    return [f"{name}-{at}" for name, each in feeds if each.enabled for at in range(each.shards)]


def segments_key(shard: str) -> AssetKey:
    """The asset of one log's sealed segments."""
    return AssetKey([SEGMENTS, shard])


def observation_of(shard: str, segments: Sequence[SegmentRow]) -> AssetObservation:
    """What was landed of ``shard``: counts, and from when to when."""
    return AssetObservation(
        segments_key(shard),
        description=f"{len(segments)} segments landed",
        metadata=metadata.of_segments(segments),
    )


def captured_checks_of(home: Home) -> list[AssetChecksDefinition]:
    """The checks of every asset that live capture feeds."""
    return [
        _checks(home, dataset, name, number)
        for name, universe in home.settings.universes.items()
        for number in range(universe.shards)
        for dataset in captured_datasets(home)
    ]


def evaluate_captured(
    home: Home, connection: DuckDBPyConnection, dataset: Dataset, universe: str, shard: int
) -> Iterator[AssetCheckResult]:
    """Ask every question about what was captured of one asset; reports, never gates."""
    key, symbols = asset_key(dataset, shard_name(universe, shard)), _symbols(home, universe, shard)
    questions = {HOLES: open_holes, ORDER: out_of_order, TWICE: captured_twice}
    for name in _named(dataset):
        wrong = [
            " ".join(map(str, row)) for row in questions[name](connection, dataset, symbols, limit=SHOWN)
        ]
        yield AssetCheckResult(
            check_name=name,
            asset_key=key,
            passed=not wrong,
            severity=AssetCheckSeverity.WARN,
            metadata={"mdc/found": wrong},
        )


def _named(dataset: Dataset) -> Iterable[str]:
    return _WHAT if dataset is Dataset.TRADES else (HOLES, ORDER)


def _checks(home: Home, dataset: Dataset, universe: str, number: int) -> AssetChecksDefinition:
    shard = shard_name(universe, number)
    key = asset_key(dataset, shard)
    specs = [
        AssetCheckSpec(name, asset=key, description=_WHAT[name], blocking=False) for name in _named(dataset)
    ]

    @multi_asset_check(name=f"{dataset}_{shard}_captured", specs=specs)
    def check(lake: LakeResource) -> Iterator[AssetCheckResult]:
        with lake.get_lake() as opened, closing(opened.connect()) as connection:
            yield from evaluate_captured(home, connection, dataset, universe, number)

    return check


def _segments(shard: str) -> AssetSpec:
    return AssetSpec(
        segments_key(shard),
        description=f"Sealed segments of the log {shard}: every frame as it was received.",
        group_name="capture",
        kinds={"zstd"},
    )


def _symbols(home: Home, universe: str, shard: int) -> list[Symbol]:
    with State.open(home) as state:
        members = state.members(universe, active_only=False)
    return [member.symbol for member in members if member.shard == shard]
