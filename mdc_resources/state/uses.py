"""How often each symbol is read: what is used most is repaired first.

A count, not a log: no times, no users. :func:`note_lightly` is for the reading path, where it may
cost a millisecond and must never fail or wait.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from mdc_resources.domain.symbols import Symbol
from mdc_resources.state.tables import uses


def note(connection: Connection, symbols: Iterable[Symbol]) -> None:
    """Count one use of each of ``symbols``."""
    rows = [{"symbol": symbol, "reads": 1} for symbol in sorted(set(symbols))]
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(uses)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["symbol"], set_={"reads": uses.c.reads + statement.excluded.reads}
        ),
        rows,
    )


def load(connection: Connection) -> dict[Symbol, int]:
    """Uses per symbol that has any."""
    return {
        Symbol(symbol): reads for symbol, reads in connection.execute(select(uses.c.symbol, uses.c.reads))
    }
