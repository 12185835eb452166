"""The same backfill with its catalog and machine state in a real PostgreSQL server."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from pathlib import Path

import psycopg2
import pytest

from mdc_resources import config
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import parse_symbols
from mdc_resources.ingest import Want, backfill, rebuild
from mdc_resources.lake import Lake
from mdc_resources.sandbox.server import SandboxServer
from tests.homes import KEYS, Served, make_home
from tests.state.conftest import postgres_server  # noqa: F401  the same real server

START, END = dt.date(2024, 3, 4), dt.date(2024, 3, 28)


@pytest.fixture
def database(postgres_server: str) -> str:  # noqa: F811
    """URL of a new, empty database."""
    name = f"lake_{uuid.uuid4().hex[:8]}"
    plain = postgres_server.replace("postgresql+psycopg2", "postgresql")
    with contextlib.closing(psycopg2.connect(plain)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
    base, _, _ = postgres_server.rpartition("/")
    return f"{base}/{name}"


def test_one_setting_moves_catalog_and_state(tmp_path: Path, vendor: SandboxServer, database: str) -> None:
    """Backfill, refetch nothing, verify: as on SQLite, and no SQLite file of ours is made."""
    local = make_home(tmp_path / "home", vendor.url, providers=("yahoo",))
    Served(local, vendor).calm()
    home = config.load(local.config_file, environ={**KEYS, "MDC__LAKE__CATALOG_URL": database})
    home = config.Home(tmp_path / "shared", home.settings, home.secrets, home.origins)
    Lake.create(home.lake_dir, catalog_url=database, sandbox=True).close()
    want = Want(Dataset.BARS_1D, tuple(parse_symbols(["AAPL,IBM"])), START, END)
    first = backfill(home, want, run_id="first")
    assert first.counts == {PartitionState.PRESENT: 38}, first.errors
    again = backfill(home, want, run_id="again")
    assert (again.requests_sent, again.counts) == (0, first.counts)
    with contextlib.closing(Lake.open(home.lake_dir, catalog_url=database)) as lake:
        assert lake.verify(deep=True) == []
    assert not (home.lake_dir / "catalog.sqlite").exists()
    assert not (home.state_dir / "mdc.sqlite").exists()
    with pytest.raises(UsageError, match="SQLite catalog"):
        rebuild(home)
