"""Live events over loopback: ``GET /events`` (a line of JSON per event) and ``WS /events/ws``.

Filters are query parameters that may repeat or hold commas: ``?symbol=&dataset=&feed=``. A reader
that does not keep up loses its oldest events and is told how many, in band. Pages of other origins
are refused: a browser would let any web site read along.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import parse_symbols
from mdc_resources.providers.live import feed_names
from mdc_streaming.monitoring_subscribers import BOOK, Fanout, Filter, Subscriber

if TYPE_CHECKING:
    from mdc_streaming.monitoring import Hub

MOST_SUBSCRIBERS = 32
_DATASETS = (Dataset.TRADES.value, Dataset.QUOTES.value, Dataset.DEPTH.value, BOOK)
_FOREIGN, _FULL, _WRONG = 1008, 1013, 1007  # close codes


class _Refused(Exception):
    """Why a request is not served: HTTP status and WebSocket close code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(message)


def routes(hub: Hub) -> list[BaseRoute]:
    """The routes of ``hub``'s live events."""
    fanout = hub.fanout

    async def events(request: Request) -> Response:
        try:
            subscriber = _join(fanout, request.headers, request.query_params)
        except _Refused as refused:
            return JSONResponse({"error": refused.message}, refused.status)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return _Stream(fanout, subscriber, headers)

    async def socket(websocket: WebSocket) -> None:
        try:
            subscriber = _join(fanout, websocket.headers, websocket.query_params)
        except _Refused as refused:
            await websocket.accept()  # a close before it would be an HTTP 403 without the reason
            await websocket.close(refused.code, refused.message[:120])
            return
        try:
            await websocket.accept()
            await _serve(websocket, subscriber)
        finally:
            fanout.leave(subscriber)

    return [Route("/events", events, methods=["GET"]), WebSocketRoute("/events/ws", socket)]


class _Stream(StreamingResponse):
    """A response that leaves the fan-out however it ends, also before its first byte."""

    def __init__(self, fanout: Fanout, subscriber: Subscriber, headers: dict[str, str]) -> None:
        self._leave = (fanout, subscriber)
        super().__init__(_chunks(subscriber), media_type="application/x-ndjson", headers=headers)

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        fanout, subscriber = self._leave
        try:
            await super().__call__(scope, receive, send)
        finally:
            fanout.leave(subscriber)


async def _chunks(subscriber: Subscriber) -> AsyncIterator[bytes]:
    while lines := await subscriber.next_lines():
        yield b"".join(lines)


async def _serve(websocket: WebSocket, subscriber: Subscriber) -> None:
    """Send a message per event until either side is done."""
    sending = asyncio.create_task(_send(websocket, subscriber))
    leaving = asyncio.create_task(_left(websocket))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
    if not leaving.cancelled():
        return
    with suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(1001)


async def _send(websocket: WebSocket, subscriber: Subscriber) -> None:
    while lines := await subscriber.next_lines():
        for line in lines:
            await websocket.send_text(line.decode().rstrip("\n"))


async def _left(websocket: WebSocket) -> None:
    """Returns when the reader has gone; what it sends is ignored."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def _join(fanout: Fanout, headers: Headers, query: QueryParams) -> Subscriber:
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise _Refused(403, _FOREIGN, "pages of other origins are not served")
    wanted = _filter(query)
    if len(fanout) >= MOST_SUBSCRIBERS:
        raise _Refused(503, _FULL, f"there are {MOST_SUBSCRIBERS} subscribers already")
    return fanout.join(wanted)


def _filter(query: QueryParams) -> Filter:
    if unknown := set(query) - {"symbol", "dataset", "feed"}:
        raise _Refused(
            400, _WRONG, f"unknown parameter {min(unknown)[:40]!a}: symbol, dataset and feed are known"
        )
    try:
        symbols = frozenset(parse_symbols(query.getlist("symbol")))
    except UsageError as error:
        raise _Refused(400, _WRONG, str(error)) from None
    return Filter(symbols, _named(query, "dataset", _DATASETS), _named(query, "feed", feed_names()))


def _named(query: QueryParams, parameter: str, known: tuple[str, ...]) -> frozenset[str]:
    named = frozenset(part for text in query.getlist(parameter) for part in text.split(",") if part)
    if unknown := named - set(known):
        raise _Refused(
            400, _WRONG, f"unknown {parameter} {min(unknown)[:40]!a}: known are {', '.join(known)}"
        )
    return named
