"""Ledger rows as Arrow tables, in the column order of their DDL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mdc_resources.domain.coverage import CoverageRow
from mdc_resources.domain.requests import Attempt
from mdc_resources.lake.model import (
    CommitBatch,
    HoleRow,
    Incident,
    Observation,
    QuarantineRow,
    Score,
    SegmentRow,
    Span,
)
from mdc_resources.lake.tables import BY_NAME


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every ledger row of one commit shares."""

    commit_seq: int
    committed_at: dt.datetime
    run_id: str


def ledger_rows(batch: CommitBatch, stamp: Stamp) -> Iterator[tuple[str, pa.Table]]:
    """(ledger, rows) for every ledger the batch has something for."""
    groups: tuple[tuple[str, Sequence[object], Iterable[tuple[object, ...]]], ...] = (
        ("coverage", batch.coverage, (_coverage(row, stamp) for row in batch.coverage)),
        ("fetches", batch.attempts, (_fetch(row) for row in batch.attempts)),
        ("observations", batch.observations, (_observation(row) for row in batch.observations)),
        ("quarantine", batch.quarantine, (_quarantine(row, batch.attempt) for row in batch.quarantine)),
        ("incidents", batch.incidents, (_incident(row) for row in batch.incidents)),
        ("spans", batch.spans, (_span(row) for row in batch.spans)),
        ("holes", batch.holes, (_hole(row) for row in batch.holes)),
        ("segments", batch.segments, (_segment(row) for row in batch.segments)),
        ("quality", batch.scores, (_score(row) for row in batch.scores)),
    )
    for name, given, rows in groups:
        if given:
            yield name, _table(name, stamp, rows)


def _table(name: str, stamp: Stamp, rows: Iterable[tuple[object, ...]]) -> pa.Table:
    schema = BY_NAME[name].arrow
    columns = list(zip(*rows, strict=True))
    count = len(columns[0])
    common = [[value] * count for value in (stamp.commit_seq, stamp.committed_at, stamp.run_id)]
    arrays = [pa.array(values, field.type) for values, field in zip([*common, *columns], schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _coverage(row: CoverageRow, stamp: Stamp) -> tuple[object, ...]:
    confirmed = row.basis_confirmed_asof or row.basis_asof
    return (
        row.dataset.value, row.symbol, row.session, row.state.value, row.reason, row.source, row.basis,
        row.basis_asof, row.row_count, row.fingerprint, row.attempt, stamp.committed_at, confirmed,
    )  # fmt: skip


def _fetch(row: Attempt) -> tuple[object, ...]:
    return (
        row.fetch_id, row.provider, row.dataset.value, ",".join(row.symbols), row.start, row.end, row.url,
        row.started_at, row.duration_ms, row.status, row.error, row.body_bytes, row.sha256, row.record_id,
    )  # fmt: skip


def _observation(row: Observation) -> tuple[object, ...]:
    return (
        row.dataset.value, row.symbol, row.session, row.source, row.row_count, row.first, row.high, row.low,
        row.last, row.volume, row.basis, row.fingerprint, row.fetch_id,
    )  # fmt: skip


def _quarantine(row: QuarantineRow, attempt: int) -> tuple[object, ...]:
    return (
        row.dataset.value,
        row.symbol,
        row.session,
        row.source,
        row.reason,
        row.raw[:2000],
        row.fetch_id,
        attempt,
    )


def _span(row: Span) -> tuple[object, ...]:
    return (
        row.dataset.value, row.key.symbol, row.key.session, row.start_ns, row.end_ns, row.source, row.state,
        row.reason,
    )  # fmt: skip


def _hole(row: HoleRow) -> tuple[object, ...]:
    return (
        row.dataset.value, row.key.symbol, row.key.session, row.hole_id, row.provider, row.connection,
        row.channel, row.start_ns, row.end_ns, row.reason, row.state,
    )  # fmt: skip


def _segment(row: SegmentRow) -> tuple[object, ...]:
    return (
        row.shard, row.number, row.feed, row.first_ns, row.last_ns, row.records, row.frames, row.bytes,
        row.rows, row.rejected, row.state, row.reason, row.decoder_version,
    )  # fmt: skip


def _score(row: Score) -> tuple[object, ...]:
    return (row.dataset.value, row.symbol, row.session, row.metric, row.value, row.detail)


def _incident(row: Incident) -> tuple[object, ...]:
    dataset = row.dataset.value if row.dataset else None
    return (
        row.kind,
        row.message,
        row.started_at,
        row.ended_at,
        row.provider,
        dataset,
        row.symbol,
        row.session,
    )
