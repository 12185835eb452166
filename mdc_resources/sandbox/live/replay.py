"""A recorded capture served again over a real WebSocket server, at full speed or at its own pace.

Takes plain ``(delay, text)`` pairs: seconds after the message before, and the frame. Each connection gets
the whole recording from its start, once it has said as many messages as the recorded client had.
HTTP paths (book snapshots) may be answered beside it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import TracebackType

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from mdc_resources.domain.errors import UsageError

HOST = "127.0.0.1"
_START_SECONDS = 10.0


class LiveReplay:
    """A WebSocket server in a thread of its own.

    ``pace`` 0 sends as fast as the client takes, 1 in the recorded time, 2 twice as fast. ``awaits`` is the
    number of client messages to wait for. ``answers`` pairs HTTP paths (with their query) with JSON bodies.
    With ``close`` the connection is closed with that code after the last message, else left open.
    """

    def __init__(
        self,
        messages: Iterable[tuple[float, str]],
        *,
        pace: float = 0.0,
        awaits: int = 1,
        answers: Mapping[str, bytes] | None = None,
        close: int | None = None,
        port: int = 0,
    ) -> None:
        self.messages = list(messages)
        self.said: list[str] = []  # by clients, in order
        self._pace = pace
        self._awaits = awaits
        self._answers = dict(answers or {})
        self._close = close
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def ws_url(self) -> str:
        """``ws://127.0.0.1:PORT``; any path below it is served. Raises UsageError before the start."""
        return f"ws://{self._address()}"

    @property
    def http_url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://{self._address()}"

    def __enter__(self) -> LiveReplay:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise UsageError("the replay did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop and self._stopping and self._thread:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_START_SECONDS)

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            self._play, HOST, self._port, compression=None, process_request=self._answer, max_queue=None
        ) as server:
            self._port = _port_of(server)
            self._ready.set()
            await self._stopping.wait()

    async def _play(self, connection: ServerConnection) -> None:
        try:
            for _ in range(self._awaits):
                self._note(await connection.recv())
            for delay, text in self.messages:
                if self._pace and delay > 0:
                    await asyncio.sleep(delay / self._pace)
                await connection.send(text)
            if self._close is not None:
                await connection.close(self._close)
                return
            async for said in connection:
                self._note(said)
        except ConnectionClosed:
            return

    def _answer(self, _: ServerConnection, request: Request) -> Response | None:
        """The body of an HTTP path; None lets the handshake go on."""
        if "websocket" in request.headers.get("Upgrade", "").lower():
            return None
        body = self._answers.get(request.path)
        status = HTTPStatus.NOT_FOUND if body is None else HTTPStatus.OK
        headers = {"content-type": "application/json", "content-length": str(len(body or b""))}
        return Response(status.value, status.phrase, Headers(headers | {"connection": "close"}), body or b"")

    def _note(self, said: str | bytes) -> None:
        self.said.append(said if isinstance(said, str) else said.decode(errors="replace"))

    def _address(self) -> str:
        if not self._ready.is_set():
            raise UsageError("the replay is not running", hint="Use it as a context manager")
        return f"{HOST}:{self._port}"


def _port_of(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port
