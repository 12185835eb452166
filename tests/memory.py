"""The peak memory of this process alone."""

from __future__ import annotations

from pathlib import Path


def peak_mb() -> float:
    """The most memory this program has held at once, in MB.

    Not ``getrusage``: what its parent held at the moment of the fork counts there, too.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
