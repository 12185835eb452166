"""Who writes a shard: one process at a time, on this boot of the machine."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from mdc_resources.wal.errors import LogTaken
from mdc_resources.wal.files import storage


def locked(path: Path, shard: str) -> int:
    """A descriptor that holds the lock of ``path`` until it is closed, also by the process's death."""
    with storage("open", path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise LogTaken(
            f"the log of {shard} is being written by another process: {error.strerror}",
            hint="mdc stream status shows who holds it",
        ) from None
    return handle


def boot_id() -> str:
    """Which boot of the machine this is; empty where the system does not say."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
