"""What tests of the run queue share: wants, and what Dagster's own daemon would start next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from dagster import DagsterInstance
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from mdc_assets import jobs
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want


def want(*symbols: str, start: str = "2024-01-02", end: str = "2024-01-12", **more: object) -> Want:
    """A want of daily bars: nine sessions unless said otherwise."""
    first, last = dt.date.fromisoformat(start), dt.date.fromisoformat(end)
    return Want(Dataset.BARS_1D, tuple(Symbol(s) for s in symbols), first, last, **more)  # type: ignore[arg-type]


def next_runs(instance: DagsterInstance, *, page_size: int = 100) -> list[str]:
    """Ids of the runs that the daemon would start now, in its order."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1, page_size=page_size)
    chosen = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
    return [run.run_id for run in chosen]


def starts(instance: DagsterInstance) -> Iterator[str]:
    """Ids of all runs in the order in which the daemon starts them, one at a time; each ends at once."""
    while chosen := next_runs(instance):
        run = instance.get_run_by_id(chosen[0])
        assert run is not None
        instance.report_run_canceled(run)
        yield chosen[0]


def queue_by_hand(instance: DagsterInstance, tags: dict[str, str] | None = None) -> str:
    """A run of the job that the Launchpad of the web UI made."""
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("mdc"), "__repository__")
    run = instance.create_run_for_job(
        jobs.backfill_job,
        run_config=jobs.config_of(want("AAPL")),
        tags=tags or {},
        remote_job_origin=origin.get_job_origin(jobs.JOB),
    )
    nowhere = None
    instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=nowhere))  # type: ignore[arg-type]
    return run.run_id
