"""A dead letter: what it refers to, why, and where it stands. Stored by :mod:`.deadletters`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from mdc_resources.domain.time import UTC

WHOLE = -1  # the offset and frame of a letter about a whole segment


class Cause(StrEnum):
    """What went wrong, coarsely enough to be counted by."""

    UNDECODABLE = "undecodable"  # the decoder cannot make sense of a frame, or of a part of it
    UNSTORABLE = "unstorable"  # decoded, but a value does not fit its column
    DAMAGED = "damaged"  # the segment's own checksums fail
    NOT_LANDED = "not-landed"  # the whole segment, for whatever reason


class LetterState(StrEnum):
    """Where a letter stands; only open ones are tried again."""

    OPEN = "open"
    REPLAYED = "replayed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLetter:
    """What :meth:`DeadLetters.add` is told. ``segment`` is its name (``coinbase-0/000000000012``).

    ``offset`` and ``frame`` are left out for a whole segment. ``raw`` may be of any length.
    """

    segment: str
    cause: Cause
    reason: str
    offset: int = WHOLE
    frame: int = WHOLE
    symbol: str | None = None
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One stored letter. ``next_at`` is None where it waits for a person; ``note`` is why it was closed."""

    id: int
    cause: Cause
    segment: str
    offset: int
    frame: int
    symbol: str | None
    reason: str
    raw: bytes
    added_at: dt.datetime
    attempts: int
    next_at: dt.datetime | None
    state: LetterState
    note: str

    @property
    def is_whole_segment(self) -> bool:
        """True where nothing of the segment landed."""
        return self.offset == WHOLE

    @property
    def reference(self) -> str:
        """What it refers to, as text: ``coinbase-0/000000000012@4096.3``."""
        return self.segment if self.is_whole_segment else f"{self.segment}@{self.offset}.{self.frame}"

    def as_dict(self) -> dict[str, object]:
        """JSON's own types; ``raw`` is text, with what is not UTF-8 escaped."""
        return {
            "id": self.id,
            "cause": self.cause.value,
            "segment": self.segment,
            "offset": None if self.is_whole_segment else self.offset,
            "frame": None if self.is_whole_segment else self.frame,
            "symbol": self.symbol,
            "reason": self.reason,
            "raw": self.raw.decode(errors="backslashreplace"),
            "added_at": self.added_at.isoformat(),
            "attempts": self.attempts,
            "next_at": self.next_at.isoformat() if self.next_at else None,
            "state": self.state.value,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class CauseCount:
    """How many letters of one cause are in which state; ``beyond`` were counted and not kept."""

    open: int = 0
    replayed: int = 0
    dropped: int = 0
    beyond: int = 0


def from_row(
    number: int,
    cause: str,
    segment: str,
    offset: int,
    frame: int,
    symbol: str | None,
    reason: str,
    raw: bytes,
    added_at: float,
    attempts: int,
    next_at: float | None,
    state: str,
    note: str,
) -> DeadLetter:
    """A stored row, its columns in the order of :class:`DeadLetter`."""
    return DeadLetter(
        number,
        Cause(cause),
        segment,
        offset,
        frame,
        symbol,
        reason,
        bytes(raw),
        dt.datetime.fromtimestamp(added_at, UTC),
        attempts,
        None if next_at is None else dt.datetime.fromtimestamp(next_at, UTC),
        LetterState(state),
        note,
    )
