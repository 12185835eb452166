"""A stocked home, made once per module, and copies of it to change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mdc_resources import config
from mdc_resources.domain.symbols import Symbol
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.state import State
from tests.coverage.explaining import LISTINGS, fetch
from tests.homes import KEYS, Served, make_home


@pytest.fixture(scope="module")
def vendor():
    """One sandbox for the module."""
    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        yield server


@pytest.fixture(scope="module")
def stocked(vendor, tmp_path_factory) -> Path:
    """AAPL and NVDA from yahoo, HALT from whoever knows it, spring of 2024; to be copied."""
    root = tmp_path_factory.mktemp("stocked") / "home"
    home = make_home(root, vendor.url)
    (root / "listings.toml").write_text(LISTINGS)
    with State.open(home) as state:
        state.add_members(
            "us", [Symbol(s) for s in ("AAPL", "NVDA", "HALT", "META", "FB", "ZZTOP")], shards=1
        )
    spring = {"start": "2024-03-01", "end": "2024-06-28"}
    fetch(home, "AAPL", "NVDA", **spring, run_id="first-run", provider="yahoo")
    fetch(home, "HALT", **spring, run_id="halt-run")
    return root


@pytest.fixture
def served(stocked, vendor, tmp_path) -> Served:
    """The stocked home, to be changed at will."""
    shutil.copytree(stocked, tmp_path / "home")
    found = Served(config.load(tmp_path / "home" / "mdc.toml", environ=KEYS), vendor)
    found.calm()
    yield found
    found.calm()


@pytest.fixture
def home(served):
    """Of :func:`served`."""
    return served.home
