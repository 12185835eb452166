"""What every test may rely on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

SHARED = Path(__file__).resolve().parents[2] / "shared"


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
