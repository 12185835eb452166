"""kill -9 of what serves a home, and a watch over its runs: who was stuck, and for how long.

A victim is named by kind: ``daemon``, ``webserver``, ``code-server`` (the proxy with all it started),
``code`` (the process behind the proxy), ``worker`` (of a run under way), ``commit`` (the process that
holds the lake's commit lock at this moment, found in the kernel's list of locks).
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from mdc_assets import owners
from mdc_assets.reaper import UNDER_WAY
from mdc_resources.config import Home
from mdc_resources.lake.lake import LOCK_NAME
from tests.dagster.serving import Up, alive

SERVICES = ("daemon", "webserver", "code-server")
KINDS = (*SERVICES, "code", "worker", "commit")
_LOCKS = Path("/proc/locks")
_POLL = 0.002


def kill(kind: str, served: Up, instance: DagsterInstance, *, seconds: float = 240.0) -> int:
    """kill -9 of one process of ``kind``; returns its pid, or 0 if there was none within ``seconds``.

    Patient: code that is killed while it starts is noticed a minute later, when its time to start is over.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid = find(kind, served, instance)
        if pid and alive(pid):
            os.kill(pid, signal.SIGKILL)
            return pid
        time.sleep(_POLL if kind == "commit" else 0.1)
    return 0


def find(kind: str, served: Up, instance: DagsterInstance) -> int:
    """The pid of a process of ``kind`` now; 0 if there is none."""
    if kind in SERVICES:
        return served.pid(kind)
    if kind == "code":
        listed = ["pgrep", "-P", str(served.pid("code-server"))]
        inner = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split()
        return int(inner[-1]) if inner else 0
    if kind == "commit":
        return committing(served.home)
    return next(iter(workers(instance)), 0)


def busy(instance: DagsterInstance, *, seconds: float = 60.0) -> bool:
    """Wait until a worker executes a run; False if none did within ``seconds``."""
    until = time.monotonic() + seconds
    while not workers(instance):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def committing(home: Home) -> int:
    """The process that holds the commit lock of the lake; 0 if nobody does."""
    try:
        inode = (home.lake_dir / LOCK_NAME).stat().st_ino
    except FileNotFoundError:
        return 0
    for line in _LOCKS.read_text(encoding="ascii").splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}") and int(fields[4]) != os.getpid():
            return int(fields[4])
    return 0


def workers(instance: DagsterInstance) -> list[int]:
    """Processes that execute a run now."""
    found = []
    for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED])):
        owner = owners.owner_of(run.run_id, run.tags)
        if owner is not None and not owner.is_dead():
            found.append(owner.pid)
    return found


@contextmanager
def watching(instance: DagsterInstance) -> Iterator[Watch]:
    """A watch that looks all the time, until the block ends."""
    watch, over = Watch(instance), threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            watch.look()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


@dataclass(slots=True)
class Watch:
    """Looks at every run under way: what is STARTED without a process is stuck. Times in seconds."""

    instance: DagsterInstance
    longest_stuck: float = 0.0
    longest_started: float = 0.0
    under_way: int = 0
    looks: int = 0
    _dead_since: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """One look; afterwards ``under_way`` is how many runs are not over, queued ones included."""
        at = time.monotonic()
        under_way = self.instance.get_run_records(RunsFilter(statuses=list(UNDER_WAY)))
        stuck = set()
        for record in under_way:
            run = record.dagster_run
            if record.start_time is not None:
                self.longest_started = max(self.longest_started, time.time() - record.start_time)
            if self._is_dead(run):
                stuck.add(run.run_id)
                since = self._dead_since.setdefault(run.run_id, at)
                self.longest_stuck = max(self.longest_stuck, at - since)
        self._dead_since = {run_id: at for run_id, at in self._dead_since.items() if run_id in stuck}
        waiting = [DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED]
        self.under_way = len(under_way) + self.instance.get_runs_count(RunsFilter(statuses=waiting))
        self.looks += 1

    def is_quiet(self) -> bool:
        """True if a look that began after this call saw no run that is not over."""
        self.look()
        return self.under_way == 0

    def _is_dead(self, run: DagsterRun) -> bool:
        """True also where a run is STARTED and does not say yet by whom: that must not last either."""
        owner = owners.owner_of(run.run_id, run.tags)
        return run.status is DagsterRunStatus.STARTED if owner is None else owner.is_dead()
