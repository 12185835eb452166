"""Where a lake's catalog and files are.

The catalog is a SQLite file inside the lake, or a PostgreSQL schema named by one setting
(``lake.catalog_url``); data files always lie below the lake's directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mdc_resources.domain.errors import ConfigError

SQLITE_NAME = "catalog.sqlite"


@dataclass(frozen=True, slots=True)
class Location:
    """Where a lake's catalog and files are. ``url`` empty means SQLite inside ``lake_dir``."""

    lake_dir: Path
    url: str = ""

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgres``."""
        return "postgres" if self.url else "sqlite"

    @property
    def data_dir(self) -> Path:
        """The directory DuckLake calls DATA_PATH; catalog paths are relative to it."""
        return self.lake_dir / "data"

    @property
    def sqlite_path(self) -> Path:
        """The SQLite catalog."""
        return self.lake_dir / SQLITE_NAME

    @property
    def password(self) -> str:
        """The password in the URL, to be kept out of messages; empty if there is none."""
        return unquote(urlsplit(self.url).password or "")

    @property
    def dsn(self) -> str:
        """libpq connection string of a PostgreSQL catalog; raises ConfigError on another URL."""
        return _dsn(self.url)


def _dsn(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise ConfigError(
            "lake.catalog_url is not a PostgreSQL URL",
            key="lake.catalog_url",
            hint="postgresql://user@host/database, or empty for SQLite",
        )
    fields = {
        "host": parts.hostname,
        "port": parts.port,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "dbname": unquote(parts.path.lstrip("/")),
    }
    return " ".join(f"{name}={_libpq(str(value))}" for name, value in fields.items() if value)


def _libpq(value: str) -> str:
    """A value quoted for a libpq connection string."""
    if value and all(c.isalnum() or c in "._-/" for c in value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
