"""``mdc query`` over a PostgreSQL catalog: the guard must not cut the lake off, nor leak its URL."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from mdc_resources.cli.main import app
from tests.cli.running import Mdc
from tests.lake.postgres_server import postgres

PASSWORD = "hunter2-hunter2"


@pytest.fixture(scope="module")
def shared(server, tmp_path_factory):
    """A sandbox home whose catalog is in PostgreSQL, with AAPL of January 2024."""
    root = tmp_path_factory.mktemp("pg") / "home"
    port = server.url.rpartition(":")[2]
    with postgres() as url:
        environ = {"MDC__LAKE__CATALOG_URL": url.replace("mdc@", f"mdc:{PASSWORD}@")}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            made = CliRunner().invoke(app, ["init", str(root), "--sandbox", "--port", port])
            assert made.exit_code == 0, made.output
            mdc = Mdc(root, server)
            ran = mdc("backfill", "AAPL", "--start", "2024-01-02", "--end", "2024-01-31", "--direct")
            assert ran.code == 0, ran.err
            yield mdc, environ


@pytest.fixture
def mdc_on_postgres(shared, monkeypatch):
    """The home, with its catalog in the environment."""
    mdc, environ = shared
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return mdc


def test_a_guarded_query_reads_the_rows(mdc_on_postgres):
    """External access is off, the catalog and its files are still there."""
    ran = mdc_on_postgres("query", "SELECT count(*) AS n, min(close) > 0 AS ok FROM bars_1d", "--json")
    assert ran.code == 0, ran.err
    assert ran.json == [{"n": 21, "ok": True}]


def test_the_password_of_the_catalog_is_never_printed(mdc_on_postgres):
    """Not by config show, not by doctor, not by SQL."""
    for words in (
        ["config", "show", "--origin"],
        ["doctor"],
        ["lake", "status", "--json"],
        ["query", "SELECT * FROM duckdb_databases"],
        ["query", "SELECT * FROM nope"],
        ["query", "SELECT current_setting('secret_directory')"],
    ):
        ran = mdc_on_postgres(*words)
        assert PASSWORD not in ran.out + ran.err, words


def test_the_catalogs_own_tables_are_out_of_reach(mdc_on_postgres):
    """Neither by name nor through the scanner's functions."""
    for sql in (
        "SELECT * FROM __ducklake_metadata_lake.mdc_catalog.ducklake_snapshot",
        "SELECT * FROM postgres_query('__ducklake_metadata_lake', 'SELECT 1')",
        "SELECT * FROM postgres_execute('__ducklake_metadata_lake', 'DROP TABLE x')",
    ):
        assert mdc_on_postgres("query", sql).code == 2
