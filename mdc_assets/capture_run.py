"""``mdc demo`` and ``mdc holes repair``: the jobs of live capture as runs of the command's own process.

The events they write belong to runs that the web UI shows, like those of the sensors.
"""

from __future__ import annotations

from dagster import JobDefinition, reconstructable
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.utils import make_new_run_id

from mdc_assets import capture, owners
from mdc_assets.instance import open_instance
from mdc_assets.launch import LOCATION, RunFailed
from mdc_resources.config import Home
from mdc_resources.landing.land import Landed
from mdc_resources.landing.refill import Refilled

_REPOSITORY = "__repository__"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def land_here(home: Home) -> Landed:
    """Land what is sealed; raises what landing raised, or RunFailed where Dagster itself failed."""
    caller, run_id = _run(home, capture.land_job)
    if caller.landed is None:
        raise _failed(caller, run_id)
    return caller.landed


def refill_here(home: Home) -> Refilled:
    """Refill what is open and due; raises what refilling raised, or RunFailed."""
    caller, run_id = _run(home, capture.refill_job)
    if caller.refilled is None:
        raise _failed(caller, run_id)
    return caller.refilled


def _run(home: Home, definition: JobDefinition) -> tuple[capture.Attached, str]:
    with open_instance(home, silent=True) as instance:
        job, run_id = reconstructable(definition), make_new_run_id()
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), _REPOSITORY)
        run = instance.create_run_for_job(
            job_def=job.get_definition(),
            run_id=run_id,
            run_config=_QUIET,
            tags=owners.tags_of_this_process(run_id),
            remote_job_origin=repository.get_job_origin(definition.name),
            job_code_origin=job.get_python_origin(),
        )
        caller = capture.attached[run_id] = capture.Attached(home)
        try:
            execute_run(job, run, instance)
        finally:
            del capture.attached[run_id]
    return caller, run_id


def _failed(caller: capture.Attached, run_id: str) -> Exception:
    if caller.error is not None:
        return caller.error
    return RunFailed(f"run {run_id} failed", run_id=run_id, hint="Its page in the web UI says why")
