"""Why a connection could not be opened, or is over, in the words of logs, marks and counters.

A cause is one word of few (``closed``, ``dropped``, ``silence`` ...), so that counters stay bounded; the
detail is masked, since a library's message may quote the whole URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from picows import WSHandshakeError, WSTransport

from mdc_resources.domain.errors import BadCredentials, ProviderError, RateLimited, TransportError
from mdc_resources.telemetry import mask_text
from mdc_streaming.plan import ShardPlan

_CHARS = 200
_UNAUTHORIZED, _TOO_MANY, _TOO_BIG = 401, 429, 1009
_LONGEST_WAIT = 900.0


@dataclass(frozen=True, slots=True)
class End:
    """Why a connection is over, how long it was open, and whether it had become live."""

    cause: str
    detail: str = ""
    code: int | None = None
    error: ProviderError | None = None
    lived: float = 0.0
    was_live: bool = False

    @property
    def reason(self) -> str:
        """Cause and detail in one line."""
        return f"{self.cause}: {self.detail}" if self.detail else self.cause


def not_opened(error: Exception, plan: ShardPlan) -> End:
    """Why there is no connection; a refused key is never tried again, all else after a pause."""
    if isinstance(error, WSHandshakeError) and error.response is not None:
        status = int(error.response.status)
        return End("handshake", f"HTTP {status}", status, _of_status(status, error, plan))
    if isinstance(error, TimeoutError):
        detail = "no answer in time"
    else:
        detail = mask_text(f"{type(error).__name__}: {error}")
    return End("connect", detail[:_CHARS], error=TransportError(detail[:_CHARS], provider=plan.feed))


def disconnected(transport: WSTransport, broken: tuple[int, str] | None) -> tuple[str, str, int | None]:
    """(cause, detail, code) of a connection that the other side, or a breach of the protocol, ended."""
    handshake = transport.close_handshake
    received = handshake.recv if handshake else None
    sent = handshake.sent if handshake else None
    if broken is not None:
        return ("oversize" if broken[0] == _TOO_BIG else "protocol"), broken[1], broken[0]
    ours = sent is not None and not (handshake and handshake.recv_then_sent)
    if received is not None and not ours:
        return "closed", mask_text(received.reason or "")[:_CHARS], cast(int, received.code) or None
    if sent is not None:  # the library itself found the breach
        code = cast(int, sent.code)
        return ("oversize" if code == _TOO_BIG else "protocol"), mask_text(sent.reason or "")[:_CHARS], code
    return "dropped", "the connection was lost", None


def _of_status(status: int, error: WSHandshakeError, plan: ShardPlan) -> ProviderError:
    said = f"{plan.feed} answered HTTP {status}"
    if status == _UNAUTHORIZED and plan.spec.credentials:
        return BadCredentials(said, provider=plan.feed, status=status, hint="Check the key in .env")
    if status == _TOO_MANY:
        return RateLimited(said, provider=plan.feed, status=status, retry_after=_retry_after(error))
    return TransportError(said, provider=plan.feed, status=status)


def _retry_after(error: WSHandshakeError) -> float | None:
    """Seconds of the header, capped; None where it says nothing usable."""
    text = str((error.response.headers if error.response else {}).get("Retry-After", ""))
    return min(float(text), _LONGEST_WAIT) if text.isdigit() else None
