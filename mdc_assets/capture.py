"""Live capture in Dagster: sealed segments are landed, holes are refilled, both as jobs of two sensors.

``segment_sensor`` sees segments that the ledger lacks, and dead letters that are due, and asks for one
run of ``land_segments``; ``hole_sensor`` sees holes that history can be asked for now and asks for one
run of ``refill_holes``. Neither asks while a run of its job is under way. What a run left behind is
asked for again, under the next number: a run key counts for ever. Both jobs report the partitions
they touched, as every run that brings data does.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from dagster import (
    AssetMaterialization,
    AssetObservation,
    DagsterInstance,
    DefaultSensorStatus,
    Failure,
    JobDefinition,
    Nothing,
    OpExecutionContext,
    Out,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    in_process_executor,
    job,
    op,
    sensor,
)
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import MAX_RETRIES_TAG

from mdc_assets import metadata, owners, priorities
from mdc_assets.captured import evaluate_captured, observation_of
from mdc_assets.checks import as_event
from mdc_assets.events import materialize_many
from mdc_assets.home import find_home
from mdc_assets.landing import places_of
from mdc_assets.partitions import asset_key, register, shard_name, to_dagster
from mdc_assets.repair_runs import REPAIR, History
from mdc_resources.config import Home
from mdc_resources.dagster_resources import lake_of, segments_of
from mdc_resources.domain.coverage import CoverageRow
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeError, MdcError
from mdc_resources.domain.priorities import Priority
from mdc_resources.domain.time import now
from mdc_resources.landing.land import Landed, land, unlanded
from mdc_resources.landing.refill import Refilled, open_holes, refill
from mdc_resources.landing.replaying import due_frames, replay_due

LAND, REFILL = "land_segments", "refill_holes"
SEGMENT_SENSOR, HOLE_SENSOR = "segment_sensor", "hole_sensor"
INTERVAL_SECONDS = 10
# After a run that changed nothing the same segments or holes rest: twice as long each time.
FIRST_REST, LONGEST_REST = 30.0, 900.0


def sensors_of(home: Home) -> list[SensorDefinition]:
    """Both sensors; on where the home captures, or ever did."""
    return [_segment_sensor(home), _hole_sensor(home)]


def _segment_sensor(home: Home) -> SensorDefinition:
    @sensor(
        name=SEGMENT_SENSOR,
        job=land_job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=_status(home),
        description="Lands sealed segments of live capture as they come, and tries dead letters again.",
    )
    def segment_sensor(context: SensorEvaluationContext) -> SensorResult:
        segments = [segment.name for segment in unlanded(home)]
        letters = [f"{letter.reference}:{letter.attempts}" for letter in due_frames(home)]
        what = "dead letter" if letters and not segments else "segment"
        return _asked(context.instance, LAND, [*segments, *letters], what)

    return segment_sensor


def _hole_sensor(home: Home) -> SensorDefinition:
    @sensor(
        name=HOLE_SENSOR,
        job=refill_job,
        minimum_interval_seconds=3 * INTERVAL_SECONDS,
        default_status=_status(home),
        description="Refills holes of live capture from history, where there is one.",
    )
    def hole_sensor(context: SensorEvaluationContext) -> SensorResult:
        due = open_holes(home, at=now()).due
        names = [f"{hole.hole_id}:{hole.end_ns}" for torn in due for hole in torn.holes]
        return _asked(context.instance, REFILL, names, "hole")

    return hole_sensor


def _asked(instance: DagsterInstance, job_name: str, names: Sequence[str], what: str) -> SensorResult:
    """One run about ``names``, unless one is under way or the same were asked about in vain just now."""
    if not names:
        return SensorResult(skip_reason=SkipReason(f"no {what} waits"))
    if instance.get_run_records(RunsFilter(job_name=job_name, statuses=NOT_FINISHED_STATUSES), limit=1):
        return SensorResult(skip_reason=SkipReason(f"{len(names)} {what}s wait; a run is under way"))
    mark = mark_of(job_name, names)
    history = History.of(instance, mark)
    rest = history.rest(at=now(), first=FIRST_REST, longest=LONGEST_REST)
    if rest:
        return SensorResult(skip_reason=SkipReason(f"{len(names)} {what}s wait, {rest:.0f} s more"))
    tags = {REPAIR: mark, **priorities.tags_of(Priority.HIGH), MAX_RETRIES_TAG: "0"}
    return SensorResult(run_requests=[RunRequest(run_key=f"{mark}:{history.epoch}", tags=tags)])


def mark_of(job_name: str, names: Iterable[str]) -> str:
    """The same names always have the same mark, in whatever order."""
    digest = hashlib.blake2b("\0".join(sorted(names)).encode(), digest_size=12).hexdigest()
    return f"{job_name}:{digest}"


@dataclass(slots=True)
class Attached:
    """A command line that executes a run in its own process: its home, and what is left for it."""

    home: Home
    landed: Landed | None = None
    refilled: Refilled | None = None
    error: MdcError | None = None


# Runs that this process executes for a command line of its own, by run id.
attached: dict[str, Attached] = {}


@op(name="land", out=Out(Nothing), description="Land every sealed segment that the ledger lacks.")
def land_op(context: OpExecutionContext) -> None:
    """Land, report, tell what is left."""
    caller = attached.get(context.run_id) or Attached(find_home())
    home = caller.home
    owners.mark(context.instance, context.run_id)
    try:
        landed = caller.landed = land(home, run_id=context.run_id)
    except MdcError as error:
        caller.error = error
        raise Failure(description=str(error), allow_retries=False) from error
    report(context, home, landed.partitions, landed.snapshot_id)
    with lake_of(home).get_lake() as lake, closing(lake.connect()) as connection:
        for shard, rows in segments_of(connection, context.run_id).items():
            context.log_event(observation_of(shard, rows))
    context.add_output_metadata(metadata.of_landing(landed) | {"mdc/replayed": _replay(context, home)})
    context.log.info(landed_in_words(landed))
    if landed.failed:
        name, reason = landed.failed[0]
        raise Failure(
            description=f"{len(landed.failed)} segments were not landed, {name} among them: {reason}",
            allow_retries=False,
        )


def _replay(context: OpExecutionContext, home: Home) -> int:
    """Try dead letters again whose time has come; how many are in the lake now."""
    try:
        outcomes = replay_due(home)
    except LakeError as error:  # what landed has landed; the letters stay, and stay due
        context.log.warning(f"dead letters were not tried again: {error}")
        return 0
    for outcome in outcomes:
        context.log.info(f"dead letter {outcome.letter.id} {outcome.letter.reference}: {outcome.told}")
    return sum(outcome.ok for outcome in outcomes)


@op(name="refill", out=Out(Nothing), pool=priorities.FETCH_POOL, description="Refill holes from history.")
def refill_op(context: OpExecutionContext) -> None:
    """Refill, report, tell what stays open and why."""
    caller = attached.get(context.run_id) or Attached(find_home())
    home = caller.home
    owners.mark(context.instance, context.run_id)
    try:
        done = caller.refilled = refill(home, run_id=context.run_id)
    except MdcError as error:
        caller.error = error
        raise Failure(description=str(error), allow_retries=False) from error
    report(context, home, done.partitions, done.snapshot_ids[-1] if done.snapshot_ids else None)
    context.add_output_metadata(metadata.of_refill(done))
    context.log.info(refilled_in_words(done))


@job(
    name=LAND, executor_def=in_process_executor, description="Sealed segments of live capture into the lake."
)
def land_job() -> None:
    """One op, no outputs."""
    land_op()


@job(
    name=REFILL, executor_def=in_process_executor, description="Holes of live capture, refilled from history."
)
def refill_job() -> None:
    """One op, no outputs."""
    refill_op()


JOBS: tuple[JobDefinition, ...] = (land_job, refill_job)


def report(
    context: OpExecutionContext, home: Home, lines: Sequence[CoverageRow], snapshot: int | None
) -> None:
    """Write the events of the touched partitions, and per asset the checks of what was captured.

    A partition that is still being captured is reported too: its rows are there, its state says how far.
    """
    if not lines:
        return
    places = places_of(home, sorted({line.symbol for line in lines}))
    register(context.instance, places.values())
    groups: dict[tuple[Dataset, str, int], list[CoverageRow]] = {}
    for line in lines:
        member = places[line.symbol]
        groups.setdefault((line.dataset, member.universe, member.shard), []).append(line)
    with lake_of(home).get_lake() as lake, closing(lake.connect()) as connection:
        for (dataset, universe, shard), rows in groups.items():
            key = asset_key(dataset, shard_name(universe, shard))
            holes = _holes(rows, [hole.key for hole in lake.holes(dataset, states=["open"])])
            materialize_many(
                context,
                [
                    AssetMaterialization(
                        key,
                        partition=to_dagster(row.key),
                        metadata=metadata.of_captured(row, snapshot=snapshot, holes=holes[row.key]),
                    )
                    for row in rows
                ],
            )
            context.log_event(AssetObservation(key, description=f"{len(rows)} partitions captured"))
            for result in evaluate_captured(home, connection, dataset, universe, shard):
                context.log_event(as_event(result))  # type: ignore[arg-type] # taken, if not annotated


def landed_in_words(landed: Landed) -> str:
    """What a landing came to, in a line."""
    rows = ", ".join(f"{count} {dataset}" for dataset, count in sorted(landed.rows.items())) or "no rows"
    waiting = f", {len(landed.waiting)} wait" if landed.waiting else ""
    return (
        f"{landed.segments} segments: {rows}, {len(landed.holes)} holes, {landed.rejected} rejected{waiting}"
    )


def refilled_in_words(done: Refilled) -> str:
    """What a refill came to, in a line."""
    return (
        f"{len(done.repairs)} holes repaired with {done.rows} rows by {done.requests} requests; "
        f"{len(done.failed)} stay open, {len(done.gave_up)} were given up, {done.waiting} wait"
    )


def _holes(rows: Sequence[CoverageRow], found: Sequence[object]) -> Mapping[object, int]:
    return {row.key: sum(key == row.key for key in found) for row in rows}


def _status(home: Home) -> DefaultSensorStatus:
    captures = any(settings.enabled for settings in home.settings.stream.values())
    on = captures or home.segments_dir.is_dir()
    return DefaultSensorStatus.RUNNING if on else DefaultSensorStatus.STOPPED
