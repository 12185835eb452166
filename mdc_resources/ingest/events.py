"""One partition of events from one provider: page by page, never held whole, resumed where it stopped.

Every page is archived, decoded, spooled and noted (:mod:`mdc_resources.state.cursors`). A later run
of the same partition reads the noted pages from the raw archive and asks only for what follows them.
An archived page that is missing or damaged ends what can be reused; a vendor that does not take its
own cursor any more is asked from the beginning, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mdc_resources.calendars import Calendar
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.errors import OutOfRange, PayloadError, ProviderError, UnknownSymbol, UsageError
from mdc_resources.domain.requests import Attempt, HttpRequest, HttpResponse
from mdc_resources.ingest.asking import MAX_PAGES, Answer, ask_page, told_at_of
from mdc_resources.ingest.assessing import RAW_LIMIT, BadRow
from mdc_resources.ingest.spool import Spool, Spooled, sweep
from mdc_resources.lake import Span
from mdc_resources.providers.spec import Page
from mdc_resources.state import PageCursor, State
from mdc_resources.telemetry import get_logger
from mdc_resources.transport.archive_reader import ArchivedExchange, read_records
from mdc_resources.transport.http import HttpTransport

CURSOR_DAYS = 3
_NO_SUCH_CURSOR = (400, 404, 410, 422)
AHEAD = 6  # pages that wait while a row group is written: as long as reading about as many takes
AT_ONCE = 2
"""Partitions that are streamed at the same time: each holds a row group, a page and their copies."""


@dataclass(slots=True)
class Stream:
    """What the pages of one partition come to. ``incomplete`` says that a page called it cut short."""

    spool: Spool
    incomplete: bool = False
    dropped: int = 0
    bad: list[BadRow] = field(default_factory=list)

    def take(self, page: Page) -> None:
        """Add one decoded page."""
        key = self.spool.key
        self.dropped += page.dropped
        self.incomplete = self.incomplete or key in {PartitionKey(*each) for each in page.incomplete}
        self.bad += [
            BadRow(
                PartitionKey(row.symbol or key.symbol, row.session or key.session),
                row.reason,
                row.raw[:RAW_LIMIT],
            )
            for row in page.rejected
        ]
        table = page.tables.get(self.spool.dataset)
        if table is not None and not self.spoiled:
            self.spool.add(table)

    @property
    def spoiled(self) -> bool:
        """True once a row was refused: the partition cannot be stored from this answer."""
        return bool(self.bad or self.spool.bad)

    def finish(self) -> Finished:
        """Close the spool."""
        spooled = None
        if self.bad:
            self.spool.abandon()
        else:
            spooled = self.spool.finish()
        return Finished(
            self.spool.key, spooled, [*self.bad, *self.spool.bad], self.incomplete, self.spool.repeated
        )


@dataclass(frozen=True, slots=True)
class Finished:
    """One partition as one provider told it. ``spooled`` is None without rows, or with ``bad`` ones."""

    key: PartitionKey
    spooled: Spooled | None
    bad: Sequence[BadRow]
    incomplete: bool
    repeated: int

    @property
    def rows(self) -> int:
        """Rows written."""
        return self.spooled.file.rows if self.spooled else 0

    def discard(self) -> None:
        """Remove the file."""
        if self.spooled is not None:
            self.spooled.file.path.unlink(missing_ok=True)


def runs_still(answer: Answer) -> bool:
    """True if the provider spoke before the end of the session's window: more may have happened."""
    _, end = answer.calendar.window(answer.request.end)
    return answer.told_at is not None and answer.told_at < end


def span_of(calendar: Calendar, line: CoverageRow) -> Span:
    """The one span of a partition that has one source: the whole window of its session."""
    start, end = (int(instant.timestamp()) * 10**9 for instant in calendar.window(line.session))
    return Span(line.dataset, line.key, start, end, line.source, str(PartitionState.PRESENT), line.reason)


@dataclass(slots=True)
class EventAsker:
    """Streams partitions for one run. ``prefix`` is put before each row's source."""

    transport: HttpTransport
    state: State
    raw_dir: Path
    spool_dir: Path
    run_id: str
    prefix: str
    fresh: bool = False
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def prepare(self, at: dt.datetime) -> None:
        """Clear away what dead runs left: their spools, and cursors that are too old."""
        sweep(self.spool_dir, [claim.attempt for claim in self.state.claims()])
        self.state.expire_pages(before=at - dt.timedelta(days=CURSOR_DAYS))

    async def ask(self, answer: Answer, attempts: list[Attempt]) -> Finished:
        """Everything ``answer.candidate`` says of the one partition of ``answer.request``.

        A ProviderError becomes ``answer.error``; what arrived before it is in the result. Raises
        UsageError for a request with a window: its answer is no partition.
        """
        if answer.request.window is not None:
            raise UsageError("a part of a session was asked for as if it were the whole")
        async with self.turns:
            paging = _Paging(self, answer, attempts)
            if self.fresh:
                paging.forget()
            try:
                await paging.run()
                if paging.refused_cursor:
                    get_logger().info("events.cursor_refused", provider=answer.candidate.name)
                    await paging.start_over()
                    await paging.run()
                return await paging.finish()
            except BaseException:
                await paging.abandon()
                raise


