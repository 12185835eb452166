"""The run queue as the backfill queue: its order, pauses, bumps and cancels, asked of Dagster's daemon."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading

import pytest
from dagster import DagsterRunStatus, job, op
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.run_coordinator import SubmitRunContext

from mdc_assets import owners, priorities
from mdc_assets.instance import ensure, limit_pool, open_instance
from mdc_assets.launch import REPORTER
from mdc_assets.queue import Queue
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.priorities import Priority
from mdc_resources.state import Owner
from tests.dagster.queueing import next_runs, queue_by_hand, starts, want
from tests.dagster.serving import wait_for

IDS = ("aaaa1111-0000-4000-8000-00000000000{}", "aaaa2222-0000-4000-8000-00000000000{}")


@pytest.fixture
def queue(instance, home):
    """The queue of the test's home."""
    return Queue(instance, home)


def submit(home, *symbols, priority=Priority.NORMAL, **more):
    """Queue one run; its id."""
    (run_id,) = REPORTER.submit(home, want(*symbols, **more), priority=priority)
    return run_id


def ids(entries):
    """Their run ids."""
    return [entry.run_id for entry in entries]


def under_way(instance, home, tags=None, status=DagsterRunStatus.STARTED):
    """A run that the daemon has started."""
    run_id = submit(home, "AAPL")
    instance.add_run_tags(run_id, tags or {})
    run = instance.get_run_by_id(run_id)
    instance.run_storage.delete_run(run_id)
    instance.run_storage.add_run(run.with_status(status))
    return run_id


def gone(run_id):
    """Tags that name a process which has ended, for the run."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead = dataclasses.replace(Owner.current(), pid=process.pid)
    return {
        owners.RUN: run_id,
        owners.HOST: dead.host,
        owners.BOOT_ID: dead.boot_id,
        owners.PID: str(dead.pid),
        owners.STARTED: dead.started,
    }


def test_the_list_is_the_order_in_which_the_daemon_starts(queue, instance, home):
    """By priority, then by arrival; the daemon itself is asked."""
    submitted = {
        priority: submit(home, "AAPL", priority=priority)
        for priority in (Priority.LOW, Priority.NORMAL, Priority.CRITICAL, Priority.DEFERRED, Priority.HIGH)
    }
    second = submit(home, "MSFT")
    expected = [
        submitted[Priority.CRITICAL],
        submitted[Priority.HIGH],
        submitted[Priority.NORMAL],
        second,
        submitted[Priority.LOW],
        submitted[Priority.DEFERRED],
    ]
    assert ids(queue.entries()) == expected
    assert list(starts(instance)) == expected


def test_an_entry_says_what_a_person_wants_to_know(queue, home):
    """What, how much, who, how urgent, since when."""
    submit(home, "AAPL", "MSFT", priority=Priority.HIGH)
    (entry,) = queue.entries()
    assert (entry.dataset, entry.symbols, entry.sessions) == (
        "bars_1d",
        "AAPL, MSFT",
        "2024-01-02..2024-01-12",
    )
    assert (entry.partitions, entry.part, entry.asked_by) == (18, "", "command line")
    assert (entry.status, entry.priority, entry.paused, entry.lost) == ("queued", Priority.HIGH, False, False)
    assert 0 <= entry.age_seconds < 60
    assert entry.as_dict()["run_id"].startswith(entry.short_id)


@pytest.mark.parametrize(
    ("tags", "who"),
    [
        ({}, "web UI"),
        ({"dagster/backfill": "abcdef"}, "web UI, backfill abcdef"),
        ({"dagster/sensor_name": "gaps"}, "sensor gaps"),
        ({"dagster/schedule_name": "end_of_day"}, "schedule end_of_day"),
        ({"mdc/asked_by": "command line", "dagster/parent_run_id": "x"}, "retry, command line"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_asked_is_told_from_the_tags(queue, instance, tags, who):
    """Dagster's own tags where a sensor, a schedule or the web UI made the run."""
    queue_by_hand(instance, tags)
    assert queue.entries()[0].asked_by == who


