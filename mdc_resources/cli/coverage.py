"""``mdc coverage``: what a range should hold, what it does hold, and where the gaps are.

As counts, as a picture in one HTML file (``--html``), or against the promises of ``[sla.*]`` (``--sla``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from mdc_resources.config import Home
    from mdc_resources.coverage.freshness import SlaStatus
    from mdc_resources.domain.coverage import CoverageSummary
    from mdc_resources.domain.datasets import Dataset
    from mdc_resources.domain.symbols import Symbol

app = typer.Typer(rich_markup_mode=None)
COUNTS = ("expected", "present", "partial", "empty", "missing", "quarantined", "expired", "pending")


@app.command()
def coverage(
    ctx: typer.Context,
    dataset: options.DatasetName = "bars_1d",
    listed: options.SymbolList = None,
    start: options.Start = None,
    end: options.End = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a calendar heat map", show_default=False),
    ] = None,
    sla: Annotated[
        bool, typer.Option("--sla", help="Judge the promises of [sla.*]; exit 1 if broken")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Count partitions per state and list the gaps.

    Defaults: every symbol of every universe, from its universe's start to today. expected = present
    + partial + empty + missing + quarantined + expired; gaps are missing or partial sessions.

    --html writes one file that needs nothing else, with every session of every symbol; without
    --start it shows each symbol from the first session that was ever asked for.
    """
    from mdc_resources.domain.datasets import parse_dataset
    from mdc_resources.domain.symbols import parse_symbols

    home = home_of(ctx)
    if sla:
        if html is not None:
            raise UsageError("--sla and --html were both given", hint="Give one of them")
        _judge(home, as_json=as_json)
        return
    wanted, symbols = parse_dataset(dataset), parse_symbols(listed or [])
    if html is not None:
        _draw(home, wanted, symbols, start, end, html, as_json=as_json)
        return
    _count(home, wanted, symbols, start, end, as_json=as_json)


def _count(
    home: Home,
    dataset: Dataset,
    symbols: Sequence[Symbol],
    start: str | None,
    end: str | None,
    *,
    as_json: bool,
) -> None:
    from mdc_resources.cli import selection
    from mdc_resources.coverage import coverage_summary

    summaries = []
    for first, group in _by_start(home, symbols):
        begin, last = selection.open_range(start, end, first)
        summaries.append(coverage_summary(home, dataset, group, begin, last))
    if not summaries:
        selection.open_range(start, end, dt.date.min)
    seen = as_dict(summaries)
    if as_json:
        output.print_json(seen)
    else:
        _print(seen)


def _draw(
    home: Home,
    dataset: Dataset,
    symbols: Sequence[Symbol],
    start: str | None,
    end: str | None,
    path: Path,
    *,
    as_json: bool,
) -> None:
    from contextlib import closing

    from mdc_resources.coverage.heatmap import write_page
    from mdc_resources.coverage.painting import picture_of
    from mdc_resources.domain.time import now, parse_session
    from mdc_resources.lake import Lake
    from mdc_resources.state import State

    begin, last = parse_session(start) if start else None, parse_session(end) if end else None
    if begin and begin > (last or now().date()):
        raise UsageError(f"--start {begin} lies after the end, {last or 'today'}", hint="Swap them")
    with (
        closing(Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)) as lake,
        State.open(home) as state,
    ):
        members = symbols or [member.symbol for member in state.members()]
        picture = picture_of(home, lake, state, dataset, members, at=now(), start=begin, end=last)
    written = write_page(picture, path)
    facts = {
        "file": str(written),
        "bytes": written.stat().st_size,
        "dataset": dataset,
        "symbols": len(picture.rows),
        "cell": picture.grain,
        "expected": picture.expected,
        "covered": picture.covered,
        "percent": picture.percent,
        "gaps": len(picture.gaps),
        "never_asked": len(picture.untouched),
    }
    if as_json:
        output.print_json(facts)
    else:
        share = "nothing is expected" if picture.percent is None else f"{picture.percent:g} % covered"
        print(f"{written}: {len(picture.rows)} symbols, {share}, {output.size(written.stat().st_size)}")


def _judge(home: Home, *, as_json: bool) -> None:
    """Print the promises; exit 1 if one is broken."""
    from contextlib import closing

    from mdc_resources.coverage.freshness import sla_report
    from mdc_resources.domain.time import now
    from mdc_resources.lake import Lake
    from mdc_resources.state import State

    with (
        closing(Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)) as lake,
        State.open(home) as state,
    ):
        found = sla_report(home, lake, state, at=now())
    if as_json:
        output.print_json([status.as_dict() for status in found])
    elif found:
        columns = (
            "promise",
            "dataset",
            "universe",
            "within",
            "session",
            "verdict",
            "settled",
            "complete at",
            "lacking",
        )
        output.print_table(
            columns, [row for status in found for row in _sla_rows(status)], right=("settled",)
        )
    else:
        output.note('no promises; write one in mdc.toml: [sla.daily] dataset = "bars_1d" within = "2h"')
    if not all(status.met for status in found):
        raise typer.Exit(ExitCode.FINDINGS)


def _sla_rows(status: SlaStatus) -> Iterable[tuple[object, ...]]:
    """A line per session of the promise, the newest first, and the one that comes next."""
    what = (status.name, status.dataset, status.universe, status.within)
    if status.pending is not None and status.pending_due_at is not None:
        yield (*what, status.pending, "pending", "", f"due {status.pending_due_at:%Y-%m-%d %H:%M} UTC", "")
    for session in status.sessions:
        lacking = ", ".join(f"{symbol} {state}" for symbol, state in session.worst)
        at = f"{session.complete_at:%Y-%m-%d %H:%M} UTC" if session.complete_at else ""
        settled = f"{session.settled} of {session.expected}"
        yield (*what, session.session, session.verdict, settled, at, lacking)


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
