"""A home and its vendor, per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.homes import Served, make_home


@pytest.fixture(scope="session")
def vendor() -> Iterator[SandboxServer]:
    """One sandbox for the session; each test calms it first."""
    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        yield server


@pytest.fixture
def served(tmp_path: Path, vendor: SandboxServer) -> Served:
    """A sandbox home with yahoo, stooq and alpaca."""
    found = Served(make_home(tmp_path / "home", vendor.url), vendor)
    found.calm()
    return found
