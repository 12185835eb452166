"""What assets and checks may ask of the lake: a read-only DuckDB connection and a few questions.

Built on dagster-duckdb's resource, so code written for it works: ``get_connection()`` gives an
in-memory connection with the lake's views in place. It cannot write; data enters by ingest alone.
"""

# ruff: noqa: S608 - names in statements are constants of this package; values are bound

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import duckdb
from dagster import InputContext, IOManager, OutputContext
from dagster_duckdb import DuckDBResource

from mdc_resources.config import Home
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake, SegmentRow
from mdc_resources.schema.arrow import ROW_KEYS

_VIEWS = {Dataset.BARS_1D: "bars_1d_stored"}

_CLOSES = """
SELECT close::DOUBLE FROM (
    SELECT session, max_by(close, ts) AS close FROM {view} WHERE symbol = ?
    GROUP BY session ORDER BY session DESC LIMIT ?
) ORDER BY session
"""
_INSANE = """
SELECT symbol, session FROM {view}
WHERE list_contains(?, symbol)
  AND (low > least(open, close) OR high < greatest(open, close) OR low <= 0 OR volume < 0)
LIMIT ?
"""
_DUPLICATES = """
SELECT symbol, min(session) FROM {view} WHERE list_contains(?, symbol)
GROUP BY {keys} HAVING count(*) > 1 LIMIT ?
"""
_OPEN_HOLES = """
SELECT symbol, session, reason, start_ns FROM holes
WHERE dataset = ? AND state = 'open' AND list_contains(?, symbol) ORDER BY start_ns LIMIT ?
"""
# The sessions that capture touched last: a partition is asked about while it grows, not for ever.
_CAPTURED = """
WITH newest AS (
    SELECT DISTINCT symbol, session FROM spans
    WHERE dataset = ? AND list_contains(?, symbol)
    QUALIFY dense_rank() OVER (PARTITION BY symbol ORDER BY session DESC) <= 2
)"""
_OUT_OF_ORDER = (
    _CAPTURED
    + """
SELECT symbol, session FROM (
    SELECT symbol, session, ts_recv < lag(ts_recv IGNORE NULLS)
        OVER (PARTITION BY symbol, session ORDER BY ordinal) AS back
    FROM {view} SEMI JOIN newest USING (symbol, session)
) WHERE back GROUP BY ALL LIMIT ?
"""
)
_CAPTURED_TWICE = (
    _CAPTURED
    + """
SELECT symbol, session, trade_id FROM {view} SEMI JOIN newest USING (symbol, session)
WHERE trade_id IS NOT NULL GROUP BY symbol, session, venue, trade_id HAVING count(*) > 1 LIMIT ?
"""
)

Found = list[tuple[Any, ...]]


class LakeResource(DuckDBResource):
    """The lake at ``lake_dir``, read-only. ``catalog_url`` empty means SQLite inside it."""

    database: str = ":memory:"
    lake_dir: str
    catalog_url: str = ""

    @contextmanager
    def get_lake(self) -> Iterator[Lake]:
        """The lake itself, for its ledgers; closed on exit."""
        lake = Lake.open(Path(self.lake_dir), catalog_url=self.catalog_url)
        try:
            yield lake
        finally:
            lake.close()

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """An in-memory connection with the lake attached and its views named; closed on exit."""
        with self.get_lake() as lake, closing(lake.connect()) as connection:
            yield connection


def closes(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, symbol: Symbol, *, limit: int
) -> list[float]:
    """The last ``limit`` closes of ``symbol`` by session, ascending; for drawing only."""
    return [
        row[0] for row in connection.execute(_CLOSES.format(view=_view(dataset)), [symbol, limit]).fetchall()
    ]


def insane_bars(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, symbols: Sequence[Symbol], *, limit: int
) -> Found:
    """(symbol, session) of bars whose prices contradict each other; at most ``limit``."""
    return connection.execute(_INSANE.format(view=_view(dataset)), [list(symbols), limit]).fetchall()


def duplicates(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, symbols: Sequence[Symbol], *, limit: int
) -> Found:
    """(symbol, session) of keys with more than one row; at most ``limit``."""
    sql = _DUPLICATES.format(view=_view(dataset), keys=", ".join(ROW_KEYS[dataset]))
    return connection.execute(sql, [list(symbols), limit]).fetchall()


def open_holes(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, symbols: Sequence[Symbol], *, limit: int
) -> Found:
    """(symbol, session, reason, start_ns) of holes of live capture that are open; at most ``limit``."""
    return connection.execute(_OPEN_HOLES, [str(dataset), list(symbols), limit]).fetchall()


def out_of_order(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, symbols: Sequence[Symbol], *, limit: int
) -> Found:
    """(symbol, session) of captured partitions whose newest rows are not in the order of capture."""
    sql = _OUT_OF_ORDER.format(view=_view(dataset))
    return connection.execute(sql, [str(dataset), list(symbols), limit]).fetchall()


def captured_twice(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, symbols: Sequence[Symbol], *, limit: int
) -> Found:
    """(symbol, session, trade id) of captured trades that are stored twice; at most ``limit``."""
    sql = _CAPTURED_TWICE.format(view=_view(dataset))
    return connection.execute(sql, [str(dataset), list(symbols), limit]).fetchall()


def segments_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> dict[str, list[SegmentRow]]:
    """The segments that the run ``run_id`` landed, by shard."""
    names = [field.name for field in fields(SegmentRow)]
    sql = f"SELECT {', '.join(names)} FROM segments WHERE run_id = ? ORDER BY shard, number"
    found: dict[str, list[SegmentRow]] = {}
    for row in connection.execute(sql, [run_id]).fetchall():
        segment = SegmentRow(*row)
        found.setdefault(segment.shard, []).append(segment)
    return found


class NoPickles(IOManager):
    """In place of the default IO manager, which pickles: here nothing passes between steps."""

    def handle_output(self, context: OutputContext, obj: object) -> None:
        """Accept only "nothing"."""
        if obj is not None:
            raise UsageError(
                f"{context.step_key} returned a {type(obj).__name__}",
                hint="Assets return nothing: data goes into the lake, and is read from there",
            )

    def load_input(self, context: InputContext) -> object:
        """Refuse: there is nothing to load."""
        raise UsageError(
            f"input {context.name!r} asks for an upstream value", hint="Read it from the lake instead"
        )


def lake_of(home: Home) -> LakeResource:
    """The lake of ``home`` as a resource."""
    return LakeResource(lake_dir=str(home.lake_dir), catalog_url=home.settings.lake.catalog_url)


def _view(dataset: Dataset) -> str:
    return _VIEWS.get(dataset, str(dataset))
