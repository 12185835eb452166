"""``mdc queue``: what waits, in which order, and what a person can do about it. No daemon runs here."""

from __future__ import annotations

import pytest

JANUARY = ("--start", "2024-01-02", "--end", "2024-01-31")
SESSIONS = 21
KEYS = {
    "run_id",
    "status",
    "priority",
    "paused",
    "lost",
    "dataset",
    "symbols",
    "sessions",
    "partitions",
    "part",
    "asked_by",
    "created_at",
    "age_seconds",
}


def submit(mdc, *words):
    """Queue a backfill; the ids of its runs."""
    ran = mdc("backfill", *words, *JANUARY, "--submit", "--json")
    assert ran.code == 0, ran.err
    return ran.json["run_ids"]


def listed(mdc):
    """The queue as programs read it."""
    ran = mdc("queue", "list", "--json")
    assert ran.code == 0, ran.err
    return ran.json


def test_an_empty_queue_says_so(mdc):
    """And is an empty list to a program."""
    assert mdc("queue", "list").out == "nothing is queued or running\n"
    assert listed(mdc) == []


def test_what_was_submitted_is_listed_in_the_order_of_starting(mdc):
    """Exact JSON keys; a table for people with short ids."""
    (low,) = submit(mdc, "AAPL", "--priority", "low")
    (high,) = submit(mdc, "MSFT", "NVDA", "--priority", "HIGH")
    runs = listed(mdc)
    assert [run["run_id"] for run in runs] == [high, low]
    assert set(runs[0]) == KEYS
    assert (runs[0]["priority"], runs[0]["partitions"]) == ("high", 2 * SESSIONS)
    assert (runs[0]["symbols"], runs[0]["sessions"]) == ("MSFT, NVDA", "2024-01-02..2024-01-31")
    table = mdc("queue", "list").out.splitlines()
    assert table[2].startswith(high[:8])
    assert low not in "\n".join(table)


def test_a_large_request_is_several_runs_newest_first(mdc):
    """Each with at most ``max_partitions_per_run`` partitions."""
    mdc.edit("max_partitions_per_run = 2600", "max_partitions_per_run = 10")
    ids = submit(mdc, "AAPL", "--priority", "deferred")
    runs = listed(mdc)
    assert [run["run_id"] for run in runs] == ids
    assert [run["part"] for run in runs] == ["1 of 3", "2 of 3", "3 of 3"]
    assert [run["sessions"] for run in runs] == [
        "2024-01-18..2024-01-31",
        "2024-01-03..2024-01-17",
        "2024-01-02..2024-01-02",
    ]
    assert [run["partitions"] for run in runs] == [10, 10, 1]


def test_a_later_request_of_the_same_priority_waits_for_one_part(mdc):
    """Parts step back one by one: a ten-year backfill does not make everybody wait for its end."""
    mdc.edit("max_partitions_per_run = 2600", "max_partitions_per_run = 10")
    first = submit(mdc, "AAPL")
    second = submit(mdc, "MSFT")
    assert [run["run_id"] for run in listed(mdc)] == [
        run for pair in zip(first, second, strict=True) for run in pair
    ]


def test_what_is_covered_is_not_queued(stocked_copy):
    """No run that would do nothing."""
    ran = stocked_copy("backfill", "AAPL", *JANUARY, "--submit")
    assert ran.code == 0
    assert "nothing to queue" in ran.out
    assert listed(stocked_copy) == []


def test_a_bump_takes_a_short_id(mdc):
    """One step up, or to a named priority; before and after are printed."""
    (run,) = submit(mdc, "AAPL")
    ran = mdc("queue", "bump", run[:8])
    assert (ran.code, ran.out) == (0, f"{run[:8]}  normal -> high\n")
    ran = mdc("queue", "bump", run, "--to", "low", "--json")
    change = {"run_id": run, "before": "high", "after": "low", "changed": True, "why_not": ""}
    assert ran.json == {"dry_run": False, "changes": [change]}
    assert listed(mdc)[0]["priority"] == "low"


