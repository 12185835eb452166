"""Writing so that it is there after a power cut; any failure is :class:`StorageFailed`, none is retried.

After a failed fsync the kernel may have dropped the pages, and a second one that succeeds proves
nothing (https://wiki.postgresql.org/wiki/Fsync_Errors). Only the lack of room for something new is
:class:`NoSpace`: nothing was written then, and nothing is lost.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mdc_resources.domain.errors import StorageFailed
from mdc_resources.wal.errors import NoSpace

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def storage(action: str, path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into StorageFailed that names ``action`` and ``path``."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(
            f"{action} of {path} failed: {error.strerror or error}",
            hint="Check the disk, then start again: what was acknowledged is kept",
        ) from error


@contextmanager
def space(path: Path) -> Iterator[None]:
    """Turn a full disk inside the block into NoSpace; use it only where nothing is lost by that."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoSpace(
            f"there is no room for {path}: {error.strerror}",
            hint="Free space: writing goes on by itself, and nothing was lost",
        ) from error


def write_all(handle: int, data: bytes, offset: int) -> None:
    """Write all of ``data`` at ``offset``, in as many calls as the system needs; OSError if it cannot."""
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        if written <= 0:
            raise OSError(errno.EIO, "nothing was written")
        view, offset = view[written:], offset + written


def sync_dir(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    with storage("fsync", folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_dirs(folder: Path) -> None:
    """Create ``folder`` and its missing parents, each made durable in its own parent.

    The parent of one that exists is synced too: its maker may have been killed before that.
    """
    missing = [at for at in (folder, *folder.parents) if not at.exists()]
    for at in reversed(missing):
        with storage("mkdir", at):
            at.mkdir(exist_ok=True)
        sync_dir(at.parent)
    if not missing:
        sync_dir(folder.parent)


def move(source: Path, target: Path) -> None:
    """Rename durably, over an existing ``target``, also into another folder."""
    with storage("rename", target):
        source.rename(target)
    sync_dir(target.parent)
    if source.parent != target.parent:
        sync_dir(source.parent)


def remove(path: Path) -> None:
    """Delete durably; a file that is not there is no failure."""
    with storage("unlink", path):
        path.unlink(missing_ok=True)
    sync_dir(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all: temporary file, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with storage("write", path), space(path), temporary.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
    except StorageFailed:
        with suppress(OSError):
            temporary.unlink()
        raise
    move(temporary, path)
