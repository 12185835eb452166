"""Sending answers, also in ways that HTTP forbids: short bodies, resets, one byte at a time.

uvicorn refuses to send a body shorter than its Content-Length, so those faults write to the
connection's transport themselves. :class:`Connections` is the protocol class that remembers it, by
the peer's address; :class:`LiveConnections` the one that a WebSocket handshake hands over to.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Address
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from mdc_resources.sandbox.answers import Answer
from mdc_resources.sandbox.corrupt import Broken

_OPEN: dict[tuple[str, int], asyncio.Transport] = {}


class Connections(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, with its open transports on record."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the transport."""
        _OPEN[transport.get_extra_info("peername")[:2]] = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        _OPEN.pop(self.transport.get_extra_info("peername")[:2], None)
        super().connection_lost(exc)


class LiveConnections(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol; the HTTP protocol has noted the transport already."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        _OPEN.pop(self.transport.get_extra_info("peername")[:2], None)
        super().connection_lost(exc)


def transport_of(peer: Address | None) -> asyncio.Transport:
    """The open transport of ``peer``; raises RuntimeError where the server runs without these classes."""
    found = _OPEN.get((peer.host, peer.port)) if peer else None
    if found is None:
        raise RuntimeError("the connection is not on record; the sandbox must run with wire.Connections")
    return found


def respond(request: Request, answer: Answer | Broken) -> Response:
    """The response that sends ``answer``, well or brokenly."""
    if isinstance(answer, Answer):
        return Response(answer.body, answer.status, dict(answer.headers), answer.content_type)
    if answer.kind == "drip":
        return _drip(answer)
    return _Raw(request, answer)


def _drip(broken: Broken) -> Response:
    answer = broken.answer

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(answer.body), broken.piece):
            yield answer.body[at : at + broken.piece]
            await asyncio.sleep(broken.pause_seconds)

    headers = {**answer.headers, "content-length": str(len(answer.body))}
    return StreamingResponse(pieces(), answer.status, headers, answer.content_type)


class _Raw(Response):
    """Writes past the server: the promised length, some of the body, then close or RST."""

    def __init__(self, request: Request, broken: Broken) -> None:
        super().__init__()
        self._peer = request.client
        self._broken = broken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        transport = transport_of(self._peer)
        broken = self._broken
        if broken.keep or broken.kind == "truncated":
            transport.write(_head(broken.answer) + broken.answer.body[: broken.keep])
        if broken.kind == "reset":
            await asyncio.sleep(0.02 if broken.keep else 0)  # let the peer read what was sent
            reset(transport)
        else:
            transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


def _head(answer: Answer) -> bytes:
    headers: dict[str, Any] = {
        "content-type": answer.content_type,
        **answer.headers,
        "content-length": len(answer.body),
    }
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def reset(transport: asyncio.Transport) -> None:
    """Close with RST: lingering for zero seconds discards what is unsent."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
