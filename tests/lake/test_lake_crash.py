"""kill -9 at every named point of commit, replace, flush and compaction: old or new, never partial."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from crash_writer import STEPS, prepare, run_step

from mdc_resources.lake import Lake
from mdc_resources.lake.crashpoints import COMMIT, COMPACT, CRASH_POINTS, FILE, FLUSH, REPLACE

Picture = tuple[tuple[object, ...], ...]
CASES = [
    *(("commit", point) for point in (*FILE, *COMMIT)),
    *(("replace", point) for point in (*FILE, *COMMIT, *REPLACE)),
    *(("flush", point) for point in FLUSH),
    *(("compact", point) for point in COMPACT),
]
# From here on the catalog has committed: the change must be there.
AFTER = {"commit.done", "flush.done", "compact.done"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with three commits, to be copied."""
    path = tmp_path_factory.mktemp("crash") / "lake"
    lake = Lake.create(path)
    prepare(lake)
    lake.close()
    return path


# Forked from a server that has the imports done but no DuckDB running: a start costs milliseconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["crash_writer", "duckdb", "pandas"])


def run(step: str, lake_dir: Path, crash_at: str = "") -> int:
    """Run one step in a process of its own; returns its exit status."""
    process = PROCESSES.Process(target=run_step, args=(step, str(lake_dir), crash_at))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def picture(lake_dir: Path) -> Picture:
    """Everything a reader can see of data and coverage, file layout left out."""
    lake = Lake.open(lake_dir)
    try:
        with lake.connect() as reader:
            rows = reader.execute("SELECT symbol, session, ts, close FROM bars_1m ORDER BY ALL").fetchall()
            states = reader.execute(
                "SELECT symbol, session, state, row_count, fingerprint FROM coverage_log ORDER BY ALL"
            ).fetchall()
        assert lake.verify(deep=True) == []
        return (*rows, *states)
    finally:
        lake.close()


@pytest.fixture(scope="module")
def pictures(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Picture]:
    """What a reader sees before any step (key ``""``) and after each."""
    found = {"": picture(prepared)}
    for step in STEPS:
        done = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("done") / step))
        assert run(step, done) == 0
        found[step] = picture(done)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("step", "point"), CASES, ids=[f"{step}-{point}" for step, point in CASES])
def test_a_crash_leaves_old_or_new(
    prepared: Path, pictures: dict[str, Picture], tmp_path: Path, step: str, point: str
) -> None:
    """After the kill the lake is the old or the new one; running the step again completes it."""
    crashed = Path(shutil.copytree(prepared, tmp_path / "crashed"))
    assert run(step, crashed, point) == -signal.SIGKILL
    committed = point in AFTER
    assert picture(crashed) == pictures[step if committed else ""]
    if not committed:
        assert run(step, crashed) == 0
        assert picture(crashed) == pictures[step]


def test_every_crash_point_is_drilled() -> None:
    """A crash point nobody passes would be a test that cannot fail."""
    assert {point for _, point in CASES} == set(CRASH_POINTS)
    assert set(STEPS) == {step for step, _ in CASES}


@pytest.mark.chaos
def test_random_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """Kill a committing process at random moments (MDC_KILL_CYCLES): what it printed is stored."""
    import random
    import time

    seed = int(os.environ.get("MDC_SEED", time.time_ns() % 2**32))
    print(f"MDC_SEED={seed}")
    chance = random.Random(seed)
    lake_dir = tmp_path / "lake"
    Lake.create(lake_dir).close()
    acknowledged: set[str] = set()
    writer = Path(__file__).with_name("endless_writer.py")
    for cycle in range(int(os.environ.get("MDC_KILL_CYCLES", "100"))):
        process = subprocess.Popen(
            [sys.executable, str(writer), str(lake_dir), str(cycle)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        acknowledged.update((first + process.stdout.read()).split())
        process.wait()
    lake = Lake.open(lake_dir)
    stored = {row[0] for row in lake.connect().execute("SELECT DISTINCT symbol FROM bars_1m").fetchall()}
    assert acknowledged <= stored
    assert lake.verify(deep=True) == []
