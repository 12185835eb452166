"""``mdc queue``: what waits to be fetched and what is being fetched, and in which order.

Runs are named by their ids, or as much of them as is unambiguous. All of it works while ``mdc up``
is down. Exit 1 if a change was not made, with the reason: only queued runs can be moved or paused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ConfigError, ExitCode, UsageError

if TYPE_CHECKING:
    from mdc_resources.domain.queue import Change, QueuedRun

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

Runs = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Every queued run, as of now")]

_COLUMNS = ("run", "state", "priority", "dataset", "symbols", "sessions", "partitions", "part", "asked by")


@app.command("list")
def list_(ctx: typer.Context, as_json: options.Json = False) -> None:
    """List running runs, then queued ones in the order of starting, then paused ones."""
    from mdc_resources.cli.reporters import load_reporter

    home, reporter = home_of(ctx), load_reporter()
    with reporter.queue(home) as queue:
        runs = queue.entries()
    for effect, lines in reporter.lacking(home).items():
        output.note(f"warning: {effect}. Add to dagster_home/dagster.yaml: {lines}")
    if as_json:
        output.print_json([run.as_dict() for run in runs])
    elif runs:
        rows = [_row(run) for run in runs]
        output.print_table((*_COLUMNS, "age"), rows, right=("partitions", "age"))
    else:
        print("nothing is queued or running")


@app.command()
def bump(
    ctx: typer.Context,
    runs: Runs = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="critical, high, normal, low or deferred", show_default=False),
    ] = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Give queued runs a priority; default the next higher one."""
    from mdc_resources.cli.reporters import load_reporter
    from mdc_resources.domain.priorities import parse_priority

    priority = parse_priority(to) if to else None
    with load_reporter().queue(home_of(ctx)) as queue:
        changes = queue.bump(runs or [], to=priority, dry_run=dry_run)
    _finish(changes, dry_run=dry_run, as_json=as_json)


@app.command()
def pause(
    ctx: typer.Context,
    runs: Runs = None,
    every: All = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Hold queued runs back until `mdc queue resume`; those behind them start."""
    from mdc_resources.cli.reporters import load_reporter

    named, home, reporter = _named(runs, every=every), home_of(ctx), load_reporter()
    _check_pausing(reporter.lacking(home))
    with reporter.queue(home) as queue:
        changes = queue.pause(named, every=every, dry_run=dry_run)
    _finish(changes, dry_run=dry_run, as_json=as_json)


@app.command()
def resume(
    ctx: typer.Context,
    runs: Runs = None,
    every: All = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Let paused runs start again, at their priority."""
    from mdc_resources.cli.reporters import load_reporter

    named = _named(runs, every=every)
    with load_reporter().queue(home_of(ctx)) as queue:
        changes = queue.resume(named, every=every, dry_run=dry_run)
    _finish(changes, dry_run=dry_run, as_json=as_json)


@app.command()
def cancel(
    ctx: typer.Context,
    runs: Runs = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Cancel queued runs and end running ones. What they committed stays."""
    from mdc_resources.cli.reporters import load_reporter

    with load_reporter().queue(home_of(ctx)) as queue:
        changes = queue.cancel(runs or [], dry_run=dry_run)
    _finish(changes, dry_run=dry_run, as_json=as_json)


def _named(runs: list[str] | None, *, every: bool) -> list[str]:
    if bool(runs) is every:
        raise UsageError("name runs, or give --all", hint="mdc queue list shows their ids")
    return runs or []


def _check_pausing(lacking: Mapping[str, str]) -> None:
    """Refuse to pause where the queue would start the run all the same."""
    for effect, lines in lacking.items():
        if "pause" in effect:
            raise ConfigError(
                effect,
                key="concurrency",
                hint=f"Add to dagster_home/dagster.yaml, then restart mdc up: {lines}",
            )


def _finish(changes: Sequence[Change], *, dry_run: bool, as_json: bool) -> None:
    """Print what was done; exit 1 if some of it was not."""
    from mdc_resources.domain.queue import SHORT

    if as_json:
        output.print_json({"dry_run": dry_run, "changes": [change.as_dict() for change in changes]})
    elif not changes:
        print("no run to change")
    else:
        for change in changes:
            if change.why_not:
                output.note(f"{change.run_id[:SHORT]}  unchanged: {change.why_not}")
            else:
                verb = "would become" if dry_run else "->"
                print(f"{change.run_id[:SHORT]}  {change.before} {verb} {change.after}")
    if any(change.why_not for change in changes):
        raise typer.Exit(ExitCode.FINDINGS)


def _row(run: QueuedRun) -> tuple[object, ...]:
    return (
        run.short_id,
        run.state,
        str(run.priority),
        run.dataset,
        run.symbols,
        run.sessions,
        run.partitions,
        run.part,
        run.asked_by,
        output.duration(run.age_seconds),
    )
