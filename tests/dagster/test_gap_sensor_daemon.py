"""The gap sensor under Dagster's own daemon code, with a real code server behind gRPC."""

from __future__ import annotations

import logging
import multiprocessing as mp
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.sensor import execute_sensor_iteration

from mdc_assets.gap_sensor import SENSOR
from mdc_assets.instance import environment, open_instance
from mdc_assets.launch import LOCATION, MODULE
from mdc_assets.repair_runs import REPAIR
from mdc_resources import config
from mdc_resources.config import Home
from tests.dagster.repairing import Watched, watched
from tests.dagster.serving import wait_for
from tests.homes import KEYS

QUICK = {"MDC__RECOVERY__INTERVAL_SECONDS": "1", "MDC__SCHEDULE__FRESHNESS": "false"}
Crash = dict[str, dict[str, Any]]


@pytest.fixture
def watch(home, instance, monkeypatch) -> Watched:
    """A home without holes, in the environment of `mdc up`, looked at every second."""
    for name, value in {**environment(home), **QUICK}.items():
        monkeypatch.setenv(name, value)
    return watched(config.load(home.config_file, environ={**KEYS, **QUICK}), instance)


@contextmanager
def daemon(instance: DagsterInstance) -> Iterator[Any]:
    """``step(crash=None)``: one iteration of the sensor daemon over the served code location."""
    target = ModuleTarget(MODULE, attribute=None, working_directory=None, location_name=LOCATION)
    with create_test_daemon_workspace_context(target, instance) as context:

        def step(crash: Crash | None = None) -> None:
            log = logging.getLogger("tests.daemon")
            list(execute_sensor_iteration(context, log, None, None, debug_crash_flags=crash))

        yield step


def ticks_of(instance: DagsterInstance) -> list[InstigatorTick]:
    """Ticks of the gap sensor that have ended, newest first."""
    found = [
        tick
        for state in instance.all_instigator_state()
        if state.instigator_name == SENSOR
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
    ]
    return [tick for tick in found if tick.status is not TickStatus.STARTED]


def next_tick(watch: Watched, step: Any) -> InstigatorTick:
    """Step until another tick has ended."""
    before = len(ticks_of(watch.instance))

    def ended() -> bool:
        step()
        return len(ticks_of(watch.instance)) > before

    wait_for(ended)
    return ticks_of(watch.instance)[0]


def test_served_it_is_on_and_queues_each_hole_once(watch):
    """Default status, run key and tags as the daemon makes them; then it skips while they are queued."""
    watch.open_up(("AAPL", -1), ("MSFT", -20))
    with daemon(watch.instance) as step:
        first = next_tick(watch, step)
        second = next_tick(watch, step)
    assert (first.status, second.status) == (TickStatus.SUCCESS, TickStatus.SKIPPED)
    assert second.skip_reason == "2 partitions open: 2 being fetched or queued"
    runs = watch.instance.get_runs()
    assert [run.status for run in runs] == [DagsterRunStatus.QUEUED] * 2
    assert sorted(run.tags["dagster/priority"] for run in runs) == ["-100", "0"]
    for run in runs:
        assert run.tags["dagster/run_key"] == f"bars_1d:{run.tags[REPAIR]}:0"
        assert run.remote_job_origin.location_name == LOCATION


def test_a_tick_that_fails_says_why_in_our_words(watch):
    """The lake's marker is missing: a failed tick with the message and the hint, and no run."""
    watch.open_up(("AAPL", -1))
    marker = watch.home.lake_dir / "MARKER"
    text = marker.read_text()
    marker.unlink()
    with daemon(watch.instance) as step:
        tick = next_tick(watch, step)
        assert tick.status is TickStatus.FAILURE
        told = tick.error.to_string()
        assert "LakeMarkerMissing" in told
        assert str(watch.home.lake_dir) in told
        assert not any(secret in told for secret in KEYS.values())
        assert watch.instance.get_runs() == []
        marker.write_text(text)
        assert next_tick(watch, step).status is TickStatus.SUCCESS
    assert len(watch.instance.get_runs()) == 1


def _die_at(home: Home, point: str) -> None:
    """In a process of its own: the daemon is killed at ``point`` of its tick."""
    with open_instance(home) as instance, daemon(instance) as step:
        while True:
            step({SENSOR: {point: signal.SIGKILL}})


@pytest.mark.slow
@pytest.mark.parametrize("point", ["TICK_HELD", "RUN_IDS_RESERVED", "RUN_CREATED", "RUN_LAUNCHED"])
def test_a_daemon_killed_in_mid_tick_asks_for_nothing_twice(point, watch):
    """The next one takes the tick up, or looks again: every hole is in exactly one run."""
    keys = watch.open_up(("AAPL", -1), ("MSFT", -20))
    victim = mp.get_context("spawn").Process(target=_die_at, args=(watch.home, point))
    victim.start()
    victim.join(120)
    assert victim.exitcode == -signal.SIGKILL
    with daemon(watch.instance) as step:
        next_tick(watch, step)
        next_tick(watch, step)
    runs = watch.instance.get_runs()
    assert [run.status for run in runs] == [DagsterRunStatus.QUEUED] * 2
    assert len({run.tags[REPAIR] for run in runs}) == 2
    assert {symbol for run in runs for symbol in run.run_config["ops"]["fetch"]["config"]["holes"]} == {
        key.symbol for key in keys
    }
    assert os.environ["MDC_CONFIG"] == str(watch.home.config_file)
