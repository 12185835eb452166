"""One vendor and one filled home for the session; every drill gets a copy to damage."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.e2e import drill
from tests.homes import KEYS

CopyOf = Callable[..., Home]
Told = Callable[[str], drill.Content]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No drill sees the home or the Dagster instance of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(("MDC__", "DAGSTER")) or name == "MDC_CONFIG":
            monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def vendor() -> Iterator[SandboxServer]:
    """One sandbox for the session, never restarted; each drill calms it first."""
    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        yield server


@pytest.fixture(scope="session")
def filled(vendor: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that holds everything, filled in calm weather; to be copied."""
    root = tmp_path_factory.mktemp("filled") / "home"
    drill.fill(drill.write_home(root, vendor))
    return root


@pytest.fixture
def home_of(filled: Path, tmp_path: Path, vendor: SandboxServer) -> CopyOf:
    """``home_of(size=100)``: a copy of the filled home with settings of its own."""
    vendor.clear_faults()
    vendor.clear_requests()

    def copy(**settings: object) -> Home:
        root = tmp_path / "home"
        shutil.copytree(filled, root)
        drill.write_home(root, vendor, **settings)
        return config.load(root / config.FILE_NAME, environ=KEYS)

    return copy


@pytest.fixture(scope="session")
def told_by(
    vendor: SandboxServer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], drill.Content]:
    """``told_by("stooq")``: what one vendor says of everything, in calm weather."""
    known: dict[str, drill.Content] = {}

    def told(provider: str) -> drill.Content:
        if provider not in known:
            home = drill.write_home(tmp_path_factory.mktemp(provider) / "home", vendor, providers=[provider])
            drill.fill_directly(home)
            known[provider] = drill.content(home)
        return known[provider]

    return told
