"""Collects judged partitions and commits them in batches: one file per table, one commit each.

Under the commit lock, right before the catalog commits, the claims are checked (a zombie is fenced
out) and the raw archive is fsynced with a record that says which bodies the batch came from, so
that the lake can be rebuilt from the archive alone.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import Attempt
from mdc_resources.domain.time import now
from mdc_resources.ingest.assessing import only
from mdc_resources.ingest.restating import incidents, restatements
from mdc_resources.ingest.wants import Committed, Prior
from mdc_resources.lake import (
    CommitBatch,
    Incident,
    Lake,
    Observation,
    PreparedFile,
    QuarantineRow,
    Span,
    fingerprints,
)
from mdc_resources.state import Claim, State
from mdc_resources.transport.archive import RawArchive


@dataclass(slots=True)
class Pending:
    """What waits for the next commit."""

    tables: dict[Dataset, list[pa.Table]] = field(default_factory=lambda: defaultdict(list))
    coverage: list[CoverageRow] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    quarantine: list[QuarantineRow] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    files: list[PreparedFile] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Data rows that wait."""
        held: int = sum(table.num_rows for tables in self.tables.values() for table in tables)
        return held + sum(file.rows for file in self.files)

    def __bool__(self) -> bool:
        return bool(self.coverage or self.attempts or self.quarantine or self.observations or self.incidents)


class Committer:
    """Commits what is stored into it, in order, off the event loop.

    ``prior`` are the ledger's lines at plan time. They stay true until the commit because the
    claims are exclusive, so a commit never has to read the ledger.
    """

    def __init__(
        self,
        lake: Lake,
        state: State,
        archive: RawArchive,
        *,
        run_id: str,
        claims: Sequence[Claim],
        prior: Prior,
        batch_partitions: int,
        batch_rows: int,
        on_commit: Callable[[Committed], None] | None,
    ) -> None:
        self._lake = lake
        self._state = state
        self._archive = archive
        self._run_id = run_id
        self._claims = claims
        self._prior = prior
        self._limits = (batch_partitions, batch_rows)
        self._on_commit = on_commit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._lock = asyncio.Lock()
        self.pending = Pending()
        self.snapshots: list[int] = []
        self.rows = 0

    def store(
        self, dataset: Dataset, table: pa.Table, rows: Iterable[CoverageRow], records: Sequence[str]
    ) -> list[CoverageRow]:
        """Queue partitions with their data; returns the ledger lines with their fingerprints.

        A partition whose content equals what the lake holds is confirmed, not written again.
        """
        prints = fingerprints(dataset, table)
        lines: list[CoverageRow] = []
        changed: set[PartitionKey] = set()
        for row in rows:
            line = _with_fingerprint(row, prints[row.key])
            lines.append(line)
            before = self._prior.get((dataset, row.key))
            if before is None or before.fingerprint != line.fingerprint or before.state != line.state:
                changed.add(row.key)
        if changed:
            kept = table if len(changed) == len(lines) == len(prints) else only(table, changed)
            self.pending.tables[dataset].append(kept)
        self.explain(lines, records)
        return lines

    def store_file(
        self, file: PreparedFile, row: CoverageRow, span: Span, records: Sequence[str]
    ) -> list[CoverageRow]:
        """Queue one partition whose rows are in a file already; ``row`` carries their fingerprint.

        The file is the committer's from now on. Content that the lake holds is confirmed, not stored.
        """
        before = self._prior.get((row.dataset, row.key))
        if before is None or before.fingerprint != row.fingerprint or before.state != row.state:
            self.pending.files.append(file)
            self.pending.spans.append(span)
        else:
            file.path.unlink(missing_ok=True)
        self.explain([row], records)
        return [row]

    def explain(self, rows: Iterable[CoverageRow], records: Sequence[str] = ()) -> None:
        """Queue ledger lines that carry no data: empty, quarantined, confirmed."""
        self.pending.coverage.extend(rows)
        self.pending.records.extend(records)

    @property
    def is_full(self) -> bool:
        """True once a batch's worth of partitions waits."""
        return len(self.pending.coverage) >= self._limits[0] or self.pending.rows >= self._limits[1]

    async def flush(self) -> None:
        """Commit what waits. Raises FencedOut, StorageFailed and other lake errors."""
        async with self._lock:
            if not self.pending:
                return
            batch, self.pending = self.pending, Pending()
            committed, rows = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._commit, batch
            )
            self.snapshots.append(committed.snapshot_id)
            self.rows += rows
        if self._on_commit is not None:
            self._on_commit(committed)

    def close(self) -> None:
        """Stop the committing thread; what was not flushed is dropped."""
        self._thread.shutdown(wait=True)
        for file in self.pending.files:
            file.path.unlink(missing_ok=True)

    def _commit(self, pending: Pending) -> tuple[Committed, int]:
        tables = {dataset: pa.concat_tables(parts) for dataset, parts in pending.tables.items()}
        restated = [
            incident
            for dataset, found in restatements(self._lake, self._prior, pending.coverage, tables)
            for incident in incidents(dataset, found, at=now())
        ]
        batch = CommitBatch(
            run_id=self._run_id,
            attempt=self._claims[0].attempt,
            tables=tables,
            coverage=pending.coverage,
            replaces=self._replaced(pending.coverage),
            attempts=pending.attempts,
            observations=pending.observations,
            quarantine=pending.quarantine,
            incidents=[*pending.incidents, *restated],
            files=pending.files,
            spans=pending.spans,
            before_commit=lambda: self._make_durable(pending),
        )
        receipt = self._lake.commit(batch)
        return Committed(receipt.snapshot_id, pending.coverage), receipt.rows

    def _replaced(self, coverage: Iterable[CoverageRow]) -> frozenset[tuple[Dataset, PartitionKey]]:
        """Partitions whose stored rows this batch replaces."""
        replaced = set()
        for row in coverage:
            before = self._prior.get((row.dataset, row.key))
            if before is None or before.row_count == 0:
                continue
            confirmed = before.fingerprint == row.fingerprint and before.state == row.state
            if not confirmed and row.state is not PartitionState.QUARANTINED:
                replaced.add((row.dataset, row.key))
        return frozenset(replaced)

    def _make_durable(self, pending: Pending) -> None:
        for claim in self._claims:
            self._state.check_fence(claim)
        self._archive.write_commit(commit_note(self._run_id, pending.records, pending.coverage))
        self._archive.sync()


