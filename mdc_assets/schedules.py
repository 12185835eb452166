"""Every schedule of a home, in one place: what fires when, and what it launches.

    end_of_day_<universe>   at each time of day a session falls due   new sessions, priority high
    recheck_<universe>      Saturday 06:00 of the exchange            the last sessions again, deferred
    verify                  the 1st of a month, 05:30 UTC             the job `verify`
    reconcile               17 minutes past every hour                the job `reconcile`
    coverage_map            06:45 UTC                                 the picture of what is held

``[schedule]`` in mdc.toml says which are on when a home is first served; the web UI has the last
word. Times of day come from the calendars when the code is loaded; an early close that is added
later is caught at the next of them. The sensors are `gap_sensor` (what lacks) and `freshness`
(what is late).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

from dagster import (
    DagsterInstance,
    DefaultScheduleStatus,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
)

from mdc_assets import jobs, priorities
from mdc_assets.coverage_map import coverage_map_job
from mdc_assets.maintenance import verify_job
from mdc_assets.reconciling import reconcile_job
from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.dagster_resources import lake_of
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.priorities import Priority
from mdc_resources.domain.time import UTC, now
from mdc_resources.ingest import Want
from mdc_resources.recovery.end_of_day import Ended, datasets_of, plan_end_of_day, times_of_day
from mdc_resources.recovery.rechecks import Recheck, plan_rechecks
from mdc_resources.state import State

END_OF_DAY = "mdc/end_of_day"
NEWEST = "mdc/newest_session"
TICK = "mdc/tick"
RECHECK = "mdc/recheck"
RECHECK_CRON = "0 6 * * 6"
VERIFY_CRON = "30 5 1 * *"
RECONCILE_CRON = "17 * * * *"
COVERAGE_MAP_CRON = "45 6 * * *"
_RUNS_SEEN = 25  # of one dataset's end of day: parts of a run, and runs started again

Tick = Iterator[RunRequest | SkipReason]


def schedules_of(home: Home) -> list[ScheduleDefinition]:
    """Every schedule of ``home``."""
    universes = home.settings.universes
    return [
        *(end_of_day_schedule(home, universe) for universe in universes),
        *(recheck_schedule(home, universe) for universe in universes),
        ScheduleDefinition(
            name="verify",
            job=verify_job,
            cron_schedule=VERIFY_CRON,
            execution_timezone="UTC",
            default_status=_status(home.settings.schedule.verify),
            description="Monthly: every file and every row against the catalog and the ledger.",
        ),
        ScheduleDefinition(
            name="reconcile",
            job=reconcile_job,
            cron_schedule=RECONCILE_CRON,
            execution_timezone="UTC",
            default_status=_status(home.settings.schedule.reconcile),
            description="Hourly: Dagster's event log against the ledger, both ways.",
        ),
        ScheduleDefinition(
            name="coverage_map",
            job=coverage_map_job,
            cron_schedule=COVERAGE_MAP_CRON,
            execution_timezone="UTC",
            default_status=_status(home.settings.schedule.coverage_map),
            description="Daily: what every universe holds, drawn from the ledger.",
        ),
    ]


def end_of_day_schedule(home: Home, universe: str) -> ScheduleDefinition:
    """New sessions of ``universe``, each dataset as soon as it has settled."""
    calendar = get_calendar(home.settings.universes[universe].calendar, home.root)
    settles = [home.settings.dataset(dataset).settle_delay for dataset in datasets_of(home, universe)]
    times = times_of_day(calendar, settles or [dt.timedelta()], at=now())

    def tick(context: ScheduleEvaluationContext) -> Tick:
        at = context.scheduled_execution_time.astimezone(UTC)
        with State.open(home) as state:
            state.check_clock()
            members = [member.symbol for member in state.members(universe)]
        launched = newest_launched(context.instance, universe, before=at)
        plan = plan_end_of_day(home, universe, members, at=at, newest=launched)
        yield from _all_or(plan.reason, [_new_sessions(ended, at) for ended in plan.ended])

    return ScheduleDefinition(
        name=f"end_of_day_{universe}",
        job=jobs.backfill_job,
        cron_schedule=[f"{time.minute} {time.hour} * * *" for time in times],
        execution_timezone=calendar.tz.key,
        execution_fn=tick,
        default_status=_status(home.settings.schedule.end_of_day),
        description=f"New sessions of {universe} ({calendar.name}), after the close plus settle delay.",
    )


def recheck_schedule(home: Home, universe: str) -> ScheduleDefinition:
    """The newest sessions of ``universe`` once more, from the provider that gave each."""
    calendar = get_calendar(home.settings.universes[universe].calendar, home.root)
    count = home.settings.schedule.recheck_sessions

    def tick(context: ScheduleEvaluationContext) -> Tick:
        at = context.scheduled_execution_time.astimezone(UTC)
        with State.open(home) as state, lake_of(home).get_lake() as lake:
            state.check_clock()
            plan = plan_rechecks(home, lake, state, universe, at=at)
        yield from _all_or(plan.reason, [_second_look(recheck) for recheck in plan.rechecks])

    return ScheduleDefinition(
        name=f"recheck_{universe}",
        job=jobs.backfill_job,
        cron_schedule=RECHECK_CRON,
        execution_timezone=calendar.tz.key,
        execution_fn=tick,
        default_status=_status(home.settings.schedule.recheck),
        description=f"Weekly: the last {count} sessions of {universe}, in case a vendor restated them.",
    )


def newest_launched(
    instance: DagsterInstance, universe: str, *, before: dt.datetime
) -> Mapping[Dataset, dt.date]:
    """The newest session of each dataset that an end of day was launched for, at a tick before ``before``.

    Runs are what is remembered, so ticks that were missed are made up for. Those of the tick itself do
    not count: one that died halfway asks for the same again, and Dagster launches what it lacks.
    """
    found: dict[Dataset, dt.date] = {}
    for dataset in Dataset:
        tags = {END_OF_DAY: f"{dataset}:{universe}"}
        runs = instance.get_runs(RunsFilter(job_name=jobs.JOB, tags=tags), limit=_RUNS_SEEN)
        earlier = [run.tags[NEWEST] for run in runs if run.tags[TICK] < before.isoformat()]
        if earlier:
            found[dataset] = dt.date.fromisoformat(max(earlier))
    return found


def _new_sessions(ended: Ended, at: dt.datetime) -> RunRequest:
    what = f"{ended.dataset}:{ended.universe}"
    about = {END_OF_DAY: what, NEWEST: ended.newest.isoformat(), TICK: at.isoformat()}
    return _request(ended.name, ended.want, Priority.HIGH, about)


def _second_look(recheck: Recheck) -> RunRequest:
    return _request(recheck.name, recheck.want, Priority.DEFERRED, {RECHECK: recheck.provider})


def _request(name: str, want: Want, priority: Priority, about: Mapping[str, str]) -> RunRequest:
    tags = {**jobs.tags_of(want), **priorities.tags_of(priority), **about}
    return RunRequest(run_key=name, run_config=jobs.config_of(want), tags=tags)


def _all_or(reason: str, requests: Sequence[RunRequest]) -> Tick:
    """``requests``, or why there are none."""
    yield from requests
    if not requests:
        yield SkipReason(reason)


def _status(on: bool) -> DefaultScheduleStatus:
    return DefaultScheduleStatus.RUNNING if on else DefaultScheduleStatus.STOPPED
