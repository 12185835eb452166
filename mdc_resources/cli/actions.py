"""``mdc actions``: what is known of splits and dividends, and whether a second source says the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode

if TYPE_CHECKING:
    from mdc_resources.ingest.corroborating import Corroboration

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def root() -> None:
    """Splits and dividends."""


@app.command()
def check(
    ctx: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(metavar="SYMBOL...", show_default=False)] = None,
    symbol_list: options.SymbolList = None,
    universe: options.UniverseName = None,
    start: options.Start = None,
    end: options.End = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Ask a second provider about stored splits and dividends that none confirmed yet. Exit 1 on conflicts.

    Without a range all stored ones. What was confirmed or contradicted before is not asked again.
    Agreement is noted in quality, disagreement in incidents; what is stored stays as it is.
    """
    import datetime as dt
    import uuid

    from mdc_resources.cli.selection import chosen_symbols, open_range
    from mdc_resources.ingest.corroborating import corroborate
    from mdc_resources.state import State

    home = home_of(ctx)
    with State.open(home) as state:
        chosen = chosen_symbols(state, home, symbols or [], symbol_list, universe)
    first, last = open_range(start, end, dt.date(1990, 1, 2))
    found = corroborate(home, chosen, first, last, run_id=str(uuid.uuid4()), dry_run=dry_run)
    if as_json:
        output.print_json(as_dict(found, dry_run=dry_run))
    else:
        _print(found, dry_run=dry_run)
    if found.conflicts:
        raise typer.Exit(ExitCode.FINDINGS)


def as_dict(found: Corroboration, *, dry_run: bool) -> dict[str, object]:
    """The JSON form; both ends of a planned range are inclusive."""
    return {
        "dry_run": dry_run,
        "agreed": found.agreed,
        "conflicts": [
            {"symbol": c.symbol, "session": c.session, "message": c.message, "provider": c.provider}
            for c in found.conflicts
        ],
        "open": found.open,
        "requests": found.requests,
        "planned": [
            {"provider": q.candidate.name, "symbols": list(q.request.symbols), "start": q.request.start,
             "end": q.request.end, "about": q.source}
            for q in found.planned
        ],
        "waiting": found.waiting,
    }  # fmt: skip


def _print(found: Corroboration, *, dry_run: bool) -> None:
    if dry_run:
        for question in found.planned:
            request = question.request
            print(f"{question.candidate.name} {', '.join(request.symbols)} {request.start}..{request.end}")
        output.note(f"dry run: {len(found.planned)} requests about {found.open} facts were not sent")
        return
    if found.conflicts:
        output.print_table(
            ("symbol", "session", "conflict"), [(c.symbol, c.session, c.message) for c in found.conflicts]
        )
    print(f"{found.agreed} confirmed, {len(found.conflicts)} in conflict, {found.open} left open")
    for reason in found.waiting:
        output.note(reason)
