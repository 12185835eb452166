"""The sidecar's own address: ``/live``, ``/ready``, ``/health``, ``/status``, ``/metrics``, ``/events``.

Served in the loop that captures. While it is bound to loopback, a request that names another host
is refused: a web page whose name was rebound to 127.0.0.1 is none of our readers.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mdc_resources.domain.errors import ConfigError
from mdc_streaming.fanout import routes
from mdc_streaming.metrics import StreamMetrics
from mdc_streaming.status import health_of, status_of

if TYPE_CHECKING:
    from mdc_streaming.service import Service

_RED = 503
_MISDIRECTED = 421
_STOP_SECONDS = 1
_PATIENCE = 2.0


class _Quiet(uvicorn.Server):
    """Signals are the service's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


class OwnHost:
    """Refuses requests to other names than loopback's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is addressed to us."""
        if scope["type"] in ("http", "websocket"):
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if not is_loopback(_without_port(host)):
                refused = PlainTextResponse("this address answers to localhost only\n", _MISDIRECTED)
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Answering:
    """The HTTP side of ``service``."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None

    async def bind(self, *, may_move: Callable[[], bool]) -> str:
        """Take the address; its URL. Where another sidecar has it and we stand by, a free port will do.

        Raises:
            ConfigError: the address cannot be had.
        """
        settings = self._service.home.settings.sidecar
        try:
            self._socket = await _bound(settings.host, settings.port)
        except OSError as error:
            deadline = asyncio.get_running_loop().time() + _PATIENCE
            while not may_move() and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.05)
            if error.errno != errno.EADDRINUSE or not may_move():
                raise ConfigError(
                    f"{settings.host}:{settings.port} cannot be bound: {error.strerror}",
                    key="sidecar.port",
                    hint="Another program has it? Choose another port, or 0 for any",
                ) from None
            self._socket = await _bound(settings.host, 0)
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def run(self) -> None:
        """Serve until :meth:`stop`."""
        assert self._socket is not None
        host = self._service.home.settings.sidecar.host
        app: ASGIApp = application(self._service)
        if is_loopback(host):
            app = OwnHost(app)
        self._server = _Quiet(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=_STOP_SECONDS,
                server_header=False,
                ws="websockets-sansio",
            )
        )
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """End; :meth:`run` returns."""
        self._service.hub.end()
        if self._server is not None:
            self._server.should_exit = True
        elif self._socket is not None:
            self._socket.close()


def application(service: Service) -> Starlette:
    """The routes of ``service``."""
    registry = CollectorRegistry()
    registry.register(StreamMetrics(service))

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        is_ready = service.ready
        return JSONResponse({"ready": is_ready, "standby": service.standby}, 200 if is_ready else _RED)

    async def health(_: Request) -> Response:
        found = health_of(service)
        return JSONResponse(found, 200 if found["healthy"] else _RED)

    async def status(_: Request) -> Response:
        return JSONResponse(status_of(service))

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    own = {"/live": live, "/ready": ready, "/health": health, "/status": status, "/metrics": metrics}
    return Starlette(routes=[*(Route(path, answer) for path, answer in own.items()), *routes(service.hub)])


def is_loopback(host: str) -> bool:
    """True for ``localhost`` and loopback addresses."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


async def _bound(host: str, port: int) -> socket.socket:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    taken = socket.socket(family, kind, protocol)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen(64)
        taken.setblocking(False)
    except OSError:
        taken.close()
        raise
    return taken
