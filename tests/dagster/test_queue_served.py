"""The queue under a real daemon: who overtakes whom, what a pause holds, how a cancel ends."""

from __future__ import annotations

import datetime as dt

import pytest
from dagster import DagsterRunStatus

from mdc_assets.instance import open_instance
from mdc_assets.launch import REPORTER
from mdc_assets.queue import Queue
from mdc_resources import config
from mdc_resources.coverage import coverage_summary
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.priorities import Priority
from tests.dagster.queueing import want
from tests.dagster.serving import up, wait_for
from tests.homes import KEYS

JANUARY = (dt.date(2024, 1, 2), dt.date(2024, 1, 12))
ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


@pytest.fixture
def small_runs(home):
    """The home with a limit that makes ten years of a symbol ten runs."""
    with home.config_file.open("a", encoding="utf-8") as out:
        out.write("[datasets.bars_1d]\nmax_partitions_per_run = 252\n")
    return config.load(home.config_file, environ=KEYS)


def started_at(instance, run_id):
    """When its worker began; None while it waits."""
    return instance.get_run_record_by_id(run_id).start_time


def status(instance, run_id):
    """Where it stands."""
    return instance.get_run_by_id(run_id).status


def present(home):
    """Partitions of the two symbols that the ledger has."""
    found = coverage_summary(home, Dataset.BARS_1D, want("AAPL", "MSFT").symbols, *JANUARY)
    return found.present


@pytest.mark.slow
def test_a_users_request_overtakes_a_ten_year_backfill(small_runs, tmp_path):
    """Low and queued first; the later request starts beside the part that runs, before all others."""
    home = small_runs
    with up(home, tmp_path), open_instance(home, silent=True) as instance:
        years = REPORTER.submit(
            home, want("AAPL", start="2014-01-02", end="2023-12-29"), priority=Priority.LOW
        )
        assert len(years) == 10
        wait_for(lambda: started_at(instance, years[0]) is not None)
        (asked,) = REPORTER.submit(home, want("MSFT"))
        wait_for(lambda: status(instance, asked) in ENDED)
        assert status(instance, asked) is DagsterRunStatus.SUCCESS
        before = [run for run in years if (started_at(instance, run) or 9e12) < started_at(instance, asked)]
        assert before == years[: len(before)]  # newest sessions first
        assert len(before) <= 3
        queue = Queue(instance, home)
        waiting = [entry.run_id for entry in queue.entries() if entry.status == "queued"]
        assert waiting == years[-len(waiting) :]
        paused = [change.run_id for change in queue.pause([], every=True) if not change.why_not]
        wait_for(lambda: {entry.state for entry in queue.entries()} <= {"paused"})
        (second,) = REPORTER.submit(home, want("MSFT", start="2024-02-01", end="2024-02-09"))
        wait_for(lambda: status(instance, second) in ENDED)
        assert all(status(instance, run) is DagsterRunStatus.QUEUED for run in paused)
        queue.resume(paused[-1:])
        wait_for(lambda: status(instance, paused[-1]) is DagsterRunStatus.SUCCESS)
        changes = queue.cancel([entry.run_id for entry in queue.entries()])
        assert {change.after for change in changes} <= {"canceled"}
        assert queue.entries() == []


@pytest.mark.slow
def test_a_running_run_of_the_daemon_is_cancelled_and_keeps_what_it_committed(home, tmp_path, served):
    """Its worker ends, the run is CANCELED and not started again; a later run does the rest."""
    with home.config_file.open("a", encoding="utf-8") as out:
        out.write("[ingest]\nbatch_partitions = 1\n")
    with up(home, tmp_path), open_instance(home, silent=True) as instance:
        served.fault("*", "slow", probability=1.0, match="MSFT", params={"seconds": 30.0})
        (run_id,) = REPORTER.submit(home, want("AAPL", "MSFT"))
        wait_for(lambda: present(home) == 9)
        (change,) = Queue(instance, home).cancel([run_id], seconds=60)
        assert (change.after, change.why_not) == ("canceled", "")
        assert present(home) == 9
        served.calm()
        (again,) = REPORTER.submit(home, want("AAPL", "MSFT"))
        assert instance.get_run_by_id(again).run_config["ops"]["fetch"]["config"]["symbols"] == ["MSFT"]
        wait_for(lambda: status(instance, again) is DagsterRunStatus.SUCCESS)
        assert present(home) == 18
        assert instance.get_run_by_id(run_id).status is DagsterRunStatus.CANCELED
        assert not [run for run in instance.get_runs() if run.parent_run_id == run_id]
