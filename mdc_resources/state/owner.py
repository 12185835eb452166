"""Who holds a claim, and whether that process still lives.

A process is the same one only if host, boot, pid and start time all agree, so a reused pid or a
reboot frees what the dead held. A process on another host (or in another pid namespace) cannot be
seen from here: its claims lapse by time alone. Outside Linux boot and start time are unknown and
left out of the comparison.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_PROC = Path("/proc")
_START_TIME = 19  # field 22 of /proc/<pid>/stat, counted after the parenthesised name


@dataclass(frozen=True, slots=True)
class Owner:
    """One process. ``boot_id`` and ``started`` are empty where the system does not tell."""

    host: str
    boot_id: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        pid = os.getpid()
        return cls(_host(), _boot_id(), pid, _started(pid))

    def is_dead(self) -> bool:
        """True only if this owner certainly runs no more; unknown counts as alive."""
        if self.host != _host():
            return False
        if self.boot_id != _boot_id():
            return bool(self.boot_id and _boot_id())
        if not _exists(self.pid):
            return True
        now_started = _started(self.pid)
        return bool(self.started and now_started and self.started != now_started)


def _host() -> str:
    """Host name and pid namespace: pids compare only within one."""
    try:
        namespace = (_PROC / "self/ns/pid").readlink().name
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}/{namespace}"


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Start time in clock ticks since boot; empty if unknown. A zombie counts as not started."""
    try:
        fields = (
            (_PROC / str(pid) / "stat")
            .read_text(encoding="utf-8", errors="replace")
            .rsplit(")", 1)[1]
            .split()
        )
    except (OSError, IndexError):
        return ""
    return "zombie" if fields[0] in "ZX" else fields[_START_TIME]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
