"""A killed or broken paging goes on where it stopped: from the archive what is there, then the rest."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake.crashpoints import COMMIT, FILE
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.sandbox.ticks import trades_of
from mdc_resources.state import State
from tests.homes import KEYS, Served, make_home
from tests.ingest.ticking import DAY, KEY, PAGE, cursors, fetch, only_line, page, query, spools, verified

PRESENT = PartitionState.PRESENT


def start(home: Home, run_id: str, **environ: str) -> subprocess.Popen[bytes]:
    """A backfill of one session in its own process."""
    words = [str(home.root), "trades", "MSFT", str(DAY), str(DAY), run_id]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ingest.program", *words],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, **KEYS, **environ},
        stdout=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Its outcome."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


def until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for a condition while ``process`` lives."""
    deadline = time.monotonic() + 90
    while not holds():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


SHORT = {"file.written", "commit.begun", "commit.added", "commit.done"}  # the others are for `make chaos`


def kill_at_page(served: Served, number: int, run_id: str = "killed") -> None:
    """SIGKILL a backfill that waits for page ``number``."""
    served.fault("alpaca", "slow", match=page(number), times=100, params={"seconds": 60.0})
    process = start(served.home, run_id)
    until(lambda: len(cursors(served.home)) == number - 1, process)
    process.kill()
    process.wait()
    served.calm()


@pytest.fixture
def pages(served: Served) -> int:
    """How many pages MSFT's session has."""
    return -(-len(trades_of(served.server.sandbox.market, "MSFT", DAY)) // PAGE)


def damage(home: Home, run_id: str, number: int) -> None:
    """Flip a byte in the body of the ``number``-th record that run ``run_id`` archived."""
    (path,) = home.raw_dir.glob(f"*/*/{run_id}*.warc")
    content = bytearray(path.read_bytes())
    at = -1
    for _ in range(number):
        at = content.index(b'{"trades"', at + 1)
    content[at + 100] ^= 1
    path.write_bytes(bytes(content))


def test_a_killed_session_asks_for_the_remaining_pages(served: Served, pages: int) -> None:
    """kill -9 while page 9 is on its way: the next run asks for pages 9 on, and it is whole."""
    kill_at_page(served, 9)
    assert query(served.home, "SELECT count(*) FROM trades") == [(0,)]
    outcome = fetch(served.home)
    assert only_line(outcome).state is PRESENT
    assert outcome.requests_sent == served.requests() == pages - 8
    real = trades_of(served.server.sandbox.market, "MSFT", DAY)
    stored = query(served.home, "SELECT ts_event, ordinal FROM trades")
    assert stored == list(zip(real.times.tolist(), range(len(real)), strict=True))
    assert verified(served.home)
    assert (cursors(served.home), spools(served.home)) == ([], [])


def test_killed_twice_it_still_goes_on(served: Served, pages: int) -> None:
    """Pages of both dead runs are read from their archives, in order."""
    kill_at_page(served, 5, "first")
    kill_at_page(served, 11, "second")
    outcome = fetch(served.home)
    assert outcome.requests_sent == pages - 10
    assert verified(served.home)


@pytest.mark.parametrize("broken", [3, 1])
def test_a_damaged_archive_costs_what_follows_it(served: Served, pages: int, broken: int) -> None:
    """From the first record that is not what it was, pages are asked for again."""
    kill_at_page(served, 9)
    damage(served.home, "killed", broken)
    outcome = fetch(served.home)
    assert only_line(outcome).state is PRESENT
    assert outcome.requests_sent == pages - (broken - 1)
    assert verified(served.home)


def test_an_archive_that_is_gone_costs_everything(served: Served, pages: int) -> None:
    """The cursor alone is no data."""
    kill_at_page(served, 5)
    for path in served.home.raw_dir.rglob("killed*"):
        path.unlink()
    assert fetch(served.home).requests_sent == pages


def test_a_refetch_starts_anew(served: Served, pages: int) -> None:
    """Who asks again wants the vendor's present words."""
    kill_at_page(served, 5)
    assert fetch(served.home, refetch=True).requests_sent == pages


def test_old_cursors_are_not_followed(served: Served, pages: int) -> None:
    """A vendor's token does not live for ever."""
    kill_at_page(served, 5)
    with State.open(served.home) as state:
        state.expire_pages(before=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5))
    assert fetch(served.home).requests_sent == pages


