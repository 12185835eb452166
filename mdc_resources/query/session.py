"""A connection to the lake for reading: plain for the owner's own code, guarded for typed SQL.

A guarded session refuses files outside the lake, replacement scans of Python variables, and any
change of its own settings. The statement itself is checked by :mod:`.statements` beforehand.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mdc_resources.config import Home
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.time import UTC, parse_instant, parse_session
from mdc_resources.query.statements import require_select

if TYPE_CHECKING:
    import duckdb

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_as_of(text: str | None) -> int | dt.datetime | None:
    """``--as-of``: a snapshot id (``17``) or an instant with a zone; None where nothing was given."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return parse_instant(text)
    except UsageError as error:
        raise UsageError(
            f"--as-of: {error.message}", hint="A snapshot id (mdc lake snapshots) or 2024-07-03T20:00:00Z"
        ) from None


def parse_known_at(text: str | None) -> dt.datetime | None:
    """``--known-at``: a date, to its end in UTC, or an instant with a zone; None where nothing was given."""
    if text is None:
        return None
    try:
        return end_of(parse_session(text)) if _DATE.fullmatch(text.strip()) else parse_instant(text)
    except UsageError as error:
        raise UsageError(
            f"--known-at: {error.message}", hint="2024-07-03 (to its end, UTC) or 2024-07-03T20:00:00Z"
        ) from None


def end_of(day: dt.date) -> dt.datetime:
    """The last instant of ``day`` that a timestamp can name, UTC."""
    return dt.datetime.combine(day, dt.time.max, UTC)


def connect(
    home: Home, *, as_of: int | dt.datetime | None = None, known_at: dt.datetime | None = None
) -> duckdb.DuckDBPyConnection:
    """A read-only connection with the views in place; the caller closes it.

    ``as_of`` is the lake's own time; ``known_at`` selects the corporate actions that the adjusted
    views apply: those learned and effective by then.
    """
    from mdc_resources.lake import Lake

    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        connection = lake.connect(as_of=as_of, known_at=known_at)
    finally:
        lake.close()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@contextmanager
def run_select(
    home: Home,
    sql: str,
    *,
    as_of: int | dt.datetime | None = None,
    known_at: dt.datetime | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Run one SELECT in a guarded session; yields the connection with the result pending.

    Raises:
        UsageError: the statement is not an allowed SELECT, or DuckDB refuses it.
    """
    import duckdb

    require_select(sql)
    connection = connect(home, as_of=as_of, known_at=known_at)
    try:
        guard(connection, home)
        yield connection.execute(sql)
    except duckdb.Error as error:
        message, *rest = str(error).strip().splitlines()
        raise UsageError(message, hint=" ".join(line.strip() for line in rest[:1])) from None
    finally:
        connection.close()


def guard(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Take away what a SELECT does not need: other files, Python variables, other settings."""
    folder = str(home.lake_dir).replace("'", "''")
    spill = str(home.state_dir / "spill").replace("'", "''")
    for statement in (
        "SET python_enable_replacements = false",
        f"SET temp_directory = '{spill}'",
        f"SET allowed_directories = ['{folder}/']",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(statement)
