"""DuckDB connections with the pinned extensions, loaded by path from their wheels.

Nothing is downloaded: automatic install and load are off. DuckDB checks a binary's signature when a
process loads it first, a tenth of a second of hashing each; what it found good is not hashed again for
the next connection, unless the file is another one by then.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mdc_resources.domain.errors import LakeError

if TYPE_CHECKING:
    import duckdb


Identity = tuple[str, int, int, int]
_checked: set[Identity] = set()  # binaries whose signature DuckDB found good in this process


def open_duckdb(*extensions: str) -> duckdb.DuckDBPyConnection:
    """A fresh in-memory DuckDB in UTC with ``extensions`` loaded; raises LakeError if one is absent."""
    import duckdb

    paths = [extension_path(name) for name in extensions]
    identities = {_identity(path) for path in paths}
    known_good = identities <= _checked
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_unsigned_extensions": known_good,
    }
    connection = duckdb.connect(":memory:", config=settings)
    try:
        for path in paths:
            connection.execute(f"LOAD {quote(str(path))}")
        connection.execute("SET allow_unsigned_extensions = false")
        connection.execute("SET TimeZone = 'UTC'")
        # Where DuckDB takes a process for a notebook it would draw on stdout, into somebody's JSON.
        connection.execute("SET enable_progress_bar = false")
    except duckdb.Error as error:
        connection.close()
        raise LakeError(
            f"DuckDB refused an extension: {error}", hint="Reinstall the locked requirements"
        ) from None
    _checked.update(identities)
    return connection


def _identity(path: Path) -> Identity:
    told = path.stat()
    return str(path), told.st_ino, told.st_size, told.st_mtime_ns


@cache
def extension_path(name: str) -> Path:
    """Where the wheel ``duckdb-extension-<name>`` keeps its binary for the running DuckDB."""
    import duckdb

    wheel = f"duckdb_extension_{name}"
    spec = importlib.util.find_spec(wheel)
    version = duckdb.__version__
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "extensions" / f"v{version}" / f"{name}.duckdb_extension"
        if path.is_file():
            return path
    package = wheel.replace("_", "-")
    raise LakeError(
        f"{package} for DuckDB {version} is not installed", hint=f"pip install {package}=={version}"
    )


def quote(text: str) -> str:
    """``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
