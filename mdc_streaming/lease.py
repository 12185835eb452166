"""One writer per shard: a file lock on ``wal/<shard>/LEASE``, with who holds it written beside it.

The kernel frees the lock when its holder dies, however it dies, so a standby takes over at once and
nobody has to judge whether a pid is still the same process. The note beside it only informs.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mdc_resources.domain.errors import StorageFailed
from mdc_resources.state.owner import Owner

LOCK_NAME = "LEASE"
NOTE_NAME = "LEASE.json"


class Lease:
    """The right to write ``shard``'s log. Not re-entrant; released by :meth:`release` or by death."""

    def __init__(self, wal_dir: Path, shard: str) -> None:
        self._folder = wal_dir / shard
        self._lock = FileLock(self._folder / LOCK_NAME, timeout=0, thread_local=False)

    @property
    def held(self) -> bool:
        """True while this process may write."""
        return self._lock.is_locked

    def acquire(self) -> bool:
        """Take it if it is free; False if another has it; StorageFailed if the folder is unusable."""
        if self.held:
            return True
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            raise StorageFailed(
                f"the lease of {self._folder.name} cannot be taken: {error.strerror}",
                hint="Check the home's disk and its permissions",
            ) from None
        self._note()
        return True

    def release(self) -> None:
        """Give it back; nothing happens if it is not held."""
        self._lock.release()

    def holder(self) -> dict[str, Any]:
        """Who wrote the note: ``pid``, ``host``; empty where there is none to read."""
        try:
            note = json.loads((self._folder / NOTE_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _note(self) -> None:
        """Best effort: a full disk must not keep a standby from taking over."""
        scratch = self._folder / f"{NOTE_NAME}.{os.getpid()}"
        try:
            scratch.write_text(json.dumps(asdict(Owner.current())) + "\n", encoding="utf-8")
            scratch.replace(self._folder / NOTE_NAME)
        except OSError:
            scratch.unlink(missing_ok=True)
