"""Which SQL a stranger may run: one SELECT over the lake's tables, decided on its syntax tree.

DuckDB's own switches do not suffice: a directory it may read it may also write (``COPY``,
``ATTACH``, ``EXPORT``), and table functions of its extensions delete files from inside a SELECT.
So statements are allow-listed by kind and table functions by name; a statement that cannot be
shown as a tree is refused. https://duckdb.org/docs/stable/operations_manual/securing_duckdb
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from mdc_resources.domain.errors import UsageError

MAX_CHARACTERS = 100_000
TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
_FILE_ENDINGS = (
    ".csv",
    ".parquet",
    ".json",
    ".ndjson",
    ".jsonl",
    ".db",
    ".duckdb",
    ".sqlite",
    ".gz",
    ".zst",
    ".txt",
)
_HINT = "Only one SELECT (or FROM ..., WITH ..., DESCRIBE, SHOW TABLES) over the lake's tables is run"


def require_select(sql: str) -> None:
    """Raise UsageError unless ``sql`` is one SELECT over tables and a few harmless functions."""
    import duckdb

    if len(sql) > MAX_CHARACTERS or "\0" in sql:
        raise UsageError(f"the statement has {len(sql)} characters, or a NUL among them", hint=_HINT)
    with duckdb.connect() as scratch:
        try:
            kinds = [statement.type.name for statement in scratch.extract_statements(sql)]
        except duckdb.Error as error:
            raise UsageError(_first_line(error), hint="mdc query 'SHOW TABLES' lists the tables") from None
        if kinds != ["SELECT"]:
            raise UsageError(f"refused: {' and '.join(kinds[:4]) or 'no statement'}", hint=_HINT)
        found = scratch.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    tree = json.loads(found[0]) if found else {"error": True}
    if tree["error"]:
        raise UsageError("refused: the statement is not a plain SELECT", hint=_HINT)
    for node in _nodes(tree):
        _check(node)


def _check(node: Mapping[str, object]) -> None:
    kind = node.get("type")
    if kind == "TABLE_FUNCTION":
        function = node.get("function")
        name = str(function.get("function_name", "")) if isinstance(function, Mapping) else ""
        if name.lower() not in TABLE_FUNCTIONS:
            raise UsageError(f"refused: the table function {name!a}", hint=_HINT)
    elif kind == "BASE_TABLE":
        name = str(node.get("table_name", ""))
        scope = f"{node.get('catalog_name') or ''}.{node.get('schema_name') or ''}".lower()
        if "/" in name or "\\" in name or name.lower().endswith(_FILE_ENDINGS):
            raise UsageError(f"refused: {name!a} reads like a file, not a table", hint=_HINT)
        # duckdb_databases and its like show connection strings; the metadata schema is the catalog.
        if name.lower().startswith(("duckdb_", "pragma_", "sqlite_")) or "__ducklake" in scope:
            raise UsageError(f"refused: the system table {name!a}", hint=_HINT)


def _nodes(tree: object) -> Iterator[Mapping[str, object]]:
    """Every object of the tree; iterative, since a statement may nest deeply."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
