"""A hub served on a real port in a thread, and a home that points at it, for the command line."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from mdc_resources import config
from mdc_streaming.announce import announce
from mdc_streaming.fanout import routes
from mdc_streaming.monitoring import Hub
from tests.streaming.hubbing import coinbase_hub, running


@dataclass(slots=True)
class Sidecar:
    """The HTTP face of a sidecar: a hub, served in a thread of its own."""

    hub: Hub
    server: uvicorn.Server
    loop: asyncio.AbstractEventLoop
    url: str

    def call(self, work: Callable[[], object]) -> None:
        """Do ``work`` in the hub's thread."""
        asyncio.run_coroutine_threadsafe(_done(work), self.loop).result(10)

    def frames(self, *frames: bytes, at_ns: int) -> None:
        """Take these in."""
        self.call(lambda: [self.hub.frame(1, at_ns, frame) for frame in frames])

    def frames_once_watched(self, *frames: bytes, at_ns: int) -> threading.Thread:
        """Take these in as soon as somebody subscribes; join the thread."""

        def wait() -> None:
            async def watched() -> None:
                while not self.hub.fanout:
                    await asyncio.sleep(0.01)

            asyncio.run_coroutine_threadsafe(watched(), self.loop).result(10)
            self.frames(*frames, at_ns=at_ns)

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    def announce(self, home: Path) -> None:
        """Write the file by which commands find it, once nobody watches any more."""

        async def alone() -> None:
            while self.hub.fanout:
                await asyncio.sleep(0.01)

        asyncio.run_coroutine_threadsafe(alone(), self.loop).result(10)
        announce(config.load(home / "mdc.toml", environ={}), self.url)


async def _done(work: Callable[[], object]) -> None:
    work()


@contextmanager
def sidecar() -> Iterator[Sidecar]:
    """One that runs while the block does."""
    ready: list[Sidecar] = []
    up = threading.Event()

    async def serve() -> None:
        hub = coinbase_hub()
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            config = uvicorn.Config(
                Starlette(routes=routes(hub)), log_level="error", timeout_graceful_shutdown=5
            )
            server = uvicorn.Server(config)
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            ready.append(Sidecar(hub, server, asyncio.get_running_loop(), url))
            async with running(hub):
                serving = asyncio.create_task(server.serve(sockets=[listening]))
                while not server.started:
                    await asyncio.sleep(0.01)
                up.set()
                await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(10)
    try:
        yield ready[0]
    finally:
        ready[0].call(ready[0].hub.end)
        ready[0].server.should_exit = True
        thread.join(10)
