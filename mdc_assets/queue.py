"""The backfill queue is Dagster's run queue, seen through the runs that fetch.

A priority, a pause and a part of a split request are tags that the queue's daemon reads on every
round, so changing them is changing the queue; it works while the daemon is down, and the web UI
shows the same. Only queued runs can be moved or paused. Cancelling ends running ones too: what they
committed stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.errors import DagsterUserCodeProcessError, DagsterUserCodeUnreachableError
from dagster._core.storage.tags import MAX_RETRIES_TAG

from mdc_assets.owners import owner_of
from mdc_assets.priorities import (
    FETCH_POOL,
    OFF,
    ON,
    PAUSED,
    is_paused,
    part_of,
    priority_of,
    tags_of,
    weight_of,
)
from mdc_assets.queue_entries import entry_of
from mdc_resources.config import Home
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.priorities import Priority
from mdc_resources.domain.queue import Change, QueuedRun

CANCEL_SECONDS = 20.0
"""How long a cancelled run may take to end before it is reported as still ending."""

_POLL_SECONDS = 0.2
_UNDER_WAY = (DagsterRunStatus.CANCELING, DagsterRunStatus.STARTED, DagsterRunStatus.STARTING)
_IN_QUEUE = (*_UNDER_WAY, DagsterRunStatus.QUEUED)
_UPWARDS = sorted(Priority, key=lambda priority: priority.weight)


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue of one instance. Implements ``mdc_resources.cli.reporters.Queue``.

    Runs are named by their ids, or as much of them as is unambiguous. A name that fits none or
    several raises UsageError, and then nothing was changed.
    """

    instance: DagsterInstance
    home: Home

    def entries(self) -> list[QueuedRun]:
        """Runs under way, then queued ones in the order of starting, then paused ones."""
        return [entry_of(record, self.instance, self.home) for record in _in_order(self._fetching())]

    def bump(self, runs: Sequence[str], *, to: Priority | None = None, dry_run: bool = False) -> list[Change]:
        """Give queued runs the priority ``to``, or the next higher one."""

        def change(run: DagsterRun) -> Change:
            before = priority_of(run.tags)
            after = to or _UPWARDS[min(_UPWARDS.index(before) + 1, len(_UPWARDS) - 1)]
            return self._retag(run, before, after, tags_of(after, part=part_of(run.tags)), dry_run=dry_run)

        return [change(run) for run in self._named(runs)]

    def pause(self, runs: Sequence[str], *, every: bool = False, dry_run: bool = False) -> list[Change]:
        """Hold queued runs back: the named ones, or ``every`` one."""
        chosen = self._queued(paused=False) if every else self._named(runs)
        return [self._retag(run, _state(run), "paused", {PAUSED: ON}, dry_run=dry_run) for run in chosen]

    def resume(self, runs: Sequence[str], *, every: bool = False, dry_run: bool = False) -> list[Change]:
        """Let paused runs start again: the named ones, or ``every`` one."""
        chosen = self._queued(paused=True) if every else self._named(runs)
        return [self._retag(run, _state(run), "queued", {PAUSED: OFF}, dry_run=dry_run) for run in chosen]

    def cancel(
        self, runs: Sequence[str], *, dry_run: bool = False, seconds: float = CANCEL_SECONDS
    ) -> list[Change]:
        """Cancel queued runs at once and end running ones; waits up to ``seconds`` for these."""
        chosen = self._named(runs)
        if dry_run:
            return [Change(run.run_id, _state(run), "canceled") for run in chosen]
        for run in chosen:
            self._end(run)
        until = time.monotonic() + seconds
        return [self._ended(run, until) for run in chosen]

    def _fetching(self) -> list[RunRecord]:
        records = self.instance.get_run_records(RunsFilter(statuses=list(_IN_QUEUE)), ascending=True)
        return [record for record in records if fetches(record.dagster_run)]

    def _queued(self, *, paused: bool) -> list[DagsterRun]:
        runs = (record.dagster_run for record in _in_order(self._fetching()))
        return [
            run for run in runs if run.status is DagsterRunStatus.QUEUED and is_paused(run.tags) is paused
        ]

    def _named(self, names: Sequence[str]) -> list[DagsterRun]:
        """The runs whose ids begin with ``names``, each once, in the order typed."""
        if not names:
            raise UsageError("no run was named", hint="mdc queue list shows their ids")
        known = {record.dagster_run.run_id: record.dagster_run for record in self._fetching()}
        found = {run_id: known[run_id] for run_id in (_one(name, known) for name in names)}
        return list(found.values())

    def _retag(
        self, run: DagsterRun, before: str, after: str, tags: dict[str, str], *, dry_run: bool
    ) -> Change:
        if run.status is not DagsterRunStatus.QUEUED:
            why = f"it is {run.status.value.lower()}; `mdc queue cancel` can end it"
            return Change(run.run_id, before, before, why)
        if before == after:
            return Change(run.run_id, before, after, f"it is {before} already")
        if not dry_run:
            self.instance.add_run_tags(run.run_id, tags)
            now = self.instance.get_run_by_id(run.run_id)
            if now is None or now.status is not DagsterRunStatus.QUEUED:
                return Change(run.run_id, before, before, "it started meanwhile")
        return Change(run.run_id, before, after)

    def _end(self, run: DagsterRun) -> None:
        """Ask for the end of ``run``; one whose process is gone is ended here."""
        owner = owner_of(run.run_id, run.tags)
        if run.status is not DagsterRunStatus.QUEUED and owner is not None and owner.is_dead():
            why = "Canceled; its process was gone. What it committed is stored."
            self.instance.report_run_canceled(run, why)
            return
        # A worker that ends before it can tell counts as crashed: what was cancelled must not come back.
        self.instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})
        try:
            # A run of a command line has no server to ask: its process sees that it is being canceled.
            self.instance.run_coordinator.cancel_run(run.run_id)
        except (DagsterUserCodeUnreachableError, DagsterUserCodeProcessError):
            return  # the server is gone, and the process with it: the reaper ends what is being canceled

    def _ended(self, run: DagsterRun, until: float) -> Change:
        before = _state(run)
        while True:
            now = self.instance.get_run_by_id(run.run_id)
            if now is None or now.is_finished or time.monotonic() > until:
                break
            time.sleep(_POLL_SECONDS)
        if now is not None and now.status is DagsterRunStatus.FAILURE and self._was_asked(run.run_id):
            self.instance.report_run_canceled(now, "Canceled; its worker ended before it could tell.")
            now = self.instance.get_run_by_id(run.run_id)
        after = _state(now) if now is not None else "deleted"
        if after in ("canceled", "deleted"):
            return Change(run.run_id, before, after)
        why = f"it ended first: {after}" if now is not None and now.is_finished else "it is still ending"
        return Change(run.run_id, before, after, why)

    def _was_asked(self, run_id: str) -> bool:
        """True if the run was told to end before it did."""
        return bool(self.instance.all_logs(run_id, of_type=DagsterEventType.RUN_CANCELING))


