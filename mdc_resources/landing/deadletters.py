"""What did not land, kept with the reason until it is replayed or dropped: ``state/deadletters.sqlite``.

A letter refers to a frame (segment, record offset, index of the frame in it) or to a whole segment.
The bytes themselves stay in the sealed segment, so that losing this file loses no data; the first
2,000 bytes are kept here for people, with secrets masked. Adding the same reference for the same
cause again changes nothing. Of each cause at most ``LIMIT`` letters are open; what is beyond is counted.
Tried again are letters with a ``next_at``: pauses double, and ``sidecar.land_attempts`` ends them.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from mdc_resources.config import Home
from mdc_resources.domain.errors import LakeBusy, StorageFailed, UsageError
from mdc_resources.domain.time import now
from mdc_resources.landing.letters import (
    WHOLE,
    Cause,
    CauseCount,
    DeadLetter,
    LetterState,
    NewLetter,
    from_row,
)
from mdc_resources.state import pause_after
from mdc_resources.telemetry.masking import mask_cut, mask_text

FILE_NAME = "deadletters.sqlite"
LIMIT = 1_000
RAW_BYTES = 2_000
FIRST_PAUSE, LONGEST_PAUSE = dt.timedelta(minutes=1), dt.timedelta(hours=6)
_REASON = 300
_BUSY_SECONDS = 30
_SCHEMA = """
CREATE TABLE IF NOT EXISTS letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, cause TEXT NOT NULL, segment TEXT NOT NULL,
    record_offset INTEGER NOT NULL, frame INTEGER NOT NULL, symbol TEXT, reason TEXT NOT NULL,
    raw BLOB NOT NULL, added_at REAL NOT NULL, attempts INTEGER NOT NULL, next_at REAL,
    state TEXT NOT NULL, note TEXT NOT NULL,
    UNIQUE (segment, record_offset, frame, cause));
CREATE INDEX IF NOT EXISTS letters_due ON letters (state, next_at);
CREATE INDEX IF NOT EXISTS letters_cause ON letters (cause, state);
CREATE TABLE IF NOT EXISTS beyond (
    cause TEXT NOT NULL, segment TEXT NOT NULL, record_offset INTEGER NOT NULL, frame INTEGER NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (cause, segment));
