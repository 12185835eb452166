"""One supervised process: started, watched, restarted with a growing pause, stopped with its group.

A child runs in a session of its own, so Ctrl-C reaches the supervisor only, and everything it
started is stopped with it. Its output goes to a log file that is set aside once it has grown large.
A child counts as sick after several failed health probes in a row, and is then killed like a dead one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0
"""A child that lived this long starts over with the first pause."""
SICK_PROBES = 3
LOG_BYTES = 10 << 20


@dataclass(frozen=True, slots=True)
class Service:
    """What to run. ``probe`` is True while healthy, and is asked once ``grace_seconds`` have passed."""

    name: str
    command: tuple[str, ...]
    probe: Callable[[], bool] | None = None
    grace_seconds: float = 60.0


@dataclass(slots=True)
class Child:
    """A service and the process that runs it now. Times are of a monotonic clock."""

    service: Service
    log_dir: Path
    environ: Mapping[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    _started: float = 0.0
    _resume_at: float = 0.0
    _pause: float = FIRST_PAUSE
    _sick: int = 0
    _was_well: bool = False

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.log_dir / f"{self.service.name}.log"

    @property
    def pid(self) -> int:
        """Process id; 0 while it is down."""
        return self.process.pid if self.process else 0

    def start(self, at: float) -> None:
        """Start the process; its death follows this process's."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        command = [sys.executable, "-m", "mdc_assets.tether", str(os.getpid()), *self.service.command]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603  our own command line
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(self.environ),
                start_new_session=True,
            )
        self._started, self._sick, self._was_well = at, 0, False

    def watch(self, at: float) -> str:
        """Look after it; returns what happened, or an empty string."""
        if self.process is None:
            if at < self._resume_at:
                return ""
            self.restarts += 1
            self.start(at)
            return f"{self.service.name} restarted (pid {self.pid})"
        code = self.process.poll()
        if code is None:
            return ""
        # What it started must not outlive it: a second code server on the same port would.
        self.signal(signal.SIGKILL)
        self.process = None
        if at - self._started > STEADY_SECONDS:
            self._pause = FIRST_PAUSE
        self._resume_at, self._pause = at + self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return f"{self.service.name} ended ({_how(code)}), see {self.log}"

    def examine(self, at: float) -> str:
        """Probe its health; kill it once it has been sick for long. Returns what happened."""
        probe = self.service.probe
        if probe is None or self.process is None:
            return ""
        if probe():
            self._sick, self._was_well = 0, True
            return ""
        if not self._was_well and at - self._started < self.service.grace_seconds:
            return ""
        self._sick += 1
        if self._sick < SICK_PROBES:
            return ""
        self.signal(signal.SIGKILL)
        return f"{self.service.name} does not answer, killed"

    @property
    def is_well(self) -> bool:
        """True once its probe has succeeded (or it has none), while it runs."""
        return self.process is not None and (self.service.probe is None or self._was_well)

    def signal(self, number: signal.Signals) -> None:
        """Send ``number`` to the process and all it started."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return

    def stop(self, *, seconds: float) -> None:
        """Wait for it to end after a signal was sent; kill what remains."""
        if self.process is None:
            return
        try:
            self.process.wait(timeout=max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
