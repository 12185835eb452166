"""A recorded log as a WebSocket server on loopback: its frames again, in their order and at their pace.

Each client gets all of it from the beginning, once it has said something (a subscription) or a second
has passed, and then a clean close. What clients say is read and otherwise ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from mdc_resources.wal import Kind, read_segment

_PATIENCE_SECONDS = 1.0
_EARLY_SECONDS = 0.002  # shorter pauses are left out


class Replay:
    """Serves the frames of ``paths``, of one ``connection`` or of all, ``speed`` times as fast.

    ``sent`` counts frames over all clients.
    """

    def __init__(self, paths: Sequence[Path], *, connection: int | None, speed: float) -> None:
        self.sent = 0
        self._paths = paths
        self._connection = connection
        self._speed = speed
        self._served = asyncio.Event()

    async def serve(self, port: int, *, keep: bool, announce: Callable[[str], None]) -> None:
        """Serve on ``port`` (0: a free one) until the first client has everything; ``keep``: for ever.

        Raises:
            WalDamaged: a segment cannot be read to its end.
        """
        failed: list[Exception] = []

        async def one(client: ServerConnection) -> None:
            try:
                await self._send_all(client)
            except ConnectionClosed:
                return  # it left early; the next one gets everything
            except Exception as error:
                failed.append(error)
            if not keep or failed:
                self._served.set()

        async with serve(one, "127.0.0.1", port, max_size=None, compression=None) as server:
            announce(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
            await self._served.wait()
        if failed:
            raise failed[0]

    async def _send_all(self, client: ServerConnection) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await client.recv()
        listening = asyncio.create_task(_ignore(client))
        began, first = asyncio.get_running_loop().time(), None
        try:
            for recv_ns, frames in self._frames():
                first = recv_ns if first is None else first
                await self._until(began, recv_ns - first)
                for frame in frames:
                    await client.send(frame, text=_is_text(frame))
                    self.sent += 1
            await client.close()
        finally:
            listening.cancel()

    async def _until(self, began: float, elapsed_ns: int) -> None:
        if self._speed:
            pause = began + elapsed_ns / 1e9 / self._speed - asyncio.get_running_loop().time()
            if pause > _EARLY_SECONDS:
                await asyncio.sleep(pause)

    def _frames(self) -> Iterator[tuple[int, tuple[bytes, ...]]]:
        for path in self._paths:
            for record in read_segment(path):
                if record.kind is Kind.FRAMES and self._connection in (None, record.connection):
                    yield record.recv_ns, record.frames


async def _ignore(client: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in client:
            pass


def _is_text(frame: bytes) -> bool:
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return True
