"""Group commit: frames are appended from the event loop, one thread makes them durable.

A commit starts so long before ``commit_ms`` have passed for the first frame that waits that it should
be acknowledged by then; how long that is, is learnt from those that came late. ``durable_through`` is
never ahead of the disk. What waits is bounded: beyond ``queue_mb`` reading is paused. A full disk stalls
and goes on by itself; any other failure ends :meth:`GroupCommit.run`, and so the process.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.errors import StorageFailed
from mdc_resources.telemetry import get_logger
from mdc_resources.wal import LogWriter, NoSpace

T = TypeVar("T")
SEAL_PAUSE_SECONDS = 5.0  # after a compressed segment found no room
TICK_SECONDS = 0.5  # how often age and a full disk are looked at while nothing else happens
# A commit that was late by 4 ms lets the next ones begin 2 ms earlier; one in time by as much takes
# 0.08 ms of that back.
_LATE, _IN_TIME = 0.5, 0.02


class GroupCommit:
    """The asyncio side of a :class:`LogWriter`; everything but the commits runs in the loop.

    ``on_roll`` is called between two segments; what it appends are the first records of the next.
    ``on_pressure`` is a pair: to pause reading, and to resume it. ``stalled`` says why nothing becomes
    durable for now, empty while it does. ``exposure_seconds`` is how long the first frame of the last
    commit waited, ``longest_exposure_seconds`` the worst of all.
    """

    def __init__(
        self,
        writer: LogWriter,
        settings: SidecarSettings,
        *,
        on_roll: Callable[[], None] | None = None,
        on_pressure: tuple[Callable[[], None], Callable[[], None]] | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.writer = writer
        self.on_roll = on_roll
        self.on_pressure = on_pressure
        self.stalled = ""
        self.paused = False
        self.commits = self.frames = 0
        self.exposure_seconds = self.longest_exposure_seconds = 0.0
        self._commit_seconds = settings.commit_ms / 1e3
        self._queue_bytes = round(settings.queue_mb * 1e6)
        self._clock = clock
        self._first = 0.0  # when the first frame that waits was appended; 0 while none does
        self._early = 0.0  # by how much a commit begins before its time is up
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._flushes: list[asyncio.Future[None]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"wal-{writer.shard}")
        self._sealing: asyncio.Task[list[Path]] | None = None
        self._seal_at = 0.0  # at once: a crash may have left some
        self._ended: BaseException | None = None

    @property
    def durable_through(self) -> int:
        """Receive time (ns) of the last record on disk, 0 before the first: the acknowledgement."""
        return self.writer.durable_ns

    @property
    def pending_bytes(self) -> int:
        """Bytes appended and not yet durable."""
        return self.writer.pending_bytes

    def append(self, kind: int, recv_ns: int, connection: int, frames: Sequence[bytes]) -> None:
        """Take in frames; only from the loop's own thread. Raises StorageFailed once the log is dead."""
        self.writer.append(kind, recv_ns, connection, frames)
        if not self._first:
            self._first = time.monotonic()
            self._wake.set()
        if self.writer.pending_bytes > self._queue_bytes and not self.paused:
            self._press(paused=True)

    async def run(self) -> None:
        """Commit, roll and seal until cancelled.

        Raises:
            StorageFailed: the disk refused; only what was acknowledged is certain.
        """
        try:
            while True:
                await self._wait()
                if self._first or self._flushes:
                    await self._commit()
                if self.writer.due_to_roll(self._clock()):
                    await self._roll()
                self._seal()
        except BaseException as error:
            self._ended = error
            raise
        finally:
            for waiting in self._flushes:
                if not waiting.done():
                    waiting.set_exception(StorageFailed("the log was closed before this was durable"))
            self._thread.shutdown(wait=True)  # a commit under way is let end: it may acknowledge
            if self._sealing:
                with suppress(BaseException):
                    await self._sealing

    async def flush(self) -> None:
        """Return once everything appended before is durable; :meth:`run` must be running.

        Raises:
            StorageFailed: it will not become durable.
        """
        if self._ended:
            raise StorageFailed(f"the log has ended: {self._ended}")
        if self.writer.pending_bytes:
            waiting = asyncio.get_running_loop().create_future()
            self._flushes.append(waiting)
            self._hurry.set()
            self._wake.set()
            await waiting

    async def _wait(self) -> None:
        """Until the next commit is due, or something may have to be rolled or sealed."""
        if not self._first:
            await _set_within(self._wake, TICK_SECONDS)
        if self._first:
            delay = self._first + self._commit_seconds - self._early - time.monotonic()
            if delay > 0 and not self._hurry.is_set():
                await _set_within(self._hurry, delay)

    async def _commit(self) -> None:
        first, self._first = self._first, 0.0
        self._wake.clear()
        self._hurry.clear()
        flushes, self._flushes = self._flushes, []
        try:
            durable = await self._write(self.writer.commit)
        except BaseException:
            self._flushes += flushes
            raise
        self.commits += 1
        self.frames += durable.frames
        if first:
            self._learn(time.monotonic() - first)
        for waiting in flushes:
            if not waiting.done():
                waiting.set_result(None)
        if self.paused and self.writer.pending_bytes < self._queue_bytes // 2:
            self._press(paused=False)

    def _learn(self, exposure: float) -> None:
        """Note how long the first frame of a commit waited, and begin the next one accordingly."""
        self.exposure_seconds = exposure
        self.longest_exposure_seconds = max(self.longest_exposure_seconds, exposure)
        late = exposure - self._commit_seconds
        early = self._early + late * (_LATE if late > 0 else _IN_TIME)
        self._early = min(max(early, 0.0), self._commit_seconds * 0.75)

    async def _roll(self) -> None:
        self.writer.cut()
        if self.on_roll:
            self.on_roll()
        durable = await self._write(self.writer.roll)
        self.frames += durable.frames
        self._seal_at = 0.0

    async def _write(self, act: Callable[[], T]) -> T:
        """Run ``act`` in the log's thread; again and again while the disk is full."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                done = await loop.run_in_executor(self._thread, act)
            except NoSpace as error:
                if not self.stalled:
                    get_logger().error("wal_no_space", shard=self.writer.shard, reason=str(error))
                self.stalled = str(error)
                self._seal()  # a compressed segment makes room
                await asyncio.sleep(TICK_SECONDS)
                continue
            if self.stalled:
                get_logger().info("wal_space_again", shard=self.writer.shard)
            self.stalled = ""
            return done

    def _seal(self) -> None:
        """Compress finished segments in the background, one run at a time; raises what the last one met."""
        if self._sealing and self._sealing.done():
            task, self._sealing = self._sealing, None
            try:
                task.result()
            except NoSpace as error:
                self._seal_at = time.monotonic() + SEAL_PAUSE_SECONDS
                get_logger().warning("wal_not_sealed", shard=self.writer.shard, reason=str(error))
        if self._sealing is None and time.monotonic() >= self._seal_at:
            self._seal_at = math.inf
            self._sealing = asyncio.create_task(asyncio.to_thread(self.writer.seal_finished))

    def _press(self, *, paused: bool) -> None:
        self.paused = paused
        if self.on_pressure:
            self.on_pressure[0 if paused else 1]()


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Until ``event`` is set, or so long. Not ``wait_for``: that can swallow a cancellation (bpo-37658)."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
