"""The commit lock: one writer at a time per lake, held from before BEGIN until after COMMIT.

With a SQLite catalog it is a file lock, with PostgreSQL an advisory lock of the server, so that
writers on several machines exclude each other. Both vanish with the process that holds them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from mdc_resources.domain.errors import LakeBusy, LakeError

TIMEOUT_SECONDS = 120.0
_BUSY_HINT = "Another commit, flush or compaction is running; try again when it is done"


class CommitLock(Protocol):
    """Something that can be held by one writer at a time."""

    def hold(self, *, timeout: float = TIMEOUT_SECONDS) -> AbstractContextManager[None]:
        """Hold the lock for the block; raises LakeBusy after ``timeout`` seconds."""
        ...


class FileLock:
    """An advisory lock on a file beside the catalog."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def hold(self, *, timeout: float = TIMEOUT_SECONDS) -> Iterator[None]:
        """Hold the lock for the block; raises LakeBusy after ``timeout`` seconds."""
        import filelock

        lock = filelock.FileLock(self._path, timeout=timeout, thread_local=False)
        try:
            lock.acquire(poll_interval=0.005)
        except filelock.Timeout:
            raise LakeBusy(
                f"the commit lock {self._path} was not free for {timeout:g} s", hint=_BUSY_HINT
            ) from None
        try:
            yield
        finally:
            lock.release()


class AdvisoryLock:
    """A session-level advisory lock of the PostgreSQL server; the key is derived from the lake's id."""

    def __init__(self, dsn: str, lake_id: str) -> None:
        self._dsn = dsn
        digest = hashlib.blake2b(lake_id.encode(), digest_size=8).digest()
        self._key = int.from_bytes(digest, "big", signed=True)

    @contextmanager
    def hold(self, *, timeout: float = TIMEOUT_SECONDS) -> Iterator[None]:
        """Hold the lock for the block; raises LakeBusy after ``timeout`` seconds."""
        import psycopg2
        from psycopg2.errors import LockNotAvailable

        try:
            session = psycopg2.connect(self._dsn)
        except psycopg2.OperationalError:
            raise LakeError(
                "the PostgreSQL catalog cannot be reached",
                hint="Is lake.catalog_url right and the server up?",
            ) from None
        session.autocommit = True
        try:
            with session.cursor() as cursor:
                cursor.execute("SET lock_timeout = %s", (int(timeout * 1000),))
                try:
                    cursor.execute("SELECT pg_advisory_lock(%s)", (self._key,))
                except LockNotAvailable:
                    raise LakeBusy(
                        f"the commit lock was not free for {timeout:g} s", hint=_BUSY_HINT
                    ) from None
            yield
        finally:
            session.close()
