"""``mdc backfill``: fetch what is missing, say what it cost, and end with the right exit code."""

from __future__ import annotations

import json
import uuid

import pytest

JANUARY = ("--start", "2024-01-02", "--end", "2024-01-31")
SESSIONS = 21  # XNYS, January 2024: New Year's Day and Martin Luther King's are closed
OUTCOME_KEYS = {
    "run_id",
    "dataset",
    "expected",
    "present",
    "partial",
    "empty",
    "missing",
    "quarantined",
    "expired",
    "pending",
    "busy",
    "retryable_missing",
    "fetched",
    "rows",
    "requests_sent",
    "requests_minimum",
    "failovers",
    "snapshots",
    "errors",
    "seconds",
}


def present(mdc, *words):
    """Partitions that are present."""
    return mdc("coverage", "--dataset", "bars_1d", *words, *JANUARY, "--json").json["present"]


def test_direct_fetches_every_session_of_the_range(mdc):
    """Both ends included, exact JSON keys, exit 0."""
    ran = mdc("backfill", "AAPL", *JANUARY, "--direct", "--json")
    assert ran.code == 0, ran.err
    assert set(ran.json) >= OUTCOME_KEYS
    assert ran.json["expected"] == ran.json["present"] == SESSIONS
    assert ran.json["requests_sent"] == ran.json["requests_minimum"] == 1


def test_the_same_again_sends_nothing(stocked_copy):
    """Covered partitions are not asked for."""
    before = stocked_copy.requests()
    ran = stocked_copy("backfill", "AAPL", "MSFT", *JANUARY, "--direct", "--json")
    assert ran.code == 0
    assert ran.json["requests_sent"] == ran.json["fetched"] == 0
    assert stocked_copy.requests() == before


def test_refetch_asks_again_and_the_same_content_changes_no_row(stocked_copy):
    """One more request; the bars are what they were."""
    rows = "SELECT * EXCLUDE (basis_asof) FROM bars_1d ORDER BY ALL"
    before = stocked_copy("query", rows, "--format", "csv").out
    ran = stocked_copy("backfill", "AAPL", *JANUARY, "--direct", "--refetch", "--json")
    assert ran.json["requests_sent"] == 1
    assert stocked_copy("query", rows, "--format", "csv").out == before


def test_a_stranger_joins_the_default_universe_with_a_line_that_says_so(mdc):
    """On stderr, so that JSON stays JSON."""
    ran = mdc("backfill", "AAPL", *JANUARY, "--direct", "--json")
    assert "AAPL joined universe 'us'" in ran.err
    json.loads(ran.out)
    assert mdc("symbols", "list", "--json").json[0]["symbol"] == "AAPL"
    assert "joined" not in mdc("backfill", "AAPL", *JANUARY, "--direct").err


def test_symbols_by_argument_option_and_universe_are_the_same(mdc):
    """Three ways to say it."""
    mdc("symbols", "add", "--universe", "us", "AAPL", "MSFT")
    plans = [
        mdc("backfill", *words, *JANUARY, "--dry-run", "--json").json
        for words in (["AAPL", "MSFT"], ["--symbols", "AAPL,MSFT"], ["--universe", "us"])
    ]
    assert plans[0] == plans[1] == plans[2]


def test_dry_run_sends_nothing_and_changes_nothing(mdc):
    """No request, no member, no file; requests, rows, bytes, time and cost are shown."""
    before, requests = mdc.files(), mdc.requests()
    ran = mdc("backfill", "AAPL", *JANUARY, "--dry-run", "--json")
    assert ran.code == 0
    assert ran.json["partitions"] == SESSIONS
    assert {"requests", "estimated_rows", "estimated_bytes", "seconds_at_limits", "cost"} <= set(ran.json)
    assert "would join" in ran.err
    assert mdc.requests() == requests
    assert mdc("symbols", "list", "--json").json == []
    assert mdc.files() == before


def test_dry_run_for_a_person_names_the_plan(mdc):
    """Fields on stdout."""
    assert "requests" in mdc("backfill", "AAPL", *JANUARY, "--dry-run").out


