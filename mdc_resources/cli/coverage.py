"""``mdc coverage``: what a range should hold, what it does hold, and where the gaps are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of

if TYPE_CHECKING:
    from mdc_resources.config import Home
    from mdc_resources.domain.coverage import CoverageSummary
    from mdc_resources.domain.symbols import Symbol

app = typer.Typer(rich_markup_mode=None)
COUNTS = ("expected", "present", "partial", "empty", "missing", "quarantined", "expired", "pending")


@app.command()
def coverage(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Option("--dataset", help="The dataset", show_default=False)],
    listed: options.SymbolList = None,
    start: options.Start = None,
    end: options.End = None,
    as_json: options.Json = False,
) -> None:
    """Count partitions per state and list the gaps.

    Defaults: every symbol of every universe, from its universe's start to today. expected = present
    + partial + empty + missing + quarantined + expired; gaps are missing or partial sessions.
    """
    from mdc_resources.cli import selection
    from mdc_resources.coverage import coverage_summary
    from mdc_resources.domain.datasets import parse_dataset
    from mdc_resources.domain.symbols import parse_symbols

    home = home_of(ctx)
    wanted = parse_dataset(dataset)
    summaries = []
    for first, symbols in _by_start(home, parse_symbols(listed or [])):
        begin, last = selection.open_range(start, end, first)
        summaries.append(coverage_summary(home, wanted, symbols, begin, last))
    if not summaries:
        selection.open_range(start, end, dt.date.min)
    seen = as_dict(summaries)
    if as_json:
        output.print_json(seen)
    else:
        _print(seen)


def as_dict(summaries: Iterable[CoverageSummary]) -> dict[str, object]:
    """The JSON form of the sum of ``summaries``; gap dates are inclusive."""
    found = list(summaries)
    gaps = [
        {"symbol": gap.symbol, "start": gap.start, "end": gap.end, "sessions": gap.sessions}
        for summary in found
        for gap in summary.gaps
    ]
    return {**{name: sum(getattr(summary, name) for summary in found) for name in COUNTS}, "gaps": gaps}


def _by_start(home: Home, named: Sequence[Symbol]) -> list[tuple[dt.date, list[Symbol]]]:
    """The symbols asked for, grouped by the start of their universe."""
    from mdc_resources.state import State

    with State.open(home) as state:
        universe_of = {member.symbol: member.universe for member in state.members(active_only=not named)}
    groups: dict[dt.date, list[Symbol]] = {}
    for symbol in named or universe_of:
        universe = universe_of.get(symbol, home.settings.ingest.default_universe)
        settings = home.settings.universes.get(universe)
        groups.setdefault(settings.start if settings else dt.date(2010, 1, 1), []).append(symbol)
    return sorted(groups.items())


def _print(seen: dict[str, object]) -> None:
    output.print_fields([(name, seen[name]) for name in COUNTS])
    gaps = seen["gaps"]
    assert isinstance(gaps, list)
    if gaps:
        print()
        rows = [[gap["symbol"], gap["start"], gap["end"], gap["sessions"]] for gap in gaps[:50]]
        output.print_table(("symbol", "start", "end", "sessions"), rows, right=("sessions",))
    if len(gaps) > 50:
        print(f"and {len(gaps) - 50} more gaps; --json lists all")
