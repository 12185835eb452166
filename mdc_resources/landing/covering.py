"""What captured partitions amount to: their holes, their spans, and the line in the ledger.

A partition is present once its session's capture window is over and was covered without an open hole;
until then it is partial, and the reason says how far capture came. Nothing at all in a window that was
covered whole is a proof that nothing happened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import HoleRow, Span
from mdc_resources.landing.feeds import Feeds
from mdc_resources.landing.holes import Stretch
from mdc_resources.landing.sessions import Sessions, instant
from mdc_resources.landing.taking import DAY_NS

# Capture ends with the hours: the last mark may be a moment early.
EDGE_NS = 2 * 10**9
OPEN, REPAIRED, UNREPAIRABLE = "open", "repaired", "unrepairable"
Partition = tuple[Dataset, PartitionKey]
_Row = TypeVar("_Row", Span, HoleRow)


def hole_id(shard: str, dataset: Dataset, symbol: str, start_ns: int, reason: str) -> str:
    """The same hole has the same id however often it is derived."""
    text = "\0".join((shard, dataset, symbol, str(start_ns), reason))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def hole_rows(shard: str, holes: Iterable[Stretch], feeds: Feeds, sessions: Sessions) -> list[HoleRow]:
    """``holes`` of one shard, cut at the edges of sessions."""
    rows: list[HoleRow] = []
    for hole in holes:
        dataset, symbol = _pair(hole)
        spec = feeds[hole.feed].spec
        state = OPEN if dataset in spec.refillable else UNREPAIRABLE
        rows.extend(
            HoleRow(
                dataset,
                PartitionKey(symbol, session),
                hole_id(shard, dataset, symbol, start, hole.reason),
                spec.provider,
                f"{shard}/{hole.connection}",
                dataset.value,
                start,
                end,
                hole.reason,
                state,
            )
            for session, start, end in sessions.of(symbol).pieces(hole.start_ns, hole.end_ns)
        )
    return rows


def span_rows(live: Iterable[Stretch], feeds: Feeds, sessions: Sessions, *, since: int) -> list[Span]:
    """``live`` stretches cut at the edges of sessions; what ended a day before ``since`` was told."""
    return [
        Span(dataset, PartitionKey(symbol, session), start, end, feeds[stretch.feed].source, "present")
        for stretch in live
        for dataset, symbol in (_pair(stretch),)
        for session, start, end in sessions.of(symbol).pieces(stretch.start_ns, stretch.end_ns)
        if end > since - DAY_NS
    ]


def grown_holes(found: Iterable[HoleRow], known: Iterable[HoleRow]) -> list[HoleRow]:
    """Rows of ``found`` that say more than ``known`` does, the longest of each hole."""
    before = {row.hole_id: row for row in known}
    grown: dict[str, HoleRow] = {}
    for row in found:
        other = grown.get(row.hole_id) or before.get(row.hole_id)
        if other is None or other.end_ns < row.end_ns:
            grown[row.hole_id] = row
    return list(grown.values())


def grown_spans(found: Iterable[Span], known: Iterable[Span]) -> list[Span]:
    """Rows of ``found`` that say more than ``known`` does, the longest of each start."""
    longest: dict[tuple[Partition, int], int] = {}
    for span in known:
        at = (_partition(span), span.start_ns)
        longest[at] = max(longest.get(at, 0), span.end_ns)
    grown: dict[tuple[Partition, int], Span] = {}
    for span in found:
        at = (_partition(span), span.start_ns)
        if span.end_ns > longest.get(at, 0):
            longest[at], grown[at] = span.end_ns, span
    return list(grown.values())


def repaired_by(rows: Sequence[HoleRow], shard: str, since: int, reason: str) -> list[HoleRow]:
    """Holes of ``shard`` over a segment that was missing at ``since`` and has come after all."""
    return [
        replace(row, state=REPAIRED)
        for row in rows
        if row.connection.startswith(f"{shard}/")
        and row.reason == reason
        and row.state != REPAIRED
        and row.start_ns <= since < row.end_ns
    ]


def standing(
    line: CoverageRow, spans: Sequence[Span], holes: Sequence[HoleRow], window: tuple[int, int]
) -> CoverageRow:
    """``line`` (with its rows and source) in the state that its spans and holes come to."""
    covered = Intervals.from_runs(
        [(span.start_ns, span.end_ns) for span in spans if span.state == "present"]
        + [(hole.start_ns, hole.end_ns) for hole in holes if hole.state == REPAIRED]
    )
    missing = Intervals.from_runs([(window[0], window[1] - EDGE_NS)]) - covered
    open_ = sum(hole.state == OPEN for hole in holes)
    lasting = sum(hole.state == UNREPAIRABLE for hole in holes)
    if not missing and not open_ and not lasting:
        if line.row_count:
            return replace(line, state=PartitionState.PRESENT, reason="")
        return replace(line, state=PartitionState.EMPTY, reason="nothing happened: captured throughout")
    reasons = []
    if missing and covered:
        first, last = covered.hull()
        if missing.hull()[1] > last:
            reasons.append(f"captured to {instant(last):%H:%M:%SZ}")
        elif missing.hull()[0] < first:
            reasons.append(f"captured from {instant(first):%H:%M:%SZ}")
    for count, what in ((open_, "open"), (lasting, "beyond repair")):
        if count:
            reasons.append(f"{count} {'hole' if count == 1 else 'holes'} {what}")
    return replace(line, state=PartitionState.PARTIAL, reason=", ".join(reasons) or "not captured")


def by_partition(rows: Iterable[_Row]) -> dict[Partition, list[_Row]]:
    """Rows of a ledger by their partition."""
    found: dict[Partition, list[_Row]] = {}
    for row in rows:
        found.setdefault(_partition(row), []).append(row)
    return found


def _partition(row: Span | HoleRow) -> Partition:
    return row.dataset, row.key


def _pair(stretch: Stretch) -> tuple[Dataset, Symbol]:
    dataset, _, symbol = stretch.name.partition(" ")
    return Dataset(dataset), Symbol(symbol)
