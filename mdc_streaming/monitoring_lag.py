"""How late a feed is: percentiles of receive time minus event time over a sliding window.

Samples are counted in bins a thirty-second of their size wide, so that memory is bounded whatever
the rate and a percentile is exact to 3 %. A lag is negative where the vendor's clock is ahead of ours.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from itertools import accumulate

_PARTS = 6
_FINE = 5  # bits of a sample that are kept


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nanoseconds, of ``samples`` events."""

    p50: int
    p95: int
    p99: int
    samples: int

    def as_dict(self) -> dict[str, int]:
        """For ``/status``."""
        return {"p50": self.p50, "p95": self.p95, "p99": self.p99, "samples": self.samples}


class LagWindow:
    """The samples of the last ``seconds``, forgotten a sixth at a time."""

    __slots__ = ("_current", "_length", "_parts", "_turn_at")

    def __init__(self, now: float, *, seconds: float = 60.0) -> None:
        self._length = seconds / _PARTS
        self._turn_at = now + self._length
        self._current: dict[int, int] = {}
        self._parts = deque([self._current], maxlen=_PARTS)

    def add(self, lag_ns: int) -> None:
        """One sample."""
        place = _bin(lag_ns) if lag_ns >= 0 else -_bin(-lag_ns)
        current = self._current
        current[place] = current.get(place, 0) + 1

    def turn(self, now: float) -> None:
        """Forget what is older than the window; to be called a few times a second."""
        while now >= self._turn_at:
            self._current = {}
            self._parts.append(self._current)
            # After a long sleep of the machine all of it is old: no need to turn through every part.
            self._turn_at = max(self._turn_at + self._length, now - self._length * _PARTS)

    def percentiles(self) -> Percentiles | None:
        """None where the window has no sample."""
        counts: dict[int, int] = {}
        for part in self._parts:
            for place, count in part.items():
                counts[place] = counts.get(place, 0) + count
        total = sum(counts.values())
        if not total:
            return None
        ordered = sorted(counts.items())
        p50, p95, p99 = (_at(ordered, total * share) for share in (0.5, 0.95, 0.99))
        return Percentiles(p50, p95, p99, total)


def _at(ordered: list[tuple[int, int]], rank: float) -> int:
    """The sample below which ``rank`` of them lie."""
    places, counts = zip(*ordered, strict=True)
    place = places[min(bisect_left(list(accumulate(counts)), rank), len(places) - 1)]
    return _middle(place) if place >= 0 else -_middle(-place)


def _bin(number: int) -> int:
    """The bin of a number >= 0; bins are in the order of the numbers."""
    shift = number.bit_length() - _FINE - 1
    return number if shift <= 0 else (shift << _FINE) + (number >> shift)


def _middle(place: int) -> int:
    """The middle of the numbers in a bin."""
    shift = (place >> _FINE) - 1
    if shift <= 0:
        return place
    return ((place - (shift << _FINE)) << shift) + (1 << shift >> 1)