def test_pause_and_resume(mdc):
    """Shown as paused; --all is all that wait."""
    (first,), (second,) = submit(mdc, "AAPL"), submit(mdc, "MSFT")
    assert mdc("queue", "pause", first).out == f"{first[:8]}  queued -> paused\n"
    assert [(run["run_id"], run["paused"]) for run in listed(mdc)] == [(second, False), (first, True)]
    assert "paused" in mdc("queue", "list").out
    assert mdc("queue", "pause", "--all", "--json").json["changes"][0]["run_id"] == second
    assert len(mdc("queue", "resume", "--all", "--json").json["changes"]) == 2
    assert mdc("queue", "resume", "--all").out == "no run to change\n"
    assert [run["paused"] for run in listed(mdc)] == [False, False]


def test_cancel_empties_the_queue(mdc):
    """What was cancelled is not listed any more."""
    (run,) = submit(mdc, "AAPL")
    assert mdc("queue", "cancel", run[:8]).out == f"{run[:8]}  queued -> canceled\n"
    assert listed(mdc) == []
    assert mdc("queue", "cancel", run[:8]).code == 2


@pytest.mark.parametrize("verb", ["bump", "pause", "cancel"])
def test_dry_run_changes_nothing(mdc, verb):
    """Says what it would do."""
    (run,) = submit(mdc, "AAPL")
    before = [{**entry, "age_seconds": 0} for entry in listed(mdc)]
    ran = mdc("queue", verb, run, "--dry-run")
    assert ran.code == 0
    assert "would become" in ran.out
    assert [{**entry, "age_seconds": 0} for entry in listed(mdc)] == before


def test_a_change_that_was_not_made_is_a_finding(mdc):
    """Exit 1 and the reason on stderr."""
    (run,) = submit(mdc, "AAPL", "--priority", "critical")
    ran = mdc("queue", "bump", run)
    assert (ran.code, ran.out) == (1, "")
    assert "unchanged: it is critical already" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bump"], "no run was named"),
        (["bump", "zzzz"], "'zzzz'"),
        (["bump", "--to", "urgent", "zzzz"], "'urgent' is not a priority"),
        (["cancel", "A|B"], "'A|B'"),
        (["pause"], "name runs, or give --all"),
        (["resume", "zzzz", "--all"], "name runs, or give --all"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_a_usage_error(mdc, words, said):
    """Exit 2 and what to type instead."""
    ran = mdc("queue", *words)
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_pausing_is_refused_where_it_would_do_nothing(mdc):
    """A dagster.yaml of one's own without the limit: the lines to add, and the list warns."""
    (run,) = submit(mdc, "AAPL")
    path = mdc.root / "dagster_home" / "dagster.yaml"
    path.write_text("telemetry: {enabled: false}\n")
    ran = mdc("queue", "pause", run)
    assert ran.code == 2
    assert "mdc/paused" in ran.err
    assert "warning" in mdc("queue", "list").err
    assert listed(mdc)[0]["paused"] is False
    assert path.read_text() == "telemetry: {enabled: false}\n"


def test_doctor_names_what_the_queue_lacks(mdc):
    """A warning with the lines to add; nothing about it in a home as it was made."""
    checks = {finding["check"] for finding in mdc("doctor", "--json").json["findings"]}
    assert "dagster.yaml" in checks
    path = mdc.root / "dagster_home" / "dagster.yaml"
    path.write_text("telemetry: {enabled: false}\n")
    found = [f for f in mdc("doctor", "--json").json["findings"] if f["check"] == "dagster.yaml"]
    assert {finding["level"] for finding in found} == {"warning"}
    assert any("mdc/paused" in finding["hint"] for finding in found)


def test_backfill_by_default_is_no_business_of_the_queue(mdc):
    """A finished run is not listed."""
    assert mdc("backfill", "AAPL", *JANUARY, "--direct").code == 0
    assert listed(mdc) == []
