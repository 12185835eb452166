"""Transactions on the machine state: SQLite in the home, or Postgres beside the catalog.

Writers are serialised in both: ``BEGIN IMMEDIATE`` in SQLite, an advisory lock in Postgres, so
that "read, decide, write" is one step whatever the database. Reads see a committed snapshot.
Driver errors leave here as :class:`LakeBusy` or :class:`StorageFailed`, without a URL in them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock
from filelock import Timeout as FileLockTimeout
from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from mdc_resources.config import Home
from mdc_resources.domain.errors import ConfigError, LakeBusy, LakeError, MdcError, StorageFailed
from mdc_resources.state.tables import SCHEMA, VERSION, counters, metadata

FILE_NAME = "mdc.sqlite"
_ADVISORY_LOCK = 0x6D64635F73746174  # "mdc_stat"
_BUSY_SECONDS = 30


class StateEngine:
    """A database with the tables in place. ``write`` and ``read`` are its transactions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(mdc_read=True)
        self._create()

    @classmethod
    def of(cls, home: Home) -> StateEngine:
        """The state of ``home``: Postgres if its catalog is there, else a file of its own."""
        url = home.settings.lake.catalog_url
        return cls(_postgres(url) if url.startswith("postgresql") else _sqlite(home.state_dir / FILE_NAME))

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One serialised transaction; rolled back if the block raises."""
        with _translated(), self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent read."""
        with _translated(), self._reader.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _create(self) -> None:
        with self.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            metadata.create_all(connection)
            version = connection.scalar(select(counters.c.value).where(counters.c.name == "schema"))
            if version is None:
                start = [{"name": "schema", "value": VERSION}, {"name": "attempt", "value": 0}]
                connection.execute(insert(counters), start)
            elif version > VERSION:
                raise LakeError(
                    f"the machine state has version {version}, this release reads up to {VERSION}",
                    hint="Install the newer mdc that wrote it",
                )
            elif version < VERSION:  # what later versions added are tables of their own, made above
                connection.execute(update(counters).where(counters.c.name == "schema").values(value=VERSION))


def _sqlite(path: Path) -> Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _use_wal(path)
    except FileLockTimeout:
        raise LakeBusy(f"the machine state {path} stayed locked for {_BUSY_SECONDS} s") from None
    except OSError as error:
        raise StorageFailed(f"{path.parent} cannot be made: {error.strerror}") from None
    except sqlite3.Error as error:
        raise StorageFailed(f"the machine state {path} cannot be used: {error}") from None
    url = make_url("sqlite+pysqlite://").set(database=str(path))
    engine = create_engine(
        url,
        # pysqlite would open transactions behind our back, and too late: BEGIN is ours.
        connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None, "check_same_thread": False},
        execution_options={"schema_translate_map": {SCHEMA: None}},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _pragmas(dbapi_connection: sqlite3.Connection, _record: object) -> None:
        dbapi_connection.execute("PRAGMA synchronous=NORMAL").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("mdc_read", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _use_wal(path: Path) -> None:
    """Switch the file to WAL mode, which it keeps.

    SQLite answers "locked" at once, without waiting, when two processes switch a new file at the
    same moment: a file lock lets one go first.
    """
    with (
        FileLock(f"{path}.lock", timeout=_BUSY_SECONDS),
        closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as new,
    ):
        new.execute("PRAGMA journal_mode=WAL")


def _postgres(url: str) -> Engine:
    try:
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    except ModuleNotFoundError:
        raise ConfigError(
            "lake.catalog_url is Postgres and its driver is not installed",
            key="lake.catalog_url",
            hint="pip install 'mdc[postgres]'",
        ) from None
    except SQLAlchemyError as error:
        raise ConfigError(
            f"lake.catalog_url cannot be used: {type(error).__name__}", key="lake.catalog_url"
        ) from None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except MdcError:
        raise
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error).__name__
        if "locked" in said or "lock timeout" in said:
            raise LakeBusy(f"the machine state stayed locked for {_BUSY_SECONDS} s: {said}") from None
        raise StorageFailed(f"the machine state cannot be used: {said}") from None
