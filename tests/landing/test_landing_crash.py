"""kill -9 at each step of a landing's commit: every segment is landed exactly once."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
from pathlib import Path

import pytest
from captured import (
    BTC,
    DEPTH,
    MINUTE,
    NOON,
    TRADES,
    Log,
    crypto_home,
    land_all,
    match,
    opened,
    query,
    snapshot,
    update,
)
from captured import segments as sealed
from crash_lander import run_landing

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.lake.crashpoints import COMMIT, FILE, REPLACE
from mdc_resources.landing.land import unlanded

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["crash_lander", "duckdb", "pandas"])
PARTS = 4


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with four segments, the first of which is landed."""
    root = tmp_path_factory.mktemp("prepared") / "home"
    home = crypto_home(root)
    log = Log(home)
    log.start(NOON, TRADES, DEPTH)
    log.open(NOON, 1, TRADES, DEPTH)
    log.frames(NOON, 1, snapshot([("100", "1")], [("101", "1")]))
    for part in range(PARTS):
        at = NOON + part * MINUTE
        told = [match(NOON + n, n) for n in range(5 * part, 5 * part + 7)]  # two of them were told before
        log.frames(at + 1, 1, *told, update(at, ("buy", "99", str(part + 1))))
        if part < PARTS - 1:
            log.cut(at + MINUTE)
    log.end()
    land_all(home, sealed(home)[:1])
    return root


def copy(prepared: Path, root: Path) -> Home:
    """A home of its own."""
    shutil.copytree(prepared, root)
    return config.load(root / "mdc.toml", environ={})


def kill(home: Home, crash_at: str, *numbers: int) -> int | None:
    """Land in a process of its own; returns its exit status."""
    process = PROCESSES.Process(target=run_landing, args=(str(home.root), crash_at, numbers))
    process.start()
    process.join(120)
    return process.exitcode


def picture(home: Home) -> list[tuple[object, ...]]:
    """Rows, coverage, holes, spans and the ledger of segments."""
    with opened(home) as lake:
        assert lake.verify(deep=True) == []
    found: list[tuple[object, ...]] = []
    for sql in (
        "SELECT symbol, trade_id, ordinal, ts_recv FROM trades ORDER BY ordinal",
        "SELECT ordinal, action, price, size FROM depth ORDER BY ordinal",
        "SELECT dataset, session, state, reason, row_count, fingerprint FROM coverage ORDER BY ALL",
        "SELECT hole_id, end_ns FROM holes ORDER BY ALL",
        "SELECT dataset, start_ns, end_ns FROM spans ORDER BY ALL",
        "SELECT shard, number, rows FROM segments ORDER BY ALL",
    ):
        found += query(home, sql)
    return found


@pytest.fixture(scope="module")
def undisturbed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    """What a landing without a kill comes to."""
    home = copy(prepared, tmp_path_factory.mktemp("undisturbed") / "home")
    land_all(home)
    found = picture(home)
    assert (BTC, "21", 21, NOON + 3 * MINUTE + 1) in found
    return found


@pytest.mark.slow
@pytest.mark.parametrize("point", [*FILE, *COMMIT], ids=str)
def test_a_killed_landing_is_finished_by_the_next(
    prepared: Path, undisturbed: list[tuple[object, ...]], tmp_path: Path, point: str
) -> None:
    """Before the commit nothing of it is there, after it everything; the state that was not kept is read."""
    home = copy(prepared, tmp_path / "home")
    assert kill(home, point) == -signal.SIGKILL
    assert len(unlanded(home)) == (0 if point == "commit.done" else PARTS - 1)
    land_all(home)
    assert picture(home) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("point", [*REPLACE, "commit.added", "commit.done"], ids=str)
def test_a_killed_landing_of_a_late_segment_too(
    prepared: Path, undisturbed: list[tuple[object, ...]], tmp_path: Path, point: str
) -> None:
    """Its partition is rewritten whole, or not at all."""
    home = copy(prepared, tmp_path / "home")
    late = sealed(home)[1]
    land_all(home, sealed(home)[2:])
    assert kill(home, point, late.number) == -signal.SIGKILL
    assert [each.name for each in unlanded(home)] == ([] if point == "commit.done" else [late.name])
    land_all(home)
    assert picture(home) == undisturbed


def test_the_state_after_a_kill_serves_the_next_segments(prepared: Path, tmp_path: Path) -> None:
    """Committed, killed before the state was kept: the book goes on without a new snapshot."""
    home = copy(prepared, tmp_path / "home")
    second = sealed(home)[1]
    assert kill(home, "commit.done", second.number) == -signal.SIGKILL
    land_all(home)
    assert query(home, "SELECT count(*) FROM depth WHERE action = 'snapshot_begin'") == [(1,)]
