"""What every test may rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def payloads() -> Path:
    """The folder of recorded provider responses; skips where it is absent."""
    folder = SHARED / "payloads"
    if not folder.is_dir():
        pytest.skip("recorded payloads (../shared/payloads) are not on this machine")
    return folder
