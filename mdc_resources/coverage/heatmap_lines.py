"""One line per symbol: a cell a month, or a year, shaded by the share covered.

For universes too large for a cell a session. Neighbouring cells that have nothing to tell are one
element, so a line costs little where all is well.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from itertools import pairwise

from mdc_resources.coverage.heatmap_style import LOOKS, step_of
from mdc_resources.coverage.picture import Cell, Grain, Picture, Row, Shade, percent


def lines_of(picture: Picture) -> Iterator[str]:
    """The axis, then a line for all symbols together, then each symbol."""
    axis = _Axis(picture)
    years = "".join(axis.years())
    yield '<div class="lines">'
    yield f'<span></span><span></span><div class="grid axis" style="{axis.columns}">{years}</div>'
    yield from _line("all symbols", picture.covered, picture.expected, _summed(picture, axis), axis)
    for row in picture.rows:
        yield from _line(row.symbol, row.covered, row.expected, row.cells, axis)
    yield "</div>"


class _Axis:
    """Columns of the grid: months or years since the picture's first."""

    def __init__(self, picture: Picture) -> None:
        self.monthly = picture.grain is Grain.MONTH
        self.first = 0
        self.first = self.column(picture.start) - 1
        self.last = self.column(picture.end)
        self.columns = f"grid-template-columns:repeat({self.last},minmax(0,1fr))"

    def column(self, date: dt.date) -> int:
        """The column of ``date``, from 1."""
        index = date.year * 12 + date.month if self.monthly else date.year
        return index - self.first

    def date(self, column: int) -> dt.date:
        """The first day of a column."""
        index = column + self.first
        return dt.date((index - 1) // 12, (index - 1) % 12 + 1, 1) if self.monthly else dt.date(index, 1, 1)

    def years(self) -> Iterator[str]:
        """Names of years over their first column."""
        starts = {self.date(column).year: column for column in range(self.last, 0, -1)}
        every = max(1, len(starts) // 20)
        for year, column in sorted(starts.items()):
            if year % every == 0:
                yield f'<span style="grid-column:{column}">{year}</span>'


def _summed(picture: Picture, axis: _Axis) -> Iterator[Cell]:
    covered, expected = shares_of(picture.rows, axis.column, axis.date)
    for column in range(1, axis.last + 1):
        date = axis.date(column)
        shade = Shade.PRESENT if expected[column] else Shade.UNASKED
        yield Cell(date, date, shade, expected[column], covered[column])


def shares_of(
    rows: Iterable[Row], column: Callable[[dt.date], int], begin: Callable[[int], dt.date]
) -> tuple[Counter[int], Counter[int]]:
    """Covered and expected by column; ``begin`` is the first day of a column, the inverse of ``column``."""
    covered: Counter[int] = Counter()
    expected: Counter[int] = Counter()
    for row in rows:
        for cell in row.cells:
            first, last = column(cell.first), column(cell.last)
            if first == last:
                expected[first] += cell.expected
                covered[first] += cell.covered
            elif cell.expected:
                held = _apart(row, cell, [begin(at) for at in range(first, last + 2)])
                for at, sessions in enumerate(held, start=first):
                    expected[at] += sessions
                    covered[at] += sessions
    return covered, expected


def _apart(row: Row, cell: Cell, begins: Sequence[dt.date]) -> list[int]:
    """Sessions of a cell of several complete columns, column by column."""
    edges = [row.calendar.first_from(date) for date in begins]
    edges[0] = row.calendar.first_from(cell.first)
    edges[-1] = min(edges[-1], row.calendar.first_from(cell.last) + 1)
    counts = [stop - start for start, stop in pairwise(edges)]
    # Where nothing was expected of its first days, they are in no count.
    counts[0] -= sum(counts) - cell.expected
    return counts


def _line(name: str, covered: int, expected: int, cells: Iterable[Cell], axis: _Axis) -> Iterator[str]:
    share = percent(covered, expected)
    told = "-" if share is None else f"{share:g} %"
    yield f'<span>{escape(name)}</span><span class="num dim right">{told}</span>'
    yield f'<div class="grid" style="{axis.columns}">'
    for cell in cells:
        first, last = axis.column(cell.first), axis.column(cell.last)
        where = f"{first}/{last + 1}" if last > first else f"{first}"
        yield f'<b class={_mark(cell)} style=grid-column:{where} title="{escape(_told(cell, axis))}"></b>'
    yield "</div>"


def _mark(cell: Cell) -> str:
    if cell.expected == cell.covered:
        return LOOKS[cell.shade].mark
    return step_of(cell.covered / cell.expected)


def _told(cell: Cell, axis: _Axis) -> str:
    form = "%Y-%m" if axis.monthly else "%Y"
    span = f"{cell.first:{form}}"
    if axis.column(cell.last) > axis.column(cell.first):
        span = f"{span} to {cell.last:{form}}"
    if not cell.expected:
        return f"{span} {LOOKS[cell.shade].label}"
    why = f": {cell.note}" if cell.note else ""
    return f"{span} {cell.covered:,} of {cell.expected:,} covered{why}"
