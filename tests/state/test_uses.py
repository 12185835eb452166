"""Uses: how often a symbol is read, counted without getting in the reader's way."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

from mdc_resources.config import Home
from mdc_resources.domain.symbols import Symbol
from mdc_resources.query.noting import note_reading
from mdc_resources.state import State

AAPL, IBM = Symbol("AAPL"), Symbol("IBM")


def test_uses_add_up(state: State) -> None:
    """One per call and symbol, however often a call names it."""
    assert state.uses() == {}
    state.note_use([AAPL, IBM, AAPL])
    state.note_use([AAPL])
    state.note_use([])
    assert state.uses() == {AAPL: 2, IBM: 1}


def test_a_reader_notes_what_it_read(home: Home) -> None:
    """The light way counts into the same table, in both databases."""
    with State.open(home) as state:
        for _ in range(3):
            note_reading(home, [AAPL, IBM])
        note_reading(home, [AAPL])
        for thread in threading.enumerate():  # with Postgres a thread sends it
            if thread.name == "note-reading":
                thread.join(timeout=30)
        assert state.uses() == {AAPL: 4, IBM: 3}


def test_a_reader_makes_no_state(sqlite_home: Home) -> None:
    """Reading a home that has no state yet leaves none behind."""
    note_reading(sqlite_home, [AAPL])
    assert not (sqlite_home.state_dir / "mdc.sqlite").exists()


def test_a_state_without_the_table_is_left_alone(sqlite_home: Home) -> None:
    """A state of an older release: the read goes on, nothing is noted."""
    sqlite_home.state_dir.mkdir()
    sqlite3.connect(sqlite_home.state_dir / "mdc.sqlite").close()
    note_reading(sqlite_home, [AAPL])


def test_a_busy_state_is_not_waited_for(sqlite_home: Home) -> None:
    """A writer in the middle of something costs the reader its note, not its time."""
    with State.open(sqlite_home) as state:
        blocker = sqlite3.connect(sqlite_home.state_dir / "mdc.sqlite", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        try:
            started = time.perf_counter()
            note_reading(sqlite_home, [AAPL])
            assert time.perf_counter() - started < 1.0
        finally:
            blocker.close()
        assert state.uses() == {}


def test_a_damaged_state_does_not_stop_a_reader(sqlite_home: Home) -> None:
    """Reading data does not depend on the state's health."""
    sqlite_home.state_dir.mkdir()
    file: Path = sqlite_home.state_dir / "mdc.sqlite"
    file.write_bytes(b"x" * 8192)
    note_reading(sqlite_home, [AAPL])
    assert file.read_bytes() == b"x" * 8192


def test_a_note_costs_next_to_nothing(sqlite_home: Home) -> None:
    """A thousand notes of forty symbols each take a few seconds at the very most."""
    State.open(sqlite_home).close()
    symbols = [Symbol(f"S{n}") for n in range(40)]
    note_reading(sqlite_home, symbols)
    started = time.perf_counter()
    for _ in range(100):
        note_reading(sqlite_home, symbols)
    assert (time.perf_counter() - started) / 100 < 0.05, "under a millisecond on an idle machine"
