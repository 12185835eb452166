"""What Dagster's instance knows of repairs: those under way, and how earlier ones of the same holes ended.

The instance is the memory of the gap sensor: it survives the loss of the machine state. Attempts at a
partition are counted by ingest at the end of a run; here only runs count that never got there. A
repair whose worker died is launched again at once, a few times; then the pauses double, so that
holes which kill every worker do not cost one a minute.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import (
    RUN_FAILURE_REASON_TAG,
    RUN_KEY_TAG,
    SCHEDULE_NAME_TAG,
)

from mdc_assets.jobs import JOB, want_of
from mdc_assets.priorities import priority_of
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.priorities import Priority
from mdc_resources.ingest import Want

REPAIR = "mdc/repair"
DEATHS_FORGIVEN = 3
# A run that was created and never queued: the daemon died, and the tick was not taken up again.
STRANDED = dt.timedelta(minutes=15)
_STEP_FAILURE = "STEP_FAILURE"


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Partitions that runs nobody asked for by hand will fetch; ``old`` counts the low repairs waiting."""

    held: dict[Dataset, set[PartitionKey]]
    repairs: int
    old: int


def under_way(instance: DagsterInstance, *, at: dt.datetime) -> UnderWay:
    """Repairs and end-of-day runs that are queued or running at ``at``.

    What a person asked for is left out: a ten-year request may wait for days, and claims keep it from
    fetching anything twice. So is a second look, which is not meant to fill holes.
    """
    held: dict[Dataset, set[PartitionKey]] = {}
    repairs = old = 0
    filters = RunsFilter(job_name=JOB, statuses=NOT_FINISHED_STATUSES)
    for record in instance.get_run_records(filters):
        run = record.dagster_run
        if _stranded(record, at) or not (REPAIR in run.tags or SCHEDULE_NAME_TAG in run.tags):
            continue
        want = _want(run)
        if want is None or want.refetch:
            continue
        held.setdefault(want.dataset, set()).update(want.keys or _days(want))
        if REPAIR in run.tags:
            repairs += 1
            old += priority_of(run.tags) in (Priority.LOW, Priority.DEFERRED)
    return UnderWay(held, repairs, old)


@dataclass(frozen=True, slots=True)
class History:
    """The runs of one fingerprint, newest first."""

    runs: Sequence[RunRecord]

    @classmethod
    def of(cls, instance: DagsterInstance, fingerprint: str) -> History:
        """What ``instance`` has of it."""
        return cls(instance.get_run_records(RunsFilter(tags={REPAIR: fingerprint})))

    @property
    def epoch(self) -> int:
        """The number of the next launch. A key is never used twice, whatever was deleted or run again."""
        return 1 + max((_epoch_in(record.dagster_run) for record in self.runs), default=-1)

    def resting(self, *, at: dt.datetime, first: dt.timedelta, longest: dt.timedelta) -> bool:
        """True while the next launch has to wait: its workers died too often, or a person cancelled it."""
        ended = [record for record in self.runs if record.dagster_run.is_finished]
        if not ended:
            return False
        since = at - _end_of(ended[0])
        if ended[0].dagster_run.status is DagsterRunStatus.CANCELED:
            return since < longest
        deaths = len(list(takewhile(_died, ended)))
        return deaths >= DEATHS_FORGIVEN and since < min(first * 2 ** min(deaths - 3, 30), longest)

    def rest(self, *, at: dt.datetime, first: float, longest: float) -> float:
        """Seconds until the same may be asked for once more: every run of it that ended left it open."""
        ended = [record for record in self.runs if record.dagster_run.is_finished]
        if not ended:
            return 0.0
        pause = min(first * 2 ** min(len(ended) - 1, 30), longest)
        since = (at - _end_of(ended[0])).total_seconds()
        return max(0.0, float(pause) - since)


def _died(record: RunRecord) -> bool:
    """True if the run ended without reaching the end of its step."""
    run = record.dagster_run
    failed = run.status is DagsterRunStatus.FAILURE
    return failed and run.tags.get(RUN_FAILURE_REASON_TAG) != _STEP_FAILURE


def _epoch_in(run: DagsterRun) -> int:
    number = run.tags.get(RUN_KEY_TAG, "").rpartition(":")[2]
    return int(number) if number.isdecimal() else 0


def _end_of(record: RunRecord) -> dt.datetime:
    if record.end_time is not None:
        return dt.datetime.fromtimestamp(record.end_time, dt.UTC)
    return record.update_timestamp.replace(tzinfo=dt.UTC)


def _stranded(record: RunRecord, at: dt.datetime) -> bool:
    created = record.create_timestamp.replace(tzinfo=dt.UTC)
    return record.dagster_run.status is DagsterRunStatus.NOT_STARTED and at - created > STRANDED


def _want(run: DagsterRun) -> Want | None:
    """What ``run`` is to fetch; None where a person edited its config into nonsense."""
    try:
        return want_of(run.run_config)
    except UsageError:
        return None


def _days(want: Want) -> Iterable[PartitionKey]:
    days = range(want.start.toordinal(), want.end.toordinal() + 1)
    return (PartitionKey(symbol, dt.date.fromordinal(day)) for symbol in want.symbols for day in days)
