"""A vendor on a real socket that does whatever a test scripts, and a transport that asks it."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mdc_resources import config
from mdc_resources.config import Home, Limits
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ProviderError
from mdc_resources.domain.requests import Attempt, FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import State
from mdc_resources.transport.archive import RawArchive
from mdc_resources.transport.budget import Budgets
from mdc_resources.transport.http import HttpTransport
from mdc_resources.transport.recording import Exchange


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait milliseconds; what is asked for by Retry-After is waited in full."""
    monkeypatch.setattr("mdc_resources.transport.retry.FIRST_WAIT_SECONDS", 0.02)


@dataclass
class Call:
    """One request as it arrived, and the socket to answer on."""

    number: int
    head: str
    sock: socket.socket
    closing: threading.Event

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def reply(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        """Send a well-formed answer; ``retry_after="5"`` becomes ``retry-after: 5``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(
            f"{name}: {value}\r\n" for name, value in {"content-length": str(len(body)), **named}.items()
        )
        self.raw(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body)

    def reset(self) -> None:
        """Cut the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hang_up(self) -> None:
        """Close the connection in good order, whatever was promised."""
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def silence(self) -> None:
        """Say nothing until the vendor closes."""
        self.closing.wait(30)


@dataclass
class Vendor:
    """``answer`` is called for each request, in the connection's own thread."""

    url: str = ""
    answer: Callable[[Call], None] = lambda call: call.reply()
    heads: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    open_now: int = 0
    open_most: int = 0

    @property
    def requests(self) -> int:
        """Requests received so far."""
        return len(self.heads)


@pytest.fixture
def vendors() -> Iterator[Callable[[], Vendor]]:
    """Start as many vendors as a test needs, each on a port of its own."""
    servers: list[tuple[socketserver.ThreadingTCPServer, Vendor]] = []

    def start() -> Vendor:
        vendor = Vendor()
        server = _Server(("127.0.0.1", 0), _handler(vendor))
        vendor.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append((server, vendor))
        return vendor

    yield start
    for server, vendor in servers:
        vendor.closing.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def vendor(vendors: Callable[[], Vendor]) -> Vendor:
    """One vendor."""
    return vendors()


@dataclass
class Desk:
    """A home with a transport; ``fetch`` runs one exchange and keeps its attempts."""

    home: Home
    attempts: list[Attempt] = field(default_factory=list)
    classify: Callable[[HttpResponse], ProviderError | None] = lambda _response: None
    limits: Limits = field(default_factory=Limits)
    run_id: str = "run"

    def fetch(self, url: str, **more: Any) -> Exchange:
        """Fetch ``url``; ``more`` are fields of the HttpRequest."""
        return self.run(lambda transport: self.ask(transport, HttpRequest(url, **more)))

    def run(self, work: Callable[[HttpTransport], Coroutine[Any, Any, Any]]) -> Any:
        """Run ``work`` with an open transport, and close everything after it."""

        async def main() -> Any:
            budgets, state = Budgets.open(self.home.state_dir), State.open(self.home)
            archive = RawArchive.open(self.home.raw_dir, self.run_id)
            settings, secrets = self.home.settings.transport, self.home.secrets
            try:
                async with HttpTransport(
                    settings=settings, state=state, budgets=budgets, archive=archive, secrets=secrets
                ) as transport:
                    return await work(transport)
            finally:
                archive.close()
                budgets.close()
                state.close()

        return asyncio.run(main())

    async def ask(self, transport: HttpTransport, wire: HttpRequest, *, provider: str = "acme") -> Exchange:
        """One fetch on an open transport."""
        return await transport.fetch(
            wish(provider),
            wire,
            limits=self.limits,
            classify=self.classify,
            page=1,
            decoder_version=3,
            attempts=self.attempts,
        )


@pytest.fixture
def desks(tmp_path: Path) -> Callable[..., Desk]:
    """``desks(environ={...}, deadline_seconds=2)`` makes a home with these transport settings."""

    def make(*, environ: dict[str, str] | None = None, **settings: object) -> Desk:
        quick = {"deadline_seconds": 10, **settings}
        lines = "".join(f"{name} = {value}\n" for name, value in quick.items())
        (tmp_path / "mdc.toml").write_text(f"[transport]\n{lines}", encoding="utf-8")
        return Desk(config.load(tmp_path / "mdc.toml", environ=environ or {}))

    return make


@pytest.fixture
def desk(desks: Callable[..., Desk]) -> Desk:
    """A desk with a deadline of ten seconds."""
    return desks()


def wish(provider: str = "acme") -> FetchRequest:
    """A plain request for one symbol and one week."""
    return FetchRequest(
        provider=provider,
        dataset=Dataset.BARS_1D,
        symbols=(Symbol("AAPL"), Symbol("BRK.B")),
        start=dt.date(2024, 1, 2),
        end=dt.date(2024, 1, 5),
        calendar="XNYS",
        asof=dt.date(2024, 1, 9),
        attempt=7,
    )


@pytest.fixture(name="wish")
def _wish() -> Callable[..., FetchRequest]:
    """The request every desk makes."""
    return wish


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


def _handler(vendor: Vendor) -> type[socketserver.BaseRequestHandler]:
    lock = threading.Lock()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with lock:
                vendor.open_now += 1
                vendor.open_most = max(vendor.open_most, vendor.open_now)
            try:
                while head := self._head():
                    with lock:
                        vendor.heads.append(head)
                        number = len(vendor.heads)
                    vendor.answer(Call(number, head, self.request, vendor.closing))
            except OSError:
                pass  # the client, or the script, has cut the line
            finally:
                with lock:
                    vendor.open_now -= 1

        def _head(self) -> str:
            data = b""
            while b"\r\n\r\n" not in data:
                chunk = self.request.recv(65536)
                if not chunk:
                    return ""
                data += chunk
            return data.decode("latin-1")

    return Handler