def test_another_decoder_version_starts_anew(served: Served) -> None:
    """What an older decoder made of the pages is not mixed with the new one's."""
    kill_at_page(served, 5)
    with State.open(served.home) as state:
        assert len(state.pages_of(Dataset.TRADES, KEY, "alpaca", decoder_version=1)) == 4
        assert state.pages_of(Dataset.TRADES, KEY, "alpaca", decoder_version=2) == []


def test_a_cursor_that_the_vendor_refuses_is_given_up(served: Served, pages: int) -> None:
    """Asked to go on, the vendor does not know its own token any more: the session is asked for anew."""
    kill_at_page(served, 5)
    body = json.dumps({"message": "invalid page token"})
    served.fault("alpaca", "status", match=page(5), times=1, params={"status": 400, "body": body})
    outcome = fetch(served.home)
    assert only_line(outcome).state is PRESENT
    assert outcome.requests_sent == pages + 1
    assert verified(served.home)


def test_spools_of_dead_runs_are_swept(served: Served) -> None:
    """A killed run leaves its file; the next one removes it."""
    served.fault("alpaca", "slow", match=page(17), times=100, params={"seconds": 60.0})
    process = start(served.home, "killed")
    until(lambda: len(spools(served.home)) == 1, process)
    process.kill()
    process.wait()
    served.calm()
    assert len(spools(served.home)) == 1
    fetch(served.home)
    assert spools(served.home) == []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, vendor: SandboxServer) -> list[tuple[Any, ...]]:
    """What a run that nobody kills leaves behind."""
    served = Served(make_home(tmp_path_factory.mktemp("calm") / "home", vendor.url), vendor)
    served.calm()
    fetch(served.home)
    return content(served.home)


def content(home: Home) -> list[tuple[Any, ...]]:
    """The partition as the ledger and the table have it."""
    assert verified(home)
    lines = query(home, "SELECT state, row_count, fingerprint FROM coverage WHERE dataset = 'trades'")
    rows = query(home, "SELECT count(*), sum(size), min(ts_event), max(ts_event), max(ordinal) FROM trades")
    return [*lines, *(row for row in rows if row[0])]


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        point if point in SHORT else pytest.param(point, marks=pytest.mark.chaos)
        for point in ("file.written", *FILE[2:], *COMMIT)
    ],
)
def test_killed_at_any_step_it_is_old_or_new(
    served: Served, pages: int, undisturbed: list[tuple[Any, ...]], point: str
) -> None:
    """After SIGKILL in the commit a reader sees nothing or all; the rest comes without a request."""
    killed = start(served.home, "killed", MDC_CRASH_AT=point)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    seen = content(served.home)
    assert seen in ([], undisturbed)
    served.calm()
    outcome = finish(start(served.home, "again"))
    assert (outcome["present"], outcome["requests_sent"]) == (1, 0)
    assert content(served.home) == undisturbed


def test_two_at_once_fetch_it_once(served: Served, pages: int) -> None:
    """Whoever claims first streams; the other waits and takes it from the ledger."""
    served.fault("alpaca", "slow", times=3, params={"seconds": 1.0})
    both = [start(served.home, "one"), start(served.home, "two")]
    outcomes = [finish(process) for process in both]
    assert [outcome["present"] for outcome in outcomes] == [1, 1]
    assert sum(outcome["requests_sent"] for outcome in outcomes) == pages
    assert verified(served.home)
