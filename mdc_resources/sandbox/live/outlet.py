"""Where messages leave for the socket, and where faults of live connections act on them.

Frames are written past the server's library, many at once; so are those it would refuse to write.
A fault that breaks the connection sets :attr:`Outlet.ending`; what comes after it is withheld.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from mdc_resources.sandbox.faults import FaultBook, Rule
from mdc_resources.sandbox.live import frames
from mdc_resources.sandbox.live.ledger import LiveLedger, Visit
from mdc_resources.sandbox.live.talk import Message, Stream, Talk

MOST_BUFFERED = 32 << 20  # bytes a client may fall behind


class Ending(NamedTuple):
    """How a connection is to end: a close with ``code``, or a reset where it is 0."""

    code: int
    reason: str = ""


class Outlet:
    """The messages of one connection on their way out. Times are the loop's, in seconds."""

    def __init__(
        self, talk: Talk, transport: asyncio.Transport, faults: FaultBook, ledger: LiveLedger, visit: Visit
    ) -> None:
        self.ending: Ending | None = None
        self._talk = talk
        self._transport = transport
        self._faults = faults
        self._ledger = ledger
        self._visit = visit
        self._ready = bytearray()
        self._silent_until = 0.0
        self._held_until = 0.0
        self._skips: dict[int, int] = {}  # rule -> messages it still keeps back
        self._rules: dict[int, Rule] = {}
        self._late: dict[Stream, Message] = {}  # waits for the next of its stream

    def say(self, text: str, now: float) -> None:
        """Send something that is no data: answers, heartbeats. Silence holds it back too."""
        if self.ending is None and now >= self._silent_until:
            self._ready += frames.frame(text.encode())

    def ping(self, now: float) -> None:
        """Send a protocol-level ping, unless the connection is to be silent."""
        if self.ending is None and now >= self._silent_until:
            self._ready += frames.frame(b"", frames.PING)

    def put(self, message: Message, now: float) -> None:
        """Send a message of data, as the faults in force let it."""
        if self.ending is not None or now < self._silent_until or self._skipped(message):
            self._ledger.withheld(self._visit, message)
            return
        slow, fault = self._faults.met_live(self._talk.feed, message.stream.target)
        if slow is not None:
            self._note(slow)
            self._held_until = max(self._held_until, now + slow.params["seconds"])
        if fault is None:
            self._write(message)
        else:
            self._note(fault)
            self._faulty(message, fault, now)

    def flush(self, now: float) -> None:
        """Hand over to the socket what is ready, unless it is held back by a delay."""
        if self._ready and now >= self._held_until:
            if not self._transport.is_closing():
                self._transport.write(bytes(self._ready))
            self._ready.clear()
        if self._transport.get_write_buffer_size() + len(self._ready) > MOST_BUFFERED and not self.ending:
            self.ending = Ending(1008, "slow client")

    def _write(self, message: Message, payload: bytes = b"", opcode: int = frames.TEXT) -> None:
        self._ready += frames.frame(payload or message.text.encode(), opcode)
        self._ledger.sent(self._visit, message)
        late = self._late.pop(message.stream, None) if self._late else None
        if late is not None:
            self._write(late)

    def _faulty(self, message: Message, fault: Rule, now: float) -> None:
        kind, params = fault.kind, fault.params
        if kind == "ws_reorder" and message.stream not in self._late:
            self._late[message.stream] = message
        elif kind == "ws_hole":
            self._skips[fault.id] = params["messages"]
            self._rules[fault.id] = fault
            self._skipped(message)
            self._ledger.withheld(self._visit, message)
        elif kind == "ws_duplicate":
            for _ in range(params["copies"] + 1):
                self._write(message)
        elif kind == "ws_checksum" and message.checksum is not None:
            before, _, after = message.text.rpartition(str(message.checksum))
            self._write(message, f"{before}{message.checksum ^ 1}{after}".encode())
        elif kind == "ws_oversize":
            self._write(message, message.text.encode().ljust(params["bytes"]))
        elif kind == "ws_garbage":
            self._ready += _garbage(message.text.encode(), params["shape"])
            self._write(message)
        elif kind in ("ws_silence", "ws_disconnect", "ws_close"):
            self._ledger.withheld(self._visit, message)
            if kind == "ws_silence":
                self._silent_until = now + params["seconds"]
            else:
                self.ending = Ending(params.get("code", 0), params.get("reason", ""))
        else:
            if kind == "ws_burst":
                second = self._talk.floor.tape.now() // 10**9
                self._talk.floor.tape.burst(
                    self._talk.provider,
                    message.stream.series,
                    after=second,
                    seconds=params["seconds"],
                    factor=params["factor"],
                )
            self._write(message)

    def _skipped(self, message: Message) -> bool:
        """Whether a hole that has begun swallows this message too."""
        for rule_id, left in list(self._skips.items()):
            if left and self._rules[rule_id].matches(self._talk.feed, message.stream.target):
                self._skips[rule_id] = left - 1
                if left == 1:
                    del self._skips[rule_id]
                return True
        return False

    def _note(self, rule: Rule) -> None:
        self._visit.faults.append(rule.kind)


def _garbage(payload: bytes, shape: str) -> bytes:
    if shape == "binary":
        return frames.frame(bytes(range(256)), frames.BINARY)
    if shape == "truncated":
        return frames.frame(payload[: len(payload) // 2])
    return frames.frame(b'{"\xff\xfe\xc3(":1}')
