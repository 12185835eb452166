"""``mdc backfill`` told to stop in the middle: by Ctrl-C, or by somebody who cancels its run."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time

import pytest
from dagster import DagsterRunStatus

from mdc_assets.instance import open_instance
from mdc_resources import config
from mdc_resources.coverage import coverage_summary
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol

RANGE = ("--start", "2024-01-02", "--end", "2024-01-31")
SESSIONS = 21
SOON = 20.0
PATIENCE = 150.0


def start(mdc, *words):
    """The command in a process of its own, AAPL answered and MSFT kept waiting."""
    mdc.append("\n[ingest]\nbatch_partitions = 1\n")
    mdc.server.add_fault("*", "slow", probability=1.0, match="MSFT", params={"seconds": 60.0})
    script = "from mdc_resources.cli.main import main; main()"
    command = [sys.executable, "-c", script, "--config", str(mdc.root), "backfill", "AAPL", "MSFT", *RANGE]
    process = subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    wait_for(lambda: present(mdc, "AAPL") == SESSIONS or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    return process


def wait_for(condition):
    """Return once it holds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.5)


def present(mdc, symbol):
    """Committed partitions of a symbol."""
    home = config.load(mdc.toml)
    days = (dt.date(2024, 1, 2), dt.date(2024, 1, 31))
    return coverage_summary(home, Dataset.BARS_1D, [Symbol(symbol)], *days).present


def stopped(process, *, since):
    """It said so and ended with 130, soon."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert time.monotonic() - since < SOON
    assert err.rstrip().endswith(
        "stopped: what was committed is stored; the same command again does the rest"
    )
    assert out == ""
    assert "Traceback" not in err


def runs(mdc):
    """(status, tags) of every run of the home."""
    with open_instance(config.load(mdc.toml), silent=True) as instance:
        return [(run.status, run.tags) for run in instance.get_runs()]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_is_cancelled_and_keeps_what_it_committed(mdc, number):
    """Exit 130 within seconds; CANCELED, so that no daemon starts it again; the rest is fetched later."""
    process = start(mdc)
    at = time.monotonic()
    process.send_signal(number)
    stopped(process, since=at)
    assert [status for status, _ in runs(mdc)] == [DagsterRunStatus.CANCELED]
    assert (present(mdc, "AAPL"), present(mdc, "MSFT")) == (SESSIONS, 0)
    mdc.server.clear_faults()
    ran = mdc("backfill", "AAPL", "MSFT", *RANGE, "--direct", "--json")
    assert (ran.code, ran.json["fetched"]) == (0, SESSIONS)  # no claim of the interrupted run is left


@pytest.mark.slow
def test_its_run_can_be_cancelled_from_elsewhere(mdc):
    """Another process names the run; the one that executes it sees that and ends like on Ctrl-C."""
    process = start(mdc)
    (run,) = mdc("queue", "list", "--json").json
    assert (run["status"], run["asked_by"], run["lost"]) == ("started", "command line", False)
    at = time.monotonic()
    assert mdc("queue", "cancel", run["run_id"][:8]).out == f"{run['run_id'][:8]}  started -> canceled\n"
    stopped(process, since=at)
    assert [status for status, _ in runs(mdc)] == [DagsterRunStatus.CANCELED]
    assert present(mdc, "AAPL") == SESSIONS


@pytest.mark.slow
def test_without_the_orchestrator_it_stops_the_same_way(mdc):
    """--direct: no run, the same sentence and exit code."""
    process = start(mdc, "--direct")
    at = time.monotonic()
    process.send_signal(signal.SIGINT)
    stopped(process, since=at)
    assert present(mdc, "AAPL") == SESSIONS


@pytest.mark.slow
def test_a_killed_one_is_lost_until_somebody_ends_it(mdc):
    """kill -9, and no served home: the queue says so, and cancelling ends it."""
    process = start(mdc)
    process.kill()
    process.wait()
    (run,) = mdc("queue", "list", "--json").json
    assert run["lost"]
    assert "lost" in mdc("queue", "list").out
    assert mdc("queue", "cancel", run["run_id"][:8]).code == 0
    assert [status for status, _ in runs(mdc)] == [DagsterRunStatus.CANCELED]