def test_a_run_of_the_web_ui_is_normal(queue, instance, home):
    """No tag: it takes its place among the normal ones."""
    low = submit(home, "AAPL", priority=Priority.LOW)
    by_hand = queue_by_hand(instance)
    assert ids(queue.entries()) == [by_hand, low]
    assert queue.entries()[0].priority is Priority.NORMAL


def test_a_typed_priority_tag_shows_as_the_nearest_word(queue, instance):
    """The web UI lets a person type ``dagster/priority``; text that is no number counts as none."""
    for number, word in (
        ("150", "critical"),
        ("3", "high"),
        ("-5", "normal"),
        ("-999", "deferred"),
        ("x", "normal"),
    ):
        run_id = queue_by_hand(instance, {"dagster/priority": number})
        assert {entry.run_id: entry.priority for entry in queue.entries()}[run_id] == word


def test_a_bump_moves_a_run_one_step_or_to_a_priority(queue, instance, home):
    """The daemon reads the changed tags on its next round."""
    first, second = submit(home, "AAPL"), submit(home, "MSFT")
    (change,) = queue.bump([second])
    assert (change.before, change.after, change.why_not) == ("normal", "high", "")
    assert next_runs(instance)[0] == second
    (change,) = queue.bump([second], to=Priority.DEFERRED)
    assert (change.before, change.after) == ("high", "deferred")
    assert next_runs(instance) == [first, second]
    assert instance.get_run_by_id(second).tags[priorities.BACKGROUND] == priorities.ON


def test_a_bump_to_the_priority_it_has_says_so(queue, home):
    """Nothing to do is not done silently."""
    run_id = submit(home, "AAPL", priority=Priority.CRITICAL)
    (change,) = queue.bump([run_id])
    assert change.why_not == "it is critical already"


def test_a_dry_run_changes_nothing(queue, instance, home):
    """Each of the four says what it would do."""
    run_id = submit(home, "AAPL")
    before = dict(instance.get_run_by_id(run_id).tags)
    (bumped,) = queue.bump([run_id], dry_run=True)
    (paused,) = queue.pause([], every=True, dry_run=True)
    (canceled,) = queue.cancel([run_id], dry_run=True)
    assert [bumped.after, paused.after, canceled.after] == ["high", "paused", "canceled"]
    assert queue.resume([], every=True, dry_run=True) == []
    run = instance.get_run_by_id(run_id)
    assert run.tags == before
    assert run.status is DagsterRunStatus.QUEUED


def test_a_paused_run_waits_and_holds_up_nobody(queue, instance, home):
    """A limit of zero on its tag; those behind it start, it keeps its priority."""
    first, second = submit(home, "AAPL", priority=Priority.HIGH), submit(home, "MSFT")
    queue.pause([first])
    assert next_runs(instance) == [second]
    assert [(entry.run_id, entry.state) for entry in queue.entries()] == [
        (second, "queued"),
        (first, "paused"),
    ]
    queue.resume([first])
    assert next_runs(instance) == [first, second]
    assert ids(queue.entries()) == [first, second]


def test_all_are_paused_and_resumed_together(queue, instance, home):
    """``--all`` is every run queued now; a later one is not paused."""
    earlier = [submit(home, "AAPL"), submit(home, "MSFT")]
    assert ids(queue.pause([], every=True)) == earlier
    later = submit(home, "NVDA")
    assert next_runs(instance) == [later]
    assert ids(queue.resume([], every=True)) == earlier
    assert ids(queue.entries()) == [*earlier, later]


def test_many_paused_runs_do_not_hide_those_behind_them(instance, home):
    """The daemon reads the queue page by page: a page of paused runs is not the end."""
    for _ in range(5):
        queue_by_hand(instance, {priorities.PAUSED: priorities.ON})
    last = submit(home, "AAPL")
    assert next_runs(instance, page_size=2) == [last]


