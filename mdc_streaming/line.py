"""One set of subscriptions, kept connected: reconnects after every end, replaces before a foreseen one.

A reconnect waits (backoff with jitter, reset only by a connection that lived a while). A replacement
does not: where the server's lifetime, a maintenance notice or a change of settings makes the end
foreseeable, the successor is open and confirmed before the old connection is closed, and both are
in the log meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.errors import Disposition, ProviderError, RateLimited
from mdc_resources.providers.live import Subscription
from mdc_resources.telemetry import get_logger
from mdc_streaming.connection import Connection, State
from mdc_streaming.endings import End
from mdc_streaming.pacing import Backoff, Timing
from mdc_streaming.plan import ShardPlan

Make = Callable[[ShardPlan, frozenset[Subscription]], Connection]
OnEnd = Callable[[End], None]


_OVERLAPS = 3  # successors that may fail before a changed connection is closed without one


class _Held(NamedTuple):
    connection: Connection
    task: asyncio.Task[End]


@dataclass(slots=True, kw_only=True, eq=False)
class Line:
    """Keeps ``wanted`` of ``plan`` connected until :meth:`stop`; idle while nothing is wanted."""

    plan: ShardPlan
    wanted: frozenset[Subscription]
    make: Make
    on_end: OnEnd
    timing: Timing
    settings: SidecarSettings
    reconnects: Counter[str] = field(default_factory=Counter)
    last_end: End | None = None
    given_up: ProviderError | None = None
    waiting_until: float = 0.0
    _current: _Held | None = None
    _successor: _Held | None = None
    _renew: str = ""
    _stopped: bool = False
    _failed_successors: int = 0
    _backoff: Backoff = field(init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._backoff = Backoff(self.settings.backoff_seconds, self.settings.longest_backoff_seconds)

    async def run(self) -> None:
        """Until :meth:`stop`, and its last connection is closed."""
        while not self._stopped:
            if not self.wanted or self.given_up:
                await self._until_changed(None)
                continue
            end = await self._session()
            if not self._stopped and self.wanted:
                await self._pause(end)

    def change(self, plan: ShardPlan, wanted: frozenset[Subscription]) -> None:
        """Carry ``wanted`` under ``plan`` from now on; connections of other settings are replaced."""
        if not self.plan.alike(plan):
            self._renew = "reload"
        self.plan, self.wanted, self.given_up = plan, wanted, None
        for connection in self.connections:
            if self.wanted:
                connection.adjust(self.wanted)
            else:
                connection.close("hours", "nothing is wanted now")
        self._changed.set()

    def renew(self, cause: str) -> None:
        """Replace the connection: its successor is confirmed before it is closed."""
        self._renew = cause
        self._changed.set()

    def stop(self, cause: str = "stopped") -> None:
        """End it in order; :meth:`run` returns once its connections are closed."""
        self._stopped = True
        for connection in self.connections:
            connection.close(cause)
        self._changed.set()

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The one it has, or two while one replaces the other."""
        return tuple(held.connection for held in (self._current, self._successor) if held is not None)

    @property
    def live(self) -> bool:
        """True if what is wanted arrives, or nothing is wanted."""
        return not self.wanted or any(c.state is State.LIVE for c in self.connections)

    @property
    def failures(self) -> int:
        """Failed connections in a row."""
        return self._backoff.failures

    def as_dict(self) -> dict[str, object]:
        """For ``/status``."""
        return {
            "symbols": len({s.symbol for s in self.wanted}),
            "connections": [connection.as_dict() for connection in self.connections],
            "reconnects": dict(self.reconnects),
            "failures_in_a_row": self.failures,
            "retry_in_seconds": round(max(0.0, self.waiting_until - time.monotonic()), 3),
            "last_end": self.last_end.reason if self.last_end else None,
            "last_code": self.last_end.code if self.last_end else None,
            "given_up": str(self.given_up) if self.given_up else None,
        }

    async def _session(self) -> End:
        """One connection after another, overlapping, until one ends unforeseen."""
        self._renew = ""
        self._current = self._start()
        try:
            while True:
                await self._until_over_or_due(self._current)
                if self._current.task.done():
                    return self._over(self._current.task.result())
                await self._replace(self._current)
        finally:
            # Cancelled, or one of them failed: neither may go on unseen.
            for held in (self._current, self._successor):
                if held is not None and not held.task.done():
                    held.connection.close("stopped")
                    await asyncio.wait([held.task], timeout=self.timing.drain)
            self._current = self._successor = None

    async def _replace(self, old: _Held) -> None:
        """Open a successor beside ``old``; what is current afterwards is the one that is left."""
        cause, self._renew = self._renew or "replaced", ""
        self._successor = new = self._start()
        live = asyncio.create_task(new.connection.live.wait())
        try:
            both = {old.task, new.task, live}
            await asyncio.wait(both, timeout=self.timing.overlap, return_when=asyncio.FIRST_COMPLETED)
        finally:
            live.cancel()
        if new.connection.live.is_set() or (old.task.done() and not new.task.done()):
            # What the server was about to send on the old one, the new one may have been too late for.
            await asyncio.wait(
                {old.task, new.task}, timeout=self.timing.beside, return_when=asyncio.FIRST_COMPLETED
            )
            old.connection.close(cause, old.connection.leave)
            self._count(await old.task)
            self._current, self._successor, self._failed_successors = new, None, 0
            return
        new.connection.close("unanswered", "not confirmed in time to replace another")
        self._count(await new.task)
        self._successor = None
        self._failed_successors += 1
        if cause != "replaced":
            self._renew = cause
            if self._failed_successors >= _OVERLAPS:  # a vendor that allows one connection, for instance
                old.connection.close(cause, "no successor could be opened beside it")
                return
        await self._until_changed(self._backoff.failed(), old.task)

    def _start(self) -> _Held:
        connection = self.make(self.plan, self.wanted)
        return _Held(connection, asyncio.create_task(connection.run()))

    async def _until_over_or_due(self, held: _Held) -> None:
        """Until the connection is over, or should be replaced."""
        while not held.task.done() and not self._due(held.connection):
            if held.connection.age >= self.timing.settled and held.connection.live.is_set():
                self._backoff.settled()
            await asyncio.wait([held.task], timeout=self.timing.tick)

    def _due(self, connection: Connection) -> bool:
        """True if a successor is to be opened now."""
        if self._stopped or not connection.live.is_set():
            return False
        if self._renew or connection.leave:
            return True
        return connection.age >= self._lifetime()

    def _lifetime(self) -> float:
        """The setting's, else the server's less a margin."""
        if self.plan.lifetime is not None:
            return self.plan.lifetime
        limit = self.plan.spec.lifetime
        return float("inf") if limit is None else max(1.0, limit.total_seconds() - self.timing.early)

    def _over(self, end: End) -> End:
        self._count(end)
        self.last_end = end
        if end.lived >= self.timing.settled and end.was_live:
            self._backoff.settled()
        if end.error is not None and end.error.disposition is Disposition.ABORT:
            self.given_up = end.error
        get_logger().info("stream.closed", shard=self.plan.name, reason=end.reason, code=end.code)
        return end

    def _count(self, end: End) -> None:
        if end.cause not in ("stopped", "hours"):
            self.reconnects[end.cause] += 1
        self.on_end(end)

    async def _pause(self, end: End) -> None:
        pause = self._backoff.failed()
        if isinstance(end.error, RateLimited) and end.error.retry_after is not None:
            pause = max(pause, end.error.retry_after)
        await self._until_changed(pause)

    async def _until_changed(self, seconds: float | None, task: asyncio.Task[End] | None = None) -> None:
        """Wait for ``seconds``, at most until something is changed or ``task`` is done."""
        self._changed.clear()
        self.waiting_until = time.monotonic() + (seconds or 0.0)
        waits = {asyncio.create_task(self._changed.wait()), *([task] if task else [])}
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in waits:
                if waiting is not task:
                    waiting.cancel()
