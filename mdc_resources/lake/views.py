"""Views of a reader's connection: the datasets' names, the newest coverage, adjusted daily bars.

Bars are stored as delivered: ``raw`` or already adjusted by what was known on ``basis_asof``. The
views bring a series to one basis at read time, with the splits and dividends the lake knows:

- ``bars_1d``        split-consistent, on the basis of the series' newest date (the safe name; it is
                     called ``bars_1d_split`` too);
- ``bars_1d_raw``    as traded;
- ``bars_1d_total``  split- and dividend-consistent; its factors are statistics, in DOUBLE;
- ``bars_1d_stored`` what is stored.

``trades``, ``quotes`` and ``depth`` gain ``ts`` (TIMESTAMPTZ, microseconds; ``ts_event`` is exact),
``trades`` also ``valid``: false for a trade that was canceled or corrected later. ``holes`` and ``spans``
show what counts now, ``holes_log`` and ``spans_log`` all lines.

A price that needs corporate actions which are not covered is NULL and ``null_reason`` says so
(:mod:`.adjusted` has the rules). Splits are applied in integers, rounded half-even to the column's
scale; ``exact`` is false where rounding changed anything. Symbols that name a venue
(``COINBASE:BTC-USD``) have no corporate actions, and a name that ended (renamed, delisted) has none
after its end: coverage up to there is coverage for good.
"""

# ruff: noqa: S608 - names in statements are constants of this package; values are bound

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from mdc_resources.lake.adjusted import (
    MACROS,
    Known,
    as_traded,
    dividend_views,
    private_views,
    split_consistent,
    total_return,
)
from mdc_resources.lake.captured import NEWEST_HOLES, NEWEST_SPANS
from mdc_resources.lake.catalog import ALIAS
from mdc_resources.lake.tables import DATASETS, LEDGERS, TableSpec

if TYPE_CHECKING:
    import duckdb

# Microseconds by integer floor division: a cast of nanoseconds rounds up, into the wrong minute.
_TS = "make_timestamptz(ts_event // 1000)"
_VALID = {"trades": ", correction IS NULL AS valid"}
NEWEST_COVERAGE = (
    f"SELECT * FROM {ALIAS}.coverage"
    " QUALIFY row_number() OVER (PARTITION BY dataset, symbol, session ORDER BY commit_seq DESC) = 1"
)


def create_views(connection: duckdb.DuckDBPyConnection, *, known_at: dt.datetime | None = None) -> None:
    """Create all views in the connection's own memory; nothing is written to the lake.

    ``known_at`` (aware) limits the corporate actions that the adjusted views apply to those that
    were learned and effective by then; by default all count. It changes no other view.
    """
    known = Known(known_at)
    connection.begin()  # DuckLake looks at its catalog once for all views, not once for each
    for table in (*DATASETS, *LEDGERS):
        if table.name not in ("bars_1d", "coverage", "holes", "spans"):
            _create_plain(connection, table)
    statements = [
        MACROS,
        f"CREATE VIEW coverage_log AS FROM {ALIAS}.coverage;",
        f"CREATE VIEW coverage AS {NEWEST_COVERAGE};",
        f"CREATE VIEW holes_log AS FROM {ALIAS}.holes;",
        f"CREATE VIEW holes AS {NEWEST_HOLES};",
        f"CREATE VIEW spans_log AS FROM {ALIAS}.spans;",
        f"CREATE VIEW spans AS {NEWEST_SPANS};",
        f"CREATE VIEW bars_1d_stored AS FROM {ALIAS}.bars_1d;",
        *(f"CREATE VIEW {name} AS {query};" for name, query in private_views(known).items()),
        f"CREATE VIEW bars_1d AS {split_consistent(known)};",
        "CREATE VIEW bars_1d_split AS FROM bars_1d;",
        f"CREATE VIEW bars_1d_raw AS {as_traded()};",
        *(f"CREATE VIEW {name} AS {query};" for name, query in dividend_views(known).items()),
        f"CREATE VIEW bars_1d_total AS {total_return(known)};",
    ]
    for statement in statements:  # one by one: named windows clash across the statements of one call
        connection.execute(statement)
    connection.commit()


def _create_plain(connection: duckdb.DuckDBPyConnection, table: TableSpec) -> None:
    """All rows of ``table``; none where the lake, or its state at an older time, lacks the table.

    Tried, not looked up: a list of the catalog's tables costs more than all views together.
    """
    import duckdb

    try:
        connection.execute(f"CREATE VIEW {table.name} AS {_rows(table, f'FROM {ALIAS}.{table.name}')};")
    except duckdb.CatalogException:
        nothing = ", ".join(f"NULL::{column.type} AS {column.name}" for column in table.columns)
        connection.execute(f"CREATE VIEW {table.name} AS {_rows(table, f'SELECT {nothing} WHERE false')};")


def _rows(table: TableSpec, rows: str) -> str:
    if not any(column.name == "ts_event" for column in table.columns):
        return rows
    return f"SELECT *, {_TS} AS ts{_VALID.get(table.name, '')} FROM ({rows})"