def test_background_work_never_holds_every_slot(instance, home):
    """Of the pool's two places low and deferred runs get one between them."""
    low = [submit(home, symbol, priority=Priority.LOW) for symbol in ("AAPL", "MSFT")]
    submit(home, "NVDA", priority=Priority.DEFERRED)
    assert next_runs(instance) == low[:1]
    normal = submit(home, "KO")
    assert next_runs(instance) == [normal, low[0]]


def test_fetching_leaves_slots_for_maintenance(instance, home):
    """Two runs of the pool at a time; what does not fetch starts beside them."""

    @op
    def look():
        """Fetches nothing."""

    @job
    def maintenance():
        look()

    limit_pool(instance, priorities.FETCH_POOL)
    fetching = [submit(home, symbol, priority=Priority.HIGH) for symbol in ("AAPL", "MSFT", "NVDA", "KO")]
    run = instance.create_run_for_job(maintenance)
    template = instance.get_run_by_id(fetching[0])
    instance.run_storage.delete_run(run.run_id)
    run = run._replace(remote_job_origin=template.remote_job_origin)
    instance.run_storage.add_run(run)
    instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))
    assert next_runs(instance) == [*fetching[:2], run.run_id]


def test_a_limit_that_a_person_set_is_kept(instance):
    """The web UI changes the pool; serving the home again does not undo it."""
    limit_pool(instance, priorities.FETCH_POOL)
    instance.event_log_storage.set_concurrency_slots(priorities.FETCH_POOL, 5)
    limit_pool(instance, priorities.FETCH_POOL)
    assert [pool.limit for pool in instance.event_log_storage.get_pool_limits()] == [5]


def test_the_queue_shows_fetching_work_only(queue, instance, home):
    """Another job is Dagster's own business: no entry, and no name for it."""

    @op
    def look():
        """Fetches nothing."""

    @job
    def maintenance():
        look()

    other = instance.create_run_for_job(maintenance, status=DagsterRunStatus.STARTED)
    mine = submit(home, "AAPL")
    assert ids(queue.entries()) == [mine]
    with pytest.raises(UsageError, match="begins with"):
        queue.cancel([other.run_id])


@pytest.mark.parametrize("verb", ["bump", "pause", "resume", "cancel"])
def test_a_name_must_fit_exactly_one_run(queue, instance, home, verb):
    """Unknown, ambiguous or none: refused, and what was named with it stays as it was."""
    runs = [queue_by_hand(instance) for _ in range(17)]  # two of them share a first character
    shared = next(run[0] for run in runs if sum(other[0] == run[0] for other in runs) > 1)
    act = getattr(queue, verb)
    before = [instance.get_run_by_id(run).tags for run in runs]
    for names, said in (([runs[0], "zzzz"], "begins with 'zzzz'"), ([runs[0], shared], "begins the ids of")):
        with pytest.raises(UsageError, match=said):
            act(names)
    for names in ([], [""]):
        with pytest.raises(UsageError, match="run"):
            act(names)
    assert [instance.get_run_by_id(run).tags for run in runs] == before
    assert {instance.get_run_by_id(run).status for run in runs} == {DagsterRunStatus.QUEUED}


def test_short_ids_of_any_case_name_a_run_once(queue, home):
    """As many characters as make it unambiguous; twice the same is once."""
    run_id = submit(home, "AAPL")
    changes = queue.bump([run_id[:8], run_id[:10].upper(), run_id])
    assert ids(changes) == [run_id]


def test_a_running_run_can_be_neither_moved_nor_paused(queue, instance, home):
    """It says what can be done."""
    run_id = under_way(instance, home)
    for change in (*queue.bump([run_id]), *queue.pause([run_id]), *queue.resume([run_id])):
        assert change.why_not == "it is started; `mdc queue cancel` can end it"


def test_running_runs_come_first(queue, instance, home):
    """Whatever their priority."""
    waiting = submit(home, "MSFT", priority=Priority.CRITICAL)
    running = under_way(instance, home)
    assert ids(queue.entries()) == [running, waiting]


