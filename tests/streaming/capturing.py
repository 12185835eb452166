"""A home with live feeds, a service in this process or in one of its own, and its log read back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.wal import Kind, Record, marks, read_segment
from mdc_streaming.announce import address
from mdc_streaming.pacing import Timing
from mdc_streaming.service import Service

FAST = Timing(
    connect=2.0, authenticate=1.0, confirm=1.0, ask_again=0.5, ping=0.4, pong=0.4, settled=1.0,
    tick=0.05, overlap=3.0, beside=0.1, early=0.0, lease=0.05, drain=5.0, stall=3.0, room=0.1, resync=0.2,
)  # fmt: skip
QUICK = """
[sidecar]
port = 0
backoff_seconds = 0.05
longest_backoff_seconds = 0.4
reserve_mb = 0
segment_mb = 1
segment_seconds = 3600
"""


def home_at(
    root: Path, stream: str, *, sidecar: str = QUICK, environ: Mapping[str, str] | None = None
) -> Home:
    """A home whose ``mdc.toml`` holds ``stream``; its lake is a marker, which is all the service looks at."""
    (root / "lake").mkdir(parents=True, exist_ok=True)
    (root / "lake" / "MARKER").write_text("{}", encoding="utf-8")
    (root / "mdc.toml").write_text(sidecar + stream, encoding="utf-8")
    return config.load(root / "mdc.toml", environ=dict(environ or {}))


def coinbase(url: str, *symbols: str, more: str = "", datasets: str = '["trades"]') -> str:
    """A section of the feed the test server speaks."""
    listed = ", ".join(f'"COINBASE:{symbol}"' for symbol in symbols or ("BTC-USD",))
    return f'[stream.coinbase]\nws_url = "{url}"\nsymbols = [{listed}]\ndatasets = {datasets}\n{more}\n'


def until(condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
    """Wait for ``condition``; its value. Fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or condition}"
        time.sleep(0.02)
    return found


@dataclass
class Running:
    """A service in a thread of this process; ``error`` is what ended it."""

    service: Service
    thread: threading.Thread = field(init=False)
    loop: asyncio.AbstractEventLoop = field(init=False)
    error: BaseException | None = None

    def start(self) -> None:
        """Begin; returns once it answers or has ended."""
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        until(lambda: self.service.url or not self.thread.is_alive(), what="the service answers")

    def stop(self) -> None:
        """Drain, as a SIGTERM does."""
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.service.stop)
        self.thread.join(15)
        assert not self.thread.is_alive()

    def call(self, act: Callable[..., Any], *arguments: Any) -> None:
        """Do it in the service's loop."""
        self.loop.call_soon_threadsafe(act, *arguments)

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Ask its address."""
        return httpx.get(f"{self.service.url}{path}", timeout=10, **more)

    def status(self) -> dict[str, Any]:
        """``/status``."""
        found: dict[str, Any] = self.get("/status").json()
        return found

    def shard(self, name: str = "coinbase-0") -> dict[str, Any]:
        """One shard of it."""
        return next(shard for shard in self.status()["shards"] if shard["shard"] == name)

    def ready(self) -> None:
        """Wait until everything wanted arrives."""
        until(lambda: self.get("/ready").status_code == 200, what="ready")

    def _run(self) -> None:
        async def main() -> None:
            self.loop = asyncio.get_running_loop()
            await self.service.run()

        try:
            asyncio.run(main())
        except BaseException as error:
            self.error = error


@contextmanager
def capturing(home: Home, *, timing: Timing = FAST, only: tuple[str, ...] = ()) -> Iterator[Running]:
    """A service of ``home``, drained at the end."""
    running = Running(Service(home, only=only, timing=timing))
    running.start()
    try:
        yield running
    finally:
        running.stop()


class Process:
    """``mdc stream run`` in a process of its own, as a supervisor starts it."""

    def __init__(self, home: Home, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.log_path = home.root / f"stderr-{time.monotonic_ns()}.log"
        code = "from mdc_resources.cli.main import main; main()"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, "stream", "run", "--config", str(home.root), *arguments],
                stderr=log,
                stdout=subprocess.PIPE,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=20)

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self.log_path.read_text(encoding="utf-8")

    def url(self) -> str:
        """Where it answers."""

        def found() -> str:
            try:
                note = address(self.home)
                pid = httpx.get(f"{note}/status", timeout=5).json()["pid"]
            except Exception:
                assert self.process.poll() is None, self.log
                return ""
            return note if pid == self.process.pid else ""

        return str(until(found, 30, "mdc stream run answers"))

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(15)


def records(home: Home, shard: str = "coinbase-0") -> list[Record]:
    """Everything in the log of ``shard``, in order."""
    sealed = sorted((home.segments_dir / shard).glob("*.wal.zst"))
    names = {path.name.partition(".")[0] for path in sealed}
    unsealed = [p for p in sorted((home.wal_dir / shard).glob("*.wal")) if p.stem not in names]
    return [record for path in (*sealed, *unsealed) for record in read_segment(path)]


def marks_of(home: Home, shard: str = "coinbase-0") -> list[tuple[Record, Any]]:
    """Marks of ``shard`` with their records."""
    found = [record for record in records(home, shard) if record.kind == Kind.MARK]
    return [(record, marks.decode(record.frames[0])) for record in found]


def marked(home: Home, kind: type, shard: str = "coinbase-0") -> list[Any]:
    """Marks of one kind."""
    return [mark for _, mark in marks_of(home, shard) if isinstance(mark, kind)]


def frames(home: Home, shard: str = "coinbase-0") -> dict[int, list[bytes]]:
    """Received frames by connection."""
    found: dict[int, list[bytes]] = {}
    for record in records(home, shard):
        if record.kind == Kind.FRAMES:
            found.setdefault(record.connection, []).extend(record.frames)
    return found
