"""One WebSocket connection: opened, authenticated, subscribed, watched, and over at the first doubt.

Log first: what a read brought is in the log before the session looks at a control frame. Every
change of what the server promised becomes a mark. A connection never reconnects: it ends with an
:class:`End` that says why, and its line decides what comes next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from picows import WSTransport
from pydantic import SecretStr

from mdc_resources.domain.errors import PayloadError, ProviderError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import LiveSession, Reply, Subscription
from mdc_resources.telemetry import get_logger, mask_bytes, mask_text
from mdc_resources.wal import marks
from mdc_resources.wal.marks import AnyMark
from mdc_streaming.asking import Asked
from mdc_streaming.endings import End, disconnected, not_opened
from mdc_streaming.pacing import Timing
from mdc_streaming.plan import ShardPlan, feed_of
from mdc_streaming.pulse import Pulse
from mdc_streaming.recorder import Recorder, pairs_of
from mdc_streaming.sockets import Socket
from mdc_streaming.wire import wire_of

_REASON_CHARS = 200


class State(StrEnum):
    """How far a connection is."""

    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    CLOSED = "closed"


@dataclass(slots=True, kw_only=True, eq=False)
class Connection:
    """A connection that carries ``wanted`` of ``plan``. :meth:`run` is called once."""

    number: int
    plan: ShardPlan
    wanted: frozenset[Subscription]
    credentials: Mapping[str, SecretStr]
    recorder: Recorder
    timing: Timing
    max_frame_bytes: int
    probe: bool = False
    state: State = State.CONNECTING
    since: float = field(default_factory=time.monotonic)
    live: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    leave: str = ""  # why it should be replaced while it still works
    frames: int = 0
    shown_url: str = ""
    asked: Asked = field(init=False)
    _end: End | None = None
    _socket: Socket | None = None
    _session: LiveSession = field(init=False)
    _paused: bool = False
    _opened_at: float = 0.0
    _opened_ns: int = 0
    _pulse: Pulse | None = None
    _resynced: dict[Symbol, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.asked = Asked(self.timing)

    async def run(self) -> End:
        """Connect and stay until it is over; raises only what is a defect or a failing log."""
        connecting = asyncio.create_task(self._connect())
        over = asyncio.create_task(self.over.wait())
        try:
            await asyncio.wait({connecting, over}, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                connecting.result()
            while not self.over.is_set():
                try:
                    async with asyncio.timeout(self.timing.tick):
                        await self.over.wait()
                except TimeoutError:
                    self._look()
        except ProviderError as error:
            self._finish(End("refused", error.message, error=error))
        finally:
            for task in (connecting, over):
                task.cancel()
            await self._hang_up()
        assert self._end is not None
        return self._end

    def adjust(self, wanted: frozenset[Subscription]) -> None:
        """From now on carry exactly ``wanted``; in the middle of a handshake it waits for its end."""
        self.wanted = wanted
        if self.state not in (State.SUBSCRIBING, State.LIVE):
            return
        added, gone = wanted - self.asked.all, self.asked.all - wanted
        if gone:
            self.asked.leave(gone)
            self._act(self._session.unsubscribe(sorted(gone)))
        if added:
            self.asked.ask(added)
            self._act(self._session.subscribe(sorted(added)))

    def close(self, cause: str, detail: str = "") -> None:
        """End it in order; what arrived is logged."""
        self._finish(End(cause, detail))

    def pause(self) -> None:
        """Read no more until :meth:`resume`: the log cannot keep up, the server shall wait."""
        if not self._paused:
            self._paused = True
            if self._socket:
                self._socket.pause()

    def resume(self) -> None:
        """Read again; the time in between counts as no silence."""
        if self._paused:
            self._paused = False
            if self._socket:
                self._socket.resume()
            self._forgive(time.monotonic())

    def resync(self, symbol: Symbol) -> None:
        """Ask for a new snapshot of one book, not more often than the timing allows."""
        moment = time.monotonic()
        if self.state is State.LIVE and moment - self._resynced.get(symbol, -1e9) >= self.timing.resync:
            self._resynced[symbol] = moment
            self._act(self._session.resync(symbol))

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return time.monotonic() - self.since

    @property
    def silent_for(self) -> float:
        """Seconds since the server said something by itself."""
        return time.monotonic() - self._socket.receiver.heard if self._socket else 0.0

    @property
    def heard_ns(self) -> int:
        """When it last said something, or was opened; nanoseconds UTC, 0 before that."""
        return self._socket.receiver.heard_ns or self._opened_ns if self._socket else 0

    def as_dict(self) -> dict[str, object]:
        """For ``/status``."""
        return {
            "connection": self.number,
            "state": self.state.value,
            "url": self.shown_url,
            "age_seconds": round(self.age, 3),
            "silent_seconds": round(self.silent_for, 3),
            "last_frame_ns": self.heard_ns,
            "frames": self.frames,
            "paused": self._paused,
            **self.asked.as_dict(),
        }

    async def _connect(self) -> None:
        feed = feed_of(self.plan.feed)
        self._session = feed.session(self.plan.dialect, sorted(self.wanted))
        wire = wire_of(feed.address(self.plan.dialect), self.credentials)
        self.shown_url = wire.shown
        try:
            await Socket.open(
                wire,
                self._on_open,
                self._on_batch,
                self._on_closed,
                seconds=self.timing.connect,
                max_bytes=self.max_frame_bytes,
            )
        except Exception as error:
            self._finish(not_opened(error, self.plan))

    def _on_open(self, socket: Socket) -> None:
        """The handshake is over: say so in the log, and greet."""
        if self._end is not None:  # nobody waits for it any more
            socket.drop()
            return
        self._socket = socket
        if self._paused:
            socket.pause()
        self._opened_at, self._opened_ns = time.monotonic(), time.time_ns()
        self._pulse = Pulse(self.timing, self.plan.silence, socket.receiver, self._opened_at)
        self.state = State.AUTHENTICATING if self.credentials else State.SUBSCRIBING
        self._mark(marks.Opened(self.plan.feed, self.shown_url, self.probe))
        self.recorder.opened(self)
        self.asked.ask(self.wanted, wait=self.timing.authenticate if self.credentials else 0.0)
        self._act(self._session.opened(self.credentials))

    def _on_batch(self, recv_ns: int, frames: list[bytes]) -> None:
        """What one read brought: logged, then looked at."""
        if self.credentials:  # a server may echo a key, in its greeting or in an error
            frames = [self._masked(frame) for frame in frames]
        self.recorder.frames(self.number, recv_ns, frames)
        self.frames += len(frames)
        if not self.probe:
            self.recorder.watch(self.number, recv_ns, frames)
        is_control = self._session.is_control
        for frame in frames:
            if is_control(frame):
                self._control(frame)

    def _masked(self, frame: bytes) -> bytes:
        is_data = self.state is State.LIVE and not self._session.is_control(frame)
        return frame if is_data else mask_bytes(frame)

    def _control(self, frame: bytes) -> None:
        try:
            reply = self._session.control(frame)
        except (ValueError, KeyError, TypeError, UnicodeError) as error:  # what no dialect promised
            shown = f"{type(error).__name__}: {error}"[:_REASON_CHARS]
            self._finish(End("payload", mask_text(shown), error=PayloadError(shown, provider=self.plan.feed)))
            return
        self._act(reply)

    def _act(self, reply: Reply) -> None:
        """Carry out what the session answered."""
        if self._socket is None or self._end is not None:
            return
        for text in reply.send:
            self._socket.send(text)
        if reply.confirmed:
            self.asked.confirm(reply.confirmed)
            self._mark(marks.Confirmed(pairs_of(reply.confirmed)))
        for subscription, reason in reply.refused:
            self.asked.refuse(subscription, mask_text(reason)[:_REASON_CHARS])
            shown = self.asked.refused[subscription]
            self._mark(marks.Refused(pairs_of([subscription]), shown))
            get_logger().warning(
                "stream.refused",
                shard=self.plan.name,
                symbol=subscription.symbol,
                dataset=subscription.dataset.value,
                reason=shown,
            )
        if reply.ended:
            self.asked.end(reply.ended, self.wanted)
            self._mark(marks.Ended(pairs_of(reply.ended)))
        for wanted in reply.fetch:
            self.recorder.fetch(self.number, wanted)
        if reply.leave:
            self.leave = self.leave or "the server asked to be left"
        if reply.error is not None:
            self._finish(End("refused", mask_text(reply.error.message), error=reply.error))
            return
        self._advance(greeted=bool(self.frames and reply.send))

    def _advance(self, *, greeted: bool = False) -> None:
        if self.state is State.AUTHENTICATING and (greeted or self.asked.answered):
            self.state = State.SUBSCRIBING
        if self.state is State.SUBSCRIBING and self.asked.confirmed and not self.asked.waiting:
            self.state = State.LIVE
            self.live.set()
        if self.state in (State.SUBSCRIBING, State.LIVE) and self.wanted != self.asked.all:
            self.adjust(self.wanted)

    def _look(self) -> None:
        """Once a tick: every deadline."""
        assert self._pulse is not None
        assert self._socket is not None
        moment = time.monotonic()
        if self._paused:
            self._forgive(moment)
            return
        if (end := self._pulse.judge(moment)) is not None:
            self._finish(end)
        elif self._pulse.ping_due(moment):
            self._socket.ping()
            if (text := self._session.ping()) is not None:
                self._socket.send(text)
        self._chase(moment)

    def _chase(self, moment: float) -> None:
        """Subscriptions nobody answered: the connection is useless without one, else asked again slowly."""
        late = self.state is State.AUTHENTICATING and moment - self._opened_at > self.timing.authenticate
        if late:
            self._finish(End("authentication", f"no answer within {self.timing.authenticate:g} s"))
        elif self.asked.expire(moment) and not self.asked.answered:
            self._finish(End("unanswered", f"no subscription was confirmed within {self.timing.confirm:g} s"))
        elif again := self.asked.due(moment):
            self._act(self._session.subscribe(sorted(again)))
        else:
            self._advance()

    def _forgive(self, moment: float) -> None:
        """We did not read: no deadline has passed."""
        if self._pulse is not None:
            self._pulse.forgive(moment)
        self.asked.postpone(moment)

    def _finish(self, end: End) -> None:
        """The first reason counts."""
        if self._end is None:
            lived = time.monotonic() - self._opened_at if self._socket else 0.0
            self._end = replace(end, lived=lived, was_live=self.live.is_set())
            self.state = State.CLOSED
            self.over.set()

    def _on_closed(self, transport: WSTransport) -> None:
        broken = self._socket.receiver.broken if self._socket else None
        self._finish(End(*disconnected(transport, broken)))

    def _mark(self, mark: AnyMark) -> None:
        self.recorder.mark(self.number, mark)

    async def _hang_up(self) -> None:
        """Close the socket, and say so in the log."""
        self._finish(End("stopped"))
        socket, end = self._socket, self._end
        if socket is None or end is None:
            return
        try:
            await socket.hang_up(going_away=end.cause == "stopped")
        finally:
            self.recorder.closed(self)
            self._mark(marks.Closed(self.heard_ns, mask_text(end.reason), end.code))
