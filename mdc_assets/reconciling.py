"""The job ``reconcile``: Dagster's event log against the coverage ledger, both ways.

Partitions the lake has and Dagster does not know are reported, with the ledger's facts and without
a request: after ``mdc backfill --direct``, a lost DAGSTER_HOME, a run that was killed between its
commit and its events. What Dagster shows and the ledger does not explain becomes a gap. The order
of reading matters: first the ledger, then which runs are under way, then the log; so what a run has
committed is either left to it, or in the log already.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dagster import (
    AssetKey,
    AssetMaterialization,
    Config,
    DagsterInstance,
    Failure,
    Nothing,
    OpExecutionContext,
    Out,
    RunsFilter,
    in_process_executor,
    job,
    op,
)
from pydantic import Field

from mdc_assets import metadata
from mdc_assets.events import materialize_many
from mdc_assets.home import find_home
from mdc_assets.partitions import (
    asset_key,
    from_dagster,
    register,
    session_datasets,
    shard_name,
    shard_names,
    to_dagster,
)
from mdc_assets.reaper import UNDER_WAY
from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.coverage.listings import listings_of
from mdc_resources.dagster_resources import lake_of
from mdc_resources.domain.coverage import CoverageRow, PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import MdcError, UsageError
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.recovery.reconciling import (
    AssetDifference,
    ReconcileReport,
    mark_missing,
    picture_of,
    refuse_a_wrong_lake,
    rows_of,
)
from mdc_resources.state import State

JOB = "reconcile"
OP = "compare"
_CHUNK = 20_000  # events that are built at a time


@dataclass(frozen=True, slots=True)
class Difference:
    """What one asset and the ledger disagree about."""

    key: AssetKey
    dataset: Dataset
    known: int
    unreported: Sequence[PartitionKey]
    unexplained: Sequence[str]
    under_way: int

    def described(self) -> AssetDifference:
        """The counts."""
        name = self.key.to_user_string()
        return AssetDifference(name, self.known, len(self.unreported), len(self.unexplained), self.under_way)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All assets, and the symbols of the ledger that belong to none."""

    differences: Sequence[Difference]
    strangers: Sequence[Symbol]
    started: float = field(default_factory=time.monotonic)

    def report(self, *, reported: int = 0, marked_missing: int = 0, dry_run: bool = False) -> ReconcileReport:
        """The same for people, with what was done about it."""
        return ReconcileReport(
            assets=tuple(difference.described() for difference in self.differences),
            strangers=tuple(self.strangers),
            reported=reported,
            marked_missing=marked_missing,
            dry_run=dry_run,
            seconds=time.monotonic() - self.started,
        )


@dataclass(slots=True)
class Attached:
    """A command line that executes the job in its own process: its home, and what it gets back."""

    home: Home
    report: ReconcileReport | None = None
    error: MdcError | None = None


# Runs that this process executes for a command line of its own, by run id.
attached: dict[str, Attached] = {}


class ReconcileConfig(Config):
    """Per launch, in the Launchpad."""

    dry_run: bool = Field(default=False, description="count the differences, change nothing")


def compare(home: Home, lake: Lake, state: State, instance: DagsterInstance) -> Comparison:
    """Find every difference; writes nothing.

    Raises:
        LakeError: the lake cannot be read, or looks like another one than Dagster knows.
    """
    started = time.monotonic()
    by_session = session_datasets(home)
    pictures = {dataset: picture_of(lake, dataset) for dataset in (*by_session, Dataset.INSTRUMENTS)}
    under_way = {run.run_id for run in instance.get_runs(RunsFilter(statuses=list(UNDER_WAY)))}
    seats: dict[tuple[str, int], set[Symbol]] = {}
    for member in state.members(active_only=False):
        seats.setdefault((member.universe, member.shard), set()).add(member.symbol)
    listings = listings_of(home, lake)
    found = []
    for name, universe in home.settings.universes.items():
        for number, shard in enumerate(shard_names(name, universe)):
            symbols = seats.get((name, number), set())
            for dataset, picture in pictures.items():
                key = asset_key(dataset, shard)
                logged = instance.get_materialized_partitions(key)
                unreported, held = picture.unreported(logged, symbols, but_of=under_way)
                unexplained = (
                    [text for text in picture.unexplained(logged) if _was_listed(text, listings)]
                    if dataset in by_session
                    else []
                )
                found.append(Difference(key, dataset, len(logged), unreported, unexplained, held))
    known = {d: sum(f.known for f in found if f.dataset is d) for d in pictures}
    unknown = {d: sum(len(f.unexplained) for f in found if f.dataset is d) for d in pictures}
    refuse_a_wrong_lake(lake, known, unknown)
    seated = {symbol for symbols in seats.values() for symbol in symbols}
    strangers = {symbol for picture in pictures.values() for symbol in picture.symbols()} - seated
    return Comparison(found, sorted(strangers), started)


