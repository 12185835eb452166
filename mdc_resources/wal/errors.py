"""What can be wrong with a log, each with where and what.

LakeError
├── StorageFailed
│   └── NoSpace      no room for the next segment: nothing was lost, try again later   RETRY
├── WalDamaged       bytes that were written are no longer what they were
├── NewerLog         written by a later release: refused, not guessed at
└── LogTaken         another process writes this shard
"""

from __future__ import annotations

from pathlib import Path

from mdc_resources.domain.errors import Disposition, LakeError, StorageFailed


class NoSpace(StorageFailed):
    """The disk has no room for what is to come. All that was appended is still held and can be committed."""

    disposition = Disposition.RETRY


class WalDamaged(LakeError):
    """A segment's bytes changed after they were written.

    ``offset`` is where the first record begins that cannot be read (in the uncompressed segment),
    ``following`` where the next valid one does, or None.
    """

    def __init__(self, path: Path, offset: int, reason: str, following: int | None = None) -> None:
        self.path = path
        self.offset = offset
        self.reason = reason
        self.following = following
        onward = "none is valid after it" if following is None else f"the next valid one is at {following}"
        super().__init__(
            f"{path} is damaged at offset {offset}: {reason}; {onward}",
            hint="Restore the file from a copy; mdc stream wal verify checks it",
        )


class NewerLog(LakeError):
    """The segment's format version is one that this release does not know."""

    def __init__(self, path: Path, version: int, known: int) -> None:
        self.path = path
        self.version = version
        super().__init__(
            f"{path} has format version {version}; this release reads up to {known}",
            hint="Use the release that wrote it, or a later one",
        )


class LogTaken(LakeError):
    """Another process is writing this shard's log."""

    disposition = Disposition.RETRY
