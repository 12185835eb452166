"""One request, all its pages: the only place where transport and providers meet.

A body that cannot be decoded is asked for once more (it may have been cut on the way), then it is a
failed answer. A page token that repeats is a loop and ends the paging. Whatever arrived before an
error is kept, with how far it is known to be complete.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import pyarrow as pa

from mdc_resources.calendars import Calendar
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError, ProviderError, SyntheticData, TransportError
from mdc_resources.domain.requests import Attempt, FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import UTC
from mdc_resources.ingest.candidates import Candidate
from mdc_resources.providers.spec import Page, Rejected
from mdc_resources.transport.http import HttpTransport

MAX_PAGES = 10_000
SYNTHETIC_HEADER = "x-mdc-synthetic"  # the sandbox marks invented data; recorded bodies carry no such mark


@dataclass(slots=True)
class Answer:
    """Everything one provider said to one request; ``error`` is None if it said it all.

    ``told_at`` is the provider's own time of its first page (the ``Date`` header; a cache keeps the
    original one): whatever this machine's clock says, nothing later is in the answer.
    """

    request: FetchRequest
    candidate: Candidate
    calendar: Calendar
    pages: list[Page] = field(default_factory=list)
    record_ids: list[str] = field(default_factory=list)
    fetch_ids: list[str] = field(default_factory=list)
    error: ProviderError | None = None
    told_at: dt.datetime | None = None
    synthetic_allowed: bool = False

    def table(self, dataset: Dataset) -> pa.Table | None:
        """Rows of ``dataset`` over all pages; None where no page carried it."""
        tables = [page.tables[dataset] for page in self.pages if dataset in page.tables]
        return pa.concat_tables(tables) if tables else None

    @property
    def rejected(self) -> list[Rejected]:
        """Rows of all pages that could not be decoded."""
        return [row for page in self.pages for row in page.rejected]

    @property
    def unknown(self) -> set[Symbol]:
        """Symbols the provider says it does not know."""
        return {symbol for page in self.pages for symbol in page.unknown}

    @property
    def incomplete(self) -> set[tuple[Symbol, dt.date]]:
        """Partitions whose answer was cut short."""
        return {key for page in self.pages for key in page.incomplete}


async def ask(transport: HttpTransport, answer: Answer, attempts: list[Attempt]) -> None:
    """Fill ``answer`` page by page; a ProviderError becomes ``answer.error``.

    Every request sent is appended to ``attempts``.
    """
    candidate, request, calendar = answer.candidate, answer.request, answer.calendar
    try:
        wire: HttpRequest | None = candidate.provider.plan(request, candidate.dialect(calendar))
        seen: set[HttpRequest] = set()
        while wire is not None:
            if wire in seen or len(seen) >= MAX_PAGES:
                raise PayloadError(
                    f"{candidate.name} repeats a page token after {len(seen)} pages", provider=candidate.name
                )
            seen.add(wire)
            page = await ask_page(transport, answer, wire, attempts, number=len(seen))
            answer.pages.append(page)
            wire = page.next
    except ProviderError as error:
        answer.error = error


async def ask_page(
    transport: HttpTransport, answer: Answer, wire: HttpRequest, attempts: list[Attempt], *, number: int
) -> Page:
    """Page ``number`` (from 1) of ``answer``, archived, decoded and cited; raises ProviderError."""
    reader = _Reader(answer, wire)
    exchange = await transport.fetch(
        answer.request,
        wire,
        limits=answer.candidate.limits,
        classify=reader.classify,
        page=number,
        decoder_version=answer.candidate.provider.spec.decoder_version,
        attempts=attempts,
    )
    assert reader.page is not None, "an exchange that was accepted has been decoded"
    answer.record_ids.append(exchange.record_id)
    answer.fetch_ids.append(exchange.fetch_id)
    return reader.page


def told_at_of(response: HttpResponse) -> dt.datetime | None:
    """The time the provider gives its answer, UTC; None where it gives none that can be read."""
    try:
        told_at = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return None
    return told_at.replace(tzinfo=UTC) if told_at.tzinfo is None else told_at.astimezone(UTC)


class _Reader:
    """Decodes inside the transport's judgement, so that garbage counts as a failure there too."""

    def __init__(self, answer: Answer, wire: HttpRequest) -> None:
        self.page: Page | None = None
        self._answer = answer
        self._wire = wire
        self._garbled = False

    def classify(self, response: HttpResponse) -> ProviderError | None:
        provider = self._answer.candidate.provider
        if SYNTHETIC_HEADER in response.headers and not self._answer.synthetic_allowed:
            return SyntheticData(
                f"{provider.spec.name} is a sandbox, and this lake is for real data",
                provider=provider.spec.name,
                hint="Remove its base_url from mdc.toml, or make a home with mdc init --sandbox",
            )
        error = provider.classify(response)
        if error is not None or response.status != 200:
            return error
        dialect = self._answer.candidate.dialect(self._answer.calendar)
        try:
            self.page = provider.decode(self._answer.request, dialect, self._wire, response)
        except PayloadError as garbled:
            return self._once_more(garbled)
        except ProviderError as named:
            return named
        told_at = told_at_of(response)
        if told_at is not None and (self._answer.told_at is None or told_at < self._answer.told_at):
            self._answer.told_at = told_at
        return None

    def _once_more(self, garbled: PayloadError) -> ProviderError:
        if self._garbled:
            return garbled
        self._garbled = True
        return TransportError(
            garbled.message, provider=garbled.provider, status=garbled.status, hint=garbled.hint
        )
