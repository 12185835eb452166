"""What every fetching asset and the backfill job do: ingest, then tell Dagster.

Data is committed at full speed first; the partitions' events follow the commits. Every settled key
of the want is reported, also one that needed no request, because Dagster counts a run's whole range
as its promise. What came along of other datasets (splits with the bars) is reported too. A run that
left keys missing for a reason that may pass fails after reporting; what it committed stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DagsterInstance,
    Failure,
    OpExecutionContext,
)

from mdc_assets import metadata, owners
from mdc_assets.checks import as_event, evaluate
from mdc_assets.events import materialize_many
from mdc_assets.partitions import asset_key, register, session_datasets, shard_name, to_dagster
from mdc_assets.preview import preview_of
from mdc_resources.config import Home
from mdc_resources.coverage.expectation import ledger
from mdc_resources.coverage.listings import listings_of
from mdc_resources.coverage.universes import universe_to_join
from mdc_resources.dagster_resources import lake_of
from mdc_resources.domain.coverage import CoverageRow, PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import MdcError, UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Committed, Outcome, Progress, Want, backfill
from mdc_resources.state import Member, State

Listener = Callable[[Progress], None]
_Place = tuple[Dataset, str, int]
_LOG_STEPS = 20


@dataclass(slots=True)
class Caller:
    """Who waits for a run in the same process: told of progress, and left the outcome or the error."""

    listener: Listener | None = None
    outcome: Outcome | None = None
    error: MdcError | None = None


@dataclass(slots=True)
class Landed:
    """Ledger lines of a run by (dataset, partition), and the snapshot that wrote each."""

    lines: dict[tuple[Dataset, PartitionKey], CoverageRow] = field(default_factory=dict)
    snapshots: dict[tuple[Dataset, PartitionKey], int] = field(default_factory=dict)

    def commit(self, committed: Committed, before: Mapping[PartitionKey, str]) -> None:
        """Take in one commit; a partition whose fingerprint is the one ``before`` is unchanged."""
        for row in committed.rows:
            at = (row.dataset, row.key)
            self.lines[at] = row
            if not row.fingerprint or before.get(row.key) != row.fingerprint:
                self.snapshots[at] = committed.snapshot_id

    def forget_reported(self, instance: DagsterInstance, places: Mapping[Symbol, Member]) -> None:
        """Drop lines this run did not write and whose partition the event log has."""
        logged: dict[AssetKey, set[str]] = {}
        for at in [at for at in self.lines if at not in self.snapshots]:
            key = _asset_of(self.lines[at], places)
            if key not in logged:
                logged[key] = instance.get_materialized_partitions(key)
            if _partition_of(self.lines[at]) in logged[key]:
                del self.lines[at]

    def settled(self) -> list[CoverageRow]:
        """Lines that Dagster shows as materialised, grouped by dataset, in (symbol, session) order."""
        return [self.lines[at] for at in sorted(self.lines) if self.lines[at].state.is_settled]


def land(
    context: OpExecutionContext,
    home: Home,
    want: Want,
    *,
    promised: bool = True,
    caller: Caller | None = None,
) -> None:
    """Fetch what the ledger lacks of ``want`` and report its settled partitions.

    ``promised``: Dagster expects every partition of the run, so all are reported; without it, those
    that this run left as they were and the event log has already are not. The outcome is left with
    ``caller`` also where the run fails.

    Raises:
        Failure: ingest refused, or left partitions missing for a reason that may pass.
    """
    caller = caller or Caller()
    owners.mark(context.instance, context.run_id)
    places = places_of(home, want.symbols)
    register(context.instance, places.values())
    before = _fingerprints(home, want) if want.refetch else {}
    landed = Landed()
    try:
        outcome = caller.outcome = backfill(
            home,
            want,
            run_id=context.run_id,
            on_progress=_progress(context, caller.listener),
            on_commit=lambda committed: landed.commit(committed, before),
        )
    except MdcError as error:
        caller.error = error
        _report(context, home, landed, places)
        raise Failure(description=str(error), allow_retries=False) from error
    for row in outcome.states.values():
        landed.lines.setdefault((want.dataset, row.key), row)
    if promised:
        _report_unlisted(context, home, want, outcome, places)
    else:
        landed.forget_reported(context.instance, places)
    reported = _report(context, home, landed, places, outcome)
    context.log.info(f"{reported} partitions reported; {_in_words(outcome)}")
    if outcome.retryable_missing:
        raise Failure(
            description=_unfinished(outcome), metadata=metadata.of_run(outcome), allow_retries=False
        )


def places_of(home: Home, symbols: Iterable[Symbol]) -> dict[Symbol, Member]:
    """The shard of each symbol; one that is in no universe joins the default one, a coin that of coins.

    Raises:
        UsageError: the universe to join is full, or not configured.
    """
    with State.open(home) as state:
        seated = {member.symbol: member for member in state.members(active_only=False)}
        joining: dict[str, list[Symbol]] = {}
        for symbol in symbols:
            if symbol not in seated:
                joining.setdefault(universe_to_join(home, symbol), []).append(symbol)
        for name, strangers in joining.items():
            universe = home.settings.universes.get(name)
            if universe is None:
                raise UsageError(
                    f"there is no universe {name!r} to put {strangers[0]} into", hint="mdc universe list"
                )
            seated |= {
                member.symbol: member for member in state.add_members(name, strangers, shards=universe.shards)
            }
    return seated


def _report(
    context: OpExecutionContext,
    home: Home,
    landed: Landed,
    places: Mapping[Symbol, Member],
    outcome: Outcome | None = None,
) -> int:
    """Write the events of everything settled; per asset also one observation, and its checks."""
    groups: dict[_Place, list[CoverageRow]] = {}
    for row in landed.settled():
        member = places[row.symbol]
        groups.setdefault((row.dataset, member.universe, member.shard), []).append(row)
    with lake_of(home).get_lake() as lake, closing(lake.connect()) as connection:
        for (dataset, universe, shard), rows in groups.items():
            key = asset_key(dataset, shard_name(universe, shard))
            materialize_many(context, [_materialization(key, row, landed) for row in rows])
            about = metadata.of_run(outcome) if outcome and dataset is outcome.dataset else {}
            found = metadata.with_preview(about, preview_of(connection, rows))
            context.log_event(AssetObservation(key, description=f"{len(rows)} partitions", metadata=found))
            if dataset in session_datasets(home):
                for result in evaluate(home, lake, connection, dataset, universe, shard):
                    context.log_event(as_event(result))  # type: ignore[arg-type] # taken, if not annotated
    return sum(len(rows) for rows in groups.values())


def _report_unlisted(
    context: OpExecutionContext, home: Home, want: Want, outcome: Outcome, places: Mapping[Symbol, Member]
) -> None:
    """Materialise promised keys outside their symbol's listing: without an event their backfill fails."""
    left = sorted((want.keys or frozenset()) - set(outcome.states))
    with lake_of(home).get_lake() as lake:
        listings = listings_of(home, lake, want.symbols) if left else {}
    events = [
        AssetMaterialization(
            asset_key(want.dataset, shard_name(places[key.symbol].universe, places[key.symbol].shard)),
            partition=to_dagster(key),
            metadata=metadata.of_unlisted(f"{key.symbol} was not listed then"),
        )
        for key in left
        if key.symbol in listings and not listings[key.symbol].covers(key.session)
    ]
    materialize_many(context, events)


