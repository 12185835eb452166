"""A sandbox home per test, its Dagster instance, and its definitions: all real."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, Definitions, ExecuteInProcessResult

from mdc_assets.definition_set import build
from mdc_assets.instance import open_instance
from mdc_assets.partitions import register
from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.symbols import Symbol
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.state import State
from tests.homes import KEYS, Served, make_home
from tests.state.conftest import postgres_server  # noqa: F401  the same real server

BARS = AssetKey(["bars_1d", "us_00"])
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Launch = Callable[..., ExecuteInProcessResult]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the home or the Dagster instance of whoever runs it; the vendor's keys are set."""
    for name in list(os.environ):
        if name.startswith(("MDC", "DAGSTER")):
            monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def vendor() -> Iterator[SandboxServer]:
    """One sandbox for the session; each test calms it first."""
    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        yield server


@pytest.fixture(scope="session")
def pristine(vendor: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sandbox home that follows AAPL and MSFT, its Dagster databases made; to be copied."""
    root = tmp_path_factory.mktemp("pristine") / "home"
    made = make_home(root, vendor.url, providers=("yahoo", "stooq"))
    follow(made, "AAPL", "MSFT")
    with open_instance(made, silent=True) as opened, State.open(made) as state:
        register(opened, state.members())
    return root


@pytest.fixture
def served(pristine: Path, tmp_path: Path, vendor: SandboxServer) -> Served:
    """A sandbox home of this test alone."""
    shutil.copytree(pristine, tmp_path / "home")
    found = Served(config.load(tmp_path / "home" / config.FILE_NAME, environ=KEYS), vendor)
    found.calm()
    return found


@pytest.fixture
def home(served: Served) -> Home:
    """The home of :func:`served`."""
    return served.home


@pytest.fixture
def instance(home: Home) -> Iterator[DagsterInstance]:
    """Its Dagster instance, with the members registered as keys."""
    with open_instance(home, silent=True) as opened:
        yield opened


@pytest.fixture
def definitions(home: Home) -> Definitions:
    """What its code location defines."""
    return build(home)


@pytest.fixture
def launch(definitions: Definitions, instance: DagsterInstance) -> Launch:
    """``launch(key, first, last)``: materialise a range of partitions as the web UI does."""

    def run(key: AssetKey, first: str, last: str, **config: object) -> ExecuteInProcessResult:
        job = definitions.resolve_implicit_global_asset_job_def()
        op = "__".join(key.path)
        return job.execute_in_process(
            instance=instance,
            asset_selection=[key],
            tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
            run_config={**QUIET, "ops": {op: {"config": config}}},
            raise_on_error=False,
        )

    return run


def follow(home: Home, *symbols: str, universe: str = "us") -> None:
    """Seat ``symbols`` in a universe."""
    with State.open(home) as state:
        state.add_members(universe, [Symbol(symbol) for symbol in symbols], shards=1)


def key_of(symbol: str, session: str) -> PartitionKey:
    """``key_of("AAPL", "2024-01-02")``."""
    return PartitionKey(Symbol(symbol), dt.date.fromisoformat(session))
