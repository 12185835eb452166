"""``mdc doctor``: content with a sound home, and one finding for each thing that is broken."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
import uuid

import pytest

from mdc_assets import owners
from mdc_resources.cli.health import machine
from mdc_resources.state import Owner


def wrong(mdc):
    """(level, check) of every finding that is not ok."""
    ran = mdc("doctor", "--json")
    found = [(f["level"], f["check"]) for f in ran.json["findings"] if f["level"] != "ok"]
    assert ran.code == (1 if found else 0)
    assert ran.json["healthy"] is (not found)
    return found


def runs_db(root):
    """A run storage as Dagster makes it, opened for writing."""
    from dagster import DagsterInstance

    with DagsterInstance.from_config(str(root / "dagster_home")) as instance:
        instance.get_runs(limit=1)
    return sqlite3.connect(root / "dagster_home" / "history" / "runs.db")


def add_run(root, owner):
    """A run that Dagster believes to be under way, executed by ``owner``."""
    run_id = str(uuid.uuid4())
    with runs_db(root) as db:
        row = (run_id, "backfill", "STARTED", "")
        db.execute("INSERT INTO runs (run_id, pipeline_name, status, run_body) VALUES (?, ?, ?, ?)", row)
        for key, value in (
            (owners.RUN, run_id),
            (owners.HOST, owner.host),
            (owners.BOOT_ID, owner.boot_id),
            (owners.PID, str(owner.pid)),
            (owners.STARTED, owner.started),
        ):
            db.execute("INSERT INTO run_tags (run_id, key, value) VALUES (?, ?, ?)", (run_id, key, value))
    return run_id


def test_a_fresh_home_is_healthy(mdc):
    """Nothing wrong, exit 0, versions listed."""
    assert wrong(mdc) == []
    text = mdc("doctor").out
    assert "duckdb" in text
    assert "python" in text
    assert mdc("doctor", "--quiet").out == ""


def test_it_changes_nothing(mdc):
    """A doctor looks."""
    before = mdc.files()
    mdc("doctor")
    assert mdc.files() == before


def test_readable_secrets_are_an_error(mdc):
    """.env must be for its owner alone."""
    (mdc.root / ".env").chmod(0o644)
    assert wrong(mdc) == [("error", "permissions")]
    assert "chmod 600" in mdc("doctor").err


def test_a_folder_others_may_write_is_an_error(mdc):
    """Anybody could replace data."""
    (mdc.root / "lake").chmod(0o777)
    assert wrong(mdc) == [("error", "permissions")]


def test_a_missing_marker_is_an_error_and_the_rest_is_still_checked(mdc):
    """One broken thing does not hide another."""
    (mdc.root / "lake" / "MARKER").unlink()
    (mdc.root / ".env").chmod(0o644)
    assert sorted(wrong(mdc)) == [("error", "permissions"), ("error", "storage.lake")]


def test_a_missing_folder_is_an_error(mdc):
    """raw/ is where the evidence lies."""
    (mdc.root / "raw").rmdir()
    assert wrong(mdc) == [("error", "folder")]


def test_a_lake_of_the_other_kind_is_an_error(mdc):
    """The setting and the marker must agree."""
    mdc.edit("sandbox = true", "sandbox = false")
    assert ("error", "lake kind") in wrong(mdc)


def test_a_moved_home_is_told_of_its_old_path(mdc):
    """DAGSTER_HOME in .env is absolute."""
    dotenv = mdc.root / ".env"
    dotenv.write_text(dotenv.read_text().replace("DAGSTER_HOME=/", "DAGSTER_HOME=/elsewhere/"))
    assert wrong(mdc) == [("warning", "DAGSTER_HOME")]


def test_config_findings_are_findings(mdc):
    """What `config check` finds."""
    mdc.edit("rank = 20", "rank = 10")
    assert wrong(mdc) == [("warning", "config providers.stooq.rank")]


def test_a_disk_that_fills_up_is_told(mdc, monkeypatch):
    """A warning first, then an error."""
    monkeypatch.setattr(machine, "ENOUGH_BYTES", 10**18)
    assert wrong(mdc) == [("warning", "disk")]
    monkeypatch.setattr(machine, "LOW_BYTES", 10**18)
    assert wrong(mdc) == [("error", "disk")]


def test_an_open_breaker_is_told(mdc):
    """With the reason and for how long."""
    mdc.append("\n[transport]\nmax_attempts = 1\nbreaker_failures = 1\nbreaker_open_seconds = 600\n")
    mdc.server.add_fault("yahoo", "status", probability=1.0, params={"status": 503})
    mdc("backfill", "AAPL", "--start", "2024-01-02", "--end", "2024-01-03", "--direct")
    assert ("warning", "breaker") in wrong(mdc)


def test_a_clock_that_went_back_is_an_error(stocked_copy):
    """The newest commit must not lie ahead of now."""
    with sqlite3.connect(stocked_copy.root / "lake" / "catalog.sqlite") as catalog:
        catalog.execute(
            "UPDATE ducklake_snapshot SET snapshot_time = '2036-01-01 00:00:00+00'"
            " WHERE snapshot_id = (SELECT max(snapshot_id) FROM ducklake_snapshot)"
        )
    assert ("error", "clock") in wrong(stocked_copy)


def test_a_run_whose_process_died_is_an_error(mdc):
    """STARTED in Dagster, gone in the process table."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        here = Owner.current()
        dead = Owner(here.host, here.boot_id, process.pid, "1")
    run_id = add_run(mdc.root, dead)
    assert wrong(mdc) == [("error", "run")]
    assert run_id in mdc("doctor").out


def test_a_run_whose_process_lives_is_fine(mdc):
    """This very process, for one."""
    add_run(mdc.root, Owner.current())
    assert wrong(mdc) == []
    assert "1 under way" in mdc("doctor").out


def test_a_run_of_another_boot_is_an_error(mdc):
    """After a power loss every run that was under way is dead."""
    here = Owner.current()
    add_run(mdc.root, Owner(here.host, "another-boot", os.getpid(), here.started))
    assert wrong(mdc) == [("error", "run")]


@pytest.mark.slow
def test_a_served_home_shows_its_daemons_and_code_locations(mdc):
    """Against a real `mdc up`: the web UI, heartbeats, locations that load; and an exit 0 on SIGTERM."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mdc.edit("port = 3333", f"port = {port}")
    main = "from mdc_resources.cli.main import main; main()"
    served = subprocess.Popen(
        [sys.executable, "-c", main, "up", str(mdc.root)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        deadline = time.monotonic() + 150
        checks = {}
        while time.monotonic() < deadline and served.poll() is None:
            found = mdc("doctor", "--json").json["findings"]
            checks = {f["check"]: f["level"] for f in found}
            if checks.get("code location mdc") == "ok" and checks.get("daemon sensor") == "ok":
                break
            time.sleep(1)
        assert checks.get("code location mdc") == "ok", checks
        assert checks.get("daemon sensor") == "ok", checks
    finally:
        served.terminate()
        output = served.communicate(timeout=60)[0].decode()
    assert served.returncode == 0, output
