"""The only module that speaks DuckLake: attach, append, add and drop files, flush, snapshots.

Of DuckLake's calls only ``add_data_files``, ``flush_inlined_data``, ``list_files`` and
``set_commit_message`` are used; expiry and clean-up belong to retention. Data tables never inline
and lose whole files only, so DuckLake writes no delete files; ledgers always inline. The SQLite
catalog is opened through DuckDB alone: a second copy of SQLite in one process breaks its locks.
"""

# ruff: noqa: S608 - names in statements are constants of this package; values are bound or quoted

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdc_resources.domain.errors import LakeError, MdcError, StorageFailed
from mdc_resources.lake.extensions import open_duckdb, quote
from mdc_resources.lake.location import Location
from mdc_resources.lake.model import Snapshot
from mdc_resources.lake.tables import IDENTITY, SCHEMA_VERSION, TABLES, TableSpec

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

ALIAS = "lake"
PG_SCHEMA = "mdc_lake"
_INLINE_ALWAYS = 1_000_000_000
_FULL = (
    "disk is full",
    "no space left",
    "disk i/o error",
    "file too large",
    "could not write",
    "quota exceeded",
)


def attach(
    location: Location, *, create: bool = False, read_only: bool = False, snapshot: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A fresh DuckDB with the lake attached as ``lake``; raises LakeError if it cannot be."""
    options = [
        f"DATA_PATH {quote(f'{location.data_dir}/')}",
        "OVERRIDE_DATA_PATH true",  # the lake may have been moved since the catalog was made
        f"CREATE_IF_NOT_EXISTS {str(create).lower()}",
        "DATA_INLINING_ROW_LIMIT 0",
    ]
    if location.kind == "sqlite":
        source = f"ducklake:sqlite:{location.sqlite_path}"
        options += ["META_JOURNAL_MODE 'WAL'", "META_BUSY_TIMEOUT 30000"]
        if not create and not location.sqlite_path.is_file():
            raise LakeError(
                f"{location.sqlite_path} is missing",
                hint="Restore it from a backup, or rebuild the lake from raw/",
            )
    else:
        source = f"ducklake:postgres:{location.dsn}"
        options.append(f"METADATA_SCHEMA {quote(PG_SCHEMA)}")
    if read_only:
        options.append("READ_ONLY")
    if snapshot is not None:
        options.append(f"SNAPSHOT_VERSION {int(snapshot)}")
    connection = open_duckdb("ducklake", f"{location.kind}_scanner")
    with _named("attaching the catalog", secret=location.password):
        connection.execute(f"ATTACH {quote(source)} AS {ALIAS} ({', '.join(options)})")
    return connection


class Catalog:
    """A writer's connection to the catalog. Not thread-safe; the commit lock is the caller's."""

    def __init__(self, location: Location, *, create: bool = False) -> None:
        self.location = location
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._create = create
        # The schema of DuckLake's own tables, for the few facts its functions do not tell.
        self._meta = f"__ducklake_metadata_{ALIAS}" + (f".{PG_SCHEMA}" if location.url else "")

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection, opened when first needed and again after a failure."""
        if self._connection is None:
            self._connection = attach(self.location, create=self._create)
            # A commit is a dozen tiny statements: a second thread costs a third more CPU and saves nothing.
            self._connection.execute("SET threads = 1")
        return self._connection

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def transaction(
        self, *, author: str = "", message: str = "", extra: dict[str, object] | None = None
    ) -> Iterator[int]:
        """One DuckLake transaction; yields the id its snapshot will have. Rolls back on any error."""
        with self.calls("the transaction"):
            self.connection.execute("BEGIN")
            following = self.current_snapshot() + 1
        try:
            yield following
            with self.calls("the commit"):
                if message:
                    self.connection.execute(
                        f"CALL {ALIAS}.set_commit_message(?, ?, extra_info => ?)",
                        [author, message, json.dumps(extra or {})],
                    )
                self.connection.execute("COMMIT")
        except BaseException:
            # A connection whose COMMIT failed may still hold a transaction: drop it as a whole.
            with suppress(Exception):
                self.connection.execute("ROLLBACK")
            with suppress(Exception):
                self.close()
            raise

    def migrate(self, lake_id: str) -> None:
        """Create what is missing of a new lake's tables, then write its identity: the last step."""
        self._make(TABLES)
        facts = f"VALUES ('lake_id', {quote(lake_id)}), ('schema_version', '{SCHEMA_VERSION}')"
        with self.transaction(author="mdc", message="name the lake"), self.calls("naming the lake"):
            self.connection.execute(f"INSERT INTO {ALIAS}.{IDENTITY.name} {facts}")

    def upgrade(self) -> None:
        """Bring an older lake to this program's version; the caller holds the commit lock.

        So far versions differ by tables of their own. An upgrade that was interrupted is repeated.
        """
        known = self.table_names()
        self._make([table for table in TABLES if table.name not in known])
        with self.transaction(author="mdc", message="upgrade the lake"), self.calls("upgrading the lake"):
            self.connection.execute(
                f"INSERT INTO {ALIAS}.{IDENTITY.name} VALUES ('schema_version', '{SCHEMA_VERSION}')"
            )

    def _make(self, tables: Sequence[TableSpec]) -> None:
        """Create ``tables`` where they do not exist, with their order and options."""
        run = self.connection.execute
        with self.transaction(author="mdc", message="create the tables"), self.calls("creating the tables"):
            for table in tables:
                run(table.ddl.replace("CREATE TABLE ", f"CREATE TABLE IF NOT EXISTS {ALIAS}.", 1))
                if table.sort:
                    order = ", ".join(f"{name} ASC" for name in table.sort)
                    run(f"ALTER TABLE {ALIAS}.{table.name} SET SORTED BY ({order})")
        # Options can only be set on tables that are committed already.
        with (
            self.transaction(author="mdc", message="name the lake"),
            self.calls("setting the tables' options"),
        ):
            run(f"CALL {ALIAS}.set_option('parquet_compression', 'zstd')")
            for table in tables:
                limit = _INLINE_ALWAYS if table.sort else 0
                option = f"'data_inlining_row_limit', {limit}, table_name => '{table.name}'"
                run(f"CALL {ALIAS}.set_option({option})")

    def identity(self) -> dict[str, str]:
        """``lake_id`` and ``schema_version`` as the catalog has them; empty for an unfinished lake."""
        import duckdb

        with self.calls("reading the lake's identity"):
            # An upgrade appends the new version; the newest counts.
            newest = "ORDER BY CASE WHEN name = 'schema_version' THEN value::INTEGER END"
            try:  # asking first which tables there are would take ten times as long
                return dict(self._rows(f"SELECT name, value FROM {ALIAS}.{IDENTITY.name} {newest}"))
            except duckdb.CatalogException:
                return {}

    def table_names(self) -> set[str]:
        """Names of the tables the catalog has: an older lake lacks some."""
        with self.calls("listing the tables"):
            # DuckLake's own list: `duckdb_tables()` looks at every table's files, some 0.1 s a call.
            rows = self._rows(
                f"SELECT table_name FROM {self._meta}.ducklake_table WHERE end_snapshot IS NULL"
            )
        return {name for (name,) in rows}

    def current_snapshot(self) -> int:
        """Id of the newest snapshot this transaction sees."""
        with self.calls("reading the snapshot id"):
            return int(self._rows(f"FROM ducklake_current_snapshot('{ALIAS}')")[0][0])

    def append(self, table: str, rows: pa.Table) -> None:
        """Append ``rows`` to a ledger; inlined into the catalog."""
        with self.calls(f"appending to {table}"):
            self.connection.register("appended_rows", rows)
            try:
                self.connection.execute(f"INSERT INTO {ALIAS}.{table} SELECT * FROM appended_rows")
            finally:
                self.connection.unregister("appended_rows")

    def add_file(self, table: str, path: Path) -> None:
        """Make a durable file part of ``table``; refuses one the catalog already knows."""
        relative = str(path.relative_to(self.location.data_dir / "main" / table))
        with self.calls(f"adding {path.name}"):
            known = self._rows(
                f"SELECT 1 FROM {self._meta}.ducklake_data_file WHERE path = ? LIMIT 1", [relative]
            )
            if known:
                raise LakeError(
                    f"{path} is in the catalog already", hint="Adding it again would double its rows"
                )
            self.connection.execute(f"CALL ducklake_add_data_files('{ALIAS}', '{table}', {quote(str(path))})")

    def files_with(self, table: str, keys: pa.Table) -> list[str]:
        """Paths of the files that hold rows of ``keys`` (columns symbol, session)."""
        with self.calls(f"finding the files of {table}"):
            self.connection.register("wanted_keys", keys)
            try:
                rows = self._rows(
                    f"SELECT DISTINCT filename FROM {ALIAS}.{table}"
                    " SEMI JOIN wanted_keys USING (symbol, session) WHERE session BETWEEN"
                    " (SELECT min(session) FROM wanted_keys) AND (SELECT max(session) FROM wanted_keys)"
                )
            finally:
                self.connection.unregister("wanted_keys")
        return sorted(row[0] for row in rows)

    def rows_of_files(self, table: str, paths: Sequence[str], *, but: pa.Table | None = None) -> pa.Table:
        """All rows of the files ``paths`` as Arrow, except those of the keys ``but``."""
        names = ", ".join(quote(path) for path in paths)
        anti = "ANTI JOIN left_out USING (symbol, session)" if but is not None else ""
        with self.calls(f"reading the files of {table}"):
            if but is not None:
                self.connection.register("left_out", but)
            try:
                return self.connection.execute(
                    f"SELECT * FROM {ALIAS}.{table} {anti} WHERE filename IN ({names})"
                ).to_arrow_table()
            finally:
                if but is not None:
                    self.connection.unregister("left_out")

    def drop_files(self, table: str, paths: Sequence[str]) -> int:
        """Delete every row of the files ``paths``: the files leave the table. Returns the rows."""
        names = ", ".join(quote(path) for path in paths)
        with self.calls(f"dropping files of {table}"):
            return int(self._rows(f"DELETE FROM {ALIAS}.{table} WHERE filename IN ({names})")[0][0])

    def files(self, table: str) -> list[tuple[str, int]]:
        """(absolute path, bytes) of the files of ``table`` now; none where an older lake lacks the table."""
        if table not in self.table_names():
            return []
        with self.calls(f"listing the files of {table}"):
            return self._rows(
                f"SELECT data_file, data_file_size_bytes FROM ducklake_list_files('{ALIAS}', '{table}')"
            )

    def known_paths(self) -> set[str]:
        """Absolute paths of every file any readable snapshot or a pending clean-up needs."""
        query = (
            f"SELECT t.table_name, f.path, f.path_is_relative FROM {self._meta}.ducklake_data_file f"
            f" JOIN {self._meta}.ducklake_table t USING (table_id)"
            f" UNION SELECT t.table_name, f.path, f.path_is_relative FROM {self._meta}.ducklake_delete_file f"
            f" JOIN {self._meta}.ducklake_table t USING (table_id)"
        )
        with self.calls("listing all files"):
            rows = self._rows(query)
        base = self.location.data_dir / "main"
        return {str(base / table / path) if relative else path for table, path, relative in rows}

    def file_records(self) -> list[tuple[str, str, int, int]]:
        """(table, absolute path, rows, bytes) of every file any readable snapshot needs."""
        query = (
            f"SELECT DISTINCT t.table_name, f.path, f.path_is_relative, f.record_count, f.file_size_bytes"
            f" FROM {self._meta}.ducklake_data_file f JOIN {self._meta}.ducklake_table t USING (table_id)"
        )
        with self.calls("listing all files"):
            rows = self._rows(query)
        base = self.location.data_dir / "main"
        return [
            (table, str(base / table / path) if rel else path, n, size) for table, path, rel, n, size in rows
        ]

    def file_shapes(self) -> dict[str, tuple[int, int, int]]:
        """Rows, bytes and length of the footer, as the catalog has them, of every file by absolute path."""
        query = (
            "SELECT t.table_name, f.path, f.path_is_relative, f.record_count, f.file_size_bytes,"
            " f.footer_size"
            f" FROM {self._meta}.ducklake_data_file f JOIN {self._meta}.ducklake_table t USING (table_id)"
        )
        with self.calls("listing all files"):
            rows = self._rows(query)
        base = self.location.data_dir / "main"
        return {
            str(base / table / path) if rel else path: (int(n), int(size), int(footer or 0))
            for table, path, rel, n, size, footer in rows
        }

    def inlined_rows(self) -> dict[str, int]:
        """Rows of each table that still lie in the catalog."""
        with self.calls("counting inlined rows"):
            tables = self._rows(
                f"SELECT DISTINCT t.table_name, i.table_name FROM {self._meta}.ducklake_inlined_data_tables i"
                f" JOIN {self._meta}.ducklake_table t USING (table_id)"
            )
            counts: dict[str, int] = {}
            for table, inlined in tables:
                live = f"SELECT count(*) FROM {self._meta}.{inlined} WHERE end_snapshot IS NULL"
                counts[table] = counts.get(table, 0) + int(self._rows(live)[0][0])
        return counts

    def flush(self, table: str) -> int:
        """Write the inlined rows of ``table`` to a file inside the open transaction; returns how many."""
        with self.calls(f"flushing {table}"):
            rows = self._rows(
                f"SELECT rows_flushed FROM ducklake_flush_inlined_data('{ALIAS}', table_name => '{table}')"
            )
        return sum(int(row[0]) for row in rows)

    def row_counts(self) -> dict[str, int]:
        """Rows of every table now."""
        known = self.table_names()
        with self.calls("counting rows"):
            return {
                t.name: int(self._rows(f"SELECT count(*) FROM {ALIAS}.{t.name}")[0][0])
                if t.name in known
                else 0
                for t in TABLES
            }

    def snapshots(self) -> list[Snapshot]:
        """All readable snapshots, oldest first."""
        with self.calls("listing snapshots"):
            rows = self._rows(
                "SELECT snapshot_id, snapshot_time, author, commit_message"
                f" FROM ducklake_snapshots('{ALIAS}') ORDER BY 1"
            )
        return [
            Snapshot(int(i), at.astimezone(dt.UTC), author or "", message or "")
            for i, at, author, message in rows
        ]

    def query(
        self,
        sql: str,
        parameters: Sequence[object] = (),
        *,
        threads: int = 1,
        tables: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """Read with SQL over ``lake.<table>`` and over ``tables``; for the lake's own modules.

        ``threads`` is for reads of a whole ledger.
        """
        with self.calls("reading"), self._using(threads, tables or {}) as connection:
            return connection.execute(sql, list(parameters)).to_arrow_table()

    def calls(self, what: str) -> Any:
        """Name DuckDB's errors inside the block."""
        return _named(what, secret=self.location.password)

    @contextmanager
    def _using(self, threads: int, tables: Mapping[str, pa.Table]) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self.connection
        for name, table in tables.items():
            connection.register(name, table)
        if threads > 1:
            connection.execute(f"SET threads = {int(threads)}")
        try:
            yield connection
        finally:
            if threads > 1:
                connection.execute("SET threads = 1")
            for name in tables:
                connection.unregister(name)

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        return self.connection.execute(sql, list(parameters)).fetchall()


@contextmanager
def _named(what: str, *, secret: str = "") -> Iterator[None]:
    """Turn DuckDB's errors into ours: StorageFailed where the disk refused, else LakeError."""
    import duckdb

    try:
        yield
    except MdcError:
        raise
    except (duckdb.Error, OSError) as error:
        text = " ".join(str(error).split())[:400]
        if secret:
            text = text.replace(secret, "***")
        if any(sign in str(error).lower() for sign in _FULL):
            raise StorageFailed(
                f"{what} failed: {text}",
                hint="Check the disk and its space, then run it again: the lake is old or new, never partial",
            ) from None
        raise LakeError(f"{what} failed: {text}", hint="mdc lake verify checks the lake") from None
