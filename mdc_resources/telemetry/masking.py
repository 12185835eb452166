"""Keeping secrets out of everything that is written down.

Two nets: values that were read as credentials (registered here the moment they are used) are
replaced wherever they turn up, also URL-encoded, in base64 or JSON-escaped; and query parameters,
headers and fields whose *names* mean a secret lose their value even if it was never registered.
Masks keep the length of the value in bodies, so that a payload's size stays true.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

MASK = "***"
_SHORTEST = 8  # masking every "demo" would destroy payloads and hide nothing

_SECRET_NAME = re.compile(
    r"(^|[-_])(api[-_]?key([-_]?id)?|secret([-_]?key)?|password|passwd|signature|authorization|cookie|crumb)$"
    r"|^(x[-_])?((access|auth|refresh|bearer|session|api)[-_]?)?token$"  # but not a page_token
    r"|^sig$"
)

_lock = threading.Lock()
_forms: tuple[str, ...] = ()


def register_secret(value: str) -> None:
    """From now on ``value`` is masked wherever text or bytes are written down."""
    global _forms
    if len(value) < _SHORTEST or value in _forms:
        return
    with _lock:
        # Longest first: a form that contains another must be replaced whole.
        _forms = tuple(sorted({*_forms, *_spellings(value)}, key=len, reverse=True))


def mask_text(text: str) -> str:
    """``text`` without any registered secret."""
    for form in _forms:
        if form in text:
            text = text.replace(form, MASK)
    return text


def mask_bytes(body: bytes) -> bytes:
    """``body`` without any registered secret; every mask is as long as what it covers."""
    for form in _forms:
        needle = form.encode()
        if needle in body:
            body = body.replace(needle, b"*" * len(needle))
    return body


def mask_cut(body: bytes) -> bytes:
    """:func:`mask_bytes`, also for a body that ends within a secret: half a key is half a secret."""
    body = mask_bytes(body)
    for form in _forms:
        needle = form.encode()
        for kept in range(min(len(needle) - 1, len(body)), _SHORTEST - 1, -1):
            if body.endswith(needle[:kept]):
                return body[:-kept] + b"*" * kept
    return body


def is_secret_name(name: str) -> bool:
    """True if a parameter, header or field of this name holds a secret."""
    return bool(_SECRET_NAME.search(name.lower()))


def mask_url(url: str, *, secret_params: Iterable[str] = ()) -> str:
    """``url`` for a log or an archive: no user info, secret parameters and values masked."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL, so nothing in it has a name
        return mask_text(url)
    netloc = f"{MASK}@{parts.netloc.rsplit('@', 1)[1]}" if "@" in parts.netloc else parts.netloc
    named = {name.lower() for name in secret_params}
    query = parts.query
    pairs = parse_qsl(query, keep_blank_values=True)
    if any(name.lower() in named or is_secret_name(name) for name, _ in pairs):
        shown = [
            (name, MASK if name.lower() in named or is_secret_name(name) else value) for name, value in pairs
        ]
        query = urlencode(shown, safe="*")
    return mask_text(urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment)))


def _spellings(value: str) -> set[str]:
    """``value`` as it may appear in a URL, a form, a header or a JSON document."""
    raw = value.encode()
    encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    escaped = json.dumps(value)[1:-1]
    return {
        value,
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        escaped,
        escaped.replace("/", "\\/"),
        *(form.rstrip("=") for form in encoded),
    }
