"""Captured rows and what is stored become one partition: each trade once, in the order of capture.

Rows that come after what is stored are appended. Rows of a late segment belong before: their partition
is written anew, in the order of receive times. Two rows are the same trade only where the feed's
identity says so; rows without an identity are never taken for repetitions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake
from mdc_resources.lake.captured import Tail
from mdc_resources.landing.columns import partitions
from mdc_resources.landing.sums import Sums
from mdc_resources.schema.arrow import schema_of

Identities = Mapping[str, tuple[str, ...]]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Total:
    """What a partition comes to."""

    rows: int
    fingerprint: str
    source: str


@dataclass(slots=True)
class Merged:
    """One dataset's part of a commit: rows to write, and what becomes of their partitions."""

    dataset: Dataset
    parts: list[pa.Table] = field(default_factory=list)
    appends: set[PartitionKey] = field(default_factory=set)
    replaces: set[PartitionKey] = field(default_factory=set)
    totals: dict[PartitionKey, Total] = field(default_factory=dict)
    added: int = 0

    @property
    def table(self) -> pa.Table:
        """All rows to write."""
        return pa.concat_tables(self.parts) if self.parts else schema_of(self.dataset).empty_table()


def superseded(prior: CoverageRow | None, sources: Collection[str]) -> bool:
    """True where complete history of another source is stored: capture has nothing to add to that."""
    return prior is not None and prior.state is PartitionState.PRESENT and prior.source not in sources


def merge(
    lake: Lake,
    sums: Sums,
    dataset: Dataset,
    tables: Iterable[pa.Table],
    *,
    prior: Mapping[PartitionKey, CoverageRow],
    late: Collection[PartitionKey],
    identities: Identities,
    sort: bool,
) -> Merged:
    """Merge ``tables`` (in the order of capture) into what is stored.

    ``late`` are partitions of which later segments were landed already; ``sort`` says that the tables
    are of several logs.
    """
    merged = Merged(dataset)
    rows = pa.concat_tables(list(tables)).combine_chunks()
    if sort:
        rows = rows.take(pa.array(np.argsort(_received(rows), kind="stable")))
    rows = _distinct(rows, identities)
    keys = _keys(rows)
    tails = lake.tails(dataset, [key for key in keys if key in prior and prior[key].row_count])
    stored = _stored(lake, dataset, rows, tails, identities)
    for key, piece in partitions(rows):
        tail = tails.get(key)
        if tail is None:
            fresh = _numbered(piece, 0)
            merged.totals[key] = Total(*sums.anew(dataset, key, fresh), _source(piece))
            merged.parts.append(fresh)
            merged.added += fresh.num_rows
        elif key in late or _belongs_before(piece, tail):
            _rewrite(merged, lake, sums, key, piece, identities)
        else:
            _append(merged, sums, key, _without(piece, stored), tail, prior[key])
    return merged


def _append(
    merged: Merged, sums: Sums, key: PartitionKey, piece: pa.Table, tail: Tail, prior: CoverageRow
) -> None:
    if not piece.num_rows:
        return
    fresh = _numbered(piece, tail.ordinal + 1)
    total = Total(*sums.grown(merged.dataset, key, prior, fresh), prior.source or _source(piece))
    merged.totals[key] = total
    merged.parts.append(fresh)
    merged.appends.add(key)
    merged.added += fresh.num_rows


def _rewrite(
    merged: Merged, lake: Lake, sums: Sums, key: PartitionKey, piece: pa.Table, identities: Identities
) -> None:
    held = lake.rows_of(merged.dataset, [key]).cast(piece.schema).sort_by("ordinal")
    both = pa.concat_tables([held, piece]).combine_chunks()
    whole = _distinct(both.take(pa.array(np.argsort(_received(both), kind="stable"))), identities)
    fresh = _numbered(whole, 0)
    merged.totals[key] = Total(*sums.anew(merged.dataset, key, fresh), _source(piece))
    merged.parts.append(fresh)
    merged.replaces.add(key)
    merged.added += fresh.num_rows - held.num_rows


