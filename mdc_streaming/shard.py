"""One shard: its lease, its log, and the lines that fill it, from taking over to the last seal.

Waits as a standby while another process holds the lease. Promises that what is wanted, confirmed,
refused and over stands in the log, in order with the frames; that nothing is received which the
log cannot take (a full disk stops the reading, a failing one the process); and that the end is
marked and sealed.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from pydantic import SecretStr

from mdc_resources import __version__
from mdc_resources.config import Home
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.providers.live import Subscription
from mdc_resources.telemetry import get_logger
from mdc_resources.wal import LogTaken, LogWriter, NoSpace, marks
from mdc_streaming.connection import Connection
from mdc_streaming.endings import End
from mdc_streaming.hours import never_closes
from mdc_streaming.lease import Lease
from mdc_streaming.line import Line
from mdc_streaming.log import GroupCommit
from mdc_streaming.monitoring import Hub
from mdc_streaming.pacing import Timing
from mdc_streaming.plan import ShardPlan, credentials
from mdc_streaming.recording import NOBODY, Recording
from mdc_streaming.spread import spread

OnEnd = Callable[[str, End], None]
_FORESEEN = frozenset({"replaced", "reload", "hours", "stopped", "suspended"})
_LOOK_AT_DISK = 0.1


class Shard:
    """A log and what fills it. :meth:`run` is called once; :meth:`stop` ends it in order."""

    def __init__(self, home: Home, plan: ShardPlan, hub: Hub, timing: Timing, on_end: OnEnd) -> None:
        self.home = home
        self.plan = plan
        self.timing = timing
        self.lines: list[Line] = []
        self.state = "starting"  # then standby, capturing, full, stopped
        self.trouble = ""
        self.reading = True
        self.ends: Counter[str] = Counter()
        self.log: GroupCommit | None = None
        self.writer: LogWriter | None = None
        self.recording = Recording(plan, hub, self.connections)
        self.hours_open = True
        self.lease = Lease(home.wal_dir, plan.name)
        self.probes: set[Connection] = set()
        self._on_end = on_end
        self._holes: Counter[str] = Counter()
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Wait for the lease, take over the log, capture until :meth:`stop`, seal."""
        try:
            self.writer = await self._take_over()
            if self.writer is not None:
                await self._capture(self.writer)
        finally:
            self.state = "stopped"
            self.lease.release()

    def stop(self) -> None:
        """Drain: stop reading, flush, mark the end, seal; :meth:`run` returns."""
        self._stopping.set()
        self._changed.set()

    def apply(self, home: Home, plan: ShardPlan) -> None:
        """Capture what ``plan`` says from now on; connections that need no change are left alone."""
        self.home, self.plan, self.recording.plan = home, plan, plan
        self._changed.set()

    def resync(self, symbol: Symbol) -> None:
        """Ask for a new snapshot of a book, on the connection that carries it."""
        for connection in self.connections():
            if any(s.symbol == symbol for s in connection.asked.confirmed):
                connection.resync(symbol)

    def renew(self, cause: str) -> None:
        """Replace every connection, each successor confirmed before the old one is closed."""
        for line in self.lines:
            line.renew(cause)

    def stepped(self, by_ns: int) -> None:
        """The wall clock moved: say so in the log."""
        if self.log is not None:
            self.recording.mark(NOBODY, marks.ClockStepped(by_ns))

    def connections(self) -> Iterator[Connection]:
        """All open or opening ones."""
        for line in self.lines:
            yield from line.connections
        yield from self.probes

    def holes(self) -> dict[str, int]:
        """Holes begun since the start, by reason; a view, landing has the last word."""
        refused = sum(len(c.asked.refused) + len(c.asked.unanswered) for c in self.connections())
        return {**self._holes, **({"refused": refused} if refused else {})}

    @property
    def ready(self) -> bool:
        """True if the lease is held and all that is wanted arrives."""
        return self.state == "capturing" and all(line.live for line in self.lines)

    async def _take_over(self) -> LogWriter | None:
        """The open log, once its lease is free and the disk has room; None if stopped meanwhile."""
        while not self._stopping.is_set():
            pause = self.timing.lease
            if not self.lease.held and not await asyncio.to_thread(self.lease.acquire):
                self.state = "standby"
            else:
                try:
                    return await asyncio.to_thread(self._open)
                except LogTaken:
                    self.state = "standby"
                except NoSpace as error:
                    self.state, self.trouble, pause = "full", error.message, self.timing.room
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
        return None

    def _open(self) -> LogWriter:
        home, plan = self.home, self.plan
        return LogWriter.open(
            home.wal_dir,
            home.segments_dir,
            plan.name,
            plan.feed,
            plan.spec.decoder_version,
            home.settings.sidecar,
        )

    async def _capture(self, writer: LogWriter) -> None:
        self.log = GroupCommit(
            writer,
            self.home.settings.sidecar,
            on_roll=self.recording.head,
            on_pressure=(self._read_or_wait, self._read_or_wait),
        )
        self.recording.begin(self.log)
        self.state, self.trouble = "capturing", ""
        found = writer.recovery
        get_logger().info(
            "stream.started", shard=self.plan.name, recovered=found.records, torn_bytes=found.torn_bytes
        )
        self.recording.mark(NOBODY, marks.Started(os.getpid(), __version__, found.last_ns))
        if found.last_ns:
            self._holes["start"] += 1
        async with asyncio.TaskGroup() as group:
            self._group = group
            commit = group.create_task(self.log.run())
            others = (
                group.create_task(self.recording.snapshots.run(self._credentials)),
                group.create_task(self._follow_disk(self.log)),
            )
            try:
                await self._follow_hours()
                await self._drain()
            finally:
                for task in (commit, *others):
                    task.cancel()
        await asyncio.to_thread(writer.close)

    def _credentials(self) -> dict[str, SecretStr]:
        return credentials(self.home, self.plan.spec)

    async def _follow_hours(self) -> None:
        """Give the lines what is wanted now, whenever that changes, until stopped."""
        while not self._stopping.is_set():
            self._changed.clear()
            instant = now()
            self.hours_open, until = self.plan.hours.at(instant)
            wanted = frozenset(s for s in self.plan.wanted if self.hours_open or never_closes(s))
            if wanted != self.recording.wanted or not self.lines:
                self.recording.want(wanted)
            self._carry(wanted)
            pause = min(max((until - instant).total_seconds(), 0.001), 60.0)  # a clock may be set
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    def _carry(self, wanted: frozenset[Subscription]) -> None:
        parts = spread(wanted, [line.wanted for line in self.lines], self.plan.spec.max_symbols)
        for at, part in enumerate(parts):
            if at < len(self.lines):
                if self.lines[at].wanted != part or self.lines[at].plan is not self.plan:
                    self.lines[at].change(self.plan, part)
            else:
                self._add(part)

    def _add(self, part: frozenset[Subscription]) -> None:
        assert self._group is not None
        line = Line(
            plan=self.plan,
            wanted=part,
            make=self.connect,
            on_end=self._ended,
            timing=self.timing,
            settings=self.home.settings.sidecar,
        )
        self.lines.append(line)
        self._tasks.append(self._group.create_task(line.run()))

    def connect(self, plan: ShardPlan, wanted: frozenset[Subscription], *, probe: bool = False) -> Connection:
        """A new connection that writes to this shard's log; not begun yet."""
        assert self.writer is not None
        connection = Connection(
            number=self.writer.next_connection(),
            plan=plan,
            wanted=wanted,
            credentials=credentials(self.home, plan.spec),
            recorder=self.recording,
            timing=self.timing,
            max_frame_bytes=round(self.home.settings.sidecar.max_frame_mb * 1e6),
            probe=probe,
        )
        if not self.reading:
            connection.pause()
        return connection

    def _ended(self, end: End) -> None:
        self.ends[end.cause] += 1
        if end.was_live and end.cause not in _FORESEEN:
            self._holes["disconnect"] += 1
        self._on_end(self.plan.name, end)

    async def _drain(self) -> None:
        """Stop reading, mark the end, have it on disk."""
        assert self.log is not None
        for line in self.lines:
            line.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.recording.mark(NOBODY, marks.Stopped("drained"))
        await self.log.flush()

    async def _follow_disk(self, log: GroupCommit) -> None:
        """A full disk stops the reading until there is room again; health says why."""
        while True:
            self.trouble = f"no room for the log: {log.stalled}" if log.stalled else ""
            self.state = "full" if log.stalled else "capturing"
            self._read_or_wait()
            await asyncio.sleep(_LOOK_AT_DISK)

    def _read_or_wait(self) -> None:
        """Read while the log keeps up."""
        assert self.log is not None
        self.reading = not (self.log.paused or self.log.stalled)
        for connection in self.connections():
            if self.reading:
                connection.resume()
            else:
                connection.pause()
