"""What a refill commits: merged partitions, their spans, what became of their holes, in one change.

Under the commit lock the claims are checked, the bodies are synced and the archive notes which holes
they repaired. Such a note settles no partition: a rebuild lands the segments first, and refills then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import Attempt
from mdc_resources.lake import CommitBatch, HoleRow, Incident, QuarantineRow, Span
from mdc_resources.landing.covering import REPAIRED
from mdc_resources.landing.refill_ask import Asked, Told
from mdc_resources.landing.refill_merge import Stretch
from mdc_resources.landing.refill_plan import Torn


@dataclass(frozen=True, slots=True)
class Mended:
    """Holes that were refilled together: the stretch, who told it, and how many rows were missing."""

    holes: tuple[HoleRow, ...]
    stretch: Stretch
    told: Told
    added: int


@dataclass(slots=True)
class Batch:
    """What waits for the next commit."""

    tables: dict[Dataset, list[pa.Table]] = field(default_factory=dict)
    lines: list[CoverageRow] = field(default_factory=list)
    replaces: set[tuple[Dataset, PartitionKey]] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)
    holes: list[HoleRow] = field(default_factory=list)
    records: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    quarantine: list[QuarantineRow] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    settled: list[tuple[Dataset, PartitionKey]] = field(default_factory=list)
    rows: int = 0

    def __bool__(self) -> bool:
        return bool(self.lines or self.holes or self.attempts or self.quarantine)

    def cost(self, asked: Asked) -> None:
        """Take in what asking about one partition cost."""
        self.attempts += asked.attempts
        self.quarantine += asked.refused

    def mend(self, torn: Torn, mended: Sequence[Mended], line: CoverageRow) -> None:
        """Take in the spans, holes and the ledger line of one partition."""
        for each in mended:
            self.spans.append(span_of(torn, each))
            self.holes += [replace(hole, state=REPAIRED) for hole in each.holes]
            self.records += each.told.records
        self.lines.append(line)

    def store(self, torn: Torn, table: pa.Table, *, replaces: bool) -> None:
        """Take in all rows of one partition; ``replaces``: it holds rows now."""
        self.tables.setdefault(torn.dataset, []).append(table)
        self.rows += table.num_rows
        if replaces:
            self.replaces.add((torn.dataset, torn.key))

    def as_commit(self, run_id: str, attempt: int, before_commit: Callable[[], None]) -> CommitBatch:
        """The one change this is."""
        return CommitBatch(
            run_id=run_id,
            attempt=attempt,
            tables={dataset: pa.concat_tables(parts) for dataset, parts in self.tables.items()},
            coverage=self.lines,
            replaces=frozenset(self.replaces),
            attempts=self.attempts,
            quarantine=self.quarantine,
            incidents=self.incidents,
            spans=self.spans,
            holes=self.holes,
            before_commit=before_commit,
        )

    def note(self, run_id: str) -> dict[str, object]:
        """What the archive says of the commit."""
        repaired = [hole for hole in self.holes if hole.state == REPAIRED]
        lines = [[h.dataset, h.key.symbol, h.key.session, h.hole_id, h.start_ns, h.end_ns] for h in repaired]
        return {"run_id": run_id, "records": sorted(set(self.records)), "partitions": {}, "refilled": lines}


def span_of(torn: Torn, mended: Mended) -> Span:
    """The stretch as a span of history: it covers the holes' own spans, which are over from then on."""
    start = min(mended.stretch.start_ns, *(hole.start_ns for hole in mended.holes))
    end = max(mended.stretch.end_ns, *(hole.end_ns for hole in mended.holes))
    reasons, source = ", ".join(sorted({hole.reason for hole in mended.holes})), mended.told.source
    state = str(PartitionState.PRESENT)
    return Span(torn.dataset, torn.key, start, end, source, state, f"{reasons}: refilled by {source}")