class _Paging:
    """The pages of one partition: those in the archive, then those that are missing."""

    def __init__(self, asker: EventAsker, answer: Answer, attempts: list[Attempt]) -> None:
        self._asker = asker
        self._answer = answer
        self._attempts = attempts
        request = answer.request
        (symbol,) = request.symbols
        self._key = PartitionKey(symbol, request.start)
        self._dialect = answer.candidate.dialect(answer.calendar)
        self._stream = self._new_stream()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._writing: deque[asyncio.Future[None]] = deque()
        self._resumed = 0
        self._asked = 0

    @property
    def refused_cursor(self) -> bool:
        """True if the first request after a resume failed for good: its cursor may have died."""
        error = self._answer.error
        return (
            bool(self._resumed)
            and self._asked == 0
            and isinstance(error, PayloadError | OutOfRange | UnknownSymbol)
            and error.status in _NO_SUCH_CURSOR
        )

    async def run(self) -> None:
        """Read what is archived, ask for the rest."""
        answer, provider = self._answer, self._answer.candidate.provider
        try:
            wire: HttpRequest | None = provider.plan(answer.request, self._dialect)
            number, seen = 0, set[HttpRequest]()
            cursors = self._cursors()
            exchanges = _archived(self._asker.raw_dir, cursors)
            for cursor in cursors:
                found = await asyncio.to_thread(next, exchanges, None)
                if wire is None or found is None or found.record_id != cursor.record_id:
                    break
                page = self._decoded(wire, found.response)
                if page is None:
                    break
                number += 1
                seen.add(wire)
                answer.record_ids.append(found.record_id)
                answer.fetch_ids.append(found.fetch_id)
                self._told(found.response)
                await self._take(page)
                wire = cursor.following
            self._resumed = number
            while wire is not None and not self._stream.spoiled:
                if wire in seen or number >= MAX_PAGES:
                    raise PayloadError(
                        f"{answer.candidate.name} repeats a page token after {number} pages",
                        provider=answer.candidate.name,
                    )
                seen.add(wire)
                number += 1
                page = await ask_page(self._asker.transport, answer, wire, self._attempts, number=number)
                self._asked += 1
                self._note(number, page)
                await self._take(page)
                wire = page.next
        except ProviderError as error:
            answer.error = error

    async def start_over(self) -> None:
        """Forget what was resumed."""
        await self._settle()
        self.forget()
        self._stream.spool.abandon()
        self._stream = self._new_stream()
        self._answer.error = None
        self._answer.record_ids.clear()
        self._answer.fetch_ids.clear()
        self._resumed = 0

    def forget(self) -> None:
        """Drop the noted pages."""
        self._asker.state.forget_pages(self._answer.request.dataset, [self._key], self._answer.candidate.name)

    async def finish(self) -> Finished:
        """Wait for the spool and close it."""
        await self._settle()
        finished = await asyncio.to_thread(self._stream.finish)
        self._writer.shutdown(wait=False)
        whole = self._answer.error is None and not finished.incomplete and not runs_still(self._answer)
        if finished.bad or (self._answer.error is None and not (whole and finished.rows)):
            self.forget()  # to read these pages once more would come to the same
        return finished

    async def abandon(self) -> None:
        """Leave no file behind."""
        with contextlib.suppress(Exception):
            await self._settle()
        self._writer.shutdown(wait=True)
        self._stream.spool.abandon()

    def _new_stream(self) -> Stream:
        return Stream(
            Spool(
                self._asker.spool_dir,
                self._answer.request.dataset,
                self._key,
                self._asker.prefix + self._dialect.source,
                attempt=self._answer.request.attempt,
            )
        )

    def _cursors(self) -> list[PageCursor]:
        candidate = self._answer.candidate
        return self._asker.state.pages_of(
            self._answer.request.dataset,
            self._key,
            candidate.name,
            decoder_version=candidate.provider.spec.decoder_version,
        )

    def _decoded(self, wire: HttpRequest, response: HttpResponse) -> Page | None:
        """An archived page decoded again; None where it cannot be, which only costs its request."""
        try:
            return self._answer.candidate.provider.decode(self._answer.request, self._dialect, wire, response)
        except ProviderError:
            return None

    async def _take(self, page: Page) -> None:
        """Spool ``page`` in a thread while the next ones are on their way."""
        while len(self._writing) >= AHEAD:
            await self._writing.popleft()
        loop = asyncio.get_running_loop()
        self._writing.append(loop.run_in_executor(self._writer, self._stream.take, page))

    async def _settle(self) -> None:
        while self._writing:
            await self._writing.popleft()

    def _note(self, number: int, page: Page) -> None:
        answer = self._answer
        self._asker.state.note_page(
            PageCursor(
                dataset=answer.request.dataset,
                key=self._key,
                provider=answer.candidate.name,
                decoder_version=answer.candidate.provider.spec.decoder_version,
                page=number,
                run_id=self._asker.run_id,
                record_id=answer.record_ids[-1],
                following=page.next,
            )
        )

    def _told(self, response: HttpResponse) -> None:
        told_at = told_at_of(response)
        if told_at is not None and (self._answer.told_at is None or told_at < self._answer.told_at):
            self._answer.told_at = told_at


def _archived(raw_dir: Path, cursors: Sequence[PageCursor]) -> Iterator[ArchivedExchange]:
    """The noted records in their order, run by run; ends at the first run that lacks one."""
    runs = list(dict.fromkeys(cursor.run_id for cursor in cursors))
    for run_id in runs:
        wanted = [cursor.record_id for cursor in cursors if cursor.run_id == run_id]
        yield from read_records(raw_dir, run_id, wanted)
