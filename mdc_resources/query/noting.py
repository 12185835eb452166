"""A reader leaves a note of what it read: what is used most is repaired first.

A note never fails a read, waits for anybody, or makes a state where there is none. Reading must not
load the database layer of ``state`` for it (a fifth of a second): with SQLite, the rule, the note is
one upsert over a plain connection, below a millisecond; with Postgres a thread sends it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing

from mdc_resources.config import Home
from mdc_resources.domain.symbols import Symbol

_WAIT_SECONDS = 0.02
_SQLITE = """
    INSERT INTO uses (symbol, reads) VALUES (?, 1)
    ON CONFLICT (symbol) DO UPDATE SET reads = uses.reads + 1"""
_POSTGRES = """
    INSERT INTO mdc_state.uses AS uses (symbol, reads) SELECT unnest(%s::varchar[]), 1
    ON CONFLICT (symbol) DO UPDATE SET reads = uses.reads + 1"""


def note_reading(home: Home, symbols: Sequence[Symbol]) -> None:
    """Count one use of each of ``symbols`` in the state of ``home``, if that is easily done."""
    named = sorted(set(symbols))
    url = home.settings.lake.catalog_url
    if not named:
        return
    if url:
        threading.Thread(target=_send, args=(url, named), name="note-reading").start()
        return
    with contextlib.suppress(sqlite3.Error, OSError):
        _write(home, named)


def _write(home: Home, symbols: Sequence[Symbol]) -> None:
    """The upsert, without the checkpoint (30 ms of fsync) with which SQLite's last connection closes.

    A reader's connection stays open until the writer's is closed, and cannot checkpoint itself.
    """
    file = (home.state_dir / "mdc.sqlite").as_uri()
    with contextlib.ExitStack() as stack:
        reader, writer = (
            stack.enter_context(closing(sqlite3.connect(f"{file}?mode={mode}", _WAIT_SECONDS, uri=True)))
            for mode in ("ro", "rw")
        )
        writer.execute("PRAGMA synchronous=NORMAL")
        with writer:
            writer.executemany(_SQLITE, [(symbol,) for symbol in symbols])
        reader.execute("SELECT 1 FROM uses LIMIT 1").fetchone()


def _send(url: str, symbols: Sequence[Symbol]) -> None:
    try:
        import psycopg2
    except ModuleNotFoundError:
        return
    dsn = url.replace("+psycopg2", "", 1)
    with contextlib.suppress(psycopg2.Error), contextlib.ExitStack() as stack:
        opened = psycopg2.connect(dsn, connect_timeout=2, options="-c lock_timeout=500")
        database = stack.enter_context(closing(opened))
        with database, database.cursor() as cursor:
            cursor.execute(_POSTGRES, [list(symbols)])
