"""Real homes and a real sandbox server for the command line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdc_resources.cli.main import app
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.cli.running import Mdc


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the home or the Dagster instance of whoever runs it."""
    for name in list(os.environ):
        if name.startswith("MDC") or name == "DAGSTER_HOME":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def server() -> Iterator[SandboxServer]:
    """The sandbox all tests of this process share; faults are lifted after each test."""
    with SandboxServer(market=Market.synthetic(seed=7)) as running:
        yield running


@pytest.fixture(scope="session")
def pristine(server: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home straight from ``mdc init --sandbox``, to be copied."""
    root = tmp_path_factory.mktemp("pristine") / "home"
    port = server.url.rpartition(":")[2]
    ran = CliRunner().invoke(app, ["init", str(root), "--sandbox", "--port", port])
    assert ran.exit_code == 0, ran.output
    return root


@pytest.fixture
def mdc(pristine: Path, server: SandboxServer, tmp_path: Path) -> Iterator[Mdc]:
    """An empty sandbox home of its own."""
    yield Mdc(_copied(pristine, tmp_path / "home"), server)
    server.clear_faults()


@pytest.fixture(scope="session")
def stocked(pristine: Path, server: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Mdc:
    """A home with AAPL and MSFT, January 2024, daily; to be read only."""
    mdc = Mdc(_copied(pristine, tmp_path_factory.mktemp("stocked") / "home"), server)
    ran = mdc("backfill", "AAPL", "MSFT", "--start", "2024-01-02", "--end", "2024-01-31", "--direct")
    assert ran.code == 0, ran.err
    return mdc


@pytest.fixture
def stocked_copy(stocked: Mdc, tmp_path: Path) -> Mdc:
    """The stocked home, to be changed at will."""
    return Mdc(_copied(stocked.root, tmp_path / "home"), stocked.server)


def _copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    dotenv = target / ".env"
    dotenv.write_text(dotenv.read_text().replace(str(source), str(target)))
    return target
