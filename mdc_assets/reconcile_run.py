"""``mdc reconcile``: the job ``reconcile`` as a run of the command's own process.

The events it writes belong to a run that the web UI shows. A dry run is no run: it only reads.
"""

from __future__ import annotations

from contextlib import closing

from dagster import reconstructable
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.utils import make_new_run_id

from mdc_assets import owners
from mdc_assets.instance import open_instance
from mdc_assets.launch import LOCATION, RunFailed
from mdc_assets.reconciling import JOB, Attached, attached, compare, reconcile_job
from mdc_resources.config import Home
from mdc_resources.lake import Lake
from mdc_resources.recovery.reconciling import ReconcileReport
from mdc_resources.state import State

_REPOSITORY = "__repository__"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def reconcile_here(home: Home, *, dry_run: bool) -> ReconcileReport:
    """Reconcile ``home`` in this process.

    Raises:
        LakeError: the lake cannot be read, or looks like another one than Dagster knows.
        RunFailed: Dagster itself failed.
    """
    with open_instance(home, silent=True) as instance:
        if dry_run:
            lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
            with closing(lake), State.open(home) as state:
                return compare(home, lake, state, instance).report(dry_run=True)
        job, run_id = reconstructable(reconcile_job), make_new_run_id()
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), _REPOSITORY)
        run = instance.create_run_for_job(
            job_def=job.get_definition(),
            run_id=run_id,
            run_config=_QUIET,
            tags=owners.tags_of_this_process(run_id),
            remote_job_origin=repository.get_job_origin(JOB),
            job_code_origin=job.get_python_origin(),
        )
        caller = attached[run_id] = Attached(home)
        try:
            execute_run(job, run, instance)
        finally:
            del attached[run_id]
    if caller.error is not None:
        raise caller.error
    if caller.report is None:
        raise RunFailed(f"run {run_id} failed", run_id=run_id, hint="Its page in the web UI says why")
    return caller.report