def fetches(run: DagsterRun) -> bool:
    """True if the run is of the pool of fetching work."""
    return run.run_op_concurrency is not None and FETCH_POOL in (run.run_op_concurrency.all_pools or ())


def _in_order(records: Iterable[RunRecord]) -> list[RunRecord]:
    """As the daemon will start them; ``records`` are in order of arrival."""

    def rank(record: RunRecord) -> tuple[bool, bool, int]:
        run = record.dagster_run
        waiting = run.status is DagsterRunStatus.QUEUED
        return waiting, waiting and is_paused(run.tags), -weight_of(run.tags) if waiting else 0

    return sorted(records, key=rank)


def _one(name: str, known: Iterable[str]) -> str:
    """The one id of ``known`` that begins with ``name``."""
    matching = [run_id for run_id in known if run_id.startswith(name.lower())] if name else []
    if not matching:
        raise UsageError(
            f"no queued or running backfill has an id that begins with {name[:40]!a}",
            hint="mdc queue list shows them",
        )
    if len(matching) > 1:
        raise UsageError(
            f"{name[:40]!a} begins the ids of {len(matching)} runs",
            hint="Type more of it: " + ", ".join(sorted(matching)[:5]),
        )
    return matching[0]


def _state(run: DagsterRun) -> str:
    waiting = run.status is DagsterRunStatus.QUEUED
    return "paused" if waiting and is_paused(run.tags) else run.status.value.lower()
