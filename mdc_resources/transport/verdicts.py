"""What an answer means before a provider's dialect is consulted: the HTTP status alone."""

from __future__ import annotations

from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
    TransportError,
)
from mdc_resources.domain.requests import HttpResponse

_TRY_AGAIN = (408, 425)


def of_status(
    response: HttpResponse, *, provider: str, url: str, retry_after: float | None
) -> ProviderError | None:
    """The error that ``response.status`` says, or None for 2xx. ``url`` is masked."""
    status = response.status
    if 200 <= status < 300:
        return None
    said = f"{provider} answered {status} for {url}"
    if status == 429:
        wait = "" if retry_after is None else f", asking to wait {retry_after:.0f} s"
        return RateLimited(said + wait, provider=provider, status=status, retry_after=retry_after)
    if status in (401, 403):
        return BadCredentials(
            said,
            provider=provider,
            status=status,
            hint="Check the key and what its plan includes: mdc providers check",
        )
    if status == 402:
        return NotEntitled(
            said, provider=provider, status=status, hint="The plan behind the key does not include it"
        )
    if status >= 500 or status in _TRY_AGAIN:
        return TransportError(said, provider=provider, status=status)
    return PayloadError(said, provider=provider, status=status)
