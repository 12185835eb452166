"""kill -9, twice at once, power of the claim: old or new, never partial; fetched once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.config import Home
from mdc_resources.lake import Lake
from mdc_resources.lake.crashpoints import COMMIT, FILE
from mdc_resources.sandbox.server import SandboxServer
from tests.homes import KEYS, Served, make_home

RANGE = ("2024-03-04", "2024-03-28")
EXPECTED = 2 * 19


def start(home: Home, run_id: str, *, dataset: str = "bars_1d", **environ: str) -> subprocess.Popen[bytes]:
    """A backfill of two symbols in its own process."""
    command = [
        sys.executable,
        "-m",
        "tests.ingest.program",
        str(home.root),
        dataset,
        "AAPL,IBM",
        *RANGE,
        run_id,
    ]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(command, cwd=root, env={**os.environ, **KEYS, **environ}, stdout=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Its outcome."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


def content(home: Home) -> list[tuple[Any, ...]]:
    """Every stored partition with its fingerprint, and every bar."""
    with (
        contextlib.closing(Lake.open(home.lake_dir)) as lake,
        contextlib.closing(lake.connect()) as connection,
    ):
        assert lake.verify(deep=True) == []
        bars = connection.execute(
            "SELECT * EXCLUDE basis_asof FROM bars_1d_stored ORDER BY symbol, session"
        ).fetchall()
        lines = connection.execute(
            "SELECT dataset, symbol, session, state, fingerprint FROM coverage ORDER BY ALL"
        ).fetchall()
    return [*bars, *lines]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, vendor: SandboxServer) -> list[tuple[Any, ...]]:
    """What a run that nobody kills leaves behind."""
    home = make_home(tmp_path_factory.mktemp("calm") / "home", vendor.url, providers=("yahoo",))
    Served(home, vendor).calm()
    assert finish(start(home, "calm"))["present"] == EXPECTED
    return content(home)


@pytest.mark.slow
@pytest.mark.parametrize("point", [*FILE, *COMMIT])
def test_killed_at_any_step_the_rerun_completes(
    tmp_path: Path, vendor: SandboxServer, undisturbed: list[tuple[Any, ...]], point: str
) -> None:
    """After SIGKILL a reader sees old or new; the same command again ends like an undisturbed run."""
    home = make_home(tmp_path / "home", vendor.url, providers=("yahoo",))
    Served(home, vendor).calm()
    killed = start(home, "killed", MDC_CRASH_AT=point)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert content(home) in ([], undisturbed)
    assert finish(start(home, "again"))["present"] == EXPECTED
    assert content(home) == undisturbed


def test_the_same_range_launched_twice_is_fetched_once(tmp_path: Path, vendor: SandboxServer) -> None:
    """Whoever claims first fetches; the other waits and finds everything in the ledger."""
    served = Served(make_home(tmp_path / "home", vendor.url, providers=("yahoo",)), vendor)
    served.calm()
    served.fault("yahoo", "slow", probability=1.0, params={"seconds": 1.0})
    both = [start(served.home, "one"), start(served.home, "two")]
    outcomes = [finish(process) for process in both]
    assert [outcome["present"] for outcome in outcomes] == [EXPECTED, EXPECTED]
    assert sum(outcome["requests_sent"] for outcome in outcomes) == served.requests() == 2
    assert sum(outcome["fetched"] for outcome in outcomes) == EXPECTED


def test_facts_that_come_along_are_stored_once(tmp_path: Path, vendor: SandboxServer) -> None:
    """Bars and corporate actions backfilled at once meet in the same facts; none is stored twice."""
    home = make_home(tmp_path / "home", vendor.url, providers=("yahoo",))
    Served(home, vendor).calm()
    both = [start(home, "bars"), start(home, "facts", dataset="corporate_actions")]
    assert [finish(process)["missing"] for process in both] == [0, 0]
    with contextlib.closing(Lake.open(home.lake_dir)) as lake:
        assert lake.verify(deep=True) == []
        with contextlib.closing(lake.connect()) as connection:
            sql = "SELECT count(*) FROM corporate_actions GROUP BY symbol, ex_date, kind HAVING count(*) > 1"
            assert connection.execute(sql).fetchall() == []


def test_a_killed_fetcher_does_not_block_the_next(tmp_path: Path, vendor: SandboxServer) -> None:
    """Claims die with their owner, not with their time limit."""
    served = Served(make_home(tmp_path / "home", vendor.url, providers=("yahoo",)), vendor)
    served.calm()
    served.fault("yahoo", "slow", probability=1.0, params={"seconds": 60.0})
    hanging = start(served.home, "hanging")
    deadline = time.monotonic() + 30
    while served.requests() == 0 and hanging.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
        if list((served.home.state_dir).glob("*")) and _claimed(served.home):
            break
    hanging.kill()
    hanging.wait()
    served.calm()
    began = time.monotonic()
    assert finish(start(served.home, "next"))["present"] == EXPECTED
    assert time.monotonic() - began < 30


def _claimed(home: Home) -> bool:
    from mdc_resources.state import State

    with contextlib.closing(State.open(home)) as state:
        return bool(state.claims())
