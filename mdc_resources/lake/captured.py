"""What the lake knows about live capture: landed segments, spans, holes, and where partitions end.

Ledgers only grow: a hole or a span that went on is written again with the same start and a later
end. The newest line counts; a span that a newer one covers wholly is history.
"""

# ruff: noqa: S608 - names in statements are constants of this package; values are bound

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake.catalog import ALIAS, Catalog
from mdc_resources.lake.model import HoleRow, Span

NEWEST_HOLES = (
    f"SELECT * FROM {ALIAS}.holes QUALIFY row_number() OVER"
    " (PARTITION BY hole_id ORDER BY commit_seq DESC, end_ns DESC) = 1"
)
_LINES = (
    f"SELECT * FROM {ALIAS}.spans QUALIFY row_number() OVER"
    " (PARTITION BY dataset, symbol, session, start_ns ORDER BY commit_seq DESC, end_ns DESC) = 1"
)
NEWEST_SPANS = (
    f"WITH line AS ({_LINES}) SELECT * FROM line WHERE NOT EXISTS (SELECT 1 FROM line AS newer"
    " WHERE newer.dataset = line.dataset AND newer.symbol = line.symbol AND newer.session = line.session"
    " AND newer.commit_seq > line.commit_seq"
    " AND newer.start_ns <= line.start_ns AND newer.end_ns >= line.end_ns)"
)

_NEAR_NS = 60 * 10**9


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the stored rows of one partition end."""

    rows: int
    ordinal: int
    ts_recv: int | None
    sources: frozenset[str]


def key_table(keys: Iterable[PartitionKey]) -> pa.Table:
    """``keys`` as a table (symbol, session)."""
    pairs = list(keys)
    return pa.table({
        "symbol": pa.array([key.symbol for key in pairs], pa.string()),
        "session": pa.array([key.session for key in pairs], pa.date32()),
    })  # fmt: skip


def landed_segments(catalog: Catalog) -> dict[str, frozenset[int]]:
    """Numbers of the landed segments of each shard."""
    if "segments" not in catalog.table_names():  # an older lake that could not be upgraded yet
        return {}
    found = catalog.query(f"SELECT DISTINCT shard, number FROM {ALIAS}.segments")
    numbers: dict[str, set[int]] = defaultdict(set)
    for shard, number in zip(found["shard"].to_pylist(), found["number"].to_pylist(), strict=True):
        numbers[shard].add(number)
    return {shard: frozenset(held) for shard, held in numbers.items()}


def holes(
    catalog: Catalog,
    dataset: Dataset | None,
    symbols: Collection[Symbol] | None,
    start: dt.date | None,
    end: dt.date | None,
    states: Collection[str] | None,
) -> list[HoleRow]:
    """Holes as they stand, in order of symbol and time."""
    where, values = _where(dataset, symbols, start, end)
    if states is not None:
        where += " AND state IN (SELECT unnest(?::VARCHAR[]))"
        values.append(list(states))
    query = f"SELECT * FROM ({NEWEST_HOLES}) WHERE {where} ORDER BY symbol, dataset, start_ns, hole_id"
    return [
        HoleRow(
            Dataset(row["dataset"]),
            PartitionKey(Symbol(row["symbol"]), row["session"]),
            row["hole_id"],
            row["provider"],
            row["connection"],
            row["channel"],
            row["start_ns"],
            row["end_ns"],
            row["reason"],
            row["state"],
        )
        for row in catalog.query(query, values).to_pylist()
    ]


def spans(
    catalog: Catalog,
    dataset: Dataset | None,
    symbols: Collection[Symbol] | None,
    start: dt.date | None,
    end: dt.date | None,
) -> list[Span]:
    """Spans as they stand, in order of symbol and time."""
    where, values = _where(dataset, symbols, start, end)
    query = f"SELECT * FROM ({NEWEST_SPANS}) WHERE {where} ORDER BY symbol, dataset, start_ns"
    return [
        Span(
            Dataset(row["dataset"]),
            PartitionKey(Symbol(row["symbol"]), row["session"]),
            row["start_ns"],
            row["end_ns"],
            row["source"],
            row["state"],
            row["reason"],
        )
        for row in catalog.query(query, values).to_pylist()
    ]


def tails(catalog: Catalog, dataset: Dataset, keys: Collection[PartitionKey]) -> dict[PartitionKey, Tail]:
    """Count, greatest ordinal, newest receive time and sources of each of ``keys`` that has rows."""
    if not keys:
        return {}
    sessions = [key.session for key in keys]
    query = (
        "SELECT symbol, session, count(*) AS n, max(ordinal) AS ordinal, max(ts_recv) AS ts_recv,"
        f" list(DISTINCT source) AS sources FROM {ALIAS}.{dataset.value} SEMI JOIN wanted"
        " USING (symbol, session) WHERE session BETWEEN ? AND ? GROUP BY ALL"
    )
    found = catalog.query(query, [min(sessions), max(sessions)], tables={"wanted": key_table(keys)})
    return {
        PartitionKey(Symbol(row["symbol"]), row["session"]): Tail(
            row["n"], row["ordinal"], row["ts_recv"], frozenset(row["sources"])
        )
        for row in found.to_pylist()
    }


def stored_of(catalog: Catalog, dataset: Dataset, rows: pa.Table, identity: Sequence[str]) -> pa.Table:
    """Those of ``rows`` (symbol, session, ts_event and the columns ``identity``) that are stored.

    Two rows are the same where all columns but the time are equal; times only bound what is read.
    """
    columns = ["symbol", "session", *identity]
    wanted = rows.select([*columns, "ts_event"])
    same = " AND ".join(f"stored.{name} IS NOT DISTINCT FROM wanted.{name}" for name in columns)
    within = "session BETWEEN (SELECT min(session) FROM wanted) AND (SELECT max(session) FROM wanted)"
    # One trade has one time, whoever tells it; channels of a vendor may round it differently.
    times = (
        f"ts_event BETWEEN (SELECT min(ts_event) FROM wanted) - {_NEAR_NS}"
        f" AND (SELECT max(ts_event) FROM wanted) + {_NEAR_NS}"
    )
    query = (
        f"SELECT DISTINCT {', '.join(f'stored.{name}' for name in columns)} FROM"
        f" (SELECT {', '.join(columns)} FROM {ALIAS}.{dataset.value} WHERE {within} AND {times}) AS stored"
        f" JOIN wanted ON {same}"
    )
    return catalog.query(query, tables={"wanted": wanted})


def _where(
    dataset: Dataset | None, symbols: Collection[Symbol] | None, start: dt.date | None, end: dt.date | None
) -> tuple[str, list[object]]:
    conditions = ["true"]
    values: list[object] = []
    for condition, value in (
        ("dataset = ?", dataset.value if dataset else None),
        ("symbol IN (SELECT unnest(?::VARCHAR[]))", list(symbols) if symbols is not None else None),
        ("session >= ?", start),
        ("session <= ?", end),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return " AND ".join(conditions), values
