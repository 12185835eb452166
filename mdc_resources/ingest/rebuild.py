"""The lake again, from the raw archive alone.

Every commit left a record that names the bodies it used and each partition as it was left. They are
decoded and judged by the same code and committed, in order, into a new lake beside the old one
(trades and quotes page by page, however many there are),
which then takes its place; the old one is kept. Equal decoder versions give equal fingerprints:
any that differ are reported.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pyarrow as pa

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home, ProviderSettings
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeError, PayloadError, UsageError
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.time import now
from mdc_resources.ingest.asking import Answer
from mdc_resources.ingest.assessing import assess, judge, only
from mdc_resources.ingest.candidates import Candidate
from mdc_resources.ingest.committing import parse_note_line
from mdc_resources.ingest.events import Stream, span_of
from mdc_resources.ingest.spool import Spool, Spooled
from mdc_resources.lake import CommitBatch, Lake, Span, fingerprints
from mdc_resources.providers.registry import provider
from mdc_resources.providers.spec import offers_under
from mdc_resources.state import State
from mdc_resources.transport.archive_reader import ArchivedCommit, ArchivedExchange, read_again, read_archive

STORED = frozenset({PartitionState.PRESENT, PartitionState.PARTIAL})


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild found. ``differing`` are partitions whose fingerprint is not the one recorded."""

    commits: int = 0
    partitions: int = 0
    rows: int = 0
    seconds: float = 0.0
    differing: list[str] = field(default_factory=list)
    backup: str = ""

    def as_dict(self) -> dict[str, object]:
        """The JSON form printed by ``mdc lake rebuild --json``."""
        return {
            "commits": self.commits,
            "partitions": self.partitions,
            "rows": self.rows,
            "differing": self.differing,
            "backup": self.backup,
            "seconds": round(self.seconds, 3),
        }


def rebuild(
    home: Home, *, dry_run: bool = False, on_commit: Callable[[int], None] | None = None
) -> RebuildReport:
    """Rebuild the lake of ``home`` from ``raw/``; with ``dry_run`` only compare, and keep the old one.

    Raises:
        UsageError: a backfill is running, or the catalog is not SQLite.
        LakeError: the archive holds no commit.
    """
    _refuse_if_busy(home)
    started = time.monotonic()
    fresh = home.lake_dir.with_name(home.lake_dir.name + ".rebuilding")
    shutil.rmtree(fresh, ignore_errors=True)
    report = RebuildReport()
    try:
        with contextlib.closing(Lake.create(fresh, sandbox=home.settings.lake.sandbox)) as lake:
            _Replay(home, lake, report).run(on_commit)
        if not report.commits:
            raise LakeError(f"{home.raw_dir} holds no commit to rebuild from")
        if not dry_run:
            report.backup = str(_swap(home.lake_dir, fresh))
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    report.seconds = time.monotonic() - started
    return report


def _refuse_if_busy(home: Home) -> None:
    if home.settings.lake.catalog_url:
        raise UsageError(
            "only a SQLite catalog can be rebuilt in place",
            hint="Unset lake.catalog_url and rebuild, then copy",
        )
    with contextlib.closing(State.open(home)) as state:
        if running := state.claims():
            held = sum(claim.keys for claim in running)
            raise UsageError(
                f"{held} partitions are being fetched right now", hint="Wait for the backfill to end"
            )


def _swap(current: Path, fresh: Path) -> Path:
    """Put ``fresh`` in place of ``current``, which is kept beside it."""
    backup = current.with_name(f"{current.name}.before-{now():%Y%m%dT%H%M%S}")
    if current.exists():
        current.rename(backup)
    fresh.rename(current)
    return backup


