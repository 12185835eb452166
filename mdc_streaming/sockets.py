"""The socket below a connection: opened within a deadline, written to, paused, and closed for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from picows import WSCloseCode, WSMsgType, WSProtocolError, WSTransport, ws_connect

from mdc_streaming.receiver import Receiver
from mdc_streaming.wire import Wire

_HANG_UP = 1.0
OnBatch = Callable[[int, list[bytes]], None]
OnClosed = Callable[[WSTransport], None]


class Socket:
    """An open WebSocket and its receiving end; make it with :meth:`open`."""

    def __init__(self, transport: WSTransport, receiver: Receiver) -> None:
        self.receiver = receiver
        self._transport = transport

    @classmethod
    async def open(
        cls,
        wire: Wire,
        on_open: Callable[[Socket], None],
        on_batch: OnBatch,
        on_closed: OnClosed,
        *,
        seconds: float,
        max_bytes: int,
    ) -> None:
        """Connect and shake hands, then call ``on_open`` before anything else.

        Raises whatever went wrong, TimeoutError after ``seconds``.
        """
        receiver = Receiver(
            lambda transport: on_open(cls(transport, receiver)), on_batch, on_closed, max_bytes
        )
        async with asyncio.timeout(seconds):
            await ws_connect(
                lambda: receiver,
                wire.url,
                websocket_handshake_timeout=seconds,
                max_frame_size=max_bytes,
                extra_headers=list(wire.headers),
                enable_auto_pong=False,  # ours: a read that ends with a ping must end its batch too
                max_redirects=0,  # credentials do not follow a redirect
            )

    def send(self, text: bytes) -> None:
        """Send one message."""
        self._transport.send(WSMsgType.TEXT, text)

    def ping(self) -> None:
        """Send a WebSocket ping."""
        self._transport.send_ping(b"mdc")

    def pause(self) -> None:
        """Read no more: what arrives waits in the kernel, then at the server."""
        self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self._transport.underlying_transport.resume_reading()

    def drop(self) -> None:
        """Close it without a word."""
        self._transport.disconnect(graceful=False)

    async def hang_up(self, *, going_away: bool) -> None:
        """Hand over what was read, close, and see to it; raises what the receiving end raised."""
        self.receiver.flush()
        if not self._transport.is_disconnected:
            self._transport.send_close(WSCloseCode.GOING_AWAY if going_away else WSCloseCode.OK)
            self._transport.disconnect()
        try:
            async with asyncio.timeout(_HANG_UP):
                await self._transport.wait_disconnected()
        except TimeoutError:
            self._transport.disconnect(graceful=False)
        except WSProtocolError:
            return  # what the server did wrong is the connection's end already
