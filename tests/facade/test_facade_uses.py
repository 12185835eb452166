"""``mdc.bars`` leaves a note of what was read, and nothing depends on the note."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

import mdc
from mdc_resources.config import Home
from mdc_resources.state import State
from tests.homes import make_home

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home without data: a read is a read."""
    return make_home(tmp_path / "home", NOWHERE)


def read(home: Home, symbols: str) -> int:
    """Rows of January 2024."""
    return len(mdc.bars(symbols, "2024-01-02", "2024-01-31", config=home.root))


def uses(home: Home) -> dict[str, int]:
    """What the state has counted."""
    with State.open(home) as state:
        return dict(state.uses())


def test_each_read_counts_its_symbols(home: Home) -> None:
    """Once per call, also where there is nothing stored to read."""
    assert uses(home) == {}
    assert [read(home, symbols) for symbols in ("AAPL", "AAPL,IBM", "IBM")] == [0, 0, 0]
    assert uses(home) == {"AAPL": 2, "IBM": 2}


def test_a_read_that_fails_counts_nothing(home: Home) -> None:
    """Asking for a view that is none is no use of a symbol."""
    uses(home)
    with pytest.raises(mdc.UsageError, match="no view"):
        mdc.bars("AAPL", "2024-01-02", "2024-01-31", dataset="nonsense", config=home.root)
    assert uses(home) == {}


def test_reading_works_without_a_state_and_makes_none(home: Home) -> None:
    """A home copied without its machine state, or mounted read-only, is read all the same."""
    assert read(home, "AAPL") == 0
    assert not (home.state_dir / "mdc.sqlite").exists()


def test_reading_works_while_the_state_is_busy(home: Home) -> None:
    """The note is lost, not the read."""
    uses(home)
    with contextlib.closing(sqlite3.connect(home.state_dir / "mdc.sqlite", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        assert read(home, "AAPL") == 0
    assert uses(home) == {}
