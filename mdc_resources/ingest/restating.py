"""A vendor says today what it did not say before: the difference, in the data's own words.

The new content becomes a new version of the partition, the old one stays readable ``--as-of``; this
module only says what changed. ``restated`` if the same source said both, ``conflict`` if another
one does. Bars are compared row by row; for intraday the message counts the minutes and shows the first.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest.assessing import only
from mdc_resources.ingest.votes import SYNTHETIC, provider_of
from mdc_resources.ingest.wants import Prior
from mdc_resources.lake import Incident, Lake
from mdc_resources.schema.arrow import PROVENANCE, ROW_KEYS

RESTATED, CONFLICT = "restated", "conflict"
MAX_INCIDENTS = 20  # of single sessions of a symbol; more share one
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Change:
    """One stored partition that was told differently: its ledger lines, and the difference in words."""

    before: CoverageRow
    after: CoverageRow
    difference: str

    @property
    def kind(self) -> str:
        """``restated`` by its own source, or in ``conflict`` with another."""
        return RESTATED if self.before.source == self.after.source else CONFLICT


def restatements(
    lake: Lake, prior: Prior, coverage: Iterable[CoverageRow], tables: Mapping[Dataset, pa.Table]
) -> list[tuple[Dataset, list[Change]]]:
    """Present partitions that ``coverage`` and ``tables`` are about to replace with other content.

    Reads the stored rows from the lake, so it has to run before the commit; nearly always there are
    none, and then nothing is read.
    """
    pairs: dict[Dataset, list[tuple[CoverageRow, CoverageRow]]] = defaultdict(list)
    for row in coverage:
        before = prior.get((row.dataset, row.key))
        if before is not None and _both_present(before, row) and before.fingerprint != row.fingerprint:
            pairs[row.dataset].append((before, row))
    found = []
    for dataset, lines in pairs.items():
        if dataset.is_events:  # far too many rows to set side by side
            counts = [(b, a, f"{b.row_count} rows before, {a.row_count} rows now") for b, a in lines]
            found.append((dataset, [Change(*each) for each in counts]))
            continue
        keys = [row.key for _, row in lines]
        try:
            stored = _by_partition(lake.rows_of(dataset, keys))
        except LakeError:  # a damaged file must not keep its replacement out
            stored = {}
        told = _by_partition(only(tables[dataset], keys))
        changed = [
            Change(before, row, difference(dataset, stored.get(row.key, ()), told.get(row.key, ())))
            for before, row in lines
        ]
        found.append((dataset, changed))
    return found


def _both_present(before: CoverageRow, after: CoverageRow) -> bool:
    return before.state is PartitionState.PRESENT and after.state is PartitionState.PRESENT


def difference(dataset: Dataset, old: Sequence[Row], new: Sequence[Row]) -> str:
    """``close 101.2 -> 101.25, volume 1000 -> 1200``, or how many rows differ, and the first of them."""
    if not old:
        return "its stored rows cannot be read"
    names = [name for name in ROW_KEYS[dataset] if name not in ("symbol", "session")]

    def keyed(rows: Sequence[Row]) -> dict[tuple[object, ...], Row]:
        return {tuple(row[name] for name in names): row for row in rows}

    before, after = keyed(old), keyed(new)
    differing = [key for key in before if key in after and _fields(before[key], after[key])]
    added, gone = after.keys() - before.keys(), before.keys() - after.keys()
    if len(before) == len(after) == 1 and differing:
        return _fields(before[differing[0]], after[differing[0]])
    what = "minutes" if dataset is Dataset.BARS_1M else "rows"
    parts = [
        f"{count} {what} {how}"
        for count, how in ((len(differing), "differ"), (len(added), "added"), (len(gone), "gone"))
        if count
    ]
    if differing:
        first = min(differing, key=str)
        parts.append(f"first {_named(first)} {_fields(before[first], after[first])}")
    elif added or gone:
        parts.append(f"first {_named(min(added or gone, key=str))}")
    return ", ".join(parts) or "the meaning of its prices changed"


def incidents(dataset: Dataset, found: Iterable[Change], *, at: dt.datetime) -> list[Incident]:
    """One incident per partition; where a symbol has many (a split), one for all of them."""
    groups: dict[tuple[str, Symbol, str], list[Change]] = defaultdict(list)
    for change in found:
        groups[change.kind, change.after.symbol, change.after.source].append(change)
    said: list[Incident] = []
    for (kind, symbol, _), group in groups.items():
        group.sort(key=lambda change: change.after.session)
        if len(group) <= MAX_INCIDENTS:
            said += [_incident(dataset, change, at=at) for change in group]
            continue
        first, last = group[0], group[-1].after.session
        message = (
            f"{symbol} {first.after.session}..{last} {dataset} {_by(first)} in {len(group)} sessions, "
            f"the first: {first.difference}"
        )
        provider = provider_of(first.after.source)
        said.append(Incident(kind, message, started_at=at, provider=provider, dataset=dataset, symbol=symbol))
    return said


def _incident(dataset: Dataset, change: Change, *, at: dt.datetime) -> Incident:
    row = change.after
    return Incident(
        change.kind,
        f"{row.symbol} {row.session} {dataset} {_by(change)}: {change.difference}",
        started_at=at,
        provider=provider_of(row.source),
        dataset=dataset,
        symbol=row.symbol,
        session=row.session,
    )


def _by(change: Change) -> str:
    now, then = (row.source.removeprefix(SYNTHETIC) for row in (change.after, change.before))
    return f"restated by {now}" if change.kind == RESTATED else f"told otherwise by {now} than by {then}"


def _fields(before: Row, after: Row) -> str:
    """The fields that differ, as ``name old -> new``."""
    return ", ".join(
        f"{name} {_text(before[name])} -> {_text(after[name])}"
        for name in before
        if name not in PROVENANCE and before[name] != after[name]
    )


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M UTC")
    return "nothing" if value is None else str(value)


def _named(key: tuple[object, ...]) -> str:
    return " ".join(_text(part) for part in key)


def _by_partition(table: pa.Table) -> dict[PartitionKey, list[Row]]:
    found: dict[PartitionKey, list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        found[PartitionKey(row["symbol"], row["session"])].append(row)
    return found
