"""Bars of some symbols over a range of sessions, as an Arrow table that turns into frames."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.query.noting import note_reading

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

    from mdc_resources.config import Home

_NUMBERS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Bars:
    """Rows in order of symbol and time. ``table`` is Arrow; the rest are views of it."""

    table: pa.Table

    def arrow(self) -> pa.Table:
        """The Arrow table."""
        return self.table

    def df(self) -> pd.DataFrame:
        """A pandas frame. Exact prices become Decimal objects, which are slow: prefer Arrow there."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def pl(self) -> Any:
        """A polars frame; UsageError naming the extra if polars is not installed."""
        try:
            import polars
        except ModuleNotFoundError:
            raise UsageError("polars is not installed", hint="pip install 'mdc[polars]'") from None
        return polars.from_arrow(self.table)

    def __len__(self) -> int:
        return int(self.table.num_rows)


def read_bars(
    connection: duckdb.DuckDBPyConnection,
    view: str,
    symbols: Sequence[Symbol],
    start: dt.date,
    end: dt.date,
    *,
    exact: bool,
    home: Home | None = None,
) -> Bars:
    """Bars of ``symbols`` in the sessions ``start``..``end``, both inclusive.

    Prices and volume are float64, or with ``exact`` the stored decimals. A symbol or session
    without data has no rows. With a ``home`` its state learns that the symbols are in use.

    Raises:
        UsageError: ``view`` is no view of bars.
    """
    views = [row[0] for row in connection.execute(_VIEWS).fetchall()]
    if view not in views:
        raise UsageError(f"{view[:40]!a} is no view of bars", hint=f"Known: {', '.join(sorted(views))}")
    casts = "" if exact else f" REPLACE ({', '.join(f'{name}::DOUBLE AS {name}' for name in _NUMBERS)})"
    marks = ", ".join("?" * len(symbols)) or "NULL"
    sql = f"""SELECT *{casts} FROM {view}
        WHERE symbol IN ({marks}) AND session BETWEEN ? AND ? ORDER BY symbol, ts"""  # noqa: S608  view is one of views
    bars = Bars(connection.execute(sql, [*symbols, start, end]).to_arrow_table())
    if home is not None:
        note_reading(home, symbols)
    return bars


_VIEWS = "SELECT view_name FROM duckdb_views() WHERE NOT internal AND view_name LIKE 'bars%'"
