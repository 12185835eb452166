"""The sandbox as an ASGI application: vendors' paths below their names, ``/_sandbox`` for control.

GET    /_sandbox/health     what is served
GET    /_sandbox/requests   counts per provider and path, every target, live connections; DELETE resets
GET    /_sandbox/live       per feed, symbol and dataset: what was sent and what a fault withheld
GET    /_sandbox/faults     faults in force and how often each fired
POST   /_sandbox/faults     set one (201), or 400 with what is known
DELETE /_sandbox/faults     lift all
WS     /<feed>/ws...        the live dialects
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox import wire
from mdc_resources.sandbox.answers import Answer, Dialect, Page, Query
from mdc_resources.sandbox.corrupt import Broken, corrupt, replaces
from mdc_resources.sandbox.dialects import all_dialects
from mdc_resources.sandbox.distort import distort
from mdc_resources.sandbox.faults import FaultBook, Rule
from mdc_resources.sandbox.live.feeds import FEEDS, serve
from mdc_resources.sandbox.live.floor import Floor, live_tape
from mdc_resources.sandbox.live.ledger import LiveLedger
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.replay import Replay

_KEPT_REQUESTS = 20_000
_MAX_BODY = 64 * 1024
LIVE_RATE = 5.0


@dataclass(slots=True)
class RequestLog:
    """What was asked: counts of everything, details of the latest 20,000."""

    latest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_KEPT_REQUESTS))
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, provider: str, query: Query, *, status: int | None, fault: str) -> None:
        """Note one request; ``status`` is None where no HTTP answer was completed on purpose."""
        with self.lock:
            self.counts[provider, query.path] += 1
            self.latest.append(
                {
                    "provider": provider,
                    "path": query.path,
                    "target": query.target,
                    "status": status,
                    "fault": fault,
                }
            )

    def clear(self) -> int:
        """Forget everything; returns how many requests there were."""
        with self.lock:
            total = self.counts.total()
            self.counts.clear()
            self.latest.clear()
        return total

    def as_dict(self) -> dict[str, Any]:
        """The log as JSON."""
        with self.lock:
            providers: dict[str, int] = {}
            paths: dict[str, dict[str, int]] = {}
            for (provider, path), count in self.counts.items():
                providers[provider] = providers.get(provider, 0) + count
                paths.setdefault(provider, {})[path] = count
            latest = list(self.latest)
        return {"total": sum(providers.values()), "providers": providers, "paths": paths, "requests": latest}


# Marks invented data, so that a lake of real data refuses it. Recordings are real and carry no mark.
SYNTHETIC_HEADER = "x-mdc-synthetic"


class Sandbox:
    """Dialects, faults, recordings and the log, behind one ASGI application.

    ``live_rate`` is how often each symbol is traded a second on the live feeds (5); where it is given,
    history shows those trades too, from the start of yesterday (UTC) on.
    """

    def __init__(
        self,
        market: Market,
        *,
        replay: Replay | None = None,
        alpaca_keys: Mapping[str, str] | None = None,
        live_rate: float | None = None,
    ) -> None:
        self.market = market
        tape = live_tape(market, LIVE_RATE if live_rate is None else live_rate)
        self.floor = Floor(market, tape, alpaca_keys=alpaca_keys)
        self.ledger = LiveLedger()
        shown = None if live_rate is None else tape
        if shown:
            self.floor.warm()
        self.dialects: dict[str, Dialect] = all_dialects(
            market, alpaca_keys=alpaca_keys, live=shown, tape=tape
        )
        paged = [name for name, dialect in self.dialects.items() if dialect.paged]
        self.faults = FaultBook(
            seed=market.seed, providers=list(self.dialects), paged=paged, feeds=list(FEEDS)
        )
        self.log = RequestLog()
        self.replay = replay

    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/_sandbox/health", self._health, methods=["GET"]),
                Route("/_sandbox/requests", self._requests, methods=["GET", "DELETE"]),
                Route("/_sandbox/faults", self._faults, methods=["GET", "POST", "DELETE"]),
                Route("/_sandbox/live", self._told_live, methods=["GET"]),
                WebSocketRoute("/{feed}/ws{path:path}", self._live),
                Route("/{provider}/{path:path}", self._vendor, methods=["GET", "POST"]),
            ]
        )

    async def _health(self, _: Request) -> Response:
        body = {
            "status": "ok",
            "seed": self.market.seed,
            "calendar": self.market.calendar.name,
            "now": self.market.now().isoformat(),
            "providers": list(self.dialects),
            "replay": len(self.replay) if self.replay else 0,
        }
        return JSONResponse(body)

    async def _requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.ledger.clear()
            return JSONResponse({"cleared": self.log.clear()})
        return JSONResponse(self.log.as_dict() | {"connections": self.ledger.connections()})

    async def _told_live(self, _: Request) -> Response:
        tape = self.floor.tape
        told = {"rate": float(tape.rate), "since": tape.since.isoformat(), "feeds": self.ledger.as_dict()}
        return JSONResponse(told)

    async def _live(self, socket: WebSocket) -> None:
        await serve(socket, self.floor, self.faults, self.ledger)

    async def _faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            return JSONResponse({"cleared": self.faults.clear()})
        if request.method == "GET":
            return JSONResponse({"faults": [rule.as_dict() for rule in self.faults.rules()]})
        try:
            rule = self.faults.add(await _posted(request))
        except UsageError as error:
            return JSONResponse({"error": error.message, "hint": error.hint}, 400)
        return JSONResponse(rule.as_dict(), 201)

    async def _vendor(self, request: Request) -> Response:
        name = request.path_params["provider"]
        dialect = self.dialects.get(name)
        if dialect is None:
            known = ", ".join(self.dialects)
            return JSONResponse(
                {"error": f"the sandbox does not speak {name[:40]!a}", "hint": f"Known: {known}"}, 404
            )
        if request.method == "POST" and not getattr(dialect, "posts", False):
            return JSONResponse({"error": f"{name} answers GET only"}, 405, {"allow": "GET"})
        headers = dict(request.headers)
        try:
            body = await _body(request)
        except UsageError as error:
            return JSONResponse({"error": error.message}, 413)
        path, params = f"/{request.path_params['path']}", dict(request.query_params)
        query = Query(path, params, headers, request.method, body)
        slow, fault = self.faults.met(name, query.target)
        if slow:
            await asyncio.sleep(slow.params["seconds"])
        try:
            answer = self._answer(dialect, query, fault)
        except UsageError as error:  # a recording that has gone since it was loaded
            return JSONResponse({"error": error.message}, 500)
        met = "+".join(rule.kind for rule in (slow, fault) if rule)
        complete = isinstance(answer, Answer) or answer.kind == "drip"
        status = (answer if isinstance(answer, Answer) else answer.answer).status
        self.log.add(name, query, status=status if complete else None, fault=met)
        response = wire.respond(request, answer)
        if not self.replay:
            response.headers[SYNTHETIC_HEADER] = "1"
        return response

    def _answer(self, dialect: Dialect, query: Query, fault: Rule | None) -> Answer | Broken:
        instead = replaces(fault, dialect) if fault else None
        if instead:
            return instead
        if self.replay:
            answer = self.replay.find(dialect.name, query) or dialect.missing(query)
        else:
            found = dialect.respond(query)
            if isinstance(found, Page):
                found = (distort(found, fault) if fault else found).answer()
            answer = found
        return corrupt(answer, fault) if fault else answer


async def _body(request: Request) -> bytes:
    """The body, at most 64 KiB; raises UsageError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise UsageError("a body of more than 64 KiB is not read")
    return bytes(body)


async def _posted(request: Request) -> dict[str, Any]:
    """The body as a JSON object; raises UsageError."""
    try:
        posted = json.loads(await _body(request))
    except (ValueError, RecursionError):
        raise UsageError(
            "a fault must be a JSON object", hint='{"provider": "yahoo", "kind": "status"}'
        ) from None
    if not isinstance(posted, dict):
        raise UsageError("a fault must be a JSON object", hint='{"provider": "yahoo", "kind": "status"}')
    return posted