def test_a_queued_run_is_cancelled_at_once(queue, instance, home):
    """And never starts."""
    run_id, other = submit(home, "AAPL"), submit(home, "MSFT")
    (change,) = queue.cancel([run_id])
    assert (change.before, change.after, change.why_not) == ("queued", "canceled", "")
    assert instance.get_run_by_id(run_id).status is DagsterRunStatus.CANCELED
    assert next_runs(instance) == [other]


def test_a_run_whose_process_is_gone_is_shown_as_lost_and_ends_cancelled(queue, instance, home):
    """Without a served home nobody else would end it."""
    run_id = under_way(instance, home)
    instance.add_run_tags(run_id, gone(run_id))
    assert queue.entries()[0].state == "lost"
    (change,) = queue.cancel([run_id])
    assert change.after == "canceled"
    assert instance.get_run_by_id(run_id).status is DagsterRunStatus.CANCELED


def test_a_run_that_does_not_end_in_time_is_still_ending(queue, instance, home):
    """Asked, not waited for without end."""
    run_id = under_way(instance, home)
    (change,) = queue.cancel([run_id], seconds=0.0)
    assert change.after == "canceling"
    assert change.why_not == "it is still ending"


def test_a_cancelled_run_whose_worker_crashed_on_the_way_is_cancelled_and_not_retried(queue, instance, home):
    """Dagster calls it a failure and would start it again; who cancelled it meant the end."""
    run_id = under_way(instance, home)

    def crash():
        wait_for(lambda: instance.get_run_by_id(run_id).status is DagsterRunStatus.CANCELING)
        instance.report_run_failed(instance.get_run_by_id(run_id))

    worker = threading.Thread(target=crash)
    worker.start()
    (change,) = queue.cancel([run_id])
    worker.join()
    assert (change.after, change.why_not) == ("canceled", "")
    run = instance.get_run_by_id(run_id)
    assert run.status is DagsterRunStatus.CANCELED
    assert not auto_reexecution_should_retry_run(instance, run, None)


def test_partitions_of_an_asset_run_are_counted(queue, instance, home, definitions):
    """A range of the web UI: symbols in the order of their keys, times sessions."""
    from dagster import AssetKey

    asset_job = definitions.resolve_implicit_global_asset_job_def()
    tags = {
        "dagster/asset_partition_range_start": "2024-01-02|AAPL",
        "dagster/asset_partition_range_end": "2024-01-12|MSFT",
    }
    key = AssetKey(["bars_1d", "us_00"])
    instance.create_run_for_job(
        asset_job, tags=tags, asset_selection=frozenset({key}), status=DagsterRunStatus.STARTED
    )
    (entry,) = queue.entries()
    assert (entry.dataset, entry.symbols, entry.sessions, entry.partitions) == (
        "bars_1d",
        "AAPL..MSFT",
        "2024-01-02..2024-01-12",
        18,
    )


def test_an_edited_dagster_yaml_is_told_what_it_lacks(home):
    """Pausing would do nothing: the lines to add are named, the file is left alone."""
    path = ensure(home)
    assert REPORTER.lacking(home) == {}
    path.write_text("concurrency: {runs: {max_concurrent_runs: 1}}\n", encoding="utf-8")
    found = REPORTER.lacking(home)
    assert any("pause" in effect for effect in found)
    assert any("mdc/paused" in lines for lines in found.values())
    assert path.read_text(encoding="utf-8") == "concurrency: {runs: {max_concurrent_runs: 1}}\n"


def test_the_queue_outlives_the_process_that_filled_it(home):
    """Another process of the home sees and changes the same queue."""
    run_id = submit(home, "AAPL")
    with open_instance(home, silent=True) as other:
        Queue(other, home).bump([run_id], to=Priority.CRITICAL)
    with REPORTER.queue(home) as queue:
        assert [entry.priority for entry in queue.entries()] == [Priority.CRITICAL]
