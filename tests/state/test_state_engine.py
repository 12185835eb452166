"""Opening the machine state: by many at once, on broken ground, from another release."""

from __future__ import annotations

import multiprocessing as mp
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.errors import ConfigError, LakeBusy, LakeError, StorageFailed
from mdc_resources.state import State
from mdc_resources.state import engine as module


def _open(config_file: str, gate: Any, answers: Any) -> None:
    gate.wait(60)
    try:
        with State.open(config.load(Path(config_file), environ={})) as opened:
            answers.put(len(opened.members()))
    except Exception as error:
        answers.put(repr(error))


def test_many_may_open_a_new_state_at_once(home: Home, spawn: Callable[..., mp.Process]) -> None:
    """Four processes that find no tables make them once."""
    context = mp.get_context("spawn")
    gate, answers = context.Barrier(4), context.Queue()
    for _ in range(4):
        spawn(_open, str(home.config_file), gate, answers)
    assert [answers.get(timeout=60) for _ in range(4)] == [0, 0, 0, 0]


def test_a_newer_state_is_refused(sqlite_home: Home) -> None:
    """A state written by a later release is not touched; the message says so."""
    State.open(sqlite_home).close()
    with sqlite3.connect(sqlite_home.state_dir / "mdc.sqlite") as database:
        database.execute("UPDATE counters SET value = 99 WHERE name = 'schema'")
    database.close()
    with pytest.raises(LakeError, match=r"version 99.*newer mdc"):
        State.open(sqlite_home)


def test_a_file_in_the_way_is_named(sqlite_home: Home) -> None:
    """A state folder that cannot be made is a storage error with its path."""
    sqlite_home.state_dir.write_text("not a folder", encoding="utf-8")
    with pytest.raises(StorageFailed, match="state"):
        State.open(sqlite_home)


def test_a_damaged_file_is_a_storage_error(sqlite_home: Home) -> None:
    """Something that is no database is reported, not overwritten."""
    sqlite_home.state_dir.mkdir()
    file = sqlite_home.state_dir / "mdc.sqlite"
    file.write_bytes(b"x" * 8192)
    with pytest.raises(StorageFailed, match="not a database"):
        State.open(sqlite_home)
    assert file.read_bytes() == b"x" * 8192


def test_a_lock_that_stays_is_busy(sqlite_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that never ends gives LakeBusy, which may be tried again."""
    monkeypatch.setattr(module, "_BUSY_SECONDS", 0.1)
    with State.open(sqlite_home) as opened:
        blocker = sqlite3.connect(sqlite_home.state_dir / "mdc.sqlite", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(LakeBusy):
                opened.add_members("us", [], shards=1)
            assert opened.members() == []
        finally:
            blocker.close()


def test_a_missing_driver_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres without its driver says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "psycopg2", None)
    url = "postgresql+psycopg2://u:SEKRET_pw@127.0.0.1:1/x"
    (tmp_path / "mdc.toml").write_text(f'[lake]\ncatalog_url = "{url}"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mdc\[postgres\]") as caught:
        State.open(config.load(tmp_path / "mdc.toml", environ={}))
    assert "SEKRET" not in str(caught.value)


def test_an_unreachable_server_does_not_tell_the_password(tmp_path: Path) -> None:
    """A refused connection is a storage error without the URL's password."""
    pytest.importorskip("psycopg2")
    url = "postgresql+psycopg2://u:SEKRET_pw@127.0.0.1:1/x"
    (tmp_path / "mdc.toml").write_text(f'[lake]\ncatalog_url = "{url}"\n', encoding="utf-8")
    with pytest.raises(StorageFailed, match="refused") as caught:
        State.open(config.load(tmp_path / "mdc.toml", environ={}))
    assert "SEKRET" not in str(caught.value)


def test_an_error_rolls_back(state: State) -> None:
    """A transaction whose block raises leaves nothing behind."""
    from sqlalchemy import insert, select

    from mdc_resources.state.tables import counters

    def interrupted() -> None:
        with state._engine.write() as connection:
            connection.execute(insert(counters).values(name="half", value=1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with state._engine.read() as connection:
        assert set(connection.scalars(select(counters.c.name))) == {"schema", "attempt"}
