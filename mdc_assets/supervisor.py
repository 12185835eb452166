"""``mdc up``: serves a home until it is told to stop, and restarts what dies.

Under ``dagster dev`` a killed code server never comes back and a killed daemon takes everything
down; here each is a process of its own, probed, restarted with a pause, and stopped with the rest.
It also fails runs whose process is gone, makes up for lost retries, and turns new members of
universes into partition keys. One supervisor per home; a taken port is refused before anything starts.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from dagster import DagsterInstance
from filelock import FileLock, Timeout

from mdc_assets import services
from mdc_assets.child import Child
from mdc_assets.instance import environment, limit_pool, open_instance
from mdc_assets.partitions import register
from mdc_assets.priorities import FETCH_POOL
from mdc_assets.reaper import Reaper
from mdc_assets.retries import LostRetries
from mdc_resources.config import Home
from mdc_resources.domain.errors import ExitCode, UsageError
from mdc_resources.state import State

TICK_SECONDS = 0.25
PROBE_SECONDS = 5.0
SWEEP_SECONDS = 5.0
RETRY_SECONDS = 10.0
MEMBERS_SECONDS = 5.0
STOP_SECONDS = 15.0
_SHOWN = ("code-server", "webserver")  # what a person needs to see the UI with its assets
_CODE_SERVER = "code-server"
_LAUNCHERS = (_CODE_SERVER, "daemon")  # between them a run gets its process
_LOCK = "up.lock"
_LOGS = "logs"

Say = Callable[[str], None]


@dataclass(slots=True)
class Supervisor:
    """The children of one home and the chores between them."""

    home: Home
    instance: DagsterInstance
    children: list[Child]
    say: Say
    stopping: bool = False
    _reaper: Reaper = field(init=False)
    _retries: LostRetries = field(init=False)
    _due: dict[str, float] = field(default_factory=dict)
    _announced: bool = False
    _launchers_since: float = 0.0

    def __post_init__(self) -> None:
        self._retries = LostRetries(self.instance)
        self._reaper = Reaper(self.instance, launchers_since=lambda: self._launchers_since)

    def run(self) -> None:
        """Start everything and look after it until :attr:`stopping`; then stop everything."""
        try:
            self._launchers_since = time.time()
            for child in self.children:
                child.start(time.monotonic())
                self.say(f"{child.service.name} started (pid {child.pid})")
            while not self.stopping:
                self.tick(time.monotonic())
                time.sleep(TICK_SECONDS)
        finally:
            self.stop()

    def tick(self, at: float) -> None:
        """One round: restart what died, and the chores that are due."""
        for child in self.children:
            restarts = child.restarts
            self._tell(child.watch(at))
            if child.restarts > restarts and child.service.name in _LAUNCHERS:
                self._launchers_since = time.time()
        self._chore(self.probe, PROBE_SECONDS if self._announced else 1.0, at)
        self._chore(self.sweep, SWEEP_SECONDS, at)
        self._chore(self.retry, RETRY_SECONDS, at)
        self._chore(self.register_members, MEMBERS_SECONDS, at)

    def probe(self) -> None:
        """Kill what has not answered for long; say once that the web UI does."""
        for child in self.children:
            self._tell(child.examine(time.monotonic()))
        if not self._announced and all(
            child.is_well for child in self.children if child.service.name in _SHOWN
        ):
            self._announced = True
            self.say(f"the web UI answers at {services.url_of(self.home)}")

    def sweep(self) -> None:
        """Fail runs whose process is gone."""
        for run_id in self._reaper.sweep():
            self.say(f"run {run_id} failed: its process is gone")

    def retry(self) -> None:
        """Have crashed runs started again whose retry came while the code server was down."""
        if any(child.service.name == _CODE_SERVER and child.is_well for child in self.children):
            for run_id in self._retries.sweep():
                self.say(f"run {run_id} is to be retried: the code server answers again")

    def register_members(self) -> None:
        """Make keys of symbols that were added while this home is served."""
        with State.open(self.home) as state:
            members = state.members(active_only=False)
        if new := register(self.instance, members):
            self.say(f"{len(new)} new symbols: {', '.join(new[:10])}{' ...' if len(new) > 10 else ''}")

    def stop(self) -> None:
        """Stop all children, then end the runs that died with them."""
        until = time.monotonic() + STOP_SECONDS
        for child in self.children:
            child.signal(signal.SIGTERM)
        for child in self.children:
            child.stop(seconds=until - time.monotonic())
        for _ in range(2):
            self._reaper.sweep()
        self.say("stopped")

    def _chore(self, chore: Callable[[], None], every: float, at: float) -> None:
        """Do ``chore`` if it is due; one that fails is told and tried again, it stops nothing else."""
        name = chore.__name__
        if at < self._due.get(name, 0.0):
            return
        self._due[name] = at + every
        try:
            chore()
        except Exception as error:
            self.say(f"{name} failed: {type(error).__name__}: {error}")

    def _tell(self, what: str) -> None:
        if what:
            self.say(what)


def serve(home: Home, *, say: Say | None = None) -> int:
    """Serve ``home`` until SIGTERM or SIGINT; returns an exit code.

    Raises:
        ConfigError: the web UI's address is taken.
        UsageError: this home is served already.
    """
    services.check_address(home)
    logs = home.state_dir / _LOGS
    logs.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.state_dir / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"{home.root} is served already", hint="Stop the other `mdc up` first") from None
    with lock, open_instance(home) as instance:
        environ = {**os.environ, **environment(home)}
        found = services.services_of(home, instance, code_port=services.free_port())
        supervisor = Supervisor(home, instance, [Child(s, logs, environ) for s in found], say or _print)
        supervisor.register_members()
        limit_pool(instance, FETCH_POOL)
        _until_signalled(supervisor)
    return ExitCode.OK


def _until_signalled(supervisor: Supervisor) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        supervisor.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()