def commit_note(run_id: str, records: Iterable[str], coverage: Iterable[CoverageRow]) -> dict[str, object]:
    """What the archive says about one commit: the bodies used, and each partition as it was left."""
    partitions: dict[str, list[list[object]]] = defaultdict(list)
    for row in coverage:
        asof = row.basis_asof.isoformat() if row.basis_asof else None
        facts = (
            row.symbol,
            row.session.isoformat(),
            row.state,
            row.source,
            row.basis,
            asof,
            row.reason,
            row.fingerprint,
        )
        partitions[row.dataset].append(list(facts))
    return {"run_id": run_id, "records": sorted(set(records)), "partitions": dict(partitions)}


def parse_note_line(dataset: Dataset, line: Sequence[object]) -> CoverageRow:
    """Invert one line of :func:`commit_note`; ``row_count`` and ``attempt`` are not in it."""
    from mdc_resources.domain.symbols import parse_symbol

    symbol, session, state, source, basis, asof, reason, fingerprint = (
        str(v) if v is not None else "" for v in line
    )
    return CoverageRow(
        dataset=dataset,
        symbol=parse_symbol(symbol),
        session=dt.date.fromisoformat(session),
        state=PartitionState(state),
        reason=reason,
        source=source,
        basis=basis,
        basis_asof=dt.date.fromisoformat(asof) if asof else None,
        fingerprint=fingerprint,
    )


def _with_fingerprint(row: CoverageRow, fingerprint: str) -> CoverageRow:
    from dataclasses import replace

    return replace(row, fingerprint=fingerprint)
