"""One commit of landing: what a batch of segments amounts to, claimed, merged and written at once."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from mdc_resources.coverage.expectation import ledger
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.time import now
from mdc_resources.lake import CommitBatch, HoleRow, Incident, Lake, QuarantineRow, SegmentRow, Span
from mdc_resources.landing.covering import (
    Partition,
    by_partition,
    grown_holes,
    grown_spans,
    hole_rows,
    repaired_by,
    span_rows,
    standing,
)
from mdc_resources.landing.feeds import Feeds
from mdc_resources.landing.merging import Merged, merge, superseded
from mdc_resources.landing.sessions import Sessions
from mdc_resources.landing.shard import Portion, Shard
from mdc_resources.landing.sums import Sums
from mdc_resources.providers.live import Gone
from mdc_resources.state import Claim, State

MAX_QUARANTINED = 1_000  # of one segment; dead letters and the count know of the others


@dataclass(slots=True)
class Batch:
    """Segments read and not committed yet. ``landed`` are those committed before, by shard."""

    landed: Mapping[str, frozenset[int]]
    portions: list[Portion] = field(default_factory=list)
    shards: dict[str, Shard] = field(default_factory=dict)

    def add(self, shard: Shard, portion: Portion) -> None:
        """Take ``portion``, the newest of ``shard``."""
        self.portions.append(portion)
        self.shards[shard.shard] = shard

    @property
    def rows(self) -> int:
        """Rows held."""
        return sum(portion.rows for portion in self.portions)


@dataclass(frozen=True, slots=True)
class Done:
    """What a commit did. ``shards`` are those whose state is that of the last committed segment."""

    portions: tuple[Portion, ...] = ()
    busy: tuple[Portion, ...] = ()
    shards: tuple[Shard, ...] = ()
    rows: Mapping[Dataset, int] = field(default_factory=dict)
    coverage: tuple[CoverageRow, ...] = ()
    holes: tuple[HoleRow, ...] = ()
    snapshot_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Facts:
    """What portions say besides rows."""

    holes: list[HoleRow]
    spans: list[Span]
    keys: set[Partition]


@dataclass(slots=True)
class Landing:
    """Commits batches into one lake."""

    lake: Lake
    state: State
    feeds: Feeds
    sessions: Sessions
    sums: Sums
    run_id: str
    ttl: dt.timedelta

    def commit(self, batch: Batch) -> Done:
        """Commit what can be of ``batch``: segments of partitions that are free."""
        keys = {id(portion): self._keys(portion) for portion in batch.portions}
        grouped: dict[Dataset, set[PartitionKey]] = defaultdict(set)
        for dataset, key in set().union(*keys.values()):
            grouped[dataset].add(key)
        claims = [self.state.claim(dataset, held, ttl=self.ttl) for dataset, held in sorted(grouped.items())]
        try:
            taken = {(claim.dataset, key) for claim in claims for key in claim.busy}
            stopped: set[str] = set()
            ready: list[Portion] = []
            for portion in batch.portions:
                if portion.segment.shard in stopped or keys[id(portion)] & taken:
                    stopped.add(portion.segment.shard)
                else:
                    ready.append(portion)
            kept = {id(portion) for portion in ready}
            busy = tuple(portion for portion in batch.portions if id(portion) not in kept)
            shards = tuple(shard for name, shard in batch.shards.items() if name not in stopped)
            if not ready:
                return Done(busy=busy)
            return replace(self._write(ready, batch.landed, claims), busy=busy, shards=shards)
        finally:
            for claim in claims:
                self.state.release(claim)

    def _keys(self, portion: Portion) -> set[Partition]:
        found = {
            (dataset, PartitionKey(symbol, session))
            for tables in portion.tables
            for dataset, table in tables.tables.items()
            for symbol, session in _pairs(table)
        }
        facts = self._facts([portion])
        return found | facts.keys

    def _facts(self, portions: Iterable[Portion]) -> _Facts:
        holes: list[HoleRow] = []
        spans: list[Span] = []
        for portion in portions:
            holes += hole_rows(portion.segment.shard, portion.holes, self.feeds, self.sessions)
            spans += span_rows(portion.live, self.feeds, self.sessions, since=portion.since)
        keys = {(row.dataset, row.key) for row in holes} | {(row.dataset, row.key) for row in spans}
        return _Facts(holes, spans, keys)

    def _write(
        self, portions: list[Portion], landed: Mapping[str, frozenset[int]], claims: Iterable[Claim]
    ) -> Done:
        """Merge and commit ``portions``; every partition they touch is claimed."""
        facts = self._facts(portions)
        tables: dict[Dataset, list[pa.Table]] = defaultdict(list)
        late: dict[Dataset, set[PartitionKey]] = defaultdict(set)
        for portion in portions:
            is_late = any(n > portion.segment.number for n in landed.get(portion.segment.shard, ()))
            for piece in portion.tables:
                for dataset, table in piece.tables.items():
                    tables[dataset].append(table)
                    if is_late:
                        late[dataset] |= _pairs(table)
        prior = self._prior(
            {*facts.keys, *((d, k) for d, ts in tables.items() for t in ts for k in _pairs(t))}
        )
        sources = {self.feeds[name].source for name in _feeds_of(portions)}
        settled = {key for key, line in prior.items() if superseded(line, sources)}
        several = len({portion.segment.shard for portion in portions}) > 1
        merged = [
            merge(
                self.lake,
                self.sums,
                dataset,
                (_outside(table, {key for d, key in settled if d is dataset}) for table in given),
                prior={key: line for (d, key), line in prior.items() if d is dataset},
                late=late[dataset],
                identities={
                    self.feeds[name].source: self.feeds[name].identity for name in _feeds_of(portions)
                },
                sort=several,
            )
            for dataset, given in tables.items()
        ]
        holes = [row for row in facts.holes if (row.dataset, row.key) not in settled]
        spans = [row for row in facts.spans if (row.dataset, row.key) not in settled]
        holes, spans, coverage = self._standing(portions, landed, merged, holes, spans, prior)
        attempt = max((claim.attempt for claim in claims), default=0)
        receipt = self.lake.commit(
            CommitBatch(
                run_id=self.run_id,
                attempt=attempt,
                tables={each.dataset: each.table for each in merged if each.parts},
                coverage=[replace(line, attempt=attempt) for line in coverage],
                replaces=frozenset((each.dataset, key) for each in merged for key in each.replaces),
                appends=frozenset((each.dataset, key) for each in merged for key in each.appends),
                quarantine=[row for portion in portions for row in self._quarantine(portion)],
                incidents=[_incident(portion) for portion in portions if portion.damage],
                spans=spans,
                holes=holes,
                segments=[self._segment(portion) for portion in portions],
                before_commit=self._fence(claims),
            )
        )
        return Done(
            tuple(portions),
            rows={each.dataset: each.added for each in merged},
            coverage=tuple(coverage),
            holes=tuple(holes),
            snapshot_id=receipt.snapshot_id,
        )

    def _standing(
        self,
        portions: list[Portion],
        landed: Mapping[str, frozenset[int]],
        merged: Iterable[Merged],
        holes: list[HoleRow],
        spans: list[Span],
        prior: Mapping[Partition, CoverageRow],
    ) -> tuple[list[HoleRow], list[Span], list[CoverageRow]]:
        """Holes and spans that say something new, and the line of every partition they or rows touch."""
        totals = {(each.dataset, key): total for each in merged for key, total in each.totals.items()}
        touched = totals.keys() | {(row.dataset, row.key) for row in holes}
        touched |= {(row.dataset, row.key) for row in spans}
        if not touched:
            return [], [], []
        symbols = sorted({key.symbol for _, key in touched})
        sessions = [key.session for _, key in touched]
        first, last = min(sessions), max(sessions)
        known_holes = self.lake.holes(symbols=symbols, start=first, end=last)
        known_spans = self.lake.spans(symbols=symbols, start=first, end=last)
        holes = grown_holes(holes, known_holes)
        for portion in portions:
            before = landed.get(portion.segment.shard, frozenset())
            if not portion.damage and portion.segment.number + 1 in before:
                holes += repaired_by(known_holes, portion.segment.shard, portion.since, Gone.DAMAGED)
        spans = grown_spans(spans, known_spans)
        touched |= {(row.dataset, row.key) for row in holes}
        newest = {row.hole_id: row for row in (*known_holes, *holes)}
        holes_of = by_partition(newest.values())
        spans_of = by_partition([*known_spans, *spans])
        lines = []
        for dataset, key in sorted(touched):
            line = prior.get((dataset, key)) or CoverageRow(
                dataset, key.symbol, key.session, PartitionState.PARTIAL
            )
            captured = spans_of.get((dataset, key), [])
            if total := totals.get((dataset, key)):
                line = replace(
                    line,
                    row_count=total.rows,
                    fingerprint=total.fingerprint,
                    source=line.source or total.source,
                )
            elif not line.source and captured:
                line = replace(line, source=captured[-1].source)
            hours = self._hours(line.source)
            window = self.sessions.of(key.symbol).captured(key.session, hours)
            lines.append(standing(line, captured, holes_of.get((dataset, key), []), window))
        return holes, spans, lines

    def _hours(self, source: str) -> str:
        return next((feed.settings.hours for feed in self.feeds.known() if feed.source == source), "extended")

    def _prior(self, keys: Iterable[Partition]) -> dict[Partition, CoverageRow]:
        """The ledger's line of each of ``keys`` that has one."""
        grouped: dict[Dataset, set[PartitionKey]] = defaultdict(set)
        for dataset, key in keys:
            grouped[dataset].add(key)
        found: dict[Partition, CoverageRow] = {}
        for dataset, wanted in grouped.items():
            sessions = [key.session for key in wanted]
            lines = ledger(
                self.lake, dataset, sorted({key.symbol for key in wanted}), min(sessions), max(sessions)
            )
            found |= {(dataset, key): line for key, line in lines.items() if key in wanted}
        return found

    def _fence(self, claims: Iterable[Claim]) -> Callable[[], None]:
        def check() -> None:
            for claim in claims:
                if claim.granted:
                    self.state.check_fence(claim)

        return check

    def _quarantine(self, portion: Portion) -> list[QuarantineRow]:
        source = self.feeds[_feed_of(portion)].source
        name = portion.segment.name
        rows = [
            QuarantineRow(
                refusal.dataset,
                refusal.symbol,
                None,
                source,
                refusal.reason,
                refusal.raw.decode(errors="backslashreplace"),
                f"{name}@{refusal.offset}.{refusal.frame}",
            )
            for refusal in portion.refused[:MAX_QUARANTINED]
        ]
        unfit = [each for tables in portion.tables for each in tables.unfit]
        rows += [
            QuarantineRow(
                each.dataset,
                each.symbol,
                each.key.session if each.key else None,
                each.source,
                each.reason,
                each.raw,
                name,
            )
            for each in unfit[:MAX_QUARANTINED]
        ]
        return rows

    def _segment(self, portion: Portion) -> SegmentRow:
        segment = portion.segment
        return SegmentRow(
            segment.shard,
            segment.number,
            _feed_of(portion),
            segment.footer.first_ns,
            segment.footer.last_ns,
            portion.records,
            portion.frames,
            segment.bytes,
            portion.rows,
            portion.rejected,
            "damaged" if portion.damage else "landed",
            portion.damage,
            self.feeds[_feed_of(portion)].spec.decoder_version,
        )


