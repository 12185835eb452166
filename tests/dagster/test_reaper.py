"""A run whose process is gone is failed; one whose process may live is left alone."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time

import pytest
from dagster import DagsterRunStatus
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData

from mdc_assets import jobs, owners
from mdc_assets.reaper import Reaper
from mdc_resources.state import Owner

RUN_ID = "5f2c9a1e-0000-4000-8000-000000000001"


def dead_pid():
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def tags_of(owner, run_id=RUN_ID):
    """Tags that name ``owner``."""
    return {
        owners.RUN: run_id,
        owners.HOST: owner.host,
        owners.BOOT_ID: owner.boot_id,
        owners.PID: str(owner.pid),
        owners.STARTED: owner.started,
    }


def gone():
    """This process as it would look after its death."""
    return dataclasses.replace(Owner.current(), pid=dead_pid())


def started(instance, tags=None, *, status=DagsterRunStatus.STARTED):
    """A run under way."""
    config = {"symbols": ["AAPL"], "start": "2024-01-02", "end": "2024-01-03"}
    run_config = {"ops": {jobs.OP: {"config": config}}}
    run = instance.create_run_for_job(
        jobs.backfill_job, run_config=run_config, tags=tags or {}, status=status, run_id=RUN_ID
    )
    return run.run_id


def status(instance, run_id):
    """Where the run stands."""
    return instance.get_run_by_id(run_id).status


def announce(instance, run_id, pid):
    """What a run worker writes first."""
    run = instance.get_run_by_id(run_id)
    instance.report_engine_event(
        f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid)
    )


def test_a_dead_process_is_found_twice_before_its_run_is_failed(instance):
    """A process that has just ended may have ended well: the second look decides."""
    run_id = started(instance, tags_of(gone()))
    reaper = Reaper(instance)
    assert reaper.sweep() == []
    assert status(instance, run_id) is DagsterRunStatus.STARTED
    assert reaper.sweep() == [run_id]
    assert status(instance, run_id) is DagsterRunStatus.FAILURE
    assert reaper.sweep() == []


def test_the_failure_says_what_to_do(instance):
    """The run's page explains it."""
    run_id = started(instance, tags_of(gone()))
    reaper = Reaper(instance)
    reaper.sweep(), reaper.sweep()
    failure = instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE)[0]
    assert "launch it again" in failure.message


def test_a_living_process_keeps_its_run(instance):
    """Ours."""
    run_id = started(instance, owners.tags_of_this_process(RUN_ID))
    reaper = Reaper(instance)
    assert reaper.sweep() == reaper.sweep() == []
    assert status(instance, run_id) is DagsterRunStatus.STARTED


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({"host": "elsewhere"}, False),
        ({"boot_id": "before-the-reboot"}, True),
        ({"started": "1"}, True),
        ({}, False),
    ],
    ids=["another host", "another boot", "a reused pid", "itself"],
)
def test_identity_is_host_boot_pid_and_start(instance, change, dead):
    """A reboot or a reused pid cannot pass for the worker; another host cannot be judged."""
    run_id = started(instance, tags_of(dataclasses.replace(Owner.current(), **change)))
    reaper = Reaper(instance)
    reaper.sweep()
    assert reaper.sweep() == ([run_id] if dead else [])


def test_a_worker_that_died_before_its_first_step_is_known_by_its_announcement(instance):
    """No tags yet: the engine event names the pid."""
    run_id = started(instance)
    announce(instance, run_id, dead_pid())
    reaper = Reaper(instance)
    reaper.sweep()
    assert reaper.sweep() == [run_id]


def test_a_retry_is_not_judged_by_the_process_of_its_parent(instance):
    """Dagster copies the tags of a run that died to its retry, whose own worker has not begun."""
    started(instance, tags_of(gone(), run_id="5f2c9a1e-0000-4000-8000-00000000000f"))
    reaper = Reaper(instance)
    assert reaper.sweep() == reaper.sweep() == []


