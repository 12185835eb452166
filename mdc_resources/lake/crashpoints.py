"""Named places where a test may kill the process: ``MDC_CRASH_AT=commit.added`` dies there.

The kill is SIGKILL on oneself, so nothing is flushed, closed or unlocked. Without the variable a
crash point costs one dictionary lookup. ``MDC_CRASH_AT=name:3`` dies at the third passage.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "MDC_CRASH_AT"

FILE = ("file.created", "file.written", "file.synced", "file.renamed", "file.durable")
COMMIT = ("commit.locked", "commit.begun", "commit.appended", "commit.added", "commit.checked", "commit.done")
REPLACE = ("replace.deleted",)
FLUSH = ("flush.begun", "flush.written", "flush.synced", "flush.done")
COMPACT = ("compact.written", "compact.added", "compact.done")
CRASH_POINTS = (*FILE, *COMMIT, *REPLACE, *FLUSH, *COMPACT)

_passages: Counter[str] = Counter()


def crashpoint(name: str) -> None:
    """Die here if the environment says so. ``name`` must be one of :data:`CRASH_POINTS`."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    target, _, nth = wanted.partition(":")
    if target != name:
        return
    _passages[name] += 1
    if _passages[name] == int(nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)
