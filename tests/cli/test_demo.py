"""``mdc demo``: complete in spite of failing vendors and torn feeds, and the second time a no-op."""

from __future__ import annotations

import json

import pytest

from mdc_resources.cli.demo import SYMBOLS
from tests.cli.running import run_process

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The first run, as JSON, and its home."""
    root = tmp_path_factory.mktemp("demo") / "demo-home"
    ran = run_process("demo", str(root), "--json")
    assert ran.code == 0, ran.err
    return root, json.loads(ran.out)


def snapshot(root):
    """Every file of the demo's home, but machine state and SQLite's own working files."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and "state" not in path.parts)
    kept = (path for path in files if not path.name.endswith(("-shm", "-wal")))
    return {str(path): path.read_bytes() for path in kept}


def test_everything_is_covered_although_two_vendors_fail(first):
    """12 symbols x 6 months daily, 3 x 5 sessions of minutes, 100 %, with failovers on the way."""
    _, seen = first
    assert seen["coverage_percent"] == {"bars_1d": 100.0, "bars_1m": 100.0}
    daily = seen["runs"][0]
    assert daily["dataset"] == "bars_1d"
    assert daily["present"] == len(SYMBOLS) * 124
    assert daily["failovers"] >= 2
    assert "yahoo" in " ".join(daily["errors"])
    assert "stooq" in " ".join(daily["errors"])


def test_the_minutes_are_all_there(first):
    """390 a session, none of them invented outside the session."""
    root, _ = first
    sql = "SELECT symbol, session, count(*) AS n FROM bars_1m GROUP BY ALL ORDER BY ALL"
    ran = run_process("--config", str(root), "query", sql, "--json")
    rows = ran.json
    assert len(rows) == 15
    assert all(300 <= row["n"] <= 390 for row in rows)


def test_few_requests_more_than_the_fewest_possible(first):
    """Failing vendors cost a handful, not a storm."""
    _, seen = first
    daily = seen["runs"][0]
    as_traded = 3  # symbols whose bars came from another vendor, without their corporate actions
    assert daily["requests_minimum"] == len(SYMBOLS) + as_traded
    assert daily["requests_sent"] <= daily["requests_minimum"] + 10


def test_ten_seconds_of_three_feeds_are_captured(first):
    """Trades, quotes and depth have rows, from the feeds and from what repaired them."""
    _, seen = first
    sources = {
        (row["dataset"], row["source"].removeprefix("sandbox:")): row["rows"] for row in seen["captured"]
    }
    live = {("trades", "kraken/live"), ("trades", "coinbase/live"), ("depth", "kraken/live")}
    assert live | {("trades", "alpaca/sip-live"), ("quotes", "alpaca/sip-live")} <= sources.keys()
    assert all(count > 20 for at, count in sources.items() if at in live)


def test_every_hole_is_listed_and_repaired(first):
    """A cut connection and withheld messages among them; only of order books there is no history."""
    _, seen = first
    holes = seen["holes"]
    reasons = {(hole["symbol"], hole["reason"]) for hole in holes if hole["seconds"] > 0.1}
    assert ("AAPL", "disconnect") in reasons
    assert ("COINBASE:BTC-USD", "sequence") in {(hole["symbol"], hole["reason"]) for hole in holes}
    assert {hole["state"] for hole in holes if hole["dataset"] != "depth"} == {"repaired"}
    assert all(hole["repaired_by"] for hole in holes if hole["state"] == "repaired")
    assert {hole["state"] for hole in holes if hole["dataset"] == "depth"} <= {"unrepairable"}


def test_no_trade_is_missing_and_none_is_there_twice(first):
    """The market numbers its trades without a gap; so does the archive, from end to end."""
    root, _ = first
    sql = (
        "SELECT symbol, count(*) AS n, count(DISTINCT trade_id) AS different,"
        " max(trade_id::BIGINT) - min(trade_id::BIGINT) + 1 AS numbered FROM trades GROUP BY symbol"
    )
    rows = run_process("--config", str(root), "query", sql, "--json").json
    assert len(rows) == 3
    assert all(row["n"] == row["different"] == row["numbered"] for row in rows), rows
    assert run_process("--config", str(root), "lake", "verify", "--deep").code == 0


def test_dagster_shows_what_was_landed_and_repaired(first):
    """Its runs are there for `mdc up` to show."""
    root, _ = first
    sql = "SELECT count(DISTINCT run_id) AS runs FROM segments"
    assert run_process("--config", str(root), "query", sql, "--json").json == [{"runs": 1}]


def test_the_second_run_fetches_nothing_and_changes_nothing(first):
    """Not one byte of the home, Dagster's included; and it says so."""
    root, _ = first
    before = snapshot(root)
    ran = run_process("demo", str(root))
    assert ran.code == 0, ran.err
    assert "nothing was fetched and nothing was changed" in ran.out
    assert snapshot(root) == before


def test_the_report_has_a_query_and_the_next_steps(first):
    """A result with a line drawn for each symbol, and what to type next."""
    root, _ = first
    text = run_process("demo", str(root)).out
    assert all(symbol in text for symbol in SYMBOLS)
    assert "█" in text
    assert "top of a book" in text
    assert "repaired by" in text
    assert f"mdc up {root}" in text


def test_a_home_for_real_data_is_refused(tmp_path):
    """Synthetic bars stay in a sandbox."""
    assert run_process("init", str(tmp_path / "real")).code == 0
    ran = run_process("demo", str(tmp_path / "real"))
    assert ran.code == 2
    assert "real data" in ran.err


def test_dry_run_makes_nothing(tmp_path):
    """It names datasets, symbols and ranges."""
    ran = run_process("demo", str(tmp_path / "demo-home"), "--dry-run")
    assert ran.code == 0
    assert "bars_1m" in ran.out
    assert list(tmp_path.iterdir()) == []