def test_years_end_today(mdc):
    """About 252 sessions a year, some of them perhaps not final yet."""
    plan = mdc("backfill", "AAPL", "--years", "2", "--dry-run", "--json").json
    assert 495 <= plan["partitions"] + plan["pending"] <= 507


def test_one_provider_by_name(mdc):
    """No failover, and its name in the data."""
    assert mdc("backfill", "AAPL", *JANUARY, "--provider", "stooq", "--direct").code == 0
    assert (
        mdc("query", "SELECT DISTINCT source FROM bars_1d", "--format", "csv").out
        == "source\nsandbox:stooq\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["AAPL"], "a range is needed"),
        (["AAPL", "--start", "2024-01-02"], "a range is needed"),
        (["AAPL", "--start", "2024-01-31", "--end", "2024-01-02"], "lies after"),
        (["AAPL", "--start", "2024-02-30", "--end", "2024-03-01"], "not a date"),
        (["AAPL", "--start", "01/02/2024", "--end", "2024-03-01"], "not a date"),
        (["AAPL", "--start", "2024-1-2", "--end", "2024-03-01"], "not a date"),
        (["AAPL", "--start", "２０２４-01-02", "--end", "2024-03-01"], "not a date"),
        (["AAPL", "--start", "2024-01-02T00:00:00Z", "--end", "2024-03-01"], "not a date"),
        (["AAPL", "--start", "9999-01-01", "--end", "9999-12-31"], "future"),
        (["AAPL", "--start", "2024-01-02", "--end", "9999-12-31"], "known from"),
        (["AAPL", "--start", "0001-01-01", "--end", "2024-01-02"], "known from"),
        (["AAPL", "--years", "0"], "--years"),
        (["AAPL", "--years", "51"], "--years"),
        (["AAPL", "--years", "1", "--start", "2024-01-02"], "both given"),
        ([*JANUARY], "no symbols"),
        (["AAPL", "--universe", "us", *JANUARY], "both given"),
        (["--universe", "us", *JANUARY], "has no symbols"),
        (["--universe", "nope", *JANUARY], "no universe"),
        (["../x", *JANUARY], "not a symbol"),
        (["AAPL", "--dataset", "bars_1h", *JANUARY], "not a dataset"),
        (["AAPL", "--dataset", "depth", *JANUARY], "offers depth"),
        (["AAPL", "--provider", "yaho", *JANUARY], "'yahoo'"),
        (["AAPL", "--provider", "files", *JANUARY], "not enabled"),
        (["AAPL", "--provider", "stooq", "--dataset", "bars_1m", *JANUARY], "offers bars_1m"),
        (["AAPL", "--submit", "--direct", *JANUARY], "both given"),
        (["AAPL", "--priority", "high", *JANUARY], "nothing is queued"),
        (["AAPL", "--submit", "--priority", "urgent", *JANUARY], "'urgent' is not a priority"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(mdc, words, said):
    """Exit 2, the reason, no request, no member."""
    before = mdc.requests()
    ran = mdc("backfill", *words) if "--submit" in words else mdc("backfill", *words, "--direct")
    assert ran.code == 2, ran.out + ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert mdc.requests() == before
    assert mdc("symbols", "list", "--json").json == []


def test_all_providers_failing_exits_3_and_names_them(mdc):
    """Missing partitions stay gaps; the reason is on stderr."""
    mdc.append("\n[transport]\nmax_attempts = 1\n")
    mdc.server.add_fault("*", "status", probability=1.0, params={"status": 503})
    ran = mdc("backfill", "AAPL", *JANUARY, "--direct")
    assert ran.code == 3
    assert "503" in ran.err
    assert "incomplete (exit 3)" in ran.err
    assert present(mdc) == 0


def test_failover_fills_what_the_first_left(mdc):
    """Exit 0: the data are complete, whoever answered."""
    mdc.server.add_fault("yahoo", "html200", probability=1.0)
    ran = mdc("backfill", "AAPL", *JANUARY, "--direct", "--json")
    assert ran.code == 0
    assert ran.json["present"] == SESSIONS
    assert ran.json["failovers"] >= 1


def test_quarantined_rows_exit_4(mdc):
    """A row that cannot be true is kept apart; the rest is stored."""
    mdc.server.add_fault("stooq", "high_lt_low", probability=1.0, params={"rows": 1})
    ran = mdc("backfill", "AAPL", *JANUARY, "--provider", "stooq", "--direct", "--json")
    assert ran.code == 4, ran.out
    assert ran.json["quarantined"] == 1
    assert ran.json["present"] == SESSIONS - 1
    assert mdc("query", "SELECT count(*) AS n FROM quarantine", "--json").json[0]["n"] >= 1


def test_a_missing_marker_exits_5_and_fetches_nothing(mdc):
    """An unmounted lake never reads as "everything is missing"."""
    (mdc.root / "lake" / "MARKER").unlink()
    before = mdc.requests()
    ran = mdc("backfill", "AAPL", *JANUARY, "--direct")
    assert ran.code == 5
    assert "MARKER" in ran.err
    assert mdc.requests() == before


def test_no_credentials_for_the_one_provider_asked_names_the_variables(mdc):
    """Exit 3, before anything is sent."""
    dotenv = mdc.root / ".env"
    dotenv.write_text("".join(line for line in dotenv.open() if not line.startswith("ALPACA")))
    before = mdc.requests()
    ran = mdc("backfill", "AAPL", *JANUARY, "--provider", "alpaca", "--direct")
    assert ran.code == 3
    assert "ALPACA_KEY_ID" in ran.err
    assert mdc.requests() == before


@pytest.mark.slow
def test_the_default_is_a_run_of_the_orchestrator(mdc):
    """Committed, and a SUCCESS in Dagster's run storage with one event per partition."""
    ran = mdc.process("backfill", "AAPL", *JANUARY, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["present"] == SESSIONS
    assert uuid.UUID(ran.json["run_id"])
    from sqlalchemy import create_engine, text

    engine = create_engine(f"sqlite:///{mdc.root}/dagster_home/history/runs.db")
    with engine.connect() as connection:
        status = connection.execute(
            text("SELECT status FROM runs WHERE run_id = :id"), {"id": ran.json["run_id"]}
        ).scalar_one()
    engine.dispose()
    assert status == "SUCCESS"


@pytest.mark.parametrize("how", ["--direct", "--submit", "--dry-run"])
def test_sessions_outside_a_listing_are_said_and_not_fetched(mdc, how):
    """One sentence on stderr; only the sessions before the delisting are asked for."""
    (mdc.root / "listings.toml").write_text("[AAPL]\nlast = 2024-01-05\n", encoding="utf-8")
    ran = mdc("backfill", "AAPL", *JANUARY, how, "--json")
    assert ran.code == 0, ran.err
    assert "AAPL: 17 sessions after 2024-01-05 left out, it was delisted" in ran.err
    if how == "--direct":
        assert ran.json["expected"] == ran.json["present"] == 4
    elif how == "--submit":
        assert [run["partitions"] for run in mdc("queue", "list", "--json").json] == [4]
    else:
        assert ran.json["partitions"] == 4


@pytest.mark.slow
def test_submit_queues_a_run_and_fetches_nothing_yet(mdc):
    """The runs' ids, at once; the daemon does the rest."""
    before = mdc.requests()
    ran = mdc.process("backfill", "AAPL", *JANUARY, "--submit", "--json")
    assert ran.code == 0, ran.err
    (run_id,) = ran.json["run_ids"]
    assert uuid.UUID(run_id)
    assert ran.json["priority"] == "normal"
    assert mdc.requests() == before
    assert present(mdc) == 0


@pytest.mark.slow
def test_stdout_of_a_run_is_only_its_json(mdc):
    """No log line of any library gets into it, also where providers fail on the way."""
    mdc.server.add_fault("yahoo", "status", times=1, params={"status": 503})
    ran = mdc.process("backfill", "AAPL", "MSFT", *JANUARY, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["present"] == 2 * SESSIONS
