"""The sandbox on a port of its own: uvicorn in a thread, loopback only.

    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        httpx.get(f"{server.url}/yahoo/v8/finance/chart/AAPL?...")

``stop`` drops connections that are still being answered (a drip may take an hour).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox import wire
from mdc_resources.sandbox.app import Sandbox
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.replay import Replay

HOST = "127.0.0.1"
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0


class _WithoutCutAnswers(logging.Filter):
    """Drops uvicorn's tracebacks of answers that :meth:`SandboxServer.stop` cut short on purpose."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a cancelled answer and for the count of them."""
        kind = record.exc_info[0] if record.exc_info else None
        cut = kind is not None and issubclass(kind, asyncio.CancelledError)
        return not cut and not record.getMessage().startswith("Cancel ")


_QUIET = _WithoutCutAnswers()


class SandboxServer:
    """A running sandbox. ``port=0`` takes a free one; ``replay`` a folder or a :class:`Replay`.

    ``alpaca_keys`` pairs key ids with secrets; without it any that are not empty will do. ``live_rate`` is
    how often each symbol is traded a second on the live feeds; given, history shows those trades too.
    """

    def __init__(
        self,
        *,
        market: Market,
        port: int = 0,
        replay: Replay | Path | None = None,
        alpaca_keys: Mapping[str, str] | None = None,
        live_rate: float | None = None,
    ) -> None:
        recorded = Replay.load(replay) if isinstance(replay, Path) else replay
        self.sandbox = Sandbox(market, replay=recorded, alpaca_keys=alpaca_keys, live_rate=live_rate)
        self._port = port
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``; raises UsageError before :meth:`start`."""
        if self._socket is None:
            raise UsageError("the sandbox is not running", hint="Call start() or use it as a context manager")
        return f"http://{HOST}:{self._socket.getsockname()[1]}"

    def provider_url(self, provider: str) -> str:
        """What to set as the ``base_url`` of ``provider``."""
        return f"{self.url}/{provider}"

    def live_url(self, feed: str) -> str:
        """What to set as the ``ws_url`` of ``feed``."""
        return f"{self.url.replace('http', 'ws', 1)}/{feed}/ws"

    def live(self) -> dict[str, Any]:
        """What ``GET /_sandbox/live`` tells of the feeds."""
        return self.sandbox.ledger.as_dict()

    def start(self) -> None:
        """Serve from a thread; returns once requests are answered. Raises UsageError if it cannot."""
        self.listen()
        server = self._server
        assert server is not None
        self._thread = threading.Thread(target=self.run, name="mdc-sandbox", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise UsageError("the sandbox did not start")
            time.sleep(0.005)

    def listen(self) -> None:
        """Take the port, so that :attr:`url` is known; nothing is answered yet. Raises UsageError."""
        if self._server is None:
            self._server = self._bind()

    def run(self) -> None:
        """Serve in this thread until interrupted."""
        self.listen()
        if self._server and self._socket:
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Stop serving and free the port."""
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(timeout=_STOP_SECONDS)
            self._server.force_exit = True
            self._thread.join(timeout=_STOP_SECONDS)
        if self._socket:
            self._socket.close()
        self._server = self._thread = self._socket = None

    def add_fault(self, provider: str, kind: str, **wanted: Any) -> int:
        """Set a fault as ``POST /_sandbox/faults`` does; returns its id."""
        return self.sandbox.faults.add({"provider": provider, "kind": kind, **wanted}).id

    def clear_faults(self) -> None:
        """Lift all faults."""
        self.sandbox.faults.clear()

    def requests(self) -> dict[str, Any]:
        """What ``GET /_sandbox/requests`` answers."""
        return self.sandbox.log.as_dict()

    def clear_requests(self) -> None:
        """Reset the counts."""
        self.sandbox.log.clear()

    def __enter__(self) -> SandboxServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _bind(self) -> uvicorn.Server:
        # The protocol is named so that asyncio turns Nagle's algorithm off (40 ms an answer otherwise).
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, self._port))
        except OSError as error:
            listener.close()
            raise UsageError(
                f"port {self._port} of {HOST} cannot be taken: {error.strerror}",
                hint="Choose another with --port",
            ) from None
        self._socket = listener
        config = uvicorn.Config(
            self.sandbox.app(),
            http=wire.Connections,
            ws=wire.LiveConnections,
            ws_per_message_deflate=False,
            ws_ping_interval=None,  # a silent connection sends no pings either: the dialects do
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        logging.getLogger("uvicorn.error").addFilter(_QUIET)  # once: filters are a set
        return uvicorn.Server(config)
