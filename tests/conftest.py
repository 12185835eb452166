"""What every test may rely on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

SHARED = Path(__file__).resolve().parents[2] / "shared"
SLOW_SECONDS = 600


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests get more time; those that serve a home take turns, two of them starve each other."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))
        if hasattr(getattr(item, "module", None), "up") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("served"))


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """No test sees how another one set up logging."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def payloads() -> Path:
    """The folder of recorded provider responses; skips where it is absent."""
    folder = SHARED / "payloads"
    if not folder.is_dir():
        pytest.skip("recorded payloads (../shared/payloads) are not on this machine")
    return folder
