"""SQL that is no plain read of the lake is refused, and nothing changes anywhere."""

from __future__ import annotations

import hashlib
import socket
import threading

import pytest

from mdc_resources.domain.errors import UsageError
from mdc_resources.query.statements import require_select

STATEMENTS = [
    "COPY bars_1d TO '{home}/lake/x.csv'",
    "COPY (SELECT 1) TO '{home}/lake/x.parquet'",
    "EXPORT DATABASE '{home}/lake/dump'",
    "IMPORT DATABASE '{home}/lake/dump'",
    "ATTACH '{home}/lake/y.duckdb'",
    "ATTACH '{home}/lake/catalog.sqlite' AS c (TYPE sqlite)",
    "DETACH lake",
    "USE memory",
    "SET threads = 1",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET VARIABLE x = 1",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '/tmp/evil.duckdb_extension'",
    "PRAGMA database_list",
    "PRAGMA table_info('bars_1d')",
    "PRAGMA enable_profiling",
    "CALL ducklake_expire_snapshots('lake', older_than => now())",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "CREATE TABLE x AS SELECT 1",
    "CREATE VIEW bars_1d AS SELECT 1",
    "CREATE MACRO f(x) AS x",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "INSERT INTO bars_1d SELECT * FROM bars_1d",
    "UPDATE bars_1d SET close = 0",
    "DELETE FROM bars_1d",
    "TRUNCATE bars_1d",
    "DROP VIEW bars_1d",
    "ALTER TABLE bars_1d ADD COLUMN x INT",
    "BEGIN",
    "COMMIT",
    "CHECKPOINT",
    "VACUUM",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW bars_1d",
    "/* x */ SELECT 1; /* y */ DELETE FROM bars_1d",
    "PIVOT bars_1d ON symbol USING first(close)",
    "MERGE INTO bars_1d USING bars_1d b ON true WHEN MATCHED THEN DELETE",
]
READS = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('{home}/.env')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('{home}/../secret.csv')",
    "SELECT * FROM read_parquet('{home}/lake/data/**/*.parquet')",
    "SELECT * FROM parquet_metadata('x')",
    "SELECT * FROM read_json('/proc/self/environ')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/**')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM '{home}/secret.csv'",
    "SELECT * FROM 'https://example.com/x.parquet'",
    "SELECT * FROM read_csv('http://127.0.0.1:{port}/x')",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "SELECT * FROM sqlite_scan('{home}/state/mdc.sqlite', 'members')",
    "SELECT * FROM sqlite_query('__ducklake_metadata_lake', 'DELETE FROM ducklake_snapshot')",
    "SELECT * FROM sqlite_attach('{home}/state/mdc.sqlite')",
    "SELECT * FROM postgres_query('lake', 'SELECT 1')",
    "SELECT * FROM ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "SELECT * FROM ducklake_expire_snapshots('lake', versions => [1])",
    "SELECT * FROM ducklake_add_data_files('lake', 'bars_1d', '{home}/x.parquet')",
    "SELECT * FROM query('SELECT 42')",
    "SELECT * FROM query_table('bars_1d')",
    "SELECT * FROM json_execute_serialized_sql('x')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_databases",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pragma_database_size()",
    "SELECT * FROM __ducklake_metadata_lake.ducklake_snapshot",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM bars_1d WHERE symbol IN (SELECT content FROM read_text('/etc/passwd'))",
    "WITH a AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM a",
    "SELECT * FROM bars_1d UNION ALL BY NAME SELECT * FROM READ_CSV('/etc/passwd')",
    "SELECT * FROM \"read_text\"('/etc/passwd')",
    "FROM (FROM read_text('/etc/passwd'))",
    "SELECT * FROM repeat('x', 2000000000)",
    "DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
    "SUMMARIZE FROM read_csv('/etc/passwd')",
]


def digest(mdc):
    """Content of everything in the home but machine state."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in mdc.files().items()}


@pytest.fixture(scope="module")
def listener():
    """A port that remembers whether anybody called."""
    called = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)

        def accept():
            while not done.is_set():
                try:
                    server.accept()[0].close()
                    called.set()
                except TimeoutError:
                    continue

        done = threading.Event()
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], called
        done.set()
        thread.join()


@pytest.mark.parametrize("sql", STATEMENTS + READS)
def test_it_is_refused_on_the_command_line(stocked, sql, listener):
    """Exit 2, nothing on stdout, one clear line."""
    ran = stocked("query", sql.format(home=stocked.root, port=listener[0]), "--format", "csv")
    assert ran.code == 2, ran.out
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert "root:" not in ran.err


def test_all_of_them_together_change_no_file_and_open_no_connection(stocked_copy, listener):
    """The home is the same byte for byte, and nobody called out."""
    port, called = listener
    before = digest(stocked_copy)
    for sql in STATEMENTS + READS:
        stocked_copy("query", sql.format(home=stocked_copy.root, port=port))
    assert digest(stocked_copy) == before
    assert not called.is_set()


def test_the_session_itself_refuses_what_a_gap_in_the_list_would_let_through(stocked):
    """The second fence: files outside the lake, the network, settings, and Python's variables."""
    import duckdb

    from mdc_resources import config
    from mdc_resources.query.session import connect, guard

    home = config.load(stocked.toml)
    frame = duckdb.sql("SELECT 1 AS x").to_arrow_table()
    connection = connect(home)
    try:
        guard(connection, home)
        for sql in (
            "SELECT * FROM read_text('/etc/passwd')",
            f"SELECT * FROM read_text('{home.root}/.env')",
            "SET enable_external_access = true",
            "SET threads = 1",
            "INSTALL httpfs",
            "SELECT * FROM frame",
            "DELETE FROM lake.bars_1d",
            f"COPY (SELECT 1) TO '{home.root}/x.csv'",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)
    finally:
        connection.close()
    assert frame.num_rows == 1


def test_an_endless_statement_text_is_refused():
    """100,000 characters are enough for a query."""
    with pytest.raises(UsageError, match="characters"):
        require_select("SELECT " + "1+" * 60_000 + "1")


@pytest.mark.parametrize("depth", [50, 5_000])
def test_deep_nesting_is_answered_or_refused_but_never_crashes(stocked, depth):
    """DuckDB bounds the depth; the walk over the tree does not recurse."""
    ran = stocked("query", "SELECT " + "(" * depth + "1" + ")" * depth, "--format", "csv")
    assert ran.code in (0, 2)
    assert "defect" not in ran.err


def test_a_nul_character_is_refused():
    """What the parser would cut off must not hide anything."""
    with pytest.raises(UsageError, match="NUL"):
        require_select("SELECT 1\0; DROP TABLE x")
