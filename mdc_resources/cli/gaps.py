"""``mdc gaps``: what recovery sees as open, and when it asks again.

It counts as recovery does: active symbols, from the first session that was ever asked for, within
their listing. ``--all`` counts from the universe's start instead, which recovery never fetches by
itself. ``--retry`` forgets what failed, so that the next look asks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from mdc_resources.config import Home
    from mdc_resources.coverage.outlook import GapLine
    from mdc_resources.domain.datasets import Dataset
    from mdc_resources.domain.symbols import Symbol
    from mdc_resources.state import Tries

app = typer.Typer(rich_markup_mode=None)
_SHOWN = 50
_COLUMNS = ("dataset", "symbol", "start", "end", "sessions", "state", "tried", "next look", "why")


@app.command()
def gaps(
    ctx: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(metavar="SYMBOL...", show_default=False)] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Only this one; default those of [recovery]")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="From the universe's start, asked for before or not")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Forget failures, so that these are asked for again")
    ] = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """List what is missing and when it is asked for again. Exit 1 if there are gaps.

    SYMBOL is any symbol; by default all active members of all universes. With --retry the failures
    of these gaps are forgotten, and the next look asks again; --dry-run says for which.
    """
    from mdc_resources.domain.datasets import parse_dataset
    from mdc_resources.domain.symbols import parse_symbols
    from mdc_resources.domain.time import now

    home = home_of(ctx)
    wanted = [parse_dataset(name) for name in ([dataset] if dataset else home.settings.recovery.datasets)]
    named = parse_symbols(symbols or []) or None
    if retry:
        forgotten = forget(home, wanted, named, dry_run=dry_run)
        _print_forgotten(forgotten, dry_run=dry_run, as_json=as_json)
        return
    at = now()
    lines = look(home, wanted, named, at=at, begun=not everything)
    if as_json:
        output.print_json({"at": at, "sessions": sum(line.sessions for line in lines),
                           "gaps": [as_dict(line) for line in lines]})  # fmt: skip
    elif lines:
        _print(lines, at)
    else:
        print("no gaps")
    if lines:
        raise typer.Exit(ExitCode.FINDINGS)


def look(
    home: Home, datasets: Sequence[Dataset], symbols: Sequence[Symbol] | None, *, at: dt.datetime, begun: bool
) -> list[GapLine]:
    """The gaps of ``datasets`` as of ``at``, by dataset, symbol and date."""
    from contextlib import closing

    from mdc_resources.coverage.gaps import open_sessions
    from mdc_resources.coverage.outlook import gap_lines
    from mdc_resources.lake import Lake
    from mdc_resources.state import State

    found: list[GapLine] = []
    with (
        closing(Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)) as lake,
        State.open(home) as state,
    ):
        for dataset in datasets:
            followed = open_sessions(home, lake, state, dataset, symbols, at=at)
            opened = followed
            if not begun:
                opened = open_sessions(home, lake, state, dataset, symbols, at=at, begun=False)
            tries = state.tries(dataset, list(followed)) if followed else {}
            found += gap_lines(dataset, opened.values(), tries, followed=None if begun else followed)
    return found


def forget(
    home: Home, datasets: Sequence[Dataset], symbols: Sequence[Symbol] | None, *, dry_run: bool
) -> list[tuple[Dataset, Tries]]:
    """Forget every failure of ``symbols`` (of all, if None), given up or waiting; returns them."""
    from mdc_resources.state import State

    found: list[tuple[Dataset, Tries]] = []
    with State.open(home) as state:
        for dataset in datasets:
            known = state.tries(dataset, symbols)
            found += [(dataset, known[key]) for key in sorted(known)]
            if not dry_run:
                state.forget_failures(dataset, known)
    return found


def as_dict(line: GapLine) -> dict[str, object]:
    """The JSON form; both dates are inclusive."""
    from dataclasses import asdict

    return asdict(line) | {"state": line.state}


def _print(lines: Sequence[GapLine], at: dt.datetime) -> None:
    rows = [
        (gap.dataset, gap.symbol, gap.start, gap.end, gap.sessions, gap.state, gap.tries,
         gap.next_look(at), _short(gap.why))
        for gap in sorted(lines, key=lambda gap: (gap.end, gap.sessions), reverse=True)[:_SHOWN]
    ]  # fmt: skip
    output.print_table(_COLUMNS, rows, right=("sessions", "tried"))
    if len(lines) > _SHOWN:
        print(f"and {len(lines) - _SHOWN} more gaps; --json lists all")
    sessions, given_up = sum(gap.sessions for gap in lines), sum(gap.given_up for gap in lines)
    output.note(f"{sessions} sessions in {len(lines)} gaps")
    if given_up:
        output.note(f"{given_up} of them were given up; mdc gaps --retry asks for them again")


def _print_forgotten(forgotten: Sequence[tuple[Dataset, Tries]], *, dry_run: bool, as_json: bool) -> None:
    given_up = sum(tries.gave_up for _, tries in forgotten)
    if as_json:
        rows = [
            {"dataset": dataset, "symbol": tries.key.symbol, "session": tries.key.session,
             "tries": tries.count, "gave_up": tries.gave_up}
            for dataset, tries in forgotten
        ]  # fmt: skip
        output.print_json({"dry_run": dry_run, "partitions": rows})
        return
    print(f"{len(forgotten)} partitions are asked for again at the next look; {given_up} had been given up")
    if dry_run:
        output.note("dry run: nothing was changed")


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