def reconcile(context: OpExecutionContext, home: Home, *, dry_run: bool) -> ReconcileReport:
    """Compare, report what Dagster lacks, mark what the ledger lacks as missing.

    Raises:
        LakeError: see :func:`compare`; nothing was changed.
    """
    with lake_of(home).get_lake() as lake, State.open(home) as state:
        found = compare(home, lake, state, context.instance)
        if dry_run:
            return found.report(dry_run=True)
        register(context.instance, state.members(active_only=False))
        reported = 0
        for difference in found.differences:
            for at in range(0, len(difference.unreported), _CHUNK):
                rows = rows_of(lake, difference.dataset, difference.unreported[at : at + _CHUNK])
                reported += materialize_many(context, [_event(difference.key, row) for row in rows])
        lost = {d: keys for d in session_datasets(home) if (keys := set(_lost(home, found, d)))}
        marked = mark_missing(home, lake, state, lost, run_id=context.run_id) if lost else 0
        return found.report(reported=reported, marked_missing=marked)


def _was_listed(text: str, listings: Mapping[Symbol, Listing]) -> bool:
    """False for a day outside the symbol's listing: a range of the UI shows it, and nothing is owed."""
    try:
        key = from_dagster(text)
    except UsageError:  # no key of ours
        return True
    return key.symbol not in listings or listings[key.symbol].covers(key.session)


def _event(key: AssetKey, row: CoverageRow) -> AssetMaterialization:
    partition = row.symbol if row.dataset is Dataset.INSTRUMENTS else to_dagster(row.key)
    return AssetMaterialization(key, partition=partition, metadata=metadata.of_partition(row, snapshot=None))


def _lost(home: Home, found: Comparison, dataset: Dataset) -> Iterator[PartitionKey]:
    """Unexplained partitions that the calendars still have: a session that became a closure is none."""
    sessions = {
        shard_name(name, number): set(get_calendar(universe.calendar, home.root).dates)
        for name, universe in home.settings.universes.items()
        for number in range(universe.shards)
    }
    for difference in found.differences:
        if difference.dataset is not dataset:
            continue
        for text in difference.unexplained:
            try:
                key = from_dagster(text)
            except UsageError:  # no key of ours
                continue
            if key.session in sessions[difference.key.path[-1]]:
                yield key


@op(name=OP, out=Out(Nothing), description="Report what Dagster lacks, mark what the ledger lacks.")
def compare_op(context: OpExecutionContext, config: ReconcileConfig) -> None:
    """Compare and mend the picture; the command line gets the report, or the error."""
    caller = attached.get(context.run_id) or Attached(find_home())
    try:
        caller.report = reconcile(context, caller.home, dry_run=config.dry_run)
    except MdcError as error:
        caller.error = error
        raise Failure(description=str(error), allow_retries=False) from error
    context.add_output_metadata(metadata.of_reconcile(caller.report))
    context.log.info(
        f"{caller.report.unreported} partitions were unknown to Dagster, {caller.report.reported} reported; "
        f"{caller.report.unexplained} unknown to the ledger, {caller.report.marked_missing} marked missing"
    )


@job(
    name=JOB,
    executor_def=in_process_executor,
    description="Compare the event log with the ledger: report what the log lacks, without fetching.",
)
def reconcile_job() -> None:
    """One op, no outputs."""
    compare_op()
