"""Asks Dagster again to retry a crashed run where its one attempt to do so failed.

The daemon tries once to start a crashed run again. If the code server is down at that moment, which
is likely where both died together, it gives up for ever. The failure reported anew makes it try
again; this is done while the code server answers, and a few times at most.
"""

from __future__ import annotations

import datetime as dt

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from mdc_resources.domain.time import now

ATTEMPTS = 5
_RECENT = dt.timedelta(hours=2)
_GAVE_UP = "Failed to retry run"


class LostRetries:
    """Give :meth:`sweep` a call every few seconds while the code server answers."""

    def __init__(self, instance: DagsterInstance) -> None:
        self._instance = instance
        self._settled: set[str] = set()

    def sweep(self) -> list[str]:
        """Report the runs whose retry was lost as failed once more; returns their ids."""
        found = RunsFilter(
            statuses=[DagsterRunStatus.FAILURE], tags={WILL_RETRY_TAG: "false"}, updated_after=now() - _RECENT
        )
        lost = [run for run in self._instance.get_runs(found) if self._is_lost(run)]
        for run in lost:
            self._instance.report_run_failed(run, "Its retry failed; asking for it again.")
        return [run.run_id for run in lost]

    def _is_lost(self, run: DagsterRun) -> bool:
        if run.run_id in self._settled:
            return False
        logs = self._instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        tries = sum(
            entry.dagster_event is not None and entry.dagster_event.message == _GAVE_UP for entry in logs
        )
        if AUTO_RETRY_RUN_ID_TAG not in run.tags and 0 < tries <= ATTEMPTS:
            return True
        self._settled.add(run.run_id)
        return False
