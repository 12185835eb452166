"""URLs and credentials of a request: the real ones for the wire, masked ones for everything else.

A credential is read the moment it is used, registered for masking first, and travels only in the
request object handed to the socket. A missing one is an error before anything is sent.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urljoin

import httpx

from mdc_resources.config import Secrets
from mdc_resources.domain.errors import BadCredentials, UsageError
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.telemetry.masking import MASK, mask_url, register_secret

SCHEMES = ("http", "https", "file")


def masked_url(wire: HttpRequest) -> str:
    """The URL of ``wire`` with its parameters, as it may be written down."""
    secret = tuple((name, MASK) for name, _ in wire.query_auth)
    return mask_url(str(_merged(wire, secret)), secret_params=[name for name, _ in secret])


def real_url(wire: HttpRequest, secrets: Secrets, *, provider: str) -> httpx.URL:
    """The URL to send, credentials included; BadCredentials if one is missing."""
    return _merged(wire, _resolved(wire.query_auth, secrets, provider))


def real_headers(wire: HttpRequest, secrets: Secrets, *, provider: str) -> tuple[tuple[str, str], ...]:
    """The headers to send, credentials included; BadCredentials if one is missing.

    ``Authorization: Bearer`` names a header and the scheme that stands before its credential.
    """
    filled = _resolved(wire.auth, secrets, provider)
    return (*wire.headers, *(_header(place, value) for place, value in filled))


def same_origin(first: str, second: str) -> bool:
    """True if scheme, host and port agree: only then may credentials follow a redirect."""
    a, b = httpx.URL(first), httpx.URL(second)
    return (a.scheme, a.host, _port(a)) == (b.scheme, b.host, _port(b))


def redirected(wire: HttpRequest, location: str) -> HttpRequest:
    """``wire`` sent to ``location``; ValueError if that is no URL. Credentials are put in anew later."""
    try:
        target = httpx.URL(urljoin(str(_merged(wire, ())), location))
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    for name, _ in wire.query_auth:
        target = target.copy_remove_param(name)
    return replace(wire, url=str(target.copy_with(fragment=None)), params=())


def scheme_of(wire: HttpRequest) -> str:
    """``http``, ``https`` or ``file``; UsageError for anything else."""
    try:
        url = httpx.URL(wire.url)
    except httpx.InvalidURL as error:
        raise UsageError(f"{mask_url(wire.url)[:120]!a} is not a URL: {error}") from None
    if url.scheme not in SCHEMES or (url.scheme != "file" and not url.host):
        raise UsageError(
            f"{mask_url(wire.url)[:120]!a} cannot be fetched", hint="Only http, https and file URLs can"
        )
    return url.scheme


def _header(place: str, value: str) -> tuple[str, str]:
    name, _, scheme = place.partition(":")
    return name.strip(), f"{scheme.strip()} {value}" if scheme.strip() else value


def _merged(wire: HttpRequest, more: tuple[tuple[str, str], ...]) -> httpx.URL:
    pairs = (*wire.params, *more)
    url = httpx.URL(wire.url)
    return url.copy_merge_params(list(pairs)) if pairs else url


def _resolved(
    named: tuple[tuple[str, str], ...], secrets: Secrets, provider: str
) -> tuple[tuple[str, str], ...]:
    found = []
    for place, credential in named:
        secret = secrets.get(credential)
        if secret is None or not secret.get_secret_value():
            raise BadCredentials(
                f"{provider}: the credential {credential} is not set",
                provider=provider,
                hint=f"Put it into .env (mode 600) or the environment, or a path into {credential}_FILE",
            )
        value = secret.get_secret_value()
        if any(ord(c) < 0x20 or ord(c) == 0x7F for c in value) or not value.isascii():
            raise BadCredentials(
                f"{provider}: the credential {credential} holds a control or non-ASCII character",
                provider=provider,
                hint="Copy it again, without line ends",
            )
        register_secret(value)
        # As it will stand in the URL: httpx leaves some characters alone that others encode.
        register_secret(str(httpx.QueryParams([("", value)]))[1:])
        found.append((place, value))
    return tuple(found)


def _port(url: httpx.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)
