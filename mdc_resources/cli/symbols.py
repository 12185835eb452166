"""``mdc symbols``: which symbols a universe follows, and when each was listed.

Removing one keeps its data and its place. Listings are in :mod:`.listings`, search and FIGIs in
:mod:`.symbol_search`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import listings, options, output, symbol_search
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdc_resources.cli.symbol_lists import Row
    from mdc_resources.state import Member

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
app.command("search")(symbol_search.search)
app.command("identify")(symbol_search.identify)
app.command("history")(symbol_search.history)
app.command("rename")(listings.rename)
app.command("delist")(listings.delist)
app.command("listings")(listings.listings)

Names = Annotated[list[str], typer.Argument(metavar="SYMBOL...", show_default=False)]
Universe = Annotated[str, typer.Option("--universe", help="The universe", show_default=False)]


@app.command("add")
def add(
    ctx: typer.Context,
    names: Names,
    universe: Universe,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Let symbols join a universe. All or none: one that cannot be used refuses the whole list."""
    from mdc_resources.cli import symbol_lists
    from mdc_resources.domain.symbols import parse_symbols

    rows = symbol_lists.join(home_of(ctx), universe, parse_symbols(names), dry_run=dry_run)
    _report(rows, dry_run=dry_run, as_json=as_json)


@app.command("remove")
def remove(
    ctx: typer.Context,
    names: Names,
    universe: Universe,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Stop following symbols. Their data, partitions and place in the shard stay."""
    from mdc_resources.cli import symbol_lists
    from mdc_resources.domain.symbols import parse_symbols

    rows = symbol_lists.leave(home_of(ctx), universe, parse_symbols(names), dry_run=dry_run)
    _report(rows, dry_run=dry_run, as_json=as_json)


@app.command("list")
def list_(
    ctx: typer.Context,
    universe: options.UniverseName = None,
    everything: Annotated[bool, typer.Option("--all", help="Removed ones too")] = False,
    as_json: options.Json = False,
) -> None:
    """List symbols with the shard and the calendar of each."""
    from mdc_resources.cli import selection
    from mdc_resources.state import State

    home = home_of(ctx)
    if universe:
        selection.universe_settings(home, universe)
    with State.open(home) as state:
        members = state.members(universe, active_only=not everything)
    calendars = {name: settings.calendar for name, settings in home.settings.universes.items()}
    rows = [_row(member, calendars.get(member.universe, "")) for member in members]
    if as_json:
        output.print_json(rows)
    elif rows:
        output.print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        output.note("no symbols; add some with mdc symbols add --universe us AAPL MSFT")


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a column 'symbol'; - is stdin")],
    universe: Universe,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the good rows even if some are bad")
    ] = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Let the symbols of a CSV file join a universe, with a report per row.

    Without --skip-bad one bad row imports nothing. Exit 1 if there was one. Undo it with
    `mdc symbols remove`, or restore an earlier `mdc symbols export` by importing that.
    """
    from mdc_resources.cli import symbol_lists

    home = home_of(ctx)
    rows = symbol_lists.import_rows(
        home, universe, symbol_lists.read_csv(file), skip_bad=skip_bad, dry_run=dry_run
    )
    _report(rows, dry_run=dry_run, as_json=as_json)
    if any(row.status == symbol_lists.BAD for row in rows):
        raise typer.Exit(ExitCode.FINDINGS)


@app.command("export")
def export(
    ctx: typer.Context,
    universe: Universe,
    out: Annotated[
        Path | None, typer.Option("--output", help="A new file; default stdout", show_default=False)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write a universe as CSV that `mdc symbols import` reads back to the same membership."""
    from mdc_resources.cli import selection, symbol_lists
    from mdc_resources.state import State

    home = home_of(ctx)
    selection.universe_settings(home, universe)
    with State.open(home) as state:
        members = state.members(universe, active_only=False)
    if as_json:
        output.print_json([{"symbol": member.symbol, "active": member.active} for member in members])
        return
    text = symbol_lists.to_csv(members)
    if out is None:
        sys.stdout.write(text)
    elif out.exists():
        raise UsageError(f"{out} exists already", hint="Name a new file")
    else:
        out.write_text(text, encoding="utf-8")
        output.note(f"{len(members)} symbols written to {out}")


def _row(member: Member, calendar: str) -> dict[str, object]:
    return {
        "symbol": member.symbol,
        "universe": member.universe,
        "shard": f"{member.universe}_{member.shard:02d}",
        "calendar": calendar,
        "active": member.active,
    }


def _report(rows: Sequence[Row], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        output.print_json({"dry_run": dry_run, "rows": [row.as_dict() for row in rows]})
        return
    output.print_table(
        ("row", "symbol", "status", "note"), [(row.number, row.symbol, row.status, row.note) for row in rows]
    )
    if dry_run:
        output.note("dry run: nothing was changed")
