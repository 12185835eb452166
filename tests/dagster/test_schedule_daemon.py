"""Dagster's own scheduler over the served code location: it fires, remembers, and catches up.

The scheduler's loop runs in this process with a clock of the test's choosing; the code location is a
real gRPC server of its own process, the instance and its queue are real.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.scheduler.instigation import InstigatorType, TickStatus
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.load_target import ModuleTarget
from dagster._scheduler.scheduler import launch_scheduled_runs

from mdc_assets import schedules
from mdc_assets.instance import environment, open_instance
from mdc_assets.launch import LOCATION, MODULE
from mdc_resources.domain.time import UTC
from tests.homes import Served

pytestmark = pytest.mark.slow
EOD = "end_of_day_us"


@pytest.fixture
def instance(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """The instance of a home that looks after daily bars; its environment is the code server's too."""
    for name, value in environment(served.home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MDC__RECOVERY__DATASETS", '["bars_1d"]')
    with open_instance(served.home, silent=True) as opened:
        yield opened


@pytest.fixture
def at(instance: DagsterInstance):
    """``at("2026-11-27T18:31")``: one iteration of the scheduler at that instant."""
    target = ModuleTarget(MODULE, None, None, LOCATION)
    iterations = {}
    with (
        create_test_daemon_workspace_context(target, instance) as workspace,
        ThreadPoolExecutor(1) as pool,
    ):

        def iterate(text: str) -> None:
            instant = dt.datetime.fromisoformat(text).replace(tzinfo=UTC)
            futures = {}
            with freeze_time(instant):
                found = launch_scheduled_runs(
                    workspace, logging.getLogger("test"), instant, iterations, pool, None, futures
                )
                errors = [error for error in found if error is not None]
                for future in futures.values():
                    errors += [error for error in future.result() or () if hasattr(error, "message")]
            assert not errors, errors

        yield iterate


def launched(instance):
    """(sessions, status) of end-of-day runs, oldest first."""
    runs = [run for run in instance.get_runs() if schedules.END_OF_DAY in run.tags][::-1]
    return [(run.tags["mdc/sessions"], run.status) for run in runs]


def ticks(instance):
    """(status, why nothing) of the ticks of the end of day, oldest first."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    state = next(state for state in states if state.instigator_name == EOD)
    found = instance.get_ticks(state.instigator_origin_id, state.selector_id)[::-1]
    return [(tick.status, tick.skip_reason) for tick in found]


def test_the_daemons_scheduler_fires_skips_and_catches_up(instance, at):
    """Thanksgiving week 2026: a usual day, the holiday, the half day; then two days without a daemon."""
    at("2026-11-25T12:00")  # the schedules are seen for the first time, and are on by default
    at("2026-11-25T21:31")
    at("2026-11-26T21:31")
    at("2026-11-27T18:31")
    at("2026-11-27T21:31")
    queued = DagsterRunStatus.QUEUED
    assert launched(instance) == [
        ("2026-11-25..2026-11-25", queued),
        ("2026-11-27..2026-11-27", queued),
    ]
    said = ticks(instance)
    assert [status for status, _ in said] == [
        TickStatus.SUCCESS,
        TickStatus.SKIPPED,
        TickStatus.SUCCESS,
        TickStatus.SKIPPED,
    ]
    assert said[1][1] == "2026-11-26 is no session of XNYS"
    assert "a half day: bars_1d was due at 13:30" in said[3][1]
    at("2026-12-02T23:00")  # Monday, Tuesday and the close of Wednesday passed meanwhile
    assert launched(instance)[2:] == [("2026-11-30..2026-12-02", queued)]
