"""Bodies as bytes: what is certainly no answer, and JSON read with its numbers as text.

The slow but forgiving JSON reader here serves rows, when a page's fast parser has refused: it
keeps each number's own characters (NaN included, for its row to be rejected), and refuses what is
truncated, followed by something else, or nested without end.
"""

from __future__ import annotations

import json
from typing import Any

from mdc_resources.domain.errors import PayloadError, ProviderError, RateLimited
from mdc_resources.domain.requests import HttpResponse

RAW_LIMIT = 2000
_SMALL = 4096  # error documents are short; longer bodies are left to the decoder


class NumberText(str):
    """A JSON number in its own characters, told apart from a JSON string."""

    __slots__ = ()


def load_exact(body: bytes, *, provider: str) -> Any:
    """Parse ``body`` with every number as :class:`NumberText`; raises PayloadError."""
    try:
        return json.loads(
            body.decode("utf-8-sig", "replace"),
            parse_float=NumberText,
            parse_int=NumberText,
            parse_constant=NumberText,
        )
    except RecursionError:
        raise PayloadError(f"{provider} sent JSON that is nested too deeply", provider=provider) from None
    except ValueError as error:
        raise PayloadError(
            f"{provider} sent malformed or truncated JSON ({error}), starting {snippet(body)}",
            provider=provider,
        ) from None


def load_small(body: bytes) -> Any:
    """The JSON of a short body, else None: for error documents, whatever the status says."""
    if len(body) > _SMALL:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def snippet(body: bytes) -> str:
    """The first characters of ``body`` for a message: escaped, so that they cannot forge a line."""
    return ascii(body[:60].decode("utf-8", "replace"))


def is_html(body: bytes) -> bool:
    """True for a page meant for a browser."""
    return body[:512].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def says(body: bytes, *phrases: bytes) -> bool:
    """True where a short body contains one of ``phrases`` (lower case)."""
    return len(body) <= _SMALL and any(phrase in body.lower() for phrase in phrases)


def classify_common(provider: str, response: HttpResponse) -> ProviderError | None:
    """Errors that every HTTP provider shares and that need no knowledge of its dialect.

    Statuses with a general meaning (401, 403, 429, 5xx) are left to the transport, which knows
    their headers.
    """
    status, body = response.status, response.body
    if status in (401, 403, 429) or status >= 500:
        return None
    if not body.strip():
        return PayloadError(
            f"{provider} sent an empty body (HTTP {status})", provider=provider, status=status
        )
    if says(body, b"too many requests", b"rate limit"):
        return RateLimited(
            f"{provider} says {snippet(body)} with HTTP {status}", provider=provider, status=status
        )
    if is_html(body):
        return PayloadError(
            f"{provider} sent a web page instead of data (HTTP {status}): {snippet(body)}",
            provider=provider,
            status=status,
            hint="A login, consent or block page: open the provider's site in a browser",
        )
    return None


def refused(provider: str, response: HttpResponse) -> PayloadError:
    """The error for a status of 300 or more that nothing more specific explains."""
    return PayloadError(
        f"{provider} answered HTTP {response.status}: {snippet(response.body)}",
        provider=provider,
        status=response.status,
    )
