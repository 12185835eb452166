"""A crashed run whose retry was lost is retried; one that is not to be retried is left alone."""

from __future__ import annotations

import pytest
from dagster import DagsterEventType, DagsterRunStatus
from dagster._core.execution.retries import auto_reexecution_should_retry_run

from mdc_assets import jobs
from mdc_assets.retries import ATTEMPTS, LostRetries
from tests.dagster.queueing import want

GAVE_UP = "Failed to retry run"


def crashed(instance, tags=None, *, tries=1):
    """A run that failed, and whose retry Dagster gave up ``tries`` times."""
    run = instance.create_run_for_job(
        jobs.backfill_job, run_config=jobs.config_of(want("AAPL")), status=DagsterRunStatus.STARTED
    )
    instance.report_run_failed(run)
    for _ in range(tries):
        instance.report_engine_event(GAVE_UP, run)
        instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    instance.add_run_tags(run.run_id, tags or {})
    return run.run_id


def failures(instance, run_id):
    """How often its failure was reported."""
    return len(instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE))


def test_dagster_gives_up_with_this_very_event():
    """The text is internal to the pinned release: an upgrade that changes it must be noticed."""
    import inspect

    from dagster._daemon.auto_run_reexecution import auto_run_reexecution

    assert f'"{GAVE_UP}"' in inspect.getsource(auto_run_reexecution)


def test_a_lost_retry_is_asked_for_again(instance):
    """The failure is reported anew, and Dagster's own judgement is that it will retry."""
    run_id = crashed(instance)
    lost = LostRetries(instance)
    assert lost.sweep() == [run_id]
    run = instance.get_run_by_id(run_id)
    assert failures(instance, run_id) == 2
    assert run.tags["dagster/will_retry"] == "true"
    assert auto_reexecution_should_retry_run(instance, run, None)
    assert lost.sweep() == []  # until Dagster has given up again


def test_a_retry_that_is_lost_again_is_asked_for_again(instance):
    """The code server may answer us and not yet the daemon."""
    run_id = crashed(instance)
    lost = LostRetries(instance)
    lost.sweep()
    run = instance.get_run_by_id(run_id)
    instance.report_engine_event(GAVE_UP, run)
    instance.add_run_tags(run_id, {"dagster/will_retry": "false"})
    assert lost.sweep() == [run_id]


@pytest.mark.parametrize(
    ("tags", "tries"),
    [
        ({}, 0),
        ({}, ATTEMPTS + 1),
        ({"dagster/auto_retry_run_id": "x"}, 1),
        ({"dagster/will_retry": "true"}, 1),
    ],
    ids=["not to be retried", "tried often enough", "retried", "about to be retried"],
)
def test_other_failures_are_left_alone(instance, tags, tries):
    """What a vendor refused is the gap sensor's business; a loop would be nobody's."""
    run_id = crashed(instance, {"dagster/will_retry": "false", **tags}, tries=tries)
    lost = LostRetries(instance)
    assert lost.sweep() == lost.sweep() == []
    assert failures(instance, run_id) == 1