def test_an_announced_worker_that_lives_is_left(instance):
    """Ours is older than its announcement."""
    run_id = started(instance)
    announce(instance, run_id, os.getpid())
    reaper = Reaper(instance)
    assert reaper.sweep() == reaper.sweep() == []


def test_a_run_that_never_announced_a_process_is_left_to_dagster(instance):
    """Run monitoring's start timeout is for that."""
    started(instance, status=DagsterRunStatus.STARTING)
    reaper = Reaper(instance)
    assert reaper.sweep() == reaper.sweep() == []


def launched(instance, run_id):
    """What the daemon writes before it asks the code server for a worker."""
    event = DagsterEvent(event_type_value=DagsterEventType.PIPELINE_STARTING.value, job_name="backfill")
    instance.report_dagster_event(event, run_id)


@pytest.mark.parametrize(
    ("since", "dead"),
    [(60.0, False), (-1.0, False), (-26.0, True), (None, False)],
    ids=["before the launch", "just now", "long enough ago", "never"],
)
def test_a_launch_that_died_with_its_launcher_is_lost(instance, monkeypatch, since, dead):
    """Launched, then the daemon or the code server was started anew, and no worker appeared since."""
    run_id = started(instance, status=DagsterRunStatus.STARTING)
    launched(instance, run_id)
    launch = instance.all_logs(run_id, of_type=DagsterEventType.PIPELINE_STARTING)[-1].timestamp
    since_launch = 30.0  # seconds that have passed
    monkeypatch.setattr("mdc_assets.reaper.time.time", lambda: launch + since_launch)
    started_at = 0.0 if since is None else launch - since if since > 0 else launch + since_launch + since
    reaper = Reaper(instance, launchers_since=lambda: started_at)
    reaper.sweep()
    assert reaper.sweep() == ([run_id] if dead else [])


def test_a_launch_whose_worker_announced_itself_is_judged_by_the_worker(instance, monkeypatch):
    """The launcher's death is no reason to fail a run that lives."""
    run_id = started(instance, status=DagsterRunStatus.STARTING)
    launched(instance, run_id)
    announce(instance, run_id, os.getpid())
    now = time.time()
    reaper = Reaper(instance, launchers_since=lambda: now + 1)
    monkeypatch.setattr("mdc_assets.reaper.time.time", lambda: now + 60)
    monkeypatch.setattr("mdc_assets.reaper._gone", lambda _pid, _at: False)
    assert reaper.sweep() == reaper.sweep() == []


def test_a_run_being_cancelled_ends_cancelled(instance):
    """Its process is gone, as was asked."""
    run_id = started(instance, tags_of(gone()), status=DagsterRunStatus.CANCELING)
    reaper = Reaper(instance)
    reaper.sweep()
    reaper.sweep()
    assert status(instance, run_id) is DagsterRunStatus.CANCELED


@pytest.mark.parametrize(
    "ended", [DagsterRunStatus.SUCCESS, DagsterRunStatus.NOT_STARTED, DagsterRunStatus.FAILURE]
)
def test_runs_that_are_not_under_way_are_not_touched(instance, ended):
    """A finished run's process is gone by right."""
    run_id = started(instance, tags_of(gone()), status=ended)
    reaper = Reaper(instance)
    assert reaper.sweep() == reaper.sweep() == []
    assert status(instance, run_id) is ended


def test_a_run_that_ends_between_two_sweeps_keeps_its_status(instance):
    """The verdict of the first sweep is checked against the run as it is now."""
    run_id = started(instance, tags_of(gone()))
    reaper = Reaper(instance)
    reaper.sweep()
    event = DagsterEvent(
        event_type_value=DagsterEventType.RUN_SUCCESS.value, job_name="backfill", message="done"
    )
    instance.report_dagster_event(event, run_id)
    assert reaper.sweep() == []
    assert status(instance, run_id) is DagsterRunStatus.SUCCESS
