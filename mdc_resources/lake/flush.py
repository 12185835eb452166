"""Flushing: inlined ledger rows move from the catalog into sorted Parquet files.

DuckLake writes these files without fsync, so the flush runs in an explicit transaction and every
file that appeared is fsynced with its directory before COMMIT. A crash leaves the rows inlined.

When COMMIT fails, DuckLake deletes the files it wrote; but after a failed fsync of its log SQLite
may still recover the transaction, and the catalog would then name files that are gone (found by
failing every fsync in turn). So each file has a second name, ``*.keep``, until COMMIT has returned;
:func:`restore_kept` puts back what is missing, at the failure and whenever a lake is opened.
"""

from __future__ import annotations

import os
from pathlib import Path

from mdc_resources.lake.catalog import Catalog
from mdc_resources.lake.crashpoints import crashpoint
from mdc_resources.lake.durable import storage, sync_dir, sync_file
from mdc_resources.lake.tables import LEDGERS

INLINED_ROWS_MAX = 50_000
KEEP = ".keep"


class Flusher:
    """Decides when a ledger is due, and flushes. The caller holds the commit lock."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._inlined: int | None = None

    def due(self, *appended: int) -> bool:
        """Count rows appended by a commit; True when some ledger may hold more than the maximum.

        The catalog is counted once; after that this process adds up what it appends. Other
        writers do the same, so the bound is one maximum per writer.
        """
        if self._inlined is None:
            self._inlined = max(self._catalog.inlined_rows().values(), default=0)
        else:
            self._inlined += max(appended, default=0)
        return self._inlined > INLINED_ROWS_MAX

    def flush(self, minimum: int) -> int:
        """Flush every ledger that holds at least ``minimum`` inlined rows; returns rows moved."""
        self._inlined = None
        inlined = self._catalog.inlined_rows()
        moved = 0
        for table in LEDGERS:
            if inlined.get(table.name, 0) >= max(minimum, 1):
                moved += self._flush(table.name)
        return moved

    def _flush(self, table: str) -> int:
        folder = self._catalog.location.data_dir / "main" / table
        before = _files(folder)
        try:
            with self._catalog.transaction(author="mdc", message=f"flush {table}"):
                crashpoint("flush.begun")
                moved = self._catalog.flush(table)
                crashpoint("flush.written")
                for path in sorted(_files(folder) - before):
                    sync_file(path)
                    with storage("link", path):
                        os.link(path, path.with_name(path.name + KEEP))
                for at in (folder, folder.parent, folder.parent.parent):
                    if at.is_dir():
                        sync_dir(at)
                crashpoint("flush.synced")
            crashpoint("flush.done")
        finally:
            restore_kept(folder)
        return moved


def kept_files(data_dir: Path) -> list[Path]:
    """Second names that a flush left behind; there are none unless one died."""
    return [path for table in LEDGERS for path in (data_dir / "main" / table.name).glob(f"*{KEEP}")]


def restore_kept(folder: Path) -> None:
    """Give files their first name back where it is gone. The caller holds the commit lock."""
    kept = list(folder.glob(f"*{KEEP}"))
    for path in kept:
        first = path.with_name(path.name.removesuffix(KEEP))
        with storage("link", first):
            if not first.exists():
                os.link(path, first)
                sync_dir(folder)
            path.unlink()


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()} if folder.is_dir() else set()
