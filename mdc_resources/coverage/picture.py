"""The picture of a dataset: for each symbol, cell by cell, what is held of what was expected.

A cell is a session, or where that would be too many a month or a year with the share covered. Symbols
that need attention come first. Made by :mod:`.painting`, drawn by :mod:`.heatmap`; nothing here knows
how it looks.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from mdc_resources.calendars import Calendar
from mdc_resources.coverage.outlook import GapLine
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol


class Shade(StrEnum):
    """What a cell shows: the states of a partition, and two ways of not being expected."""

    PRESENT = "present"
    EMPTY = "empty"
    EXPIRED = "expired"
    PARTIAL = "partial"
    MISSING = "missing"
    QUARANTINED = "quarantined"
    PENDING = "pending"
    UNASKED = "unasked"  # before the first session that was ever asked for: recovery leaves it
    UNLISTED = "unlisted"


SETTLED = (Shade.PRESENT, Shade.EMPTY, Shade.EXPIRED)
EXPECTED = (*SETTLED, Shade.PARTIAL, Shade.MISSING, Shade.QUARANTINED)
OPEN = (Shade.PARTIAL, Shade.MISSING)
Tally = Counter[Shade]


class Grain(StrEnum):
    """How much time a cell stands for."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


class Cell(NamedTuple):
    """``first``..``last`` are dates, inclusive. ``shade`` is the worst within; ``note`` says why.

    A cell of many sessions is one month (or year), or several in a row that have nothing to tell.
    """

    first: dt.date
    last: dt.date
    shade: Shade
    expected: int
    covered: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One symbol: its cells by date, without holes in time between the first and the last."""

    symbol: Symbol
    calendar: Calendar
    cells: tuple[Cell, ...]
    tally: Tally

    @property
    def expected(self) -> int:
        """Sessions that should be held by now."""
        return expected(self.tally)

    @property
    def covered(self) -> int:
        """Those of them that are settled."""
        return covered(self.tally)


@dataclass(frozen=True, slots=True)
class Picture:
    """``rows`` worst first. ``untouched`` symbols have no ledger line, so nothing is expected of them.

    Both dates are inclusive. ``snapshot`` is the version of the lake it was made from.
    """

    dataset: Dataset
    title: str
    at: dt.datetime
    snapshot: int
    start: dt.date
    end: dt.date
    grain: Grain
    rows: tuple[Row, ...]
    tally: Tally
    gaps: tuple[GapLine, ...]
    untouched: tuple[Symbol, ...]

    @property
    def expected(self) -> int:
        """Sessions that should be held by now, of all symbols."""
        return expected(self.tally)

    @property
    def covered(self) -> int:
        """Those of them that are settled."""
        return covered(self.tally)

    @property
    def percent(self) -> float | None:
        """Share covered, rounded down so that 100 means all; None where nothing is expected."""
        return percent(self.covered, self.expected)


def expected(tally: Tally) -> int:
    """Sessions in ``tally`` that should be held."""
    return sum(tally[shade] for shade in EXPECTED)


def covered(tally: Tally) -> int:
    """Sessions in ``tally`` that are settled: present, empty or expired."""
    return sum(tally[shade] for shade in SETTLED)


def percent(part: int, whole: int) -> float | None:
    """``part`` of ``whole`` in tenths of a percent, rounded down."""
    return part * 1000 // whole / 10 if whole else None
