"""Repairs whose worker died, that were cancelled or left stranded: what the next tick makes of them."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys

import pytest
from dagster import DagsterRunStatus
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG, SCHEDULE_NAME_TAG

from mdc_assets import jobs
from mdc_assets.repair_runs import DEATHS_FORGIVEN, REPAIR, STRANDED, History, under_way
from mdc_resources.domain.time import now
from mdc_resources.ingest import Want
from mdc_resources.state import State
from tests.dagster.repairing import BARS, Watched, asked, watched
from tests.dagster.serving import wait_for
from tests.homes import KEYS

QUEUED = DagsterRunStatus.QUEUED
MINUTE = dt.timedelta(minutes=1)
_WORKER = """
import sys
from pathlib import Path
from dagster import reconstructable
from dagster._core.execution.api import execute_run
from mdc_assets.instance import open_instance
from mdc_assets.jobs import backfill_job
from mdc_resources.config import load
with open_instance(load(Path(sys.argv[1])), silent=True) as instance:
    execute_run(reconstructable(backfill_job), instance.get_run_by_id(sys.argv[2]), instance)
"""


@pytest.fixture
def watch(home, instance) -> Watched:
    """A home without holes."""
    return watched(home, instance)


def died(watch: Watched, request) -> None:
    """A run of ``request`` whose worker is gone before it did anything."""
    run = watch.create(request)
    watch.instance.report_run_failed(run)


def test_a_killed_worker_costs_nothing_that_was_committed(watch, served):
    """Its claims are free at once; the next tick asks for the rest alone, under a new key."""
    keys = watch.open_up(("AAPL", -20), ("MSFT", -22))
    served.fault("*", "slow", probability=1.0, match="(?i)msft", params={"seconds": 120})
    request = watch.tick().run_requests[0]
    run = watch.create(request)
    environ = {**os.environ, **KEYS, "MDC__INGEST__BATCH_PARTITIONS": "1"}
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(watch.home.config_file), run.run_id], env=environ
    )
    try:
        wait_for(lambda: watch.key("AAPL", -20) in watch.held() or worker.poll() is not None)
        with State.open(watch.home) as state:
            assert watch.key("MSFT", -22) in state.claimed(BARS)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    watch.instance.report_run_failed(watch.instance.get_run_by_id(run.run_id))
    served.calm()
    again = watch.tick().run_requests
    assert asked(again) == keys - {watch.key("AAPL", -20)}
    watch.carry_out(*map(watch.create, again))
    assert served.requests() == 1
    assert watch.tick().skip_message == "nothing is open"


def test_dagster_does_not_start_a_killed_repair_again_itself(watch):
    """The next tick does: two of them would come for the same holes."""
    watch.open_up(("AAPL", -20))
    run = watch.create(watch.tick().run_requests[0])
    watch.instance.report_run_failed(run)
    run = watch.instance.get_run_by_id(run.run_id)
    reason = RunFailureReason.UNKNOWN
    assert watch.instance.run_retries_enabled
    assert not auto_reexecution_should_retry_run(watch.instance, run, reason)
    user = watch.instance.create_run_for_job(jobs.backfill_job, run_config=run.run_config)
    watch.instance.report_run_failed(user)
    assert auto_reexecution_should_retry_run(
        watch.instance, watch.instance.get_run_by_id(user.run_id), reason
    )


def test_run_again_by_hand_it_fetches_nothing_twice(watch, served):
    """A re-execution has the tags of its parent, the key too: neither keys nor epochs are confused."""
    keys = watch.open_up(("AAPL", -20), ("MSFT", -22))
    request = watch.repair()[0]
    parent = watch.instance.get_runs()[0]
    inherited = {PARENT_RUN_ID_TAG: parent.run_id, ROOT_RUN_ID_TAG: parent.run_id}
    served.calm()
    watch.carry_out(watch.create(request._replace(tags={**request.tags, **inherited})))
    assert served.requests() == 0
    assert {run.status for run in watch.instance.get_runs()} == {DagsterRunStatus.SUCCESS}
    watch.open_up(("AAPL", -20), ("MSFT", -22))
    again = watch.tick().run_requests
    assert asked(again) == keys
    assert [r.run_key for r in again] == [request.run_key.rpartition(":")[0] + ":1"]


def test_a_repair_that_kills_every_worker_comes_less_and_less_often(watch):
    """At once a few times, then after one interval, two, four; other holes are not held up."""
    watch.open_up(("AAPL", -20))
    for _ in range(DEATHS_FORGIVEN):
        request = watch.tick().run_requests[0]
        died(watch, request)
    assert watch.tick().skip_message == "1 partition open: 1 waiting for their pause to end"
    history = History.of(watch.instance, request.tags[REPAIR])
    rests = {"first": MINUTE, "longest": 5 * MINUTE}
    assert history.resting(at=now() + MINUTE / 2, **rests)
    assert not history.resting(at=now() + MINUTE, **rests)
    for _ in range(9):
        died(watch, request)
    history = History.of(watch.instance, request.tags[REPAIR])
    assert history.resting(at=now() + 4 * MINUTE, **rests)
    assert not history.resting(at=now() + 5 * MINUTE, **rests)
    new = watch.open_up(("MSFT", -1))
    assert asked(watch.tick().run_requests) == new


def test_one_that_reached_its_end_ends_the_count(watch):
    """Red for what its vendors did is no death: their attempts are counted elsewhere."""
    watch.open_up(("AAPL", -20))
    for _ in range(DEATHS_FORGIVEN - 1):
        request = watch.tick().run_requests[0]
        died(watch, request)
    watch.repair()
    watch.open_up(("AAPL", -20))
    for _ in range(DEATHS_FORGIVEN - 1):
        died(watch, watch.tick().run_requests[0])
    assert len(watch.tick().run_requests) == 1


def test_an_outage_is_no_death(watch, served):
    """The step failed; the run is red, and its pause is that of its partitions."""
    watch.open_up(("AAPL", -20))
    served.fault("*", "status", probability=1.0, params={"status": 503})
    request = watch.repair()[0]
    assert watch.instance.get_runs()[0].status is DagsterRunStatus.FAILURE
    history = History.of(watch.instance, request.tags[REPAIR])
    assert not history.resting(at=now(), first=60 * MINUTE, longest=60 * MINUTE)
    assert watch.tick().skip_message == "1 partition open: 1 waiting for their pause to end"


def test_one_that_a_person_cancelled_stays_away_for_a_while(watch):
    """It would be back within a minute otherwise."""
    watch.open_up(("AAPL", -20))
    request = watch.tick().run_requests[0]
    run = watch.create(request, QUEUED)
    watch.instance.report_run_canceled(run)
    assert watch.tick().run_requests == []
    history = History.of(watch.instance, request.tags[REPAIR])
    assert not history.resting(at=now() + 2 * MINUTE, first=MINUTE, longest=MINUTE)


def test_a_run_that_was_made_and_never_queued_blocks_its_holes_for_minutes_only(watch):
    """The daemon died between the two, and its tick was never taken up again."""
    keys = watch.open_up(("AAPL", -20))
    watch.create(watch.tick().run_requests[0])
    assert watch.tick().run_requests == []
    assert under_way(watch.instance, at=now()).held == {BARS: keys}
    assert under_way(watch.instance, at=now() + STRANDED + MINUTE).held == {}


@pytest.mark.parametrize(
    ("tags", "refetch", "holds"),
    [
        ({SCHEDULE_NAME_TAG: "end_of_day_us"}, False, True),
        ({SCHEDULE_NAME_TAG: "recheck_us"}, True, False),
        ({}, False, False),
    ],
    ids=["end of day", "second look", "a person"],
)
def test_other_runs_of_the_job_hold_what_they_are_sure_to_fill_soon(watch, tags, refetch, holds):
    """A ten-year request may wait for days, and a second look fills no holes: neither stops repairs."""
    watch.open_up(("AAPL", -20))
    request = watch.tick().run_requests[0]
    session = watch.key("AAPL", -20).session
    want = Want(BARS, ("AAPL", "MSFT"), session, session, refetch=refetch)
    watch.create(request._replace(run_config=jobs.config_of(want), tags=tags), QUEUED)
    tick = watch.tick()
    assert bool(tick.run_requests) is not holds
    if holds:
        assert tick.skip_message == "1 partition open: 1 being fetched or queued"


def test_a_config_a_person_broke_is_no_reason_to_stop(watch):
    """Edited in the Launchpad into something that is no config of the job."""
    watch.open_up(("AAPL", -20))
    request = watch.tick().run_requests[0]
    config = jobs.config_of(jobs.want_of(request.run_config))
    config["ops"][jobs.OP]["config"]["holes"] = {"AAPL": ["some day"]}
    watch.create(request._replace(run_config=config), QUEUED)
    assert len(watch.tick().run_requests) == 1


def test_the_epoch_of_the_first_run_is_zero(watch):
    """Nothing is known of the holes."""
    assert History.of(watch.instance, "0" * 16).epoch == 0
    assert not History.of(watch.instance, "0" * 16).resting(at=now(), first=MINUTE, longest=MINUTE)