def _asset_of(row: CoverageRow, places: Mapping[Symbol, Member]) -> AssetKey:
    member = places[row.symbol]
    return asset_key(row.dataset, shard_name(member.universe, member.shard))


def _partition_of(row: CoverageRow) -> str:
    return row.symbol if row.dataset is Dataset.INSTRUMENTS else to_dagster(row.key)


def _materialization(key: AssetKey, row: CoverageRow, landed: Landed) -> AssetMaterialization:
    snapshot = landed.snapshots.get((row.dataset, row.key))
    return AssetMaterialization(
        key, partition=_partition_of(row), metadata=metadata.of_partition(row, snapshot=snapshot)
    )


def _fingerprints(home: Home, want: Want) -> dict[PartitionKey, str]:
    with lake_of(home).get_lake() as lake:
        rows = ledger(lake, want.dataset, want.symbols, want.start, want.end)
    return {key: row.fingerprint for key, row in rows.items()}


def _progress(context: OpExecutionContext, listener: Listener | None) -> Listener:
    """Every step to ``listener``, about twenty lines of it to the run's log."""
    logged = -1

    def report(progress: Progress) -> None:
        nonlocal logged
        if listener is not None:
            listener(progress)
        step = progress.done * _LOG_STEPS // max(progress.total, 1)
        if step > logged:
            logged = step
            context.log.info(
                f"{progress.done} of {progress.total} partitions, {progress.requests} requests, "
                f"{progress.rows} rows, {progress.failovers} failovers {progress.message}".rstrip()
            )

    return report


def _in_words(outcome: Outcome) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(outcome.counts.items()))
    pausing = f", {outcome.waiting} left alone after earlier failures" if outcome.waiting else ""
    return (
        f"{counts or 'nothing was due'}{pausing}; {outcome.rows} rows by {outcome.requests_sent} requests "
        f"(at least {outcome.requests_minimum}), {outcome.failovers} failovers, {outcome.seconds:.1f} s"
    )


def _unfinished(outcome: Outcome) -> str:
    why = "; ".join(outcome.errors[:3])
    return (
        f"{outcome.retryable_missing} of {outcome.expected} partitions are still missing for a reason "
        f"that may pass{': ' + why if why else ''}. What was fetched is stored; launch the range again"
    )
