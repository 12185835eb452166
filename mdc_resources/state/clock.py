"""Is the wall clock to be trusted? What is due, late or expired hangs on it.

Each accepted check leaves a mark: boot, wall clock, and the seconds since boot that no one can set.
Within a boot both must have moved alike; across boots the wall clock may not run back, nor further
ahead than a machine is plausibly switched off. A refused check moves no mark: only
:func:`accept` does.
"""

from __future__ import annotations

import datetime as dt
import socket
import time
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from mdc_resources.domain.errors import ClockJumped
from mdc_resources.domain.time import UTC
from mdc_resources.state.owner import Owner
from mdc_resources.state.tables import clock

TOLERANCE = dt.timedelta(minutes=10)
LONGEST_ABSENCE = dt.timedelta(days=45)
HINT = "Set the clock right; if it is right, mdc doctor --accept-clock goes on from it"


@dataclass(frozen=True, slots=True)
class Reading:
    """The clocks at one moment: POSIX seconds, and seconds since the boot ``boot_id``."""

    host: str
    boot_id: str
    wall: float
    boottime: float

    @classmethod
    def now(cls, at: dt.datetime | None = None) -> Reading:
        """This machine's clocks; ``at`` stands in for its wall clock."""
        wall = time.time() if at is None else at.timestamp()
        return cls(socket.gethostname(), Owner.current().boot_id, wall, _since_boot())


def compare(connection: Connection, seen: Reading) -> None:
    """Raise ClockJumped unless ``seen`` goes on from the mark; moves nothing."""
    highest = connection.scalar(select(func.max(clock.c.highest)))
    mark = connection.execute(select(clock).where(clock.c.host == seen.host)).one_or_none()
    if highest is not None:
        before = None if mark is None else Reading(mark.host, mark.boot_id, mark.wall, mark.boottime)
        _compare(seen, float(highest), before)


def check(connection: Connection, seen: Reading) -> None:
    """Move the mark to ``seen``, or raise ClockJumped and leave it. Needs a write transaction."""
    compare(connection, seen)
    highest = connection.scalar(select(clock.c.highest).where(clock.c.host == seen.host))
    values = {
        "boot_id": seen.boot_id,
        "wall": seen.wall,
        "boottime": seen.boottime,
        "highest": seen.wall if highest is None else max(seen.wall, float(highest)),
    }
    if not connection.execute(update(clock).where(clock.c.host == seen.host).values(**values)).rowcount:
        connection.execute(insert(clock).values(host=seen.host, **values))


def accept(connection: Connection, seen: Reading) -> None:
    """Forget every mark and start from ``seen``."""
    connection.execute(delete(clock))
    check(connection, seen)


def _compare(seen: Reading, highest: float, mark: Reading | None) -> None:
    tolerance = TOLERANCE.total_seconds()
    if seen.wall < highest - tolerance:
        _refuse(seen, highest, "it stood at", seen.wall - highest)
    if mark is not None and mark.boot_id == seen.boot_id:
        expected = mark.wall + (seen.boottime - mark.boottime)
        if abs(seen.wall - expected) > tolerance:
            _refuse(seen, expected, "since the last look it should stand at", seen.wall - expected)
    elif seen.wall > highest + LONGEST_ABSENCE.total_seconds():
        _refuse(seen, highest, "before the last boot it stood at", seen.wall - highest)


def _refuse(seen: Reading, other: float, words: str, seconds: float) -> None:
    raise ClockJumped(
        f"the clock of {seen.host} says {_text(seen.wall)}, but {words} {_text(other)}: "
        f"{dt.timedelta(seconds=round(abs(seconds)))} {'ahead' if seconds > 0 else 'behind'}",
        seconds=seconds,
        hint=HINT,
    )


def _text(posix: float) -> str:
    return dt.datetime.fromtimestamp(posix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _since_boot() -> float:
    """Seconds since boot, suspends included; where the system has no such clock, the monotonic one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
