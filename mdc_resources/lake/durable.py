"""Making bytes survive a power cut: temp, fsync, rename, fsync of the directory.

A failed write, rename or fsync raises :class:`StorageFailed` and is never retried: after a failed
fsync the kernel may have dropped the pages, and a second fsync that succeeds proves nothing
(https://wiki.postgresql.org/wiki/Fsync_Errors).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mdc_resources.domain.errors import StorageFailed
from mdc_resources.lake.crashpoints import crashpoint


@contextmanager
def storage(action: str, path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into StorageFailed that names ``action`` and ``path``."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(
            f"{action} of {path} failed: {error.strerror or error}",
            hint="Free space or check the disk, then run the same command again: nothing was published",
        ) from error


def sync_file(path: Path) -> None:
    """fsync the file at ``path``; raises StorageFailed."""
    _sync(path, os.O_RDONLY)


def sync_dir(path: Path) -> None:
    """fsync the directory ``path``, so that its entries survive; raises StorageFailed."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def make_dirs(path: Path) -> None:
    """Create ``path`` and its missing parents, each made durable in its own parent."""
    missing: list[Path] = []
    at = path
    while not at.exists():
        missing.append(at)
        at = at.parent
    for folder in reversed(missing):
        with storage("mkdir", folder):
            folder.mkdir(exist_ok=True)
        sync_dir(folder.parent)


def publish(temp: Path, final: Path) -> None:
    """Make the finished file ``temp`` appear durably as ``final``, which must not exist yet."""
    sync_file(temp)
    crashpoint("file.synced")
    with storage("rename", final):
        if final.exists():
            raise FileExistsError(17, "it exists already", str(final))
        temp.rename(final)
    crashpoint("file.renamed")
    sync_dir(final.parent)
    crashpoint("file.durable")


def write_text(path: Path, text: str) -> None:
    """Write a small new file durably."""
    temp = path.with_name(path.name + ".tmp")
    with storage("write", temp):
        temp.write_text(text, encoding="utf-8")
    publish(temp, path)


def _sync(path: Path, flags: int) -> None:
    with storage("fsync", path):
        handle = os.open(path, flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
