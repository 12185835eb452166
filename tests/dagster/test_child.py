"""One supervised process: restarted with growing pauses, killed when sick, stopped with its group."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mdc_assets import child as children
from mdc_assets.child import Child, Service

FOREVER = "import time; time.sleep(600)"


def make(tmp_path, code=FOREVER, **more):
    """A child that runs a line of Python."""
    return Child(Service("it", (sys.executable, "-c", code), **more), tmp_path, dict(os.environ))


def wait_for(condition, seconds=30):
    """True once ``condition`` holds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def gone(pid):
    """True if no such process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return stat.rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.fixture
def kept():
    """Children stopped after the test."""
    found = []
    yield found
    for one in found:
        one.signal(signal.SIGKILL)
        one.stop(seconds=5)


def test_it_runs_and_its_output_is_kept(tmp_path, kept):
    """Standard output and error go to one log."""
    it = make(tmp_path, "import sys; print('out'); print('err', file=sys.stderr)")
    kept.append(it)
    it.start(0.0)
    assert it.process.wait(30) == 0
    assert {"out", "err"} <= set(it.log.read_text().split())


def test_the_pid_is_the_commands_own(tmp_path, kept):
    """The tether replaces itself: a signal to the pid reaches the server."""
    it = make(tmp_path, "import os; print(os.getpid(), flush=True); " + FOREVER)
    kept.append(it)
    it.start(0.0)
    assert wait_for(lambda: it.log.read_text().strip())
    assert int(it.log.read_text()) == it.pid


def test_a_dead_child_comes_back_after_a_pause_that_grows(tmp_path, kept):
    """A command that cannot start is not started a hundred times a second."""
    it = make(tmp_path, "raise SystemExit(3)")
    kept.append(it)
    at, pauses = 100.0, []
    it.start(at)
    for _ in range(4):
        assert it.process.wait(30) == 3
        assert "exit code 3" in it.watch(at)
        pauses.append(it._resume_at - at)
        assert it.watch(at + pauses[-1] / 2) == ""
        at += pauses[-1]
        assert "restarted" in it.watch(at)
    assert pauses == [children.FIRST_PAUSE * 2**n for n in range(4)]
    assert it.restarts == 4


def test_a_child_that_lived_long_starts_over_with_the_first_pause(tmp_path, kept):
    """One death a day is not a crash loop."""
    it = make(tmp_path, "raise SystemExit(0)")
    kept.append(it)
    it._pause = children.LONGEST_PAUSE
    it.start(0.0)
    it.process.wait(30)
    it.watch(children.STEADY_SECONDS + 1)
    assert it._resume_at == children.STEADY_SECONDS + 1 + children.FIRST_PAUSE


def test_a_killed_child_takes_what_it_started_with_it(tmp_path, kept):
    """A second server on the same port must not be left behind."""
    other = f"subprocess.Popen([sys.executable, '-c', {FOREVER!r}])"
    code = f"import subprocess, sys; print({other}.pid, flush=True); {FOREVER}"
    it = make(tmp_path, code)
    kept.append(it)
    it.start(0.0)
    assert wait_for(lambda: it.log.read_text().strip())
    grandchild = int(it.log.read_text())
    os.kill(it.pid, signal.SIGKILL)
    it.process.wait(30)
    assert "SIGKILL" in it.watch(1.0)
    assert wait_for(lambda: gone(grandchild))


def test_a_sick_child_is_killed_after_several_probes(tmp_path, kept):
    """It once answered and does no more: three probes, then it is restarted like a dead one."""
    healthy = True
    it = make(tmp_path, probe=lambda: healthy)
    kept.append(it)
    it.start(0.0)
    assert it.examine(1.0) == ""
    assert it.is_well
    healthy = False
    assert [it.examine(2.0) for _ in range(children.SICK_PROBES - 1)] == [""] * (children.SICK_PROBES - 1)
    assert "does not answer" in it.examine(3.0)
    assert it.process.wait(30) == -signal.SIGKILL


def test_a_child_has_time_to_start(tmp_path, kept):
    """Before it was ever well, probes count only after the grace period."""
    it = make(tmp_path, probe=lambda: False, grace_seconds=60.0)
    kept.append(it)
    it.start(0.0)
    assert [it.examine(at) for at in (10.0, 20.0, 30.0, 40.0, 59.0)] == [""] * 5
    assert not it.is_well
    assert [bool(it.examine(61.0 + n)) for n in range(children.SICK_PROBES)][-1]


def test_stopping_kills_what_does_not_end(tmp_path):
    """SIGTERM first; who ignores it is killed when the time is up."""
    it = make(
        tmp_path, "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); " + FOREVER
    )
    it.start(0.0)
    assert wait_for(lambda: it.log.read_text().strip())
    pid = it.pid
    it.signal(signal.SIGTERM)
    it.stop(seconds=0.3)
    assert gone(pid)
    assert it.pid == 0


def test_a_large_log_is_set_aside(tmp_path, kept, monkeypatch):
    """Logs do not grow for ever: the previous one is kept."""
    monkeypatch.setattr(children, "LOG_BYTES", 10)
    it = make(tmp_path, "print('new')")
    kept.append(it)
    it.log.write_text("x" * 11)
    it.start(0.0)
    it.process.wait(30)
    assert it.log.read_text().strip() == "new"
    assert it.log.with_suffix(".log.1").read_text() == "x" * 11


def test_children_die_with_a_killed_supervisor(tmp_path):
    """kill -9 of the parent leaves no server behind."""
    code = (
        "import sys, time, os; from pathlib import Path; from mdc_assets.child import Child, Service; "
        f"service = Service('it', (sys.executable, '-c', {FOREVER!r})); "
        f"it = Child(service, Path({str(tmp_path)!r}), dict(os.environ)); "
        "it.start(0.0); print(it.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    # The tether ties itself first and then becomes the command.
    assert wait_for(lambda: FOREVER.encode() in _command(pid))
    parent.kill()
    parent.wait()
    assert wait_for(lambda: gone(pid))


def _command(pid):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return b""
    return b"" if b"mdc_assets.tether" in words else b" ".join(words)
