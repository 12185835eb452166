"""``mdc backfill``: fetch what is missing in a range of sessions, through whoever can answer.

By default it is a run of the orchestrator in this process; ``--submit`` queues it for the daemon,
``--direct`` leaves the orchestrator out. Exit 3 if a provider's failure left partitions missing,
4 if rows were quarantined, 130 if it was interrupted; what was committed stays in any case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode, UsageError
from mdc_resources.domain.priorities import Priority, parse_priority

if TYPE_CHECKING:
    from mdc_resources.config import Home
    from mdc_resources.ingest import Outcome, Preview, Want

SHOWN = 20  # requests of a dry run
app = typer.Typer(rich_markup_mode=None)
_SHOWN_ERRORS = 5
_SHOWN_NOTES = 8


@app.command()
def backfill(
    ctx: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL]...", show_default=False)] = None,
    dataset: options.DatasetName = "bars_1d",
    listed: options.SymbolList = None,
    universe: options.UniverseName = None,
    start: options.Start = None,
    end: options.End = None,
    years: Annotated[int | None, typer.Option("--years", help="The last N years", show_default=False)] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", help="Ask only this one: no failover", show_default=False)
    ] = None,
    refetch: Annotated[bool, typer.Option("--refetch", help="Ask again for what is covered")] = False,
    submit: Annotated[bool, typer.Option("--submit", help="Queue it for the daemon and return")] = False,
    priority: Annotated[
        str | None,
        typer.Option(
            "--priority",
            help="With --submit: critical, high, normal, low or deferred; default normal",
            show_default=False,
        ),
    ] = None,
    direct: Annotated[bool, typer.Option("--direct", help="Without the orchestrator")] = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Fetch what is missing. Session dates, both ends included.

    A symbol in no universe joins the default one. Covered partitions are not asked for again.
    """
    if submit and direct:
        raise UsageError("--submit and --direct were both given", hint="Give one of them")
    if priority and not submit:
        raise UsageError("--priority is the queue's, and nothing is queued", hint="Add --submit")
    urgency = parse_priority(priority or Priority.NORMAL)
    home = home_of(ctx)
    chosen = (symbols or [], listed, universe)
    want = _want(home, chosen, dataset, (start, end, years), (provider, refetch), dry_run=dry_run)
    _tell_unlisted(home, want)
    if dry_run:
        from mdc_resources.ingest import preview

        return _print_preview(preview(home, want), as_json=as_json)
    if submit:
        return _submit(home, want, urgency, as_json=as_json)
    try:
        outcome = _run(home, want, direct=direct, quiet=as_json)
    except KeyboardInterrupt:
        output.note("stopped: what was committed is stored; the same command again does the rest")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if as_json:
        output.print_json(outcome.as_dict())
    else:
        print_outcome(outcome)
    raise typer.Exit(exit_code(outcome))


def _want(
    home: Home,
    chosen: tuple[list[str], list[str] | None, str | None],
    dataset: str,
    dates: tuple[str | None, str | None, int | None],
    how: tuple[str | None, bool],
    *,
    dry_run: bool,
) -> Want:
    """Check everything that was typed, then let new symbols join; nothing is sent."""
    from mdc_resources.cli import config_checks, selection
    from mdc_resources.coverage import calendar_of
    from mdc_resources.coverage.universes import universes_of
    from mdc_resources.domain.datasets import parse_dataset
    from mdc_resources.ingest import Want
    from mdc_resources.state import State

    wanted = parse_dataset(dataset)
    first, last = selection.session_range(*dates)
    config_checks.require_sound(home)
    config_checks.require_offered(home, wanted, how[0])
    with State.open(home) as state:
        symbols = selection.chosen_symbols(state, home, *chosen)
        calendars = [calendar_of(home, state, symbol) for symbol in symbols]
        for calendar in {calendar.name: calendar for calendar in calendars}.values():
            calendar.sessions(first, last)  # refuses dates that it does not know
        joined = selection.join_default_universe(state, home, symbols, dry_run=dry_run)
        places = universes_of(home, state, joined)
    for place in dict.fromkeys(places.values()):
        new = [symbol for symbol in joined if places[symbol] == place]
        verb = "would join" if dry_run else "joined"
        names = ", ".join(new[:8]) + (f" and {len(new) - 8} more" if len(new) > 8 else "")
        output.note(f"{names} {verb} universe {place!r}")
    return Want(wanted, tuple(symbols), first, last, provider=how[0], refetch=how[1])


