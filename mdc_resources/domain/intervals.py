"""Interval algebra over sets of integers (session ordinals), as sorted disjoint half-open runs.

The canonical form is a tuple of ``(start, end)`` with ``start < end`` and gaps of at least one
between runs, so equal sets compare equal. All operations are linear in the number of runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Run = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Intervals:
    """An immutable set of integers; half-open runs, sorted and disjoint."""

    runs: tuple[Run, ...] = ()

    @classmethod
    def of(cls, values: Iterable[int]) -> Intervals:
        """The set of ``values``, in any order and with repeats."""
        return cls.from_runs((value, value + 1) for value in values)

    @classmethod
    def from_runs(cls, runs: Iterable[Run]) -> Intervals:
        """The union of half-open ``runs``; empty ones are dropped, touching ones are joined."""
        merged: list[Run] = []
        for start, end in sorted(run for run in runs if run[0] < run[1]):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return cls(tuple(merged))

    def __bool__(self) -> bool:
        return bool(self.runs)

    def __len__(self) -> int:
        return sum(end - start for start, end in self.runs)

    def __iter__(self) -> Iterator[int]:
        for start, end in self.runs:
            yield from range(start, end)

    def __or__(self, other: Intervals) -> Intervals:
        return Intervals.from_runs((*self.runs, *other.runs))

    def __and__(self, other: Intervals) -> Intervals:
        found: list[Run] = []
        i = j = 0
        while i < len(self.runs) and j < len(other.runs):
            (a, b), (c, d) = self.runs[i], other.runs[j]
            if max(a, c) < min(b, d):
                found.append((max(a, c), min(b, d)))
            if b <= d:
                i += 1
            else:
                j += 1
        return Intervals(tuple(found))

    def __sub__(self, other: Intervals) -> Intervals:
        left: list[Run] = []
        j = 0
        for start, end in self.runs:
            while j < len(other.runs) and other.runs[j][1] <= start:
                j += 1
            k, at = j, start
            while k < len(other.runs) and other.runs[k][0] < end:
                if at < other.runs[k][0]:
                    left.append((at, other.runs[k][0]))
                at = max(at, other.runs[k][1])
                k += 1
            if at < end:
                left.append((at, end))
        return Intervals(tuple(left))

    def split(self, limit: int) -> Intervals:
        """The same set cut into runs of at most ``limit`` (the result is no longer canonical)."""
        cut = ((at, min(at + limit, end)) for start, end in self.runs for at in range(start, end, limit))
        return Intervals(tuple(cut))

    def hull(self) -> Run:
        """The smallest run that holds the set; ``(0, 0)`` for the empty set."""
        return (self.runs[0][0], self.runs[-1][1]) if self.runs else (0, 0)
