"""``mdc stream land``: what waits, what was landed, what failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from captured import BTC, NOON, TRADES, Log, crypto_home, match, query
from click.testing import Result
from typer.testing import CliRunner

from mdc_resources.cli.main import app
from mdc_resources.config import Home
from mdc_resources.wal import SealedSegment


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with two sealed segments."""
    made = crypto_home(tmp_path)
    log = Log(made)
    log.start(NOON, TRADES)
    log.open(NOON, 1, TRADES)
    log.frames(NOON + 1, 1, match(NOON, 1), b"{no frame")
    log.cut(NOON + 2)
    log.frames(NOON + 3, 1, match(NOON, 2))
    log.end()
    return made


def mdc(home: Home, *words: str) -> Result:
    """Run ``mdc stream land``."""
    return CliRunner().invoke(app, ["--config", str(home.root), "stream", "land", *words])


def sealed(home: Home) -> list[SealedSegment]:
    """The home's segments."""
    from mdc_resources.wal import sealed_segments

    return sealed_segments(home.segments_dir)


def test_a_dry_run_changes_nothing(home: Home) -> None:
    """It lists what would be landed, as text and as JSON."""
    names = [each.name for each in sealed(home)]
    ran = mdc(home, "--dry-run")
    assert ran.exit_code == 0
    assert ran.output.splitlines()[-1] == "2 segments would be landed"
    assert all(name in ran.output for name in names)
    found = json.loads(mdc(home, "--dry-run", "--json", names[1]).output)
    assert [each["name"] for each in found["segments"]] == names[1:]
    assert query(home, "SELECT count(*) FROM segments") == [(0,)]


def test_all_is_landed_once(home: Home) -> None:
    """Rows, holes and refusals are counted; the second time there is nothing to do."""
    ran = mdc(home)
    assert ran.exit_code == 0, ran.output
    assert "2 segments landed: 2 trades; 0 were landed before" in ran.output
    assert "1 refused" in ran.output
    found = json.loads(mdc(home, "--json").output)
    assert (found["segments"], found["skipped"], found["failed"]) == (0, 2, [])


def test_a_named_segment_is_landed_alone(home: Home) -> None:
    """What comes before it is read, not landed."""
    first, second = sealed(home)
    found = json.loads(mdc(home, "--json", second.name).output)
    assert found["rows"] == {"trades": 1}
    assert [line["symbol"] for line in found["partitions"]] == [BTC]
    assert query(home, "SELECT number FROM segments") == [(second.number,)]
    assert json.loads(mdc(home, "--json").output)["segments"] == 1
    assert first.number < second.number


def test_a_segment_that_is_not_there_is_named(home: Home) -> None:
    """A usage error, with the way to find the others."""
    ran = mdc(home, "coinbase-0/000000009999")
    assert ran.exit_code != 0
    assert "coinbase-0/000000009999" in f"{ran.output}{ran.exception}"


def test_a_segment_that_fails_is_told(home: Home) -> None:
    """Its feed is not installed: nothing of its shard is landed, what others have is."""
    from mdc_resources.landing.deadletters import DeadLetters
    from mdc_resources.landing.letters import Cause

    log = Log(home, "nosuch-0")
    log.start(NOON, TRADES)
    log.open(NOON, 1, TRADES)
    log.frames(NOON + 1, 1, b"{}")
    log.end()
    ran = mdc(home)
    assert ran.exit_code == 1
    assert "2 segments landed" in ran.output
    assert "failed: there is no feed 'nosuch'" in ran.output
    assert DeadLetters.of(home).counts()[Cause.NOT_LANDED].open == 1
    assert mdc(home).exit_code == 0  # not due again


def test_a_destroyed_segment_is_a_loss(home: Home) -> None:
    """Not even its head can be read; the others are landed around it."""
    first = sealed(home)[0].path
    first.write_bytes(b"\0" * len(first.read_bytes()))
    found = json.loads(mdc(home, "--json").output)
    assert (found["segments"], found["rows"], found["failed"]) == (2, {"trades": 1}, [])
    assert query(home, "SELECT state FROM segments ORDER BY number") == [("damaged",), ("landed",)]
