"""The order in which providers of one market are asked, as a pure function of what is known of them.

Precedence, the first difference decides:

1. the basis a series already has (``candidates.in_order``, on top of this order): a series that
   mixes bases is right only with complete corporate actions, so it is not mixed to spare a budget;
2. for facts, whose partitions are nearly all empty: those whose silence is proof;
3. an open breaker goes last: nothing would be sent;
4. budget: those at or below 80 % of every window first, then those above it (they yield, what is
   left is for what only they have), then those that have nothing left for the hour or the day;
5. those that fail more often than not lately come after those that work;
6. rank, then cost per request, then the budget used (in tenths), then the usual latency (in tenths
   of a second), then the name.

A yielding provider is still asked where nobody else can. Which market is asked is settled before,
by rank alone: neither an open breaker nor a spent budget makes one market stand in for another.
A window of a second is left out: it is empty again before the first request has left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum, StrEnum

YIELD_PERCENT = 80
PASSING = ("second",)  # windows that pass while a run is planned
WAITED_OUT = ("second", "minute")  # windows the transport waits out; beyond them it refuses
RECENT_SECONDS = 900.0
FEWEST = 5


class Budget(IntEnum):
    """What is left of a provider's allowance."""

    SPARE = 0
    YIELDING = 1
    SPENT = 2


class Standing(StrEnum):
    """What may be expected of a provider, in one word."""

    READY = "ready"
    FAILING = "failing"
    YIELDING = "yielding"
    EXHAUSTED = "budget exhausted"
    OPEN = "breaker open"
    NO_CREDENTIALS = "no credentials"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Health:
    """The newest requests: how many, how many of them failed, and percentiles of milliseconds."""

    requests: int = 0
    failures: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @property
    def is_failing(self) -> bool:
        """True if more than half of at least five requests failed."""
        return self.requests >= FEWEST and self.failures * 2 > self.requests


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one provider right now. ``used`` maps windows to (used, allowed)."""

    used: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    breaker_open: bool = False
    health: Health = field(default_factory=Health)

    @property
    def budget(self) -> Budget:
        """The scarcest window decides; exactly 80 % does not yield yet."""
        counted = {window: pair for window, pair in self.used.items() if window not in PASSING}
        if any(taken >= limit for window, (taken, limit) in counted.items() if window not in WAITED_OUT):
            return Budget.SPENT
        if any(taken * 100 > limit * YIELD_PERCENT for taken, limit in counted.values()):
            return Budget.YIELDING
        return Budget.SPARE

    @property
    def standing(self) -> Standing:
        """The worst of what is known, in the order of precedence."""
        if self.breaker_open:
            return Standing.OPEN
        if self.budget is not Budget.SPARE:
            return Standing.EXHAUSTED if self.budget is Budget.SPENT else Standing.YIELDING
        return Standing.FAILING if self.health.is_failing else Standing.READY

    @property
    def tenths_used(self) -> int:
        """The fullest window in tenths, rounded down."""
        counted = (pair for window, pair in self.used.items() if window not in PASSING)
        return max((taken * 10 // limit for taken, limit in counted), default=0)


@dataclass(frozen=True, slots=True)
class Turn:
    """One provider in the queue. ``proves`` is False where its silence would have to be corroborated."""

    name: str
    rank: int
    cost: Decimal = Decimal(0)
    proves: bool = True
    facts: Facts = field(default_factory=Facts)


def in_turn(turns: Iterable[Turn]) -> list[Turn]:
    """``turns`` in the order of asking; the order given does not matter."""
    return sorted(turns, key=_precedence)


def health_of(samples: Sequence[tuple[float, float, bool]], *, at: float) -> Health:
    """The health that ``samples`` (sent at, milliseconds, ok) show at ``at``, POSIX seconds.

    Failures count for a quarter of an hour, so that a provider that is not asked any more gets its
    chance again; percentiles (nearest rank) are of the answers among all samples given.
    """
    fresh = [ok for sent, _, ok in samples if at - RECENT_SECONDS < sent]
    times = sorted(milliseconds for _, milliseconds, ok in samples if ok)
    return Health(len(fresh), fresh.count(False), *(percentile(times, percent) for percent in (50, 95, 99)))


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile of ascending values; None of none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _precedence(turn: Turn) -> tuple[object, ...]:
    facts = turn.facts
    return (
        not turn.proves,
        facts.breaker_open,
        facts.budget,
        facts.health.is_failing,
        turn.rank,
        turn.cost,
        facts.tenths_used,
        int((facts.health.p50 or 0) // 100),
        turn.name,
    )
