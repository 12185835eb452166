"""What an answer leaves behind: a raw record, a line of the ``fetches`` ledger, counters, a verdict.

The body is archived before anyone judges it. The provider's dialect names the error first, also
behind a 200; the HTTP status decides where the dialect has no opinion.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from mdc_resources.domain.errors import PayloadError, ProviderError, RateLimited
from mdc_resources.domain.requests import Attempt, FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.time import now
from mdc_resources.telemetry.masking import mask_text
from mdc_resources.telemetry.metrics import BODY_BYTES, REQUESTS
from mdc_resources.transport import verdicts
from mdc_resources.transport.addresses import masked_url, redirected, same_origin
from mdc_resources.transport.archive import RawArchive
from mdc_resources.transport.retry import retry_after
from mdc_resources.transport.wire import Answer

REDIRECTS = (301, 302, 303, 307, 308)

Classify = Callable[[HttpResponse], ProviderError | None]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A usable answer, where its bytes are kept, and its line in the ``fetches`` ledger."""

    response: HttpResponse
    record_id: str
    fetch_id: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one request ended: ``error`` or a usable ``exchange``, and the wait the vendor asked for."""

    exchange: Exchange | None
    error: ProviderError | None = None
    asked_to_wait: float | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """One request as it leaves. Make it right before sending: it notes the time."""

    request: FetchRequest
    wire: HttpRequest
    page: int
    decoder_version: int
    fetch_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_at: dt.datetime = field(default_factory=now)
    started: float = field(default_factory=time.perf_counter)


def record(
    asking: Asking, answer: Answer, *, classify: Classify, archive: RawArchive, attempts: list[Attempt]
) -> Verdict:
    """Archive, judge and note down ``answer``; StorageFailed if it cannot be archived."""
    url = masked_url(asking.wire)
    duration_ms = (time.perf_counter() - asking.started) * 1000
    response = answer.response
    asked = retry_after(response.headers, received_at=response.received_at) if response else None
    error = _judge(asking, answer, classify=classify, url=url, asked=asked)
    said = f"{type(error).__name__}: {error}" if error else ""
    record_id = ""
    if response is not None:
        record_id = archive.write_exchange(
            asking.request,
            asking.wire,
            response,
            page=asking.page,
            decoder_version=asking.decoder_version,
            fetch_id=asking.fetch_id,
            error=said,
            truncated=answer.failure is not None,
        )
    attempts.append(
        _attempt(asking, response, url=url, duration_ms=duration_ms, said=said, record_id=record_id)
    )
    _count(asking.request.provider, response, error)
    if isinstance(error, RateLimited) and error.retry_after is not None:
        asked = error.retry_after
    exchange = (
        Exchange(response, record_id, asking.fetch_id) if response is not None and error is None else None
    )
    return Verdict(exchange, error, asked if error else None)


def is_redirect(response: HttpResponse) -> bool:
    """True if the answer only says where to ask."""
    return response.status in REDIRECTS


def _judge(
    asking: Asking, answer: Answer, *, classify: Classify, url: str, asked: float | None
) -> ProviderError | None:
    provider = asking.request.provider
    error, response = answer.failure, answer.response
    if error is not None:
        error.message = f"{provider}: {error.message} ({url})"
    elif response is not None and is_redirect(response):
        error = _refused_redirect(asking.wire, response, url=url, provider=provider)
    elif response is not None:
        error = _classified(classify, response) or verdicts.of_status(
            response, provider=provider, url=url, retry_after=asked
        )
    if error is not None:
        error.provider = error.provider or provider
        error.message = mask_text(error.message)
        if error.status is None and response is not None:
            error.status = response.status
    return error


def _classified(classify: Classify, response: HttpResponse) -> ProviderError | None:
    try:
        return classify(response)
    except ProviderError as error:
        return error
    except RecursionError:
        return PayloadError("the body is nested too deeply to be read", status=response.status)


def _refused_redirect(
    wire: HttpRequest, response: HttpResponse, *, url: str, provider: str
) -> ProviderError | None:
    location = response.headers.get("location", "")
    try:
        target = redirected(wire, location) if location else None
    except ValueError:  # no URL at all; what it says is in the archive
        target = None
    if target is None:
        return PayloadError(
            f"{provider}: {url} redirects to nowhere", provider=provider, status=response.status
        )
    if wire.body:  # 301 and 303 would turn it into a GET, and no vendor means that
        return PayloadError(
            f"{provider}: {url} redirects a request with a body, which is not followed",
            provider=provider,
            status=response.status,
            hint="Set the address it names as the base URL if that is right",
        )
    if same_origin(wire.url, target.url):
        return None
    return PayloadError(
        f"{provider}: {url} redirects to another host, {masked_url(target)[:200]}, which is not followed",
        provider=provider,
        status=response.status,
        hint=f"If that is right, set providers.{provider}.base_url to it",
    )


def _attempt(
    asking: Asking, response: HttpResponse | None, *, url: str, duration_ms: float, said: str, record_id: str
) -> Attempt:
    request = asking.request
    return Attempt(
        fetch_id=asking.fetch_id,
        provider=request.provider,
        dataset=request.dataset,
        symbols=request.symbols,
        start=request.start,
        end=request.end,
        url=url,
        started_at=asking.started_at,
        duration_ms=round(duration_ms, 3),
        status=response.status if response else None,
        error=said,
        body_bytes=len(response.body) if response else 0,
        sha256=hashlib.sha256(response.body).hexdigest() if response else "",
        record_id=record_id,
    )


def _count(provider: str, response: HttpResponse | None, error: ProviderError | None) -> None:
    REQUESTS.labels(provider, type(error).__name__ if error else "ok").inc()
    if response is not None:
        BODY_BYTES.labels(provider).inc(len(response.body))
