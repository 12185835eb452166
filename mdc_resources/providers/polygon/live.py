"""Polygon's (Massive's) stock stream, ``wss://socket.massive.com/stocks``: trades and quotes.

Handshake   ``connected``, then the key in a frame, ``auth_success``, ``subscribe`` to ``T.AAPL,Q.AAPL``; each
            topic is confirmed by a ``success`` of its own, after which ``max_connections`` may still come.
Frames      arrays; status messages have ``ev: status``. ``T`` and ``Q`` name exchanges, conditions and tapes
            by the vendor's numbers, as its history does; ``venue`` is ``exchange/TRF`` where there is one.
Timestamps  ``t`` is the SIP's in milliseconds (nanoseconds are read as such): coarser than the history's.
Sequence    ``q`` rises per ticker and is unique, gaps are normal: no hole can be told from it.
Numbers     quote sizes are shares since 2025-11-03, round lots before, by the event's time.
Silence     there are no heartbeats; outside of regular hours some symbols rest for minutes.
Limits      one connection a cluster and key on most plans; the newest one ends the others or is refused.
Checked     2026-11-21, against the vendor's specification and its client's test frames, not live.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence

import msgspec
from pydantic import SecretStr

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
    TransportError,
)
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.frames import MALFORMED, key_of, spelled_as_listed
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.live import NOTHING, Address, LiveDialect, LiveSpec, Reply, Subscription
from mdc_resources.providers.polygon.live_decoder import PolygonDecoder

SPEC = LiveSpec(
    name="polygon",
    title="Polygon (Massive) stock stream",
    provider="polygon",
    source="polygon/live",
    market="us-consolidated",
    ws_url="wss://socket.massive.com/stocks",
    datasets=frozenset({Dataset.TRADES, Dataset.QUOTES}),
    asset_classes=frozenset({"equity"}),
    credentials=("POLYGON_API_KEY",),
    silence=dt.timedelta(minutes=5),
    refillable=frozenset({Dataset.TRADES, Dataset.QUOTES}),
)
_PREFIX = {Dataset.TRADES: "T", Dataset.QUOTES: "Q"}
_DATASET = {prefix: dataset for dataset, prefix in _PREFIX.items()}
_TOPIC = re.compile(r"\b([TQ])\.([A-Z0-9][A-Z0-9.]*)")
_PLAN = ("plan", "entitled", "upgrade", "not authorized")
_PAUSE = 60.0


class _Status(msgspec.Struct):
    ev: str = ""
    status: str = ""
    message: str = ""


_STATUSES = msgspec.json.Decoder(list[_Status])


class PolygonSession:
    """One connection; a topic is confirmed, refused or ended by a status of its own."""

    def __init__(self, wanted: Sequence[Subscription]) -> None:
        self._wanted = spelled_as_listed(SPEC, wanted)
        self._auth = b""
        self._authenticated = False
        self._asked: dict[Subscription, None] = {}
        self._active: dict[Subscription, None] = {}

    def opened(self, credentials: Mapping[str, SecretStr]) -> Reply:
        """Nothing is sent before the server says that it is connected."""
        try:
            key = key_of(credentials, SPEC.credentials[0], "polygon")
        except BadCredentials as error:
            return Reply(error=error)
        self._auth = msgspec.json.encode({"action": "auth", "params": key})
        return NOTHING

    def is_control(self, frame: bytes) -> bool:
        """True for frames with a status."""
        return b'"status"' in frame

    def control(self, frame: bytes) -> Reply:
        """All statuses of the frame, in their order."""
        try:
            statuses = _STATUSES.decode(frame)
        except MALFORMED:
            return NOTHING
        replies = [self._take(status) for status in statuses if status.ev == "status"]
        if len(replies) == 1:
            return replies[0]
        return Reply(
            send=tuple(one for reply in replies for one in reply.send),
            confirmed=tuple(one for reply in replies for one in reply.confirmed),
            refused=tuple(one for reply in replies for one in reply.refused),
            ended=tuple(one for reply in replies for one in reply.ended),
            error=next((reply.error for reply in replies if reply.error), None),
        )

    def subscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """One frame for all topics."""
        asked = spelled_as_listed(SPEC, wanted)
        if not self._authenticated:
            self._wanted = tuple(dict.fromkeys((*self._wanted, *asked)))
            return NOTHING
        self._asked.update(dict.fromkeys(asked))
        return Reply(send=(_request("subscribe", asked),)) if asked else NOTHING

    def unsubscribe(self, wanted: Sequence[Subscription]) -> Reply:
        """Each topic ends with a status of its own."""
        self._wanted = tuple(one for one in self._wanted if one not in wanted)
        if not self._authenticated or not wanted:
            return NOTHING
        for one in wanted:
            self._asked.pop(one, None)
        return Reply(send=(_request("unsubscribe", wanted),))

    def resync(self, symbol: Symbol) -> Reply:  # noqa: ARG002 - the protocol names it
        """There are no books here."""
        return NOTHING

    def ping(self) -> bytes | None:
        """The WebSocket's own pings serve."""
        return None

    def _take(self, said: _Status) -> Reply:
        if said.status == "connected":
            return Reply(send=(self._auth,))
        if said.status == "auth_success":
            if self._authenticated:
                return NOTHING
            self._authenticated = True
            return self.subscribe(self._wanted)
        topics = _topics(said.message)
        if said.status == "success":
            return self._succeeded(topics, ended=said.message.lower().startswith("unsubscribed"))
        if said.status in ("error", "not_authorized") and topics:
            refused = tuple((one, f"polygon says {quoted(said.message)}") for one in topics)
            for one in topics:
                self._asked.pop(one, None)
                self._active.pop(one, None)
            return Reply(refused=refused)
        return Reply(error=_error_of(said))

    def _succeeded(self, topics: Sequence[Subscription], *, ended: bool) -> Reply:
        if ended:
            return Reply(ended=tuple(one for one in topics if self._active.pop(one, 1) is None))
        confirmed = tuple(one for one in topics if one in self._asked)
        for one in confirmed:
            self._active[one] = self._asked.pop(one)
        return Reply(confirmed=confirmed)


