"""Runs of the job ``backfill`` that the command line makes: for its own process, or for the queue.

They belong to the served code location, whether or not it is up. What is queued is split into parts
of bounded size, newest sessions first, each a little behind the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import DagsterInstance, DagsterRun, reconstructable
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext

from mdc_assets import jobs
from mdc_assets.launch import LOCATION
from mdc_assets.priorities import part_tags, tags_of
from mdc_assets.queue_entries import ASKED_BY, COMMAND_LINE, PARTITIONS
from mdc_resources.config import Home
from mdc_resources.domain.priorities import Priority
from mdc_resources.domain.time import now
from mdc_resources.ingest import Want
from mdc_resources.recovery.parts import parts_of

_REPOSITORY = "__repository__"


def backfill_job() -> ReconstructableJob:
    """The job, as another process can load it."""
    return reconstructable(jobs.backfill_job)


def create(
    instance: DagsterInstance,
    job: ReconstructableJob,
    want: Want,
    *,
    tags: Mapping[str, str],
    run_id: str | None = None,
    more_config: Mapping[str, object] | None = None,
) -> DagsterRun:
    """A run of ``want`` that has not started, under the served code location."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), _REPOSITORY)
    return instance.create_run_for_job(
        job_def=job.get_definition(),
        run_id=run_id,
        run_config={**jobs.config_of(want), **(more_config or {})},
        tags={ASKED_BY: COMMAND_LINE, **jobs.tags_of(want), **tags},
        remote_job_origin=repository.get_job_origin(jobs.JOB),
        job_code_origin=job.get_python_origin(),
    )


def submit(home: Home, instance: DagsterInstance, want: Want, *, priority: Priority) -> list[str]:
    """Queue what is open of ``want``; returns the run ids in the order of starting.

    Raises:
        LakeError: the lake cannot be opened, so nobody knows what is open.
    """
    job = backfill_job()
    parts = parts_of(home, want, at=now())
    # The queue asks for no workspace: the daemon finds the location by its name.
    nowhere: Any = None
    found = []
    for number, part in enumerate(parts, start=1):
        tags = {
            **tags_of(priority, part=number),
            **part_tags(number, len(parts)),
            PARTITIONS: str(part.partitions),
        }
        run = create(instance, job, part.want, tags=tags)
        instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=nowhere))
        found.append(run.run_id)
    return found
