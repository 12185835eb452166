"""A vendor that misbehaves on demand: the Coinbase dialect over a real WebSocket server.

``Exchange`` runs in a thread of its own. Behaviour is a set of plain attributes, read anew for every
connection and frame: what it refuses, when it hangs up and how, whether it says anything at all.
What it sent is kept, so that a test can compare it with the log.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State


@dataclass
class Exchange:
    """See the module. ``port`` is known once it is entered."""

    every: float = 0.02  # seconds between two matches of a connection
    burst: int = 1  # matches at once
    refuse: frozenset[str] = frozenset()  # products
    mute: bool = False  # confirms, then says nothing
    deaf: bool = False  # never confirms
    no_pong: bool = False
    live_for: float | None = None  # then it hangs up
    close_code: int | None = 1000  # None: the connection is cut without a word
    status: int | None = None  # answer of the HTTP handshake
    extra: Callable[[], Any] | None = None  # one more message after the confirmation
    echo_any: str | None = None  # greet with this, understand nothing
    at_most: int | None = None  # connections at once; more are closed with 1008
    extra_text: bytes | None = None  # sent as text, whatever it is
    advanced: bool = False  # speak Advanced Trade instead
    shared_trades: bool = False  # every connection is told of the same trades, as vendors do
    stop_after: int | None = None  # matches of a connection
    port: int = 0
    opened: list[float] = field(default_factory=list)
    closed: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sent: dict[int, list[str]] = field(default_factory=dict)
    subscribed: dict[int, set[str]] = field(default_factory=dict)

    def __enter__(self) -> Exchange:
        self._ready = threading.Event()
        self._ids = itertools.count(1)
        self._trades = itertools.count(1)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def open(self) -> int:
        """Connections now."""
        return len(self.opened) - self.closed

    def drop_all(self, code: int | None = None) -> None:
        """Hang up on everybody: with a close code, or cutting the line."""
        asyncio.run_coroutine_threadsafe(self._drop(code), self._loop).result(10)

    async def _drop(self, code: int | None) -> None:
        for connection in list(self._server.connections):
            if code is None:
                connection.transport.abort()
            else:
                await connection.close(code)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        async with serve(
            self._talk,
            "127.0.0.1",
            self.port,
            ping_interval=None,
            compression=None,
            process_request=self._greet,
            max_size=None,
        ) as self._server:
            self._server: Server
            self.port = self._server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._over.wait()
            for connection in list(self._server.connections):
                connection.transport.abort()

    def _greet(self, connection: ServerConnection, request: Any) -> Any:
        self.paths.append(request.path)
        if self.status is not None:
            self.opened.append(time.monotonic())
            self.closed += 1
            return connection.respond(self.status, "no\n")
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        if self.at_most is not None and self.open >= self.at_most:
            await connection.close(1008, "connection limit exceeded")
            return
        number = next(self._ids)
        self.opened.append(time.monotonic())
        self.sent[number] = []
        self.subscribed[number] = set()
        if self.no_pong:
            connection.protocol.recv_frame = _without_pings(connection.protocol.recv_frame)  # type: ignore[method-assign]
        tasks = [asyncio.create_task(self._listen(connection, number))]
        if self.live_for is not None:
            tasks.append(asyncio.create_task(self._leave(connection)))
        try:
            await self._speak(connection, number)
            await connection.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            self.closed += 1
            for task in tasks:
                task.cancel()

    async def _leave(self, connection: ServerConnection) -> None:
        assert self.live_for is not None
        await asyncio.sleep(self.live_for)
        if self.close_code is None:
            connection.transport.abort()
        else:
            await connection.close(self.close_code, "bye")

    async def _listen(self, connection: ServerConnection, number: int) -> None:
        channels: dict[str, set[str]] = {}
        if self.echo_any is not None:
            await self._send(connection, number, json.loads(self.echo_any))
        async for text in connection:
            message = json.loads(text)
            self.asked.append(message)
            if self.deaf or self.echo_any is not None:
                continue
            if self.advanced:
                await self._answer_advanced(connection, number, message, channels)
                continue
            products = {p for channel in message["channels"] for p in channel["product_ids"]}
            if products & self.refuse and message["type"] == "subscribe":
                reason = f"{min(products & self.refuse)} is not a valid product"
                await self._send(connection, number, {"type": "error", "message": "Failed", "reason": reason})
                continue
            for channel in message["channels"]:
                held = channels.setdefault(channel["name"], set())
                if message["type"] == "subscribe":
                    held.update(channel["product_ids"])
                else:
                    held.difference_update(channel["product_ids"])
            self.subscribed[number] = channels.get("matches", set())
            listed = [{"name": n, "product_ids": sorted(p)} for n, p in channels.items() if p]
            await self._send(connection, number, {"type": "subscriptions", "channels": listed})
            if self.extra is not None:
                await connection.send(self.extra())
            if self.extra_text is not None:
                await connection.send(self.extra_text, text=True)

    async def _answer_advanced(
        self,
        connection: ServerConnection,
        number: int,
        message: dict[str, Any],
        channels: dict[str, set[str]],
    ) -> None:
        channels.setdefault(message["channel"], set()).update(message.get("product_ids", ()))
        self.subscribed[number] = channels.get("market_trades", set())
        listed = {name: sorted(products) for name, products in channels.items()}
        await self._send(
            connection, number, {"channel": "subscriptions", "events": [{"subscriptions": listed}]}
        )

    async def _speak(self, connection: ServerConnection, number: int) -> None:
        if self.shared_trades:
            await self._share(connection, number)
            return
        said = 0
        while self.stop_after is None or said < self.stop_after:
            await asyncio.sleep(self.every)
            if connection.state is not State.OPEN:
                return
            if self.mute or not self.subscribed[number]:
                continue
            for product in sorted(self.subscribed[number]):
                for _ in range(self.burst):
                    said += 1
                    await self._send(connection, number, self.match(product))

    async def _share(self, connection: ServerConnection, number: int) -> None:
        """Trades of one tape, numbered by time, to whoever is subscribed."""
        began = self.opened[0]
        last = int((time.monotonic() - began) / self.every)
        while connection.state is State.OPEN:
            await asyncio.sleep(self.every)
            newest = int((time.monotonic() - began) / self.every)
            for trade in range(last + 1, newest + 1):
                if self.subscribed[number]:
                    for product in sorted(self.subscribed[number]):
                        await self._send(connection, number, {**self.match(product), "trade_id": trade})
            last = newest

    async def _send(self, connection: ServerConnection, number: int, message: dict[str, Any]) -> None:
        if self.advanced:
            message = {**message, "sequence_num": len(self.sent[number])}
        text = json.dumps(message, separators=(",", ":"))
        await connection.send(text)
        self.sent[number].append(text)

    def match(self, product: str) -> dict[str, Any]:
        """The next trade of ``product``."""
        stamp = time.time_ns()
        seconds, rest = divmod(stamp, 1_000_000_000)
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1000:06d}Z"
        if self.advanced:
            return self._advanced_match(product, when)
        return {
            "type": "match",
            "trade_id": next(self._trades),
            "side": "sell",
            "size": "0.01",
            "price": "42000.10",
            "product_id": product,
            "time": when,
        }

    def _advanced_match(self, product: str, when: str) -> dict[str, Any]:
        trade = {
            "trade_id": str(next(self._trades)),
            "product_id": product,
            "price": "42000.10",
            "size": "0.01",
            "side": "BUY",
            "time": when,
        }
        events = [{"type": "update", "trades": [trade]}]
        return {"channel": "market_trades", "timestamp": when, "events": events}


def _without_pings(receive: Callable[[Any], None]) -> Callable[[Any], None]:
    def filtered(frame: Any) -> None:
        if frame.opcode.name != "PING":
            receive(frame)

    return filtered
