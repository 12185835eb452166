"""Fails runs whose process is gone, within seconds instead of at ``max_runtime``.

Dagster's default launcher watches a worker only through the code server that started it; when both
die, or the machine does, the run stays STARTED. The process is known from the tags of
:mod:`mdc_assets.owners`, or before the run's body began from the worker's first engine event. A run
that was being launched when the daemon or the code server died has no process and never will. Only
what is certainly dead is failed: another host's process, or an unknown one, is left to Dagster.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from mdc_assets.owners import owner_of

UNDER_WAY = (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)
_SLACK_SECONDS = 5.0
_LAUNCH_SECONDS = 25.0  # a worker that was asked for before its launcher died announces itself within
_PROC = Path("/proc")


class Reaper:
    """Give :meth:`sweep` a call every few seconds; a run is failed on the second finding in a row.

    ``launchers_since`` tells when the daemon or the code server was last started (unix time); 0.0
    where nobody knows.
    """

    def __init__(
        self, instance: DagsterInstance, *, launchers_since: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._instance = instance
        self._launchers_since = launchers_since
        self._suspects: set[str] = set()

    def sweep(self) -> list[str]:
        """Fail the runs that were dead at the last sweep too; returns their ids."""
        dead = {run.run_id: run for run in self._under_way() if self._is_dead(run)}
        confirmed = [run_id for run_id in dead if run_id in self._suspects]
        self._suspects = set(dead) - set(confirmed)
        return [run_id for run_id in confirmed if self._end(run_id)]

    def _under_way(self) -> Iterable[DagsterRun]:
        return self._instance.get_runs(RunsFilter(statuses=list(UNDER_WAY)))

    def _is_dead(self, run: DagsterRun) -> bool:
        owner = owner_of(run.run_id, run.tags)
        if owner is not None:
            return owner.is_dead()
        # An engine event names no host: believed only where the event log is this machine's own file.
        if not isinstance(self._instance.event_log_storage, SqliteEventLogStorage):
            return False
        announced = self._announced(run)
        if not announced and run.status is DagsterRunStatus.STARTING:
            return self._lost_at_launch(run)
        return any(_gone(pid, at) for pid, at in announced)

    def _lost_at_launch(self, run: DagsterRun) -> bool:
        """True if who was launching ``run`` died meanwhile, and its worker had time to appear."""
        since = self._launchers_since()
        if not since or time.time() - since < _LAUNCH_SECONDS:
            return False
        launches = self._instance.all_logs(run.run_id, of_type=DagsterEventType.PIPELINE_STARTING)
        return bool(launches) and launches[-1].timestamp < since

    def _announced(self, run: DagsterRun) -> list[tuple[int, float]]:
        """(pid, unix time) of the worker's own announcement, if it got that far."""
        logs = self._instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        found = []
        for entry in logs:
            event = entry.dagster_event
            if event is not None and (event.message or "").startswith("Started process for run"):
                pid = event.engine_event_data.metadata["pid"].value
                found.append((int(str(pid)), entry.timestamp))
        return found[-1:]

    def _end(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.status not in UNDER_WAY:
            return False
        why = "The process of this run is gone. What it committed is stored; launch it again for the rest."
        if run.status is DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run, why)
        else:
            self._instance.report_run_failed(run, why)
        return True


def _gone(pid: int, announced: float) -> bool:
    """True if ``pid`` ended since ``announced`` (unix time): no such process, or a younger one."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rsplit(")", 1)[1].split()
        uptime = float((_PROC / "uptime").read_text(encoding="ascii").split()[0])
    except FileNotFoundError:
        return _PROC.joinpath("self").exists()
    except (OSError, IndexError, ValueError):
        return False
    if fields[0] in "ZX":
        return True
    started = uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - started > announced + _SLACK_SECONDS
