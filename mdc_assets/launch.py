"""``REPORTER``: how the ``mdc`` command reaches Dagster (entry point ``mdc.reporters``).

``run`` executes the job ``backfill`` in this process against the home's instance: the web UI shows
it live under the code location, while data is committed at full speed. ``submit`` queues the same
job for the daemon. ``serve`` is ``mdc up``. Dagster is imported on the first call, not before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mdc_resources.config import Home
from mdc_resources.domain.errors import MdcError

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun
    from dagster._core.definitions.reconstruct import ReconstructableJob

    from mdc_resources.ingest import Outcome, Progress, Want

LOCATION = "mdc"
MODULE = "mdc_assets.definitions"
_REPOSITORY = "__repository__"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RunFailed(MdcError):
    """The run ended without an outcome, for a reason that is none of ours. ``run_id`` names it."""

    def __init__(self, message: str, *, run_id: str, hint: str = "") -> None:
        self.run_id = run_id
        super().__init__(message, hint=hint)


class DagsterReporter:
    """Implements ``mdc_resources.cli.reporters.Reporter``."""

    def prepare(self, home: Home) -> None:
        """Write the home's ``dagster.yaml``; one that a person has changed is left alone."""
        from mdc_assets.instance import ensure

        ensure(home)

    def run(
        self, home: Home, want: Want, *, on_progress: Callable[[Progress], None] | None = None
    ) -> Outcome:
        """Backfill ``want`` as a run of this process; returns once its events are written.

        Raises:
            MdcError: what ingest raised, or RunFailed where Dagster itself failed.
        """
        from dagster._core.execution.api import execute_run
        from dagster._core.utils import make_new_run_id

        from mdc_assets import jobs, owners
        from mdc_assets.instance import open_instance
        from mdc_assets.landing import Caller

        caller = Caller(on_progress)
        with open_instance(home, silent=True) as instance, _quiet_logger():
            job = _reconstructable()
            config = {**jobs.config_of(want), **_QUIET}
            run_id = make_new_run_id()
            tags = {**jobs.tags_of(want), **owners.tags_of_this_process(run_id)}
            run = _create(instance, job, config, tags, run_id=run_id)
            jobs.attached[run.run_id] = jobs.Attached(home, caller)
            try:
                execute_run(job, run, instance)
            finally:
                del jobs.attached[run.run_id]
        if caller.error is not None:
            raise caller.error
        if caller.outcome is None:
            raise RunFailed(
                f"run {run.run_id} failed", run_id=run.run_id, hint="Its page in the web UI says why"
            )
        return caller.outcome

    def submit(self, home: Home, want: Want) -> str:
        """Queue ``want`` for the daemon of ``mdc up``; returns the run id."""
        from dagster._core.run_coordinator import SubmitRunContext

        from mdc_assets import jobs
        from mdc_assets.instance import open_instance

        with open_instance(home) as instance:
            run = _create(instance, _reconstructable(), jobs.config_of(want), jobs.tags_of(want))
            # The queue asks for no workspace: the daemon finds the location by its name.
            nowhere: Any = None
            instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=nowhere))
            return run.run_id

    def serve(self, home: Home) -> int:
        """Serve the web UI, the daemon and the code location until interrupted."""
        from mdc_assets.supervisor import serve

        return serve(home)


def _reconstructable() -> ReconstructableJob:
    from dagster import reconstructable

    from mdc_assets.jobs import backfill_job

    return reconstructable(backfill_job)


def _create(
    instance: DagsterInstance,
    job: ReconstructableJob,
    run_config: dict[str, object],
    tags: dict[str, str],
    *,
    run_id: str | None = None,
) -> DagsterRun:
    """A run that belongs to the served code location, whether or not it is up."""
    from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

    from mdc_assets.jobs import JOB

    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), _REPOSITORY)
    return instance.create_run_for_job(
        job_def=job.get_definition(),
        run_id=run_id,
        run_config=run_config,
        tags=tags,
        remote_job_origin=repository.get_job_origin(JOB),
        job_code_origin=job.get_python_origin(),
    )


@contextmanager
def _quiet_logger() -> Iterator[None]:
    """Dagster's own logger says nothing on a terminal that shows a progress bar."""
    logger = logging.getLogger("dagster")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


REPORTER = DagsterReporter()
