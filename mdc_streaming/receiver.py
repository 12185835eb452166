"""The receiving end of one WebSocket: whole messages, in batches of one read.

A batch is handed over at 64 messages or when a read is used up, whichever is first, and before
anything looks at it. Fragments are joined up to the size limit of a frame; text that is no UTF-8
and binary frames are passed on as they are: what they are worth is the decoder's question.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

BATCH = 64
_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_PING, _PONG, _CLOSE = WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE
_PROTOCOL_ERROR, _TOO_BIG = 1002, 1009


class Receiver(WSListener):
    """Calls ``on_batch(recv_ns, frames)``. Closing is the owner's: ``broken`` says why it should.

    ``heard`` is the monotonic instant of the last thing the server said by itself, ``pinged`` and
    ``ponged`` count ours and its answers.
    """

    def __init__(
        self,
        on_open: Callable[[WSTransport], None],
        on_batch: Callable[[int, list[bytes]], None],
        on_closed: Callable[[WSTransport], None],
        max_bytes: int,
    ) -> None:
        super().__init__()
        self._on_open = on_open
        self._on_batch = on_batch
        self._on_closed = on_closed
        self._max_bytes = max_bytes
        self._batch: list[bytes] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._recv_ns = 0
        self._transport: WSTransport | None = None
        self.heard = time.monotonic()
        self.heard_ns = 0
        self.ponged = 0
        self.broken: tuple[int, str] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say so before the first frame, which may have come with the answer to the handshake."""
        self._transport = transport
        self._on_open(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Collect one frame; runs for each of them, so it does next to nothing."""
        batch = self._batch
        if not batch:
            self._recv_ns = time.time_ns()
        kind = frame.msg_type
        if kind is _TEXT and frame.fin and not self._parts and not frame.rsv1:
            batch.append(frame.get_payload_as_bytes())
        else:
            self._other(transport, frame, kind)
        if batch and (frame.last_in_buffer or len(batch) >= BATCH):
            self.flush()
        elif not batch and frame.last_in_buffer and kind is _PING:
            self._said()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Hand over what the last read left, then say that it was the last."""
        self.flush()
        self._on_closed(transport)

    def flush(self) -> None:
        """Hand over what was collected."""
        if self._batch:
            self._said()
            frames, self._batch = self._batch, []
            if self._transport is not None and self._transport.is_close_frame_sent:
                # The library passes on an oversize frame it has just refused.
                frames = [frame for frame in frames if len(frame) <= self._max_bytes]
            self._on_batch(self._recv_ns, frames)

    def _said(self) -> None:
        self.heard = time.monotonic()
        self.heard_ns = self._recv_ns

    def _other(self, transport: WSTransport, frame: WSFrame, kind: WSMsgType) -> None:
        if kind is _PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is _PONG:
            self.ponged += 1
        elif kind is _CLOSE:
            self._answer_close(transport)
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._give_up(transport, _PROTOCOL_ERROR, "a compressed frame that nobody agreed on")
        else:
            self._fragment(transport, frame, kind)

    def _fragment(self, transport: WSTransport, frame: WSFrame, kind: WSMsgType) -> None:
        begins = kind is not _CONTINUATION
        if begins and self._parts:
            self._give_up(transport, _PROTOCOL_ERROR, "a message begins within another one")
            return
        if not begins and not self._parts:
            self._give_up(transport, _PROTOCOL_ERROR, "a fragment of nothing")
            return
        self._size = frame.payload_size + (0 if begins else self._size)
        if self._size > self._max_bytes:
            self._give_up(transport, _TOO_BIG, f"a message of more than {self._max_bytes} bytes")
            return
        self._parts.append(frame.get_payload_as_bytes())
        if frame.fin:
            self._batch.append(b"".join(self._parts))
            self._parts.clear()

    def _answer_close(self, transport: WSTransport) -> None:
        if not transport.is_close_frame_sent:
            received = transport.close_handshake.recv if transport.close_handshake else None
            transport.send_close(received.code if received and received.code else WSCloseCode.OK)
        transport.disconnect()

    def _give_up(self, transport: WSTransport, code: int, reason: str) -> None:
        """The first breach of the protocol ends the connection; the log keeps what came before it."""
        if self.broken is None:
            self.broken = (code, reason)
            self._parts.clear()
            transport.send_close(cast(WSCloseCode, code), reason.encode()[:120])
            transport.disconnect()
