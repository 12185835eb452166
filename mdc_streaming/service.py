"""The sidecar: the shards of a home in one process, side by side, under one task group.

The death of any task is the process's. SIGTERM and SIGINT drain (within ten seconds: stop reading,
flush, mark the end, seal), SIGHUP reads the settings anew: what changed is subscribed or left on the
open connections, nobody else is interrupted, and settings that cannot be used change nothing.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.errors import ConfigError, MdcError, StorageFailed
from mdc_resources.domain.symbols import Symbol
from mdc_resources.telemetry import get_logger
from mdc_streaming.announce import announce, is_vacant, withdraw
from mdc_streaming.endings import End
from mdc_streaming.homecheck import HomeCheck
from mdc_streaming.http import Answering
from mdc_streaming.lookout import Lookout
from mdc_streaming.monitoring import Hub
from mdc_streaming.pacing import Timing
from mdc_streaming.plan import plans
from mdc_streaming.shard import Shard
from mdc_streaming.switching import Switchboard

_LOOK = 0.25
_FIRST_LOOK = 0.02


class Service:
    """One process. :meth:`run` returns once it has drained; it raises what ended a task."""

    def __init__(self, home: Home, *, only: Sequence[str] = (), timing: Timing | None = None) -> None:
        logging.getLogger("picows").setLevel(logging.CRITICAL)  # it quotes URLs; every end is logged by us
        self.home = home
        self.timing = timing or Timing()
        self.shards: dict[str, Shard] = {}
        self.hub = Hub(home.settings.sidecar, on_resync=self._resync)
        self.switchboard = Switchboard(home, self.hub, self.timing, self.shards)
        self.started = time.time()
        self.url = ""
        self.reload_state: dict[str, object] = {"reloads": 0, "refused": 0, "error": None}
        self.lookout = Lookout(home, self.hub, self.timing, self.shards)
        self.draining = False
        self._only = tuple(only)
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self, *, seconds: float | None = None) -> None:
        """Capture until a signal, or for ``seconds``.

        Raises:
            ConfigError: the settings ask for what there is not.
            BadCredentials: a credential is missing.
            StorageFailed: the disk refused, or the home is gone.
        """
        first = await asyncio.to_thread(plans, self.home, only=self._only)
        if not any(plan.wanted for plan in first.values()):
            raise ConfigError(
                "no live feed is configured",
                key="stream",
                hint='Add [stream.coinbase] with symbols = ["COINBASE:BTC-USD"] to mdc.toml',
            )
        HomeCheck(self.home).look()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._serve(group, seconds)
        except BaseExceptionGroup as several:
            raise worst(several) from several
        finally:
            withdraw(self.home)

    def stop(self) -> None:
        """Drain and end."""
        self._stop.set()

    def reload(self) -> None:
        """Read the settings anew."""
        self._reload.set()

    @property
    def ready(self) -> bool:
        """True if every shard holds its lease and receives what it wants."""
        return bool(self.shards) and not self.draining and all(s.ready for s in self.shards.values())

    @property
    def standby(self) -> bool:
        """True while all of the shards are another process's."""
        return bool(self.shards) and all(shard.state == "standby" for shard in self.shards.values())

    def troubles(self) -> list[str]:
        """Why health is red; empty while it is not."""
        found = [f"{s.plan.name}: {s.trouble}" for s in self.shards.values() if s.trouble]
        for shard in self.shards.values():
            found += [f"{shard.plan.name}: {line.given_up}" for line in shard.lines if line.given_up]
        return found

    async def _serve(self, group: asyncio.TaskGroup, seconds: float | None) -> None:
        answering = Answering(self)
        with self._signals():
            await self._apply(self.home)
            self.url = await answering.bind(may_move=self._others_run)
            serving = group.create_task(answering.run())
            others = (
                group.create_task(self.hub.run()),
                group.create_task(self._watch(group)),
                group.create_task(self._follow_reloads()),
            )
            get_logger().info("stream.running", url=self.url, shards=sorted(self.shards))
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._stop.wait()
                await self._drain()
            finally:
                for task in others:
                    task.cancel()
                answering.stop()
                await asyncio.wait([serving], timeout=self.timing.drain)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Where this is the main thread; elsewhere whoever runs us calls :meth:`stop` himself."""
        handlers = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self.reload}
        if threading.current_thread() is not threading.main_thread():
            handlers = {}
        loop = asyncio.get_running_loop()
        for name, handler in handlers.items():
            loop.add_signal_handler(name, handler)
        try:
            yield
        finally:
            for name in handlers:
                loop.remove_signal_handler(name)

    def _others_run(self) -> bool:
        return any(shard.state == "standby" for shard in self.shards.values())

    async def _drain(self) -> None:
        self.draining = True
        await self.switchboard.stop()
        for shard in self.shards.values():
            shard.stop()
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=self.timing.drain)
            if late:
                raise StorageFailed(
                    f"{len(late)} logs could not be closed within {self.timing.drain:g} s",
                    hint="What was acknowledged is on disk; the next start seals it",
                )
        get_logger().info("stream.drained")

    async def _apply(self, home: Home) -> None:
        """Make the shards what the plans of ``home`` say; raises ConfigError before anything changes.

        Planned in a thread: a calendar takes seconds to load, and the loop has frames to receive.
        """
        standing_in = self.switchboard.standing_in
        wanted = await asyncio.to_thread(plans, home, only=self._only, standing_in=standing_in)
        self.home = home
        for name, plan in wanted.items():
            if name in self.shards:
                self.shards[name].apply(home, plan)
            else:
                self._add(name, Shard(home, plan, self.hub, self.timing, self._ended))
        for name in self.shards.keys() - wanted.keys():
            self.shards[name].stop()

    def _add(self, name: str, shard: Shard) -> None:
        assert self._group is not None
        self.shards[name] = shard
        self._running[name] = self._group.create_task(self._keep(name, shard), name=name)

    async def _keep(self, name: str, shard: Shard) -> None:
        await shard.run()
        if self.shards.get(name) is shard and not self.draining:
            del self.shards[name], self._running[name]

    async def _follow_reloads(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            try:
                home = await asyncio.to_thread(config.load, self.home.config_file)
                # Refused as a whole, before anything changes.
                await asyncio.to_thread(plans, home, only=self._only)
                self.switchboard.reload(home)
                await self._apply(home)
            except MdcError as error:
                self._reloaded(error)
            else:
                self._reloaded(None)

    def _reloaded(self, error: MdcError | None) -> None:
        kind = "refused" if error else "reloads"
        count = self.reload_state[kind]
        assert isinstance(count, int)
        self.reload_state = {
            **self.reload_state,
            kind: count + 1,
            "at": time.time(),
            "error": str(error) if error else None,
        }
        if error:
            get_logger().error("stream.reload_refused", error=error.message, hint=error.hint)
        else:
            get_logger().info("stream.reloaded", shards=sorted(self.shards))

    async def _watch(self, group: asyncio.TaskGroup) -> None:
        """Who we are, what goes on around us, and which feed is captured."""
        announced = ""
        while True:
            await asyncio.sleep(_LOOK if announced else _FIRST_LOOK)
            role = self._role()
            if role not in ("", announced) or (role == "active" and is_vacant(self.home)):
                announce(self.home, self.url, standby=role == "standby")
                announced = role
            await self.lookout.look()
            if self.switchboard.look(self.home, group):
                await self._apply(self.home)

    def _role(self) -> str:
        """Known once every shard knows whether its lease is free: only then is it announced."""
        if any(shard.state == "starting" for shard in self.shards.values()):
            return ""
        return "standby" if self.standby else "active"

    def _resync(self, shard: str, symbol: Symbol) -> None:
        if shard in self.shards:
            self.shards[shard].resync(symbol)

    def _ended(self, shard: str, end: End) -> None:
        if shard in self.shards:
            self.switchboard.ended(self.shards[shard].plan.feed, end)


def worst(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that decides the exit code: a defect first, then the greatest code."""
    flat: list[BaseException] = []
    for error in several.exceptions:
        flat.append(worst(error) if isinstance(error, BaseExceptionGroup) else error)
    defects = [error for error in flat if not isinstance(error, MdcError)]
    return defects[0] if defects else max(flat, key=lambda e: e.exit_code if isinstance(e, MdcError) else 0)
