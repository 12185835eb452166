"""The sensor that fills holes: every tick, what the ledger lacks becomes a few runs of ``backfill``.

It asks the instance for what is under way and the ledger for what is open; the archive plans. A tick
that cannot trust the clock, or finds no lake, is an error in the UI and launches nothing.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

import datetime as dt
from functools import cache, partial

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from dagster._core.storage.tags import MAX_RETRIES_TAG

from mdc_assets import jobs, priorities
from mdc_assets.queue_entries import PARTITIONS
from mdc_assets.repair_runs import REPAIR, History, UnderWay, under_way
from mdc_resources.config import Home
from mdc_resources.dagster_resources import lake_of
from mdc_resources.domain.time import now, parse_duration
from mdc_resources.recovery.repairs import Repair, RepairPlan, plan_repairs
from mdc_resources.state import State

SENSOR = "gap_sensor"


def gap_sensor_of(home: Home) -> SensorDefinition:
    """The sensor of ``home``, on unless its settings say otherwise."""
    settings = home.settings.recovery
    on = home.settings.schedule.gaps
    first, longest = dt.timedelta(seconds=settings.interval_seconds), parse_duration(settings.longest_pause)

    @sensor(
        name=SENSOR,
        job=jobs.backfill_job,
        minimum_interval_seconds=settings.interval_seconds,
        default_status=DefaultSensorStatus.RUNNING if on else DefaultSensorStatus.STOPPED,
        description="Fills what the ledger lacks, newest sessions first; pauses and gives up by itself.",
    )
    def gap_sensor(context: SensorEvaluationContext) -> SensorResult:
        instance, at = context.instance, now()
        history = cache(partial(History.of, instance))
        with State.open(home) as state, lake_of(home).get_lake() as lake:
            state.check_clock(at)
            flying = under_way(instance, at=at)
            plan = plan_repairs(
                home,
                lake,
                state,
                at=at,
                in_flight=flying.held,
                limit=settings.max_runs_per_tick,
                queued=flying.old,
                resting=lambda mark: history(mark).resting(at=at, first=first, longest=longest),
            )
        if not plan.repairs:
            return SensorResult(skip_reason=SkipReason(in_words(plan, flying)))
        context.log.info(in_words(plan, flying))
        epochs = [history(repair.fingerprint).epoch for repair in plan.repairs]
        return SensorResult(run_requests=list(map(_request, plan.repairs, epochs)))

    return gap_sensor


def in_words(plan: RepairPlan, flying: UnderWay) -> str:
    """The counts of a tick as a person reads them in its line of the UI."""
    if not plan.open:
        return "nothing is open"
    runs = len(plan.repairs)
    parts = (
        (plan.asked, f"asked for by {runs} run{'s' * (runs > 1)}"),
        (plan.busy, "being fetched or queued"),
        (plan.along, "to come along with their bars"),
        (plan.waiting, "waiting for their pause to end"),
        (plan.gave_up, "given up (mdc gaps)"),
        (plan.later, f"for later ({flying.repairs} repairs are under way)"),
    )
    told = ", ".join(f"{count} {words}" for count, words in parts if count)
    return f"{plan.open} partition{'s' * (plan.open > 1)} open: {told}"


def _request(repair: Repair, epoch: int) -> RunRequest:
    want = repair.want
    return RunRequest(
        run_key=f"{want.dataset}:{repair.fingerprint}:{epoch}",
        run_config=jobs.config_of(want),
        tags={
            **jobs.tags_of(want),
            **priorities.tags_of(repair.priority),
            PARTITIONS: str(len(want.keys or ())),
            REPAIR: repair.fingerprint,
            # The next tick is the retry of a worker that died: it knows what was committed meanwhile.
            MAX_RETRIES_TAG: "0",
        },
    )