def _feed_of(portion: Portion) -> str:
    return portion.segment.header.feed or portion.segment.shard.rpartition("-")[0]


def _feeds_of(portions: Iterable[Portion]) -> set[str]:
    """The feeds of the portions' logs, and of the connections that stood in for them."""
    found = set()
    for portion in portions:
        found.add(_feed_of(portion))
        found |= {stretch.feed for stretch in (*portion.live, *portion.holes)}
    return found


def _incident(portion: Portion) -> Incident:
    return Incident(
        "storage",
        f"segment {portion.segment.name} is damaged: {portion.damage}; what follows in it is a hole",
        now(),
    )


def _pairs(table: pa.Table) -> set[PartitionKey]:
    pairs = table.select(["symbol", "session"]).group_by(["symbol", "session"]).aggregate([])
    columns = (pairs[name].to_pylist() for name in ("symbol", "session"))
    return {PartitionKey(symbol, session) for symbol, session in zip(*columns, strict=True)}


def _outside(table: pa.Table, keys: set[PartitionKey]) -> pa.Table:
    """Rows of ``table`` of other partitions than ``keys``."""
    if not keys or not keys & _pairs(table):
        return table
    pairs = zip(table["symbol"].to_pylist(), table["session"].to_pylist(), strict=True)
    return table.filter(pa.array([pair not in keys for pair in pairs], pa.bool_()))
