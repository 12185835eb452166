"""Watches the wall clock against the monotonic one, and the loop against both.

A wall clock that moved by more than a second is a mark in every log. One that ran ahead while
nothing ran here (a suspended machine), or a loop that did not turn for seconds (a stopped process),
means that the other side may have given up on the connections: they are replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

STEP_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Look:
    """What changed since the look before: ``stepped_ns`` (0: nothing worth a mark), and a standstill."""

    stepped_ns: int
    stalled_seconds: float


class ClockWatch:
    """Compares two clocks. ``wall`` and ``steady`` return nanoseconds."""

    def __init__(
        self,
        *,
        wall: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._ahead = wall() - steady()
        self._last = steady()

    def look(self) -> Look:
        """To be called about once a second."""
        steady = self._steady()
        ahead = self._wall() - steady
        stepped, elapsed = ahead - self._ahead, steady - self._last
        self._last = steady
        if abs(stepped) <= STEP_NS:
            stepped = 0  # slewing is followed only once it has summed up: the base stays
        else:
            self._ahead = ahead
        return Look(stepped, (elapsed + max(0, stepped)) / 1e9)
