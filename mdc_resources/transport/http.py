"""Fetching: breaker, budget, send, archive, judge, and perhaps again, within one deadline.

Every request that is really sent leaves one ``Attempt``, and every body, also of an error, a
record in the raw archive. Waiting for a slot or for the provider's own rate budget happens before
the deadline's clock starts. Nothing above this module retries a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from mdc_resources.config import Limits, Secrets, TransportSettings
from mdc_resources.domain.errors import MdcError, PayloadError, TransportError
from mdc_resources.domain.requests import Attempt, FetchRequest, HttpRequest
from mdc_resources.state import Sample, State
from mdc_resources.telemetry import get_logger
from mdc_resources.telemetry.logs import quiet_libraries
from mdc_resources.telemetry.metrics import RETRIES
from mdc_resources.transport import wire as wires
from mdc_resources.transport.addresses import masked_url, real_headers, real_url, redirected, scheme_of
from mdc_resources.transport.archive import RawArchive
from mdc_resources.transport.breaker import Guard, is_failure
from mdc_resources.transport.budget import Budgets
from mdc_resources.transport.recording import Asking, Classify, Exchange, Verdict, is_redirect, record
from mdc_resources.transport.retry import Course
from mdc_resources.transport.wire import Answer

MAX_REDIRECTS = 3
_SAMPLES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class _Lane:
    """One provider: its connections and the right to use them."""

    client: httpx.AsyncClient
    slots: asyncio.Semaphore


@dataclass(frozen=True, slots=True)
class _Job:
    """What stays the same over the tries of one exchange."""

    request: FetchRequest
    limits: Limits
    classify: Classify
    page: int
    decoder_version: int
    attempts: list[Attempt]
    guard: Guard
    course: Course

    def asking(self, wire: HttpRequest) -> Asking:
        """``wire`` as it leaves now."""
        return Asking(self.request, wire, self.page, self.decoder_version)


class HttpTransport:
    """Use as an async context manager; one instance per event loop."""

    def __init__(
        self,
        *,
        settings: TransportSettings,
        state: State,
        budgets: Budgets,
        archive: RawArchive,
        secrets: Secrets,
    ) -> None:
        self._settings = settings
        self._state = state
        self._budgets = budgets
        self._archive = archive
        self._secrets = secrets
        self._lanes: dict[str, _Lane] = {}
        self._samples: list[Sample] = []
        self._max_bytes = int(settings.max_body_mb * 1024 * 1024)
        quiet_libraries()
        # stamina would log each retry with its arguments, to standard output.
        set_on_retry_hooks([_on_retry])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None
    ) -> None:
        for lane in self._lanes.values():
            await lane.client.aclose()
        self._lanes.clear()
        self._remember()

    async def fetch(
        self,
        request: FetchRequest,
        wire: HttpRequest,
        *,
        limits: Limits,
        classify: Classify,
        page: int,
        decoder_version: int,
        attempts: list[Attempt],
    ) -> Exchange:
        """Get one page; ``attempts`` grows by every request sent, also when this raises.

        Raises:
            ProviderError: what kept the answer from being used, after all retries; CircuitOpen,
                QuotaExhausted and BadCredentials also before anything is sent.
            StorageFailed: the body could not be archived, or state or budgets not be kept.
        """
        scheme = scheme_of(wire)
        real_url(wire, self._secrets, provider=request.provider)
        real_headers(wire, self._secrets, provider=request.provider)
        settings = self._settings
        job = _Job(
            request=request,
            limits=limits,
            classify=classify,
            page=page,
            decoder_version=decoder_version,
            attempts=attempts,
            guard=Guard(self._state, settings, request.provider, request.dataset),
            course=Course(settings.deadline_seconds, settings.max_retry_after_seconds),
        )
        if scheme == "file":
            return await self._from_file(job, wire)
        lane = self._lane(request.provider, wire)
        async with lane.slots:
            retrying = stamina.retry_context(
                on=job.course.next_wait, attempts=settings.max_attempts, timeout=None
            )
            async for attempt in retrying.with_name(request.provider, (), {}):
                with attempt:
                    return await self._try(job, wire, lane)
        raise AssertionError("unreachable: the last failure is raised above")

    async def _try(self, job: _Job, wire: HttpRequest, lane: _Lane) -> Exchange:
        """One try: as many requests as redirects within the same origin ask for."""
        for _ in range(MAX_REDIRECTS + 1):
            exchange = await self._request(job, wire, lane)
            if not is_redirect(exchange.response):
                return exchange
            wire = redirected(wire, exchange.response.headers["location"])
        provider = job.request.provider
        raise PayloadError(
            f"{provider}: more than {MAX_REDIRECTS} redirects to {masked_url(wire)}", provider=provider
        )

    async def _request(self, job: _Job, wire: HttpRequest, lane: _Lane) -> Exchange:
        """One request: permitted, sent, recorded. Raises what it came to."""
        provider, course = job.request.provider, job.course
        job.guard.refuse_if_open()
        loop_now = asyncio.get_running_loop().time()
        deadline = None if course.started is None else loop_now + course.remaining
        await self._budgets.acquire(provider, job.limits, deadline=deadline)
        job.guard.enter()
        course.start()
        asking = job.asking(wire)
        try:
            answer = await wires.send(
                lane.client,
                wire.method,
                real_url(wire, self._secrets, provider=provider),
                headers=real_headers(wire, self._secrets, provider=provider),
                seconds=course.remaining,
                max_bytes=self._max_bytes,
                body=wire.body,
            )
        except asyncio.CancelledError:
            self._record(job, asking, Answer(None, TransportError("given up by the caller")))
            raise
        verdict = self._record(job, asking, answer)
        self._sample(asking, ok=not is_failure(verdict.error))
        course.asked_to_wait = verdict.asked_to_wait
        course.is_over = job.guard.leave(verdict.error, asked_to_wait=verdict.asked_to_wait)
        return _usable(verdict)

    def _sample(self, asking: Asking, *, ok: bool) -> None:
        """Note how the vendor did; written in batches, so that good weather costs no write per request."""
        elapsed = (time.perf_counter() - asking.started) * 1000
        self._samples.append(
            Sample(asking.request.provider, asking.started_at.timestamp(), round(elapsed, 3), ok)
        )
        if len(self._samples) >= _SAMPLES_AT_ONCE:
            self._remember()

    def _remember(self) -> None:
        samples, self._samples = self._samples, []
        if samples:
            with contextlib.suppress(MdcError):  # a memory of minutes is not worth failing for
                self._state.note_answers(samples)

    async def _from_file(self, job: _Job, wire: HttpRequest) -> Exchange:
        asking = job.asking(wire)
        answer = await wires.read_file(wire.url, seconds=job.course.remaining, max_bytes=self._max_bytes)
        return _usable(self._record(job, asking, answer))

    def _record(self, job: _Job, asking: Asking, answer: Answer) -> Verdict:
        return record(asking, answer, classify=job.classify, archive=self._archive, attempts=job.attempts)

    def _lane(self, provider: str, wire: HttpRequest) -> _Lane:
        if provider not in self._lanes:
            client = wires.new_client(self._settings, host=httpx.URL(wire.url).host)
            self._lanes[provider] = _Lane(client, asyncio.Semaphore(self._settings.connections))
        return self._lanes[provider]


def _usable(verdict: Verdict) -> Exchange:
    if verdict.error is not None:
        raise verdict.error
    if verdict.exchange is None:
        raise AssertionError("an answer is usable or has an error")
    return verdict.exchange


def _on_retry(details: RetryDetails) -> None:
    RETRIES.labels(details.name).inc()
    get_logger().info(
        "request.retried",
        provider=details.name,
        number=details.retry_num,
        wait_seconds=round(details.wait_for, 3),
        error=str(details.caused_by),
    )
