"""One request, one answer: the only code that opens a socket (or a ``file://``).

Bounded in time by one deadline over connecting, headers and body, so that a drip of bytes ends
like silence does, and in size by the decoded bytes. Never follows a redirect, keeps no cookies,
always verifies TLS. What came before a failure is handed on with it, for the archive.
"""

from __future__ import annotations

import asyncio
import ipaddress
import mimetypes
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from mdc_resources import __version__
from mdc_resources.config import TransportSettings
from mdc_resources.domain.errors import PayloadError, ProviderError, TransportError
from mdc_resources.domain.requests import HttpResponse
from mdc_resources.domain.time import now
from mdc_resources.telemetry.masking import mask_bytes, mask_cut, mask_text
from mdc_resources.transport.bodies import ACCEPT_ENCODING, BodyReader

KEPT_OF_FAILURES = 1024 * 1024
_OF_THE_TRANSFER = {
    "content-encoding",
    "transfer-encoding",
    "content-length",
    "connection",
    "keep-alive",
    "set-cookie",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. With ``failure`` the response is what there was of it, or None for nothing."""

    response: HttpResponse | None = field(repr=False)
    failure: ProviderError | None = None


def new_client(settings: TransportSettings, *, host: str) -> httpx.AsyncClient:
    """A client for one provider. A proxy of the environment is not used for loopback hosts."""
    limits = httpx.Limits(
        max_connections=settings.connections, max_keepalive_connections=settings.connections
    )
    deadline = settings.deadline_seconds
    return httpx.AsyncClient(
        limits=limits,
        # The deadline bounds everything; these only leave time for a second try after silence.
        timeout=httpx.Timeout(deadline / 2, connect=min(10.0, deadline / 2), pool=None),
        follow_redirects=False,
        trust_env=not _is_loopback(host),
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        headers={"user-agent": f"mdc/{__version__}"},
    )


async def send(
    client: httpx.AsyncClient,
    method: str,
    url: httpx.URL,
    *,
    headers: tuple[tuple[str, str], ...],
    seconds: float,
    max_bytes: int,
    body: bytes = b"",
) -> Answer:
    """Send one request and read its answer within ``seconds``."""
    partial: list[tuple[httpx.Response, BodyReader]] = []
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            request = client.build_request(
                method,
                url,
                headers=[*headers, ("accept-encoding", ACCEPT_ENCODING)],
                content=body or None,
            )
            response = await client.send(request, stream=True)
            try:
                reader = BodyReader(encoding=response.headers.get("content-encoding", ""), limit=max_bytes)
                partial.append((response, reader))
                async for chunk in response.aiter_raw():
                    reader.feed(chunk)
                return Answer(_response(response.status_code, response.headers, reader.finish()))
            finally:
                await response.aclose()
    except ProviderError as error:
        return Answer(_partial(partial), error)
    except TimeoutError:
        failure = TransportError(f"no complete answer within {seconds:.1f} s")
    except httpx.TimeoutException as error:
        failure = TransportError(f"no answer: {type(error).__name__}")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        failure = TransportError(
            f"no usable answer: {type(error).__name__} {mask_text(str(error))[:200]}".rstrip()
        )
    return Answer(_partial(partial), failure)


async def read_file(url: str, *, seconds: float, max_bytes: int) -> Answer:
    """Read a ``file://`` URL as if a server had answered: 200, 404, or a failure."""
    # Not through httpx.URL: it decodes the path already, and a file may be called "=BRK%2EB.csv".
    path = Path(url2pathname(urlsplit(url).path))
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            return Answer(await asyncio.to_thread(_read, path, max_bytes))
    except (FileNotFoundError, NotADirectoryError):
        return Answer(_response(404, {}, b""))
    except ProviderError as error:
        return Answer(None, error)
    except TimeoutError:
        return Answer(None, TransportError(f"{path.name} was not read within {seconds:.1f} s"))
    except OSError as error:
        return Answer(None, PayloadError(f"{path.name} cannot be read: {error.strerror}"))


def _read(path: Path, max_bytes: int) -> HttpResponse:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise PayloadError(f"{path.name} is not a regular file")
    if found.st_size > max_bytes:
        raise PayloadError(
            f"{path.name} has {found.st_size} bytes, more than {max_bytes}",
            hint="transport.max_body_mb in mdc.toml sets the bound",
        )
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _response(200, {"content-type": kind}, path.read_bytes())


def _response(status: int, headers: Mapping[str, str], body: bytes) -> HttpResponse:
    """Headers as they hold for the decoded body; a vendor that echoes a key does not get to keep it."""
    kept = {
        name.lower(): mask_text(value)
        for name, value in headers.items()
        if name.lower() not in _OF_THE_TRANSFER
    }
    return HttpResponse(status, {**kept, "content-length": str(len(body))}, mask_bytes(body), now())


def _partial(partial: list[tuple[httpx.Response, BodyReader]]) -> HttpResponse | None:
    for response, reader in partial:
        return _response(response.status_code, response.headers, mask_cut(reader.so_far(KEPT_OF_FAILURES)))
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
