"""A small markdown preview of what a run stored: counts per symbol and a chart of closes as SVG.

The chart is a data URI, which Dagster's markdown shows; it is drawn from at most one symbol and 60
sessions, so that an event stays under 10 kB. Numbers are only drawn here, never stored: floats do.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mdc_resources.dagster_resources import closes
from mdc_resources.domain.coverage import CoverageRow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WIDTH, HEIGHT = 480, 90
POINTS = 60
LISTED = 12


def preview_of(connection: DuckDBPyConnection, rows: Sequence[CoverageRow]) -> str:
    """Markdown about ``rows``, all of one dataset; empty where there are none."""
    if not rows:
        return ""
    counts = Counter(row.symbol for row in rows)
    stored: Counter[str] = Counter()
    for row in rows:
        stored[row.symbol] += row.row_count
    lines = ["| symbol | sessions | rows |", "|---|---:|---:|"]
    lines += [
        f"| {symbol} | {count} | {stored[symbol]} |" for symbol, count in sorted(counts.items())[:LISTED]
    ]
    if len(counts) > LISTED:
        lines.append(f"| and {len(counts) - LISTED} more | {counts.total()} | {stored.total()} |")
    if rows[0].dataset.is_bars:
        symbol = rows[-1].symbol
        drawn = closes(connection, rows[0].dataset, symbol, limit=POINTS)
        lines += [
            "",
            f"{symbol}, closes of {len(drawn)} sessions:",
            "",
            f"![{symbol}]({data_uri(chart(drawn))})",
        ]
    return "\n".join(lines)


def chart(values: Sequence[float]) -> str:
    """A line chart of ``values`` as SVG text; an empty frame for fewer than two."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = (high - low) or 1.0
    step = (WIDTH - 8) / max(len(values) - 1, 1)
    points = " ".join(
        f"{4 + at * step:.1f},{HEIGHT - 6 - (value - low) / span * (HEIGHT - 12):.1f}"
        for at, value in enumerate(values)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#f7f8fa"/>'
        f'<polyline points="{points}" fill="none" stroke="#2f6fde" stroke-width="1.5"/>'
        f'<text x="6" y="12" font-size="10" fill="#667">{high:.2f}</text>'
        f'<text x="6" y="{HEIGHT - 4}" font-size="10" fill="#667">{low:.2f}</text></svg>'
    )


def data_uri(svg: str) -> str:
    """``svg`` as a URI that markdown can show."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