def _belongs_before(piece: pa.Table, tail: Tail) -> bool:
    """True for another source's rows that were received before the last stored one.

    Of one source the log's own order counts: a clock that was set back does not change it.
    """
    if tail.ts_recv is None or pc.min(piece["ts_recv"]).as_py() >= tail.ts_recv:
        return False
    return not set(pc.unique(piece["source"]).to_pylist()) <= tail.sources


def _received(rows: pa.Table) -> npt.NDArray[np.int64]:
    """When each row was received; refilled ones, when they happened."""
    times = pc.coalesce(rows["ts_recv"], rows["ts_event"])
    found: npt.NDArray[np.int64] = times.to_numpy()
    return found


def _numbered(rows: pa.Table, first: int) -> pa.Table:
    at = rows.column_names.index("ordinal")
    ordinals = pa.array(np.arange(first, first + rows.num_rows, dtype=np.int64))
    return rows.set_column(at, rows.schema.field(at), ordinals)


def _source(rows: pa.Table) -> str:
    return str(rows["source"][-1].as_py())


def _keys(rows: pa.Table) -> set[PartitionKey]:
    pairs = rows.select(["symbol", "session"]).group_by(["symbol", "session"]).aggregate([])
    columns = (pairs[name].to_pylist() for name in ("symbol", "session"))
    return {PartitionKey(symbol, session) for symbol, session in zip(*columns, strict=True)}


def _identified(rows: pa.Table, identities: Identities) -> dict[tuple[str, ...], Mask]:
    """Which rows have an identity, and which columns that is."""
    if "trade_id" not in rows.column_names:
        return {}
    sources: dict[tuple[str, ...], list[str]] = {}
    for source in pc.unique(rows["source"]).to_pylist():
        sources.setdefault(identities.get(source, ()), []).append(source)
    found: dict[tuple[str, ...], Mask] = {}
    for columns, names in sources.items():
        if columns:
            mine = pc.is_in(rows["source"], pa.array(names))
            found[columns] = pc.and_(mine, pc.is_valid(rows[columns[-1]])).to_numpy()
    return found


def _distinct(rows: pa.Table, identities: Identities) -> pa.Table:
    """``rows`` with only the first of those that are one trade."""
    keep = np.ones(rows.num_rows, bool)
    for columns, mine in _identified(rows, identities).items():
        places = np.flatnonzero(mine)
        names = ["symbol", "session", *columns]
        keyed = rows.select(names).take(pa.array(places)).append_column("at", pa.array(places))
        firsts = keyed.group_by(names, use_threads=False).aggregate([("at", "min")])
        if firsts.num_rows < len(places):
            keep[places] = False
            keep[firsts["at_min"].to_numpy()] = True
    return rows if keep.all() else rows.filter(pa.array(keep))


def _stored(
    lake: Lake,
    dataset: Dataset,
    rows: pa.Table,
    tails: Mapping[PartitionKey, Tail],
    identities: Identities,
) -> dict[tuple[str, ...], set[tuple[object, ...]]]:
    """Identities of ``rows`` that are stored, by the columns they consist of."""
    if not tails:
        return {}
    found: dict[tuple[str, ...], set[tuple[object, ...]]] = {}
    for columns, mine in _identified(rows, identities).items():
        if mine.any():
            held = lake.stored_of(dataset, rows.filter(pa.array(mine)), columns)
            found[columns] = set(zip(*(held[name].to_pylist() for name in held.column_names), strict=True))
    return found


def _without(piece: pa.Table, stored: Mapping[tuple[str, ...], set[tuple[object, ...]]]) -> pa.Table:
    for columns, held in stored.items():
        if held:
            names = ("symbol", "session", *columns)
            keyed = zip(*(piece[name].to_pylist() for name in names), strict=True)
            piece = piece.filter(pa.array([key not in held for key in keyed], pa.bool_()))
    return piece
