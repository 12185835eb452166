"""kill -9 of one process of a served home at a time, while a queued backfill runs: it ends complete.

Nothing may be under way on paper for more than a minute after its process died, and nobody has to
do anything. The long drill is elsewhere; this is one kill of each kind.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time

import pytest
from dagster import DagsterRunStatus

from mdc_assets import owners
from mdc_assets.instance import open_instance
from mdc_assets.launch import REPORTER
from mdc_assets.reaper import UNDER_WAY
from mdc_resources.coverage import coverage_summary
from mdc_resources.domain.datasets import Dataset
from tests.dagster.queueing import want
from tests.dagster.serving import up, wait_for

LONGEST = 60.0
JANUARY = (dt.date(2024, 1, 2), dt.date(2024, 1, 12))


def present(home):
    """Partitions that the ledger has."""
    return coverage_summary(home, Dataset.BARS_1D, want("AAPL", "MSFT").symbols, *JANUARY).present


def fetching(served, instance):
    """Queue a backfill that waits for its vendor; its run id once its worker fetches."""
    served.fault("*", "slow", times=1, params={"seconds": 8.0})
    (run_id,) = REPORTER.submit(served.home, want("AAPL", "MSFT"))
    wait_for(lambda: owners.PID in instance.get_run_by_id(run_id).tags)
    return run_id


def pid_of(instance, run_id):
    """Of the run's worker."""
    return int(instance.get_run_by_id(run_id).tags[owners.PID])


def wait_until_complete(home, instance):
    """All is there, and no run was under way for long after its process was gone."""
    dead_since = {}

    def complete():
        for run in instance.get_runs():
            owner = owners.owner_of(run.run_id, run.tags)
            if run.status in UNDER_WAY and owner is not None and owner.is_dead():
                since = dead_since.setdefault(run.run_id, time.monotonic())
                assert time.monotonic() - since < LONGEST, f"{run.run_id} is {run.status}"
        return present(home) == 18 and not any(run.status in UNDER_WAY for run in instance.get_runs())

    wait_for(complete, seconds=240, every=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["daemon", "webserver"])
def test_a_killed_bystander_costs_a_running_backfill_nothing(home, tmp_path, served, victim):
    """The run goes on and succeeds; the next one is launched as if nothing had been."""
    with up(home, tmp_path) as it, open_instance(home, silent=True) as instance:
        run_id = fetching(served, instance)
        old = it.pid(victim)
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: it.pid(victim) != old)
        wait_until_complete(home, instance)
        assert instance.get_run_by_id(run_id).status is DagsterRunStatus.SUCCESS
        (after,) = REPORTER.submit(home, want("AAPL", start="2024-01-16", end="2024-01-17"))
        wait_for(lambda: instance.get_run_by_id(after).status is DagsterRunStatus.SUCCESS)


@pytest.mark.slow
def test_a_killed_code_server_takes_its_runs_along_and_they_are_started_again(home, tmp_path, served):
    """The run fails within the minute and is retried; what was queued meanwhile waits and then runs."""
    with up(home, tmp_path) as it, open_instance(home, silent=True) as instance:
        run_id = fetching(served, instance)
        os.kill(it.pid("code-server"), signal.SIGKILL)
        (queued,) = REPORTER.submit(home, want("AAPL", start="2024-01-16", end="2024-01-17"))
        wait_until_complete(home, instance)
        wait_for(lambda: instance.get_run_by_id(queued).is_finished)
        assert instance.get_run_by_id(queued).status is DagsterRunStatus.SUCCESS
        assert instance.get_run_by_id(run_id).status is DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_everything_killed_at_once_recovers_when_served_again(home, tmp_path, served):
    """Supervisor, services and worker die together, like the machine; `mdc up` again is all it takes."""
    with up(home, tmp_path) as it, open_instance(home, silent=True) as instance:
        run_id = fetching(served, instance)
        worker = pid_of(instance, run_id)
        victims = [it.process.pid, worker, *(it.pid(n) for n in ("code-server", "daemon", "webserver"))]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        it.process.wait()
        assert instance.get_run_by_id(run_id).status in UNDER_WAY
    (tmp_path / "again").mkdir()
    with up(home, tmp_path / "again"), open_instance(home, silent=True) as instance:
        wait_for(lambda: instance.get_run_by_id(run_id).is_finished, seconds=LONGEST)
        wait_until_complete(home, instance)


@pytest.mark.slow
def test_a_killed_command_line_is_ended_and_done_by_the_daemon(home, tmp_path, served):
    """`mdc backfill` under a served home: its run fails within the minute, and a retry finishes it."""
    with up(home, tmp_path), open_instance(home, silent=True) as instance:
        served.fault("*", "slow", times=1, params={"seconds": 60.0})
        script = "from mdc_resources.cli.main import main; main()"
        words = ["--config", str(home.root), "backfill", "AAPL", "MSFT"]
        dates = ["--start", "2024-01-02", "--end", "2024-01-12"]
        process = subprocess.Popen([sys.executable, "-c", script, *words, *dates])
        wait_for(lambda: any(run.status is DagsterRunStatus.STARTED for run in instance.get_runs()))
        (run,) = [run for run in instance.get_runs() if run.tags.get("mdc/asked_by") == "command line"]
        process.kill()
        process.wait()
        wait_for(lambda: instance.get_run_by_id(run.run_id).is_finished, seconds=LONGEST)
        wait_until_complete(home, instance)
