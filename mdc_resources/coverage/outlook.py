"""Gaps as a person asks about them: from when to when, what was tried, and when it is looked at next.

One line per run of open sessions of a symbol. What was tried is machine state: after a loss of it a
gap counts as never tried, and is asked for again.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from mdc_resources.coverage.gaps import OpenSessions
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import Tries


@dataclass(frozen=True, slots=True)
class GapLine:
    """Consecutive open sessions; both ends inclusive.

    ``partial`` of them were cut short, the others have nothing. ``tries`` is the most often any of
    them was asked for. ``next_at`` is when the first of them is due again, None if that is at the next
    look; ``given_up`` of them are left alone. ``why`` is what providers said most often. ``followed`` is
    False where recovery never looks: before the first session that was ever asked for.
    """

    dataset: Dataset
    symbol: Symbol
    start: dt.date
    end: dt.date
    sessions: int
    partial: int
    tries: int
    next_at: dt.datetime | None
    given_up: int
    why: str
    followed: bool = True

    @property
    def state(self) -> str:
        """``missing``, ``partial`` or both."""
        if not self.partial:
            return "missing"
        return "partial" if self.partial == self.sessions else "missing, partial"

    def next_look(self, at: dt.datetime) -> str:
        """When recovery asks again, for a person."""
        if not self.followed:
            return "never: not begun"
        if self.given_up == self.sessions:
            return "given up"
        if self.next_at is None or self.next_at <= at:
            return "now"
        return f"{self.next_at:%Y-%m-%d %H:%M} UTC"


def gap_lines(
    dataset: Dataset,
    found: Iterable[OpenSessions],
    tries: Mapping[PartitionKey, Tries],
    *,
    followed: Mapping[Symbol, OpenSessions] | None = None,
) -> list[GapLine]:
    """The lines of ``found``, by symbol and date; ``tries`` as :meth:`State.tries` gives them.

    ``followed`` is the part that recovery looks after; by default it is all of ``found``.
    """
    lines = []
    for each in found:
        mine = each.all
        if followed is not None:
            mine = followed[each.symbol].all if each.symbol in followed else Intervals()
            lines += [replace(line, followed=False) for line in _lines(dataset, each, each.all - mine, {})]
        lines += _lines(dataset, each, mine, tries)
    return lines


def _lines(
    dataset: Dataset, found: OpenSessions, runs: Intervals, tries: Mapping[PartitionKey, Tries]
) -> Iterator[GapLine]:
    for start, stop in runs.runs:
        cut = found.partial & Intervals(((start, stop),))
        yield _line(dataset, found, range(start, stop), len(cut), tries)


def _line(
    dataset: Dataset, found: OpenSessions, run: range, partial: int, tries: Mapping[PartitionKey, Tries]
) -> GapLine:
    at = found.calendar.session_at
    known: list[Tries] = []
    if tries:
        keys = (PartitionKey(found.symbol, at(ordinal)) for ordinal in run)
        known = [tries[key] for key in keys if key in tries]
    waiting = [each.next_at for each in known if not each.gave_up]
    return GapLine(
        dataset=dataset,
        symbol=found.symbol,
        start=at(run.start),
        end=at(run.stop - 1),
        sessions=len(run),
        partial=partial,
        tries=max((each.count for each in known), default=0),
        next_at=min(waiting) if waiting and len(known) == len(run) else None,
        given_up=sum(each.gave_up for each in known),
        why=_why(known),
    )


def _why(known: Iterable[Tries]) -> str:
    said = Counter(
        f"{provider.provider}: {provider.reason}" for each in known for provider in each.providers
    ).most_common(2)
    return "; ".join(text for text, _ in said)
