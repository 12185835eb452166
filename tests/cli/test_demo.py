"""``mdc demo``: complete in spite of two failing vendors, and the second time a no-op."""

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