class _Replay:
    def __init__(self, home: Home, lake: Lake, report: RebuildReport) -> None:
        self._home = home
        self._lake = lake
        self._report = report
        self._stored: set[tuple[Dataset, PartitionKey]] = set()

    def run(self, on_commit: Callable[[int], None] | None) -> None:
        exchanges: dict[str, ArchivedExchange] = {}
        for entry in read_archive(self._home.raw_dir):
            if isinstance(entry, ArchivedExchange):
                exchanges[entry.record_id] = _slim(entry)
                continue
            if "refilled" in entry.note:  # parts of captured partitions: they follow when those are landed
                continue
            self._commit(entry, exchanges)
            for record in cast("Sequence[str]", entry.note["records"]):
                # Pages of events may be cited again: a partial partition goes on where it stopped.
                if record in exchanges and not exchanges[record].fetch.dataset.is_events:
                    exchanges.pop(record)
            if on_commit is not None:
                on_commit(self._report.commits)

    def _commit(self, commit: ArchivedCommit, exchanges: dict[str, ArchivedExchange]) -> None:
        cited = [exchanges[r] for r in cast("Sequence[str]", commit.note["records"]) if r in exchanges]
        answers = list(self._answers(each for each in cited if not each.fetch.dataset.is_events))
        tables: dict[Dataset, pa.Table] = {}
        coverage: list[CoverageRow] = []
        streamed: list[Spooled] = []
        spans: list[Span] = []
        for name, lines in cast("dict[str, list[list[object]]]", commit.note["partitions"]).items():
            dataset = Dataset(name)
            rows = [parse_note_line(dataset, line) for line in lines]
            if dataset.is_events:
                found = [(row, self._streamed(row, cited) if row.state in STORED else None) for row in rows]
                streamed += [spooled for _, spooled in found if spooled is not None]
                coverage.extend(self._checked_stream(row, spooled) for row, spooled in found)
                calendars = {each.fetch.symbols: each.fetch.calendar for each in cited}
                spans += [
                    span_of(get_calendar(calendars[row.symbol,], self._home.root), row)
                    for row, spooled in found
                    if spooled is not None
                ]
                continue
            table = self._table(dataset, {row.key: row for row in rows if row.state in STORED}, answers)
            if table.num_rows:
                tables[dataset] = table
            coverage.extend(self._checked(dataset, rows, table))
        replaced = frozenset((row.dataset, row.key) for row in coverage) & self._stored
        # A refetch that found nothing new is confirmed by its line; the rows are there already.
        files = [spooled.file for spooled in streamed]
        run_id = str(commit.note["run_id"])
        self._lake.commit(CommitBatch(run_id, 0, tables, coverage, replaced, files=files, spans=spans))
        self._stored |= {(row.dataset, row.key) for row in coverage if row.row_count}
        self._report.commits += 1
        self._report.partitions += len(coverage)
        self._report.rows += sum(table.num_rows for table in tables.values())
        self._report.rows += sum(file.rows for file in files)

    def _answers(self, cited: Iterable[ArchivedExchange]) -> Iterable[Answer]:
        by_request: dict[FetchRequest, list[ArchivedExchange]] = defaultdict(list)
        for exchange in cited:
            by_request[exchange.fetch].append(exchange)
        for request, pages in by_request.items():
            yield self._decode(request, sorted(pages, key=lambda exchange: exchange.page))

    def _answer(self, request: FetchRequest) -> Answer:
        implementation = provider(request.provider)
        settings = self._home.settings.providers.get(request.provider, ProviderSettings())
        offer = offers_under(implementation.spec, settings)[request.dataset]
        candidate = Candidate(implementation, settings, offer, implementation.spec.rank)
        return Answer(request, candidate, get_calendar(request.calendar, self._home.root))

    def _streamed(self, row: CoverageRow, cited: Iterable[ArchivedExchange]) -> Spooled | None:
        """The one partition of ``row``, decoded page by page into a file; None where nothing is left."""
        pages = sorted(
            (
                each
                for each in cited
                if each.fetch.dataset is row.dataset
                and each.fetch.symbols == (row.symbol,)
                and each.fetch.start == row.session
                and each.fetch.window is None
            ),
            key=lambda each: each.page,
        )
        prefix = "sandbox:" if self._lake.sandbox else ""
        spool = Spool(self._home.state_dir / "spool" / "rebuild", row.dataset, row.key, row.source)
        stream = Stream(spool)
        for exchange in pages:
            answer = self._answer(exchange.fetch)
            dialect = answer.candidate.dialect(answer.calendar)
            if prefix + dialect.source != row.source:
                continue
            try:
                whole = read_again(exchange)
                page = answer.candidate.provider.decode(exchange.fetch, dialect, whole.wire, whole.response)
            except PayloadError:
                break
            stream.take(page)
        return stream.finish().spooled

    def _checked_stream(self, row: CoverageRow, spooled: Spooled | None) -> CoverageRow:
        """The ledger line of one partition of events, with what was decoded now."""
        if row.state not in STORED:
            return row
        fingerprint, count = (spooled.fingerprint, spooled.file.rows) if spooled else ("", 0)
        if fingerprint != row.fingerprint:
            self._report.differing.append(f"{row.dataset} {row.symbol} {row.session}")
        return replace(row, fingerprint=fingerprint, row_count=count)

    def _decode(self, request: FetchRequest, exchanges: Sequence[ArchivedExchange]) -> Answer:
        answer = self._answer(request)
        dialect = answer.candidate.dialect(answer.calendar)
        for exchange in exchanges:
            try:
                page = answer.candidate.provider.decode(request, dialect, exchange.wire, exchange.response)
            except PayloadError as error:
                answer.error = error
                break
            answer.pages.append(page)
        return answer

    def _table(
        self, dataset: Dataset, stored: dict[PartitionKey, CoverageRow], answers: Sequence[Answer]
    ) -> pa.Table:
        """The rows of ``stored`` partitions, each from the provider its line names."""
        prefix = "sandbox:" if self._lake.sandbox else ""
        parts = []
        for answer in answers:
            source = prefix + answer.candidate.dialect(answer.calendar).source
            sessions = answer.calendar.sessions(answer.request.start, answer.request.end)
            asked = [
                PartitionKey(symbol, session) for symbol in answer.request.symbols for session in sessions
            ]
            mine = [key for key in asked if key in stored and stored[key].source == source]
            [judged] = judge(dataset, [answer], prefix=prefix)
            verdict = assess(answer, dataset, judged, mine)
            if verdict.table.num_rows:
                parts.append(only(verdict.table, mine))
        return pa.concat_tables(parts) if parts else pa.table({})

    def _checked(
        self, dataset: Dataset, rows: Sequence[CoverageRow], table: pa.Table
    ) -> Iterable[CoverageRow]:
        """Ledger lines with the fingerprints of what was decoded now."""
        prints = fingerprints(dataset, table) if table.num_rows else {}
        counts = _rows_per_partition(table)
        for row in rows:
            if row.state not in STORED:
                yield row
                continue
            if prints.get(row.key) != row.fingerprint:
                self._report.differing.append(f"{dataset} {row.symbol} {row.session}")
            yield replace(row, fingerprint=prints.get(row.key, ""), row_count=counts.get(row.key, 0))


def _slim(exchange: ArchivedExchange) -> ArchivedExchange:
    """``exchange`` as it is kept until its commit comes: without the body, for a page of events."""
    if not exchange.fetch.dataset.is_events:
        return exchange
    return replace(exchange, response=replace(exchange.response, body=b""))


def _rows_per_partition(table: pa.Table) -> dict[PartitionKey, int]:
    if not table.num_rows:
        return {}
    groups = table.group_by(["symbol", "session"], use_threads=False).aggregate([([], "count_all")])
    keys: list[tuple[str, dt.date]] = list(
        zip(groups["symbol"].to_pylist(), groups["session"].to_pylist(), strict=True)
    )
    return {
        PartitionKey(*key): n  # type: ignore[arg-type]
        for key, n in zip(keys, groups["count_all"].to_pylist(), strict=True)
    }
