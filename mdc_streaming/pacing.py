"""How long things may take, and how long to wait before they are tried again.

Backoff is exponential, capped and fully jittered, and begins anew only after a connection has
lived a while: a server that accepts and hangs up at once is asked ever more seldom.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

_LEAST = 0.1  # of the first pause: full jitter must not become a hot loop


@dataclass(frozen=True, slots=True)
class Timing:
    """Deadlines of one connection, in seconds. ``settled`` is how long one must live to be trusted again."""

    connect: float = 10.0
    authenticate: float = 10.0
    confirm: float = 15.0
    ask_again: float = 60.0  # for refused and unanswered subscriptions; doubles up to an hour
    ping: float = 15.0
    pong: float = 10.0
    settled: float = 30.0
    tick: float = 0.5
    overlap: float = 30.0  # how long a successor may take to be confirmed
    beside: float = 2.0  # how long the old connection stays open beside a confirmed successor
    early: float = 300.0  # before the server's own limit a connection is replaced
    lease: float = 0.25
    drain: float = 9.0
    stall: float = 5.0  # a loop that slept this long was suspended
    room: float = 1.0  # between two looks at a full disk
    resync: float = 5.0  # between two snapshots of one book


class Backoff:
    """The pause before the next attempt. ``random_unit`` returns [0, 1)."""

    def __init__(
        self, first: float, longest: float, *, random_unit: Callable[[], float] = random.random
    ) -> None:
        self._first = first
        self._longest = longest
        self._random = random_unit
        self.failures = 0

    def failed(self) -> float:
        """Count one more failure in a row; seconds to wait."""
        ceiling = min(self._longest, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        least = min(self._first * _LEAST, ceiling)
        share: float = self._random()
        return least + (ceiling - least) * share

    def settled(self) -> None:
        """It lived: the next failure is the first one."""
        self.failures = 0
