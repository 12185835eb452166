"""One live connection: what the client says goes to the talk, what is due on the tape to the client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from starlette.websockets import WebSocket, WebSocketDisconnect

from mdc_resources.sandbox import wire
from mdc_resources.sandbox.faults import FaultBook
from mdc_resources.sandbox.live.ledger import LiveLedger, Visit
from mdc_resources.sandbox.live.outlet import Ending, Outlet
from mdc_resources.sandbox.live.talk import Message, Talk

_CYCLE_SECONDS = 0.02
_READ_SECONDS = 0.05  # for the peer to read what was sent, before a reset throws it away
_SECRETS = re.compile(r'"(key|secret|params|authorization|jwt|token|signature|passphrase)"\s*:\s*"[^"]*"')
_TOKEN = re.compile(r"(token|apiKey)=[^&]*")


class LiveConnection:
    """Serves ``talk`` on an accepted or still unanswered ``socket`` until either side ends it."""

    def __init__(self, socket: WebSocket, talk: Talk, faults: FaultBook, ledger: LiveLedger) -> None:
        self._socket = socket
        self._talk = talk
        self._faults = faults
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()

    async def serve(self) -> None:
        """Answer the handshake and talk."""
        talk, target = self._talk, self._target()
        visit = self._ledger.visit(talk.feed, target)
        refused = self._rejection(target)
        if refused is not None:
            visit.status, visit.end = refused[0], "refused"
            await self._deny(*refused)
            return
        await self._socket.accept()
        transport = wire.transport_of(self._socket.client)
        outlet = Outlet(talk, transport, self._faults, self._ledger, visit)
        talk.position = talk.floor.tape.now()
        for text in talk.opened():
            outlet.say(text, self._loop.time())
        outlet.flush(self._loop.time())
        pump = asyncio.create_task(self._pump(outlet, visit, transport))
        pump.add_done_callback(partial(_abort_if_failed, transport))
        try:
            await self._listen(outlet, visit)
        finally:
            pump.cancel()
            self._talk.ended()
            visit.end = visit.end or "client"
            with suppress(asyncio.CancelledError):
                await pump

    def _target(self) -> str:
        query = _TOKEN.sub(r"\1=...", self._socket.url.query)
        return f"{self._socket.url.path}?{query}" if query else self._socket.url.path

    def _rejection(self, target: str) -> tuple[int, bytes] | None:
        rule = self._faults.refuses(self._talk.feed, "ws_handshake", target)
        return (rule.params["status"], b"") if rule else self._talk.rejection()

    async def _deny(self, status: int, body: bytes) -> None:
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        start = {"type": "websocket.http.response.start", "status": status, "headers": headers}
        await self._socket.send(start)
        await self._socket.send({"type": "websocket.http.response.body", "body": body})

    async def _listen(self, outlet: Outlet, visit: Visit) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or ""
            visit.said.append(_SECRETS.sub(r'"\1":"..."', text)[:2_000])
            self._catch_up(outlet)
            for answer in self._talk.received(text):
                outlet.say(answer, self._loop.time())
            outlet.flush(self._loop.time())

    async def _pump(self, outlet: Outlet, visit: Visit, transport: asyncio.Transport) -> None:
        ping = self._talk.ping_seconds
        pinged = due = self._loop.time()
        while outlet.ending is None:
            due = max(due + _CYCLE_SECONDS, self._loop.time() - 1)
            await asyncio.sleep(due - self._loop.time())
            self._catch_up(outlet)
            now = self._loop.time()
            for text in self._talk.beat(self._talk.floor.tape.now()):
                outlet.say(text, now)
            if ping and now - pinged >= ping:
                outlet.ping(now)
                pinged = now
            outlet.flush(now)
            if self._talk.closing and outlet.ending is None:
                outlet.ending = Ending(*self._talk.closing)
        await self._end(outlet.ending, visit, transport)

    def _catch_up(self, outlet: Outlet) -> None:
        now = self._loop.time()
        instant = self._talk.floor.tape.now()
        for message in self._joined(self._talk.due(instant)):
            outlet.put(message, now)
        for message in self._talk.bundles(instant):
            outlet.put(message, now)

    def _joined(self, messages: Iterator[Message]) -> Iterator[Message]:
        """Neighbours of one stream as one frame, where the vendor sends arrays."""
        if not self._talk.arrays:
            yield from messages
            return
        group: list[Message] = []
        for message in messages:
            if group and group[0].stream is not message.stream:
                yield self._frame(group)
                group = []
            group.append(message)
        if group:
            yield self._frame(group)

    def _frame(self, group: list[Message]) -> Message:
        ids = tuple(one for message in group for one in message.ids)
        return Message(self._talk.joined([message.text for message in group]), group[0].stream, ids)

    async def _end(self, ending: Ending, visit: Visit, transport: asyncio.Transport) -> None:
        if ending.code:
            visit.end = f"closed {ending.code}"
            with suppress(WebSocketDisconnect, RuntimeError):  # the client was quicker
                await self._socket.close(ending.code, ending.reason)
            return
        visit.end = "reset"
        await asyncio.sleep(_READ_SECONDS)
        if not transport.is_closing():
            wire.reset(transport)


def _abort_if_failed(transport: asyncio.Transport, task: asyncio.Task[None]) -> None:
    """A dialect that raised must not leave a connection behind that only looks alive."""
    if not task.cancelled() and task.exception() is not None:
        transport.abort()
