"""Strips of days: a symbol's year with weeks as columns and weekdays as rows.

Cells flow down the columns in date order, so none needs a position: that keeps a cell at about 45
bytes. Weekdays on which the calendar never trades have no row; a holiday has a cell of its own.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from html import escape

from mdc_resources.calendars import Calendar
from mdc_resources.coverage.day import closed_days
from mdc_resources.coverage.heatmap_style import LOOKS, step_of
from mdc_resources.coverage.picture import Cell, Picture, Row, Shade

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = dt.timedelta(days=1)
_CLOSED = LOOKS[Shade.UNLISTED].mark


def strips_of(row: Row) -> Iterator[str]:
    """One strip per year of ``row``, the newest first."""
    drawn = {cell.first: (LOOKS[cell.shade].mark, _told(cell)) for cell in row.cells}
    years: dict[int, list[Cell]] = defaultdict(list)
    for cell in row.cells:
        years[cell.first.year].append(cell)
    counts = {
        year: (sum(cell.covered for cell in cells), sum(cell.expected for cell in cells))
        for year, cells in years.items()
    }
    yield from _years(row.symbol, row.calendar, drawn, counts)


def summary_strips(picture: Picture) -> Iterator[str]:
    """One strip per year: how much of all symbols is covered, day by day."""
    days: dict[dt.date, list[int]] = defaultdict(lambda: [0, 0])
    waiting: set[dt.date] = set()
    for row in picture.rows:
        for cell in row.cells:
            day = days[cell.first]
            day[0] += cell.covered
            day[1] += cell.expected
            if cell.shade is Shade.PENDING:
                waiting.add(cell.first)
    drawn: dict[dt.date, tuple[str, str]] = {}
    counts: dict[int, tuple[int, int]] = {}
    for date, (covered, expected) in sorted(days.items()):
        drawn[date] = _summed(date, covered, expected, pending=date in waiting)
        before = counts.get(date.year, (0, 0))
        counts[date.year] = (before[0] + covered, before[1] + expected)
    calendars = {row.calendar.name: row.calendar for row in picture.rows}
    busiest = max(calendars.values(), key=lambda calendar: len(calendar.dates))
    yield from _years("all symbols", busiest, drawn, counts)


def _summed(date: dt.date, covered: int, expected: int, *, pending: bool) -> tuple[str, str]:
    if not expected:
        shade = Shade.PENDING if pending else Shade.UNASKED
        return LOOKS[shade].mark, f"{date} {LOOKS[shade].label}"
    mark = LOOKS[Shade.PRESENT].mark if covered == expected else step_of(covered / expected)
    return mark, f"{date} {covered:,} of {expected:,} covered"


def _told(cell: Cell) -> str:
    """A tooltip: date, state and why."""
    note = f": {cell.note}" if cell.note else ""
    return f"{cell.first} {LOOKS[cell.shade].label}{note}"


def _years(
    name: str,
    calendar: Calendar,
    drawn: Mapping[dt.date, tuple[str, str]],
    counts: Mapping[int, tuple[int, int]],
) -> Iterator[str]:
    first, last = min(drawn), max(drawn)
    closed = closed_days(calendar, first, last)
    trading = sorted({date.weekday() for date in calendar.dates[-400:]})
    rows = 5 if trading == [0, 1, 2, 3, 4] else 7
    height = "five" if rows == 5 else "seven"
    names = "".join(f"<span>{text}</span>" for text in ("Mon", "", "Wed", "", "Fri", "", "Sun")[:rows])
    yield '<div class="years">'
    for year in range(last.year, first.year - 1, -1):
        covered, expected = counts.get(year, (0, 0))
        told = f"{covered:,} of {expected:,}" if expected else "nothing expected"
        label = escape(f"{name} {year}: {told} sessions covered")
        cells = "".join(_cells(year, rows, drawn, closed, first=first, last=last))
        yield (
            f'<figure><figcaption><strong>{year}</strong> <span class="num">{told}</span></figcaption>'
            f'<div class="months">{"".join(_months(year))}</div>'
            f'<div class="strip"><div class="names">{names}</div>'
            f'<div class="days {height}" role="img" aria-label="{label}">{cells}</div></div></figure>'
        )
    yield "</div>"


def _cells(
    year: int,
    rows: int,
    drawn: Mapping[dt.date, tuple[str, str]],
    closed: Mapping[dt.date, str],
    *,
    first: dt.date,
    last: dt.date,
) -> Iterator[str]:
    """Cells of a year in date order, with blanks before its first day; it ends where the picture does."""
    date, end = dt.date(year, 1, 1), min(dt.date(year, 12, 31), last)
    if date.weekday() < rows:
        yield "<b></b>" * date.weekday()
    while date <= end:
        if date.weekday() < rows:
            mark, told = drawn.get(date) or ("", "")
            if not mark and first <= date and date in closed:
                mark, told = _CLOSED, f"{date} {closed[date]}"
            yield f'<b class={mark} title="{escape(told)}"></b>' if mark else "<b></b>"
        date += _DAY


def _months(year: int) -> Iterable[str]:
    """Names above the column that holds the first day of each month."""
    offset = dt.date(year, 1, 1).weekday()
    for month, name in enumerate(_MONTHS, start=1):
        day = (dt.date(year, month, 1) - dt.date(year, 1, 1)).days
        yield f'<span style="grid-column:{(day + offset) // 7 + 1}">{name}</span>'
