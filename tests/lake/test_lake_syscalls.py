"""Every fsync, write, rename and open of a step fails once: old or new, a typed error, never partial."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from crash_writer import STEPS, prepare

from mdc_resources.domain.errors import ExitCode
from mdc_resources.lake import Lake

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]
# What fails, and how: the calls a lake makes while it writes.
FAULTS = {
    "fsync-eio": ("fsync,fdatasync", "error=EIO"),
    "write-enospc": ("write,pwrite64", "error=ENOSPC"),
    "rename-eio": ("rename,renameat,renameat2", "error=EIO"),
    "fsync-kill": ("fsync,fdatasync", "signal=SIGKILL"),
    "write-kill": ("write,pwrite64", "signal=SIGKILL"),
}
KILLED = 137, -9


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with three commits, to be copied; skips without a working strace."""
    if not shutil.which("strace") or subprocess.run(["strace", "-qq", "true"], check=False).returncode:
        pytest.skip("fault injection needs strace and the right to trace")
    path = tmp_path_factory.mktemp("syscalls") / "lake"
    lake = Lake.create(path)
    prepare(lake)
    lake.close()
    return path


def contents(lake_dir: Path) -> tuple[object, ...]:
    """What a reader sees; the lake must be sound."""
    lake = Lake.open(lake_dir)
    with lake.connect() as reader:
        rows = reader.execute("SELECT symbol, session, ts, close FROM bars_1m ORDER BY ALL").fetchall()
        ledger = reader.execute(
            "SELECT symbol, session, fingerprint FROM coverage_log ORDER BY ALL"
        ).fetchall()
    assert lake.verify(deep=True) == []
    lake.close()
    return (*rows, *ledger)


def run(step: str, lake_dir: Path, *, fault: str = "", nth: int = 0) -> tuple[int, bool]:
    """Run a step, the ``nth`` matching call of each thread failing; (exit status, did any fail)."""
    command = [sys.executable, str(Path(__file__).with_name("crash_writer.py")), str(lake_dir), step]
    trace = lake_dir.with_suffix(".trace")
    if fault:
        calls, how = FAULTS[fault]
        inject = f"inject={calls}:{how}:when={nth}"
        command = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={calls}", "-e", inject, *command]
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode, done.returncode != 0 or (bool(fault) and "INJECTED" in trace.read_text())


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ["commit", "replace", "flush"])
def test_every_failing_call_leaves_old_or_new(prepared: Path, tmp_path: Path, step: str, fault: str) -> None:
    """n = 1, 2, ... until a run passes untouched; a failed step can be repeated."""
    assert step in STEPS
    done = Path(shutil.copytree(prepared, tmp_path / "done"))
    assert run(step, done) == (0, False)
    old, new = contents(prepared), contents(done)
    for nth in itertools.count(1):
        lake_dir = Path(shutil.copytree(prepared, tmp_path / str(nth)))
        status, injected = run(step, lake_dir, fault=fault, nth=nth)
        if not injected:
            break
        assert status in {ExitCode.OK, ExitCode.LAKE, *KILLED}, f"call {nth}: exit status {status}"
        left = contents(lake_dir)
        assert left in (old, new), f"call {nth}"
        assert left == new or status != 0, f"call {nth}: reported success without the change"
        if left == old != new:
            assert run(step, lake_dir)[0] == 0
            assert contents(lake_dir) == new
        shutil.rmtree(lake_dir)
    assert nth > 1
