"""The picture as a small drawing: the symbols that need attention most, a cell a month.

For places that show an image and nothing else, such as an orchestrator's page: no tooltips, no style
sheet, one ``path`` per colour, under 10 kB. On a light ground of its own, since it cannot know the
page's.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from html import escape

from mdc_resources.coverage.heatmap_lines import shares_of
from mdc_resources.coverage.heatmap_style import LOOKS, STEPS, step_of
from mdc_resources.coverage.picture import Picture, Shade, percent

SYMBOLS, MONTHS = 20, 36
_CELL, _STEP, _LEFT, _TOP = 11, 13, 74, 22
_NOTHING = "#eceff2"


def svg_of(picture: Picture) -> str:
    """The drawing as SVG text: at most 20 symbols and the newest 36 months."""
    last = _month(picture.end)
    first = max(_month(picture.start), last - MONTHS + 1)
    columns, rows = last - first + 1, picture.rows[:SYMBOLS]
    paths: dict[str, list[str]] = defaultdict(list)
    texts = list(_years(first, last))
    for line, row in enumerate(rows):
        y = _TOP + line * _STEP
        covered, expected = shares_of([row], _month, _first_day)
        for column in range(columns):
            colour = _colour(covered[first + column], expected[first + column])
            paths[colour].append(f"M{_LEFT + column * _STEP} {y}h{_CELL}v{_CELL}h-{_CELL}z")
        share = percent(row.covered, row.expected)
        right = _LEFT + columns * _STEP + 4
        texts.append(_text(_LEFT - 6, y + 9, row.symbol[:12], "text-anchor='end'"))
        texts.append(_text(right, y + 9, "-" if share is None else f"{share:g} %"))
    width, height = _LEFT + columns * _STEP + 52, _TOP + len(rows) * _STEP + 6
    drawn = "".join(
        f"<path fill='{colour}' d='{''.join(parts)}'/>" for colour, parts in sorted(paths.items())
    )
    size = f"width='{width}' height='{height}'"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' {size}>"
        f"<rect {size} rx='6' fill='#fff'/>{drawn}"
        f"<g font-family='sans-serif' font-size='10' fill='#3a4450'>{''.join(texts)}</g></svg>"
    )


def _colour(covered: int, expected: int) -> str:
    if not expected:
        return _NOTHING
    if covered == expected:
        return LOOKS[Shade.PRESENT].colours[0]
    mark = step_of(covered / expected)
    return next(colours[0] for _, known, _, colours in STEPS if known == mark)


def _years(first: int, last: int) -> list[str]:
    return [
        _text(_LEFT + (month - first) * _STEP, 14, str(month // 12))
        for month in range(first, last + 1)
        if month % 12 == 0 or (month == first and month % 12 < 10)
    ]


def _text(x: int, y: int, text: str, more: str = "") -> str:
    return f"<text x='{x}' y='{y}' {more}>{escape(text)}</text>"


def _month(date: dt.date) -> int:
    """Months since the year 0: January is a multiple of 12."""
    return date.year * 12 + date.month - 1


def _first_day(month: int) -> dt.date:
    """Invert :func:`_month`."""
    return dt.date(month // 12, month % 12 + 1, 1)
