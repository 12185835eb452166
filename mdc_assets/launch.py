"""``REPORTER``: how the ``mdc`` command reaches Dagster (entry point ``mdc.reporters``).

``run`` executes the job ``backfill`` in this process against the home's instance: the web UI shows
it live under the code location, while data is committed at full speed. ``submit`` queues the same
job for the daemon, and ``queue`` shows and changes what waits there. ``serve`` is ``mdc up``.
Dagster is imported on the first call, not before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mdc_resources.config import Home
from mdc_resources.domain.errors import MdcError
from mdc_resources.domain.priorities import Priority

if TYPE_CHECKING:
    from mdc_assets.queue import Queue
    from mdc_resources.ingest import Outcome, Progress, Want
    from mdc_resources.landing.land import Landed
    from mdc_resources.landing.refill import Refilled
    from mdc_resources.recovery.reconciling import ReconcileReport

LOCATION = "mdc"
MODULE = "mdc_assets.definitions"
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
            KeyboardInterrupt: Ctrl-C, or somebody cancelled the run; what was committed stays.
        """
        from dagster._core.execution.api import execute_run
        from dagster._core.utils import make_new_run_id

        from mdc_assets import cancelling, jobs, owners, submitting
        from mdc_assets.instance import open_instance
        from mdc_assets.landing import Caller

        caller = Caller(on_progress)
        with open_instance(home, silent=True) as instance, _quiet_logger():
            job, run_id = submitting.backfill_job(), make_new_run_id()
            tags = owners.tags_of_this_process(run_id)
            run = submitting.create(instance, job, want, tags=tags, run_id=run_id, more_config=_QUIET)
            jobs.attached[run_id] = jobs.Attached(home, caller)
            try:
                with cancelling.interrupted_when_canceled(instance, run_id):
                    execute_run(job, run, instance)
            finally:
                del jobs.attached[run_id]
            if caller.outcome is None and cancelling.was_interrupted(instance, run_id):
                raise KeyboardInterrupt
        if caller.error is not None:
            raise caller.error
        if caller.outcome is None:
            raise RunFailed(f"run {run_id} failed", run_id=run_id, hint="Its page in the web UI says why")
        return caller.outcome

    def submit(self, home: Home, want: Want, *, priority: Priority = Priority.NORMAL) -> list[str]:
        """Queue what is open of ``want`` for the daemon of ``mdc up``, in parts, newest sessions first.

        Returns the run ids in that order; none if the ledger settles everything.
        """
        from mdc_assets import submitting
        from mdc_assets.instance import open_instance

        with open_instance(home) as instance:
            return submitting.submit(home, instance, want, priority=priority)

    @contextmanager
    def queue(self, home: Home) -> Iterator[Queue]:
        """The queue of ``home``; it needs no daemon."""
        from mdc_assets.instance import open_instance
        from mdc_assets.queue import Queue

        with open_instance(home, silent=True) as instance:
            yield Queue(instance, home)

    def reconcile(self, home: Home, *, dry_run: bool) -> ReconcileReport:
        """Compare the event log with the ledger and mend both ways, as a run of this process."""
        from mdc_assets.reconcile_run import reconcile_here

        with _quiet_logger():
            return reconcile_here(home, dry_run=dry_run)

    def land(self, home: Home) -> Landed:
        """Land sealed segments of live capture, as a run of this process."""
        from mdc_assets.capture_run import land_here

        with _quiet_logger():
            return land_here(home)

    def refill(self, home: Home) -> Refilled:
        """Refill holes of live capture from history, as a run of this process."""
        from mdc_assets.capture_run import refill_here

        with _quiet_logger():
            return refill_here(home)

    def lacking(self, home: Home) -> dict[str, str]:
        """What the queue misses in a ``dagster.yaml`` that a person changed: effect -> lines to add."""
        from mdc_assets.instance import lacking

        return lacking(home)

    def serve(self, home: Home) -> int:
        """Serve the web UI, the daemon and the code location until interrupted."""
        from mdc_assets.supervisor import serve

        return serve(home)


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