def _tell_unlisted(home: Home, want: Want) -> None:
    """Say which sessions are left out because a symbol was not listed under its name then."""
    from contextlib import closing

    from mdc_resources.coverage.listings import outside_listing
    from mdc_resources.lake import Lake

    with closing(Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)) as lake:
        sentences = outside_listing(home, lake, want.symbols, want.start, want.end)
    for sentence in sentences[:_SHOWN_NOTES]:
        output.note(sentence)
    if len(sentences) > _SHOWN_NOTES:
        output.note(f"and {len(sentences) - _SHOWN_NOTES} more like it; see mdc symbols list")


def _run(home: Home, want: Want, *, direct: bool, quiet: bool) -> Outcome:
    import uuid

    from mdc_resources import ingest
    from mdc_resources.cli.reporters import load_reporter

    with output.progress_bar(f"{want.dataset}", quiet=quiet) as on_progress:
        if direct:
            return ingest.backfill(home, want, run_id=str(uuid.uuid4()), on_progress=on_progress)
        return load_reporter().run(home, want, on_progress=on_progress)


def _submit(home: Home, want: Want, priority: Priority, *, as_json: bool) -> None:
    from mdc_resources.cli.reporters import load_reporter

    run_ids = load_reporter().submit(home, want, priority=priority)
    if as_json:
        output.print_json({"run_ids": run_ids, "priority": str(priority)})
    elif run_ids:
        many = f"{len(run_ids)} runs, newest sessions first" if len(run_ids) > 1 else f"run {run_ids[0]}"
        print(f"queued as {many}, priority {priority}; `mdc up` starts them, `mdc queue list` shows them")
    else:
        print("nothing to queue: the range is covered, or not due yet")


def exit_code(outcome: Outcome) -> int:
    """0 if nothing is left to do, else what kept it from being done."""
    from mdc_resources.domain.coverage import PartitionState

    counts = outcome.counts
    unanswered = counts[PartitionState.MISSING] + counts[PartitionState.PARTIAL] - outcome.busy
    if unanswered > 0:
        return ExitCode.PROVIDER
    return ExitCode.DATA if counts[PartitionState.QUARANTINED] else ExitCode.OK


def print_outcome(outcome: Outcome) -> None:
    """The result for a person; what went wrong goes to stderr."""
    states = ", ".join(f"{count} {state}" for state, count in sorted(outcome.counts.items()) if count)
    fields: list[tuple[str, object]] = [
        ("run", outcome.run_id),
        ("partitions", f"{outcome.expected}: {states}" if states else "none is due in this range"),
        ("fetched", len(outcome.fetched)),
        ("rows", outcome.rows),
        ("requests", f"{outcome.requests_sent} (fewest possible {outcome.requests_minimum})"),
        ("failovers", outcome.failovers),
        ("seconds", f"{outcome.seconds:.1f}"),
    ]
    if outcome.pending:
        fields.insert(2, ("not due yet", outcome.pending))
    output.print_fields(fields)
    if outcome.busy:
        output.note(f"{outcome.busy} partitions are being fetched by another run; they were left to it")
    for error in outcome.errors[:_SHOWN_ERRORS]:
        output.note(f"warning: {output.printable(error)}")
    if len(outcome.errors) > _SHOWN_ERRORS:
        output.note(
            f"warning: and {len(outcome.errors) - _SHOWN_ERRORS} more; see `mdc query 'FROM fetches'`"
        )
    if code := exit_code(outcome):
        output.note(
            f"incomplete (exit {code}): run it again, or see mdc coverage --dataset {outcome.dataset}"
        )


def _print_preview(seen: Preview, *, as_json: bool) -> None:
    if as_json:
        output.print_json(seen.as_dict())
        return
    fields = [
        (name.replace("_", " "), value) for name, value in seen.as_dict().items() if not _is_listing(value)
    ]
    output.print_fields(fields)
    for request in seen.requests[:SHOWN]:
        names = ", ".join(request.symbols[:5]) + (" ..." if len(request.symbols) > 5 else "")
        output.note(f"  {request.provider:<8} {request.dataset:<17} {request.start}..{request.end}  {names}")
    if len(seen.requests) > SHOWN:
        output.note(f"  ... and {len(seen.requests) - SHOWN} more")


def _is_listing(value: object) -> bool:
    return isinstance(value, list | tuple | dict)
