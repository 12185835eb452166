"""Assets: one per dataset and shard, made from the settings; bodies that read like the sentence.

A run's partitions are a hull, so the body asks for exactly its keys and reports all that are
settled. The asset yields no output: events are written by ``land``, and nothing is downstream in
the same job.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

import warnings
from collections.abc import Iterable, Iterator

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    BetaWarning,
    Config,
    Output,
    PartitionsDefinition,
    asset,
)
from pydantic import Field

from mdc_assets import metadata
from mdc_assets.landing import land
from mdc_assets.partitions import (
    asset_key,
    from_dagster,
    partitions_of,
    session_datasets,
    sessions_of,
    shard_names,
    symbols_of,
)
from mdc_assets.priorities import FETCH_POOL
from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import parse_symbol
from mdc_resources.domain.time import now
from mdc_resources.ingest import Want

_WHAT = {
    Dataset.BARS_1D: "Daily bars",
    Dataset.BARS_1M: "Minute bars of the regular session",
    Dataset.TRADES: "Trades, extended hours included",
    Dataset.QUOTES: "Best bids and offers, extended hours included",
    Dataset.CORPORATE_ACTIONS: "Splits and dividends",
    Dataset.INSTRUMENTS: "What vendors say an instrument is",
}
INSTRUMENT_DAYS = 10  # the last due session lies within, whatever holidays there are


class FetchConfig(Config):
    """Per launch, in the Launchpad: ``refetch`` and ``provider``."""

    refetch: bool = Field(default=False, description="ask again for what is already settled")
    provider: str = Field(default="", description="ask only this provider")


def assets_of(home: Home) -> list[AssetsDefinition]:
    """Every fetching asset of ``home``: its universes' shards times the datasets."""
    # Backfill policies and kinds are marked beta; the release is pinned and tested.
    warnings.simplefilter("ignore", BetaWarning)
    found: list[AssetsDefinition] = []
    for name, universe in home.settings.universes.items():
        sessions = sessions_of(get_calendar(universe.calendar, home.root), universe.start)
        for shard in shard_names(name, universe):
            partitions = partitions_of(shard, sessions)
            datasets = session_datasets(home)
            found += [session_asset(home, dataset, name, shard, partitions) for dataset in datasets]
            found.append(instruments_asset(home, name, shard))
    return found


def session_asset(
    home: Home, dataset: Dataset, universe: str, shard: str, partitions: PartitionsDefinition
) -> AssetsDefinition:
    """``dataset`` of one shard, partitioned by (symbol, session)."""

    @asset(
        key=asset_key(dataset, shard),
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.multi_run(home.settings.dataset(dataset).max_partitions_per_run),
        metadata=metadata.of_asset(home, dataset),
        description=f"{_WHAT[dataset]} of {shard}, as stored by the ledger `coverage`.",
        group_name=universe,
        kinds={"parquet", "duckdb"},
        output_required=False,
        pool=FETCH_POOL,
    )
    def fetch(context: AssetExecutionContext, config: FetchConfig) -> Iterator[Output[None]]:
        keys = _keys(from_dagster(key) for key in _promised(context))
        land(context.op_execution_context, home, _want(dataset, keys, config))
        yield from ()

    return fetch


def instruments_asset(home: Home, universe: str, shard: str) -> AssetsDefinition:
    """``instruments`` of one shard, partitioned by symbol: the newest facts, as of the last session."""
    dataset = Dataset.INSTRUMENTS

    @asset(
        key=asset_key(dataset, shard),
        partitions_def=symbols_of(shard),
        backfill_policy=BackfillPolicy.single_run(),
        metadata=metadata.of_asset(home, dataset),
        description=f"{_WHAT[dataset]}, symbols of {shard}.",
        group_name=universe,
        kinds={"parquet", "duckdb"},
        output_required=False,
        pool=FETCH_POOL,
    )
    def fetch(context: AssetExecutionContext, config: FetchConfig) -> Iterator[Output[None]]:
        today = now().date()
        start = today.fromordinal(today.toordinal() - INSTRUMENT_DAYS)
        symbols = tuple(parse_symbol(key) for key in _promised(context))
        want = Want(dataset, symbols, start, today, provider=config.provider or None, refetch=config.refetch)
        land(context.op_execution_context, home, want)
        yield from ()

    return fetch


def _promised(context: AssetExecutionContext) -> list[str]:
    """The run's partitions; a range typed backwards gives none, and a green run that did nothing."""
    keys = list(context.partition_keys)
    if not keys:
        raise UsageError("this run has no partitions", hint="The range is empty: is it the wrong way round?")
    return keys


def _keys(keys: Iterable[PartitionKey]) -> frozenset[PartitionKey]:
    return frozenset(keys)


def _want(dataset: Dataset, keys: frozenset[PartitionKey], config: FetchConfig) -> Want:
    sessions = [key.session for key in keys]
    return Want(
        dataset=dataset,
        symbols=tuple(sorted({key.symbol for key in keys})),
        start=min(sessions),
        end=max(sessions),
        provider=config.provider or None,
        refetch=config.refetch,
        keys=keys,
    )
