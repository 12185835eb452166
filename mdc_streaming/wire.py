"""The real URL and headers of a connection, and the ones that may be written down.

A credential is read the moment it is used and travels only in the :class:`Wire` handed to the
socket; ``shown`` is what logs, marks and ``/status`` carry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import SecretStr

from mdc_resources.domain.errors import BadCredentials
from mdc_resources.providers.live import Address
from mdc_resources.telemetry import mask_url, register_secret
from mdc_resources.telemetry.masking import MASK


@dataclass(frozen=True, slots=True)
class Wire:
    """Where the socket goes. ``url`` and ``headers`` may hold secrets, ``shown`` never does."""

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    shown: str


def wire_of(address: Address, credentials: Mapping[str, SecretStr]) -> Wire:
    """``address`` with its credentials filled in; BadCredentials if one is not among ``credentials``."""
    query = [(name, _value(credentials, secret)) for name, secret in address.query_auth]
    for _, value in query:
        register_secret(urlencode([("", value)])[1:])
    headers = [_header(place, _value(credentials, secret)) for place, secret in address.auth]
    masked = [(name, MASK) for name, _ in query]
    return Wire(
        url=_merged(address.url, query),
        headers=(*address.headers, *headers),
        shown=mask_url(_merged(address.url, masked), secret_params=[name for name, _ in masked]),
    )


def _value(credentials: Mapping[str, SecretStr], name: str) -> str:
    if name not in credentials:
        raise BadCredentials(f"the credential {name} is not set", hint="Put it into .env (mode 600)")
    value = credentials[name].get_secret_value()
    register_secret(value)
    return value


def _header(place: str, value: str) -> tuple[str, str]:
    """``Authorization: Bearer`` names a header and the scheme before its credential."""
    name, _, scheme = place.partition(":")
    return name.strip(), f"{scheme.strip()} {value}" if scheme.strip() else value


def _merged(url: str, more: list[tuple[str, str]]) -> str:
    if not more:
        return url
    parts = urlsplit(url)
    names = {name for name, _ in more}
    kept = [(n, v) for n, v in parse_qsl(parts.query, keep_blank_values=True) if n not in names]
    return urlunsplit(parts._replace(query=urlencode([*kept, *more], safe="*/:,@")))