def _topics(message: str) -> tuple[Subscription, ...]:
    return tuple(
        Subscription(_DATASET[prefix], Symbol(name.rstrip("."))) for prefix, name in _TOPIC.findall(message)
    )


def _request(action: str, wanted: Sequence[Subscription]) -> bytes:
    topics = ",".join(f"{_PREFIX[dataset]}.{symbol}" for dataset, symbol in wanted)
    return msgspec.json.encode({"action": action, "params": topics})


def _error_of(said: _Status) -> ProviderError | None:
    """The error that a status stands for; None for those without consequence."""
    text, lower = f"polygon says {quoted(f'{said.status}: {said.message}')}", said.message.lower()
    if said.status in ("auth_failed", "error", "not_authorized") and any(word in lower for word in _PLAN):
        return NotEntitled(text, provider="polygon", hint="Upgrade the plan, or use the delayed cluster")
    if said.status in ("auth_failed", "not_authorized") or "authentication failed" in lower:
        return BadCredentials(text, provider="polygon")
    if said.status == "max_connections":
        hint = "Another process has the connections of this key"
        return RateLimited(text, provider="polygon", retry_after=_PAUSE, hint=hint)
    if said.status in ("auth_timeout", "disconnected", "force_disconnect"):
        return TransportError(text, provider="polygon")
    return PayloadError(text, provider="polygon") if said.status == "error" else None


class PolygonLive:
    """The dialect of the ``stocks`` cluster."""

    spec = SPEC

    def address(self, dialect: LiveDialect) -> Address:
        """The cluster is the end of the configured path."""
        return Address(dialect.ws_url)

    def session(self, dialect: LiveDialect, wanted: Sequence[Subscription]) -> PolygonSession:  # noqa: ARG002
        """A new handshake; UnknownSymbol for a symbol of a named venue."""
        return PolygonSession(wanted)

    def decoder(self, dialect: LiveDialect) -> PolygonDecoder:  # noqa: ARG002 - the protocol names it
        """A new decoder."""
        return PolygonDecoder()


FEED = PolygonLive()
