"""The numbered errors of Alpaca's stream, and what each means for the connection."""

from __future__ import annotations

from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
    TransportError,
)
from mdc_resources.providers.decoding.quoting import quoted

# Answers to one request: symbols beyond the plan, a syntax or an action it does not take.
REFUSALS = frozenset({400, 405, 410})
_PAUSE = 30.0  # an old connection of ours is given up by the server about so soon
_PLAN = "Use feed iex, or upgrade the plan"


def error_of(code: int, message: str) -> ProviderError | None:
    """The error of ``code``; None for one that changes nothing (403, already authenticated)."""
    said = f"alpaca says {code} {quoted(message)}"
    if code == 403:
        return None
    if code in (401, 402):
        return BadCredentials(said, provider="alpaca", status=code)
    if code in (408, 409):
        return NotEntitled(said, provider="alpaca", status=code, hint=_PLAN)
    if code == 406:
        hint = "Another process has this account's one connection"
        return RateLimited(said, provider="alpaca", status=code, retry_after=_PAUSE, hint=hint)
    if code in (404, 407) or code >= 500:
        return TransportError(said, provider="alpaca", status=code)
    return PayloadError(said, provider="alpaca", status=code)