"""
_COLUMNS = (
    "id, cause, segment, record_offset, frame, symbol, reason, raw, added_at, attempts, next_at, state, note"
)


class DeadLetters:
    """The store of one home; safe to use from several processes, each call is one transaction."""

    def __init__(self, path: Path, *, attempts: int = 5, limit: int = LIMIT) -> None:
        self._path = path
        self._attempts = attempts
        self._limit = limit
        self._made = False

    @classmethod
    def of(cls, home: Home) -> DeadLetters:
        """The dead letters of ``home``; nothing is created before something is added."""
        return cls(home.state_dir / FILE_NAME, attempts=home.settings.sidecar.land_attempts)

    def add(self, letter: NewLetter, *, at: dt.datetime | None = None) -> bool:
        """Keep ``letter``; False if it was known already or is beyond the limit."""
        return self.add_all([letter], at=at) == 1

    def add_all(self, letters: Iterable[NewLetter], *, at: dt.datetime | None = None) -> int:
        """Keep ``letters`` in one transaction, in the order of their segment; returns how many were new."""
        found = list(letters)
        if not found:
            return 0
        moment = (at or now()).timestamp()
        with self._write() as connection:
            room = {cause: self._room(connection, cause) for cause in {letter.cause for letter in found}}
            added = 0
            for letter in found:
                if _known(connection, letter):
                    continue
                if room[letter.cause] > 0:
                    _insert(connection, letter, moment)
                    room[letter.cause] -= 1
                    added += 1
                else:
                    _count_beyond(connection, letter)
        return added

    def due(self, at: dt.datetime, *, limit: int = 100) -> list[DeadLetter]:
        """Open letters to be tried again by ``at``, the longest waiting first."""
        return self._select(
            "state = 'open' AND next_at <= ? ORDER BY next_at, id LIMIT ?", (at.timestamp(), limit)
        )

    def get(self, number: int) -> DeadLetter:
        """The letter with this id; raises UsageError if there is none."""
        found = self._select("id = ?", (number,))
        if not found:
            raise UsageError(
                f"there is no dead letter {number}", hint="mdc stream deadletter list shows their ids"
            )
        return found[0]

    def letters(
        self, *, state: LetterState | None = LetterState.OPEN, cause: Cause | None = None, limit: int = 1_000
    ) -> list[DeadLetter]:
        """The newest letters in ``state`` (None: any) of ``cause`` (None: any)."""
        return self._select(
            "(?1 IS NULL OR state = ?1) AND (?2 IS NULL OR cause = ?2) ORDER BY id DESC LIMIT ?3",
            (state, cause, limit),
        )

    def counts(self) -> dict[Cause, CauseCount]:
        """Letters by cause; causes without any are left out."""
        if not self._path.exists():
            return {}
        counted: dict[Cause, CauseCount] = {}
        with self._read() as connection:
            for cause, state, count in connection.execute(
                "SELECT cause, state, count(*) FROM letters GROUP BY cause, state ORDER BY cause"
            ):
                counted[Cause(cause)] = replace(counted.get(Cause(cause), CauseCount()), **{state: count})
            for cause, count in connection.execute("SELECT cause, sum(count) FROM beyond GROUP BY cause"):
                counted[Cause(cause)] = replace(counted.get(Cause(cause), CauseCount()), beyond=count)
        return counted

    def note_failure(self, number: int, reason: str, *, at: dt.datetime | None = None) -> DeadLetter:
        """Another attempt at an open letter failed; after the last one it waits for a person."""
        before = self.get(number)
        count = before.attempts + 1
        pause = pause_after(count, first=FIRST_PAUSE, longest=LONGEST_PAUSE, seed=before.reference)
        next_at = (at or now()) + pause if count < self._attempts else None
        with self._write() as connection:
            connection.execute(
                "UPDATE letters SET attempts = ?, next_at = ?, reason = ? WHERE id = ? AND state = 'open'",
                (count, next_at.timestamp() if next_at else None, mask_text(reason)[:_REASON], number),
            )
        return self.get(number)

    def note_not_landed(self, segment: str, reason: str, *, at: dt.datetime | None = None) -> DeadLetter:
        """A whole segment failed to land: the first time a new letter, then another attempt at it."""
        letter = NewLetter(segment=segment, cause=Cause.NOT_LANDED, reason=reason)
        with self._write() as connection:
            if not _known(connection, letter):
                _insert(connection, letter, (at or now()).timestamp())
        stored = self._select(
            "segment = ? AND cause = ? AND record_offset = ?", (segment, letter.cause, WHOLE)
        )
        return self.note_failure(stored[0].id, reason, at=at)

    def held_back(self, at: dt.datetime) -> frozenset[str]:
        """Segments that are not to be landed by itself: not due again, given up, or dropped."""
        held = self._select(
            "cause = ? AND (state = 'dropped' OR (state = 'open' AND ifnull(next_at > ?, 1)))",
            (Cause.NOT_LANDED, at.timestamp()),
        )
        return frozenset(letter.segment for letter in held)

    def note_replayed(self, numbers: Collection[int], *, note: str = "") -> int:
        """These landed after all; returns how many were open."""
        return self._close(numbers, LetterState.REPLAYED, note)

    def note_landed(self, segments: Collection[str]) -> int:
        """These segments landed after all: letters that said they did not are closed. Returns how many."""
        if not segments or not self._path.exists():
            return 0
        with self._write() as connection:
            return sum(
                connection.execute(
                    "UPDATE letters SET state = 'replayed', next_at = NULL, note = 'landed'"
                    " WHERE segment = ? AND cause = ? AND state = 'open'",
                    (segment, Cause.NOT_LANDED),
                ).rowcount
                for segment in segments
            )

    def drop(self, numbers: Collection[int], *, reason: str) -> int:
        """Give these up, with the reason; returns how many were open. The bytes stay in the segment."""
        return self._close(numbers, LetterState.DROPPED, reason)

    def _close(self, numbers: Collection[int], state: LetterState, note: str) -> int:
        for number in numbers:
            self.get(number)
        with self._write() as connection:
            return sum(
                connection.execute(
                    "UPDATE letters SET state = ?, next_at = NULL, note = ? WHERE id = ? AND state = 'open'",
                    (state, mask_text(note)[:_REASON], number),
                ).rowcount
                for number in numbers
            )

    def _room(self, connection: sqlite3.Connection, cause: Cause) -> int:
        row = connection.execute("SELECT count(*) FROM letters WHERE cause = ? AND state = 'open'", (cause,))
        return self._limit - int(row.fetchone()[0])

    def _select(self, where: str, values: tuple[object, ...]) -> list[DeadLetter]:
        if not self._path.exists():
            return []
        with self._read() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM letters WHERE {where}", values)  # noqa: S608
            return [from_row(*row) for row in rows]

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as connection:
            yield connection

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection per call: letters are few, and no handle outlives a fork or a thread."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(
                sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            ) as connection:
                if not self._made:
                    connection.executescript(_SCHEMA)
                    self._made = True
                yield connection
        except OSError as error:
            raise StorageFailed(f"{self._path.parent} cannot be made: {error.strerror}") from None
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise LakeBusy(f"{self._path} stayed locked for {_BUSY_SECONDS} s") from None
            raise StorageFailed(
                f"the dead letters {self._path} cannot be used: {error}",
                hint="They are no data: move the file away, and what fails again is kept again",
            ) from None


def _known(connection: sqlite3.Connection, letter: NewLetter) -> bool:
    key = (letter.segment, letter.offset, letter.frame, letter.cause)
    found = connection.execute(
        "SELECT 1 FROM letters WHERE segment = ? AND record_offset = ? AND frame = ? AND cause = ?", key
    )
    return found.fetchone() is not None


def _insert(connection: sqlite3.Connection, letter: NewLetter, moment: float) -> None:
    connection.execute(
        "INSERT INTO letters (cause, segment, record_offset, frame, symbol, reason, raw, added_at, attempts,"
        " next_at, state, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 'open', '')",
        (
            letter.cause,
            letter.segment,
            letter.offset,
            letter.frame,
            letter.symbol,
            mask_text(letter.reason)[:_REASON],
            mask_cut(letter.raw[:RAW_BYTES]),
            moment,
            # What is damaged stays damaged: it waits for a person from the start.
            None if letter.cause is Cause.DAMAGED else moment + FIRST_PAUSE.total_seconds(),
        ),
    )


def _count_beyond(connection: sqlite3.Connection, letter: NewLetter) -> None:
    """Count it once: a segment is gone through in order, what lies before the last one is a repetition."""
    connection.execute(
        "INSERT INTO beyond VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1,"
        " record_offset = excluded.record_offset, frame = excluded.frame"
        " WHERE (excluded.record_offset, excluded.frame) > (record_offset, frame)",
        (letter.cause, letter.segment, letter.offset, letter.frame),
    )
