"""``mdc providers``: who can be asked for what, whether each answers, and the keys they need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdc_resources.cli.provider_probe import Probe
    from mdc_resources.cli.provider_setup import Task
    from mdc_resources.config import Home

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(metavar="[PROVIDER]...", show_default=False)]


@app.command("list")
def list_(ctx: typer.Context, as_json: options.Json = False) -> None:
    """List every installed provider: where it stands, its rank, budget, latency and datasets."""
    from mdc_resources.cli import provider_rows

    rows = provider_rows.rows(home_of(ctx))
    if as_json:
        output.print_json([row.fields for row in rows])
        return
    output.print_table(
        provider_rows.COLUMNS, [row.cells() for row in rows], right=("rank", "budget", "ms 50/95/99")
    )
    for row in rows:
        if row.fields["enabled"] and row.missing:
            name = row.fields["provider"]
            print(f"{name}: {', '.join(row.missing)} MISSING; mdc providers setup {name}")
    output.note(provider_rows.LEGEND)


@app.command()
def check(
    ctx: typer.Context,
    names: Names = None,
    symbol: Annotated[
        str, typer.Option("--symbol", help="Ask for this symbol where it exists", show_default=False)
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="Ask for each dataset that one request shows")] = False,
    as_json: options.Json = False,
) -> None:
    """Ask each enabled provider for something small it has; nothing is stored. Exit 3 if one fails.

    Each provider costs one request; where the plan behind a key does not include what was asked, the
    next dataset is tried, and what is excluded is named.
    """
    from mdc_resources.cli.provider_probe import probe_all

    results = probe_all(home_of(ctx), names or [], symbol, every=every)
    if as_json:
        output.print_json([result.as_dict() for result in results])
    else:
        columns = ("provider", "ok", "rows", "ms", "message")
        rows = [
            (r.provider, "yes" if r.ok else "NO", r.rows, round(r.milliseconds), r.message) for r in results
        ]
        output.print_table(columns, rows, right=("rows", "ms"))
    if any(not result.ok for result in results):
        raise typer.Exit(ExitCode.PROVIDER)


@app.command()
def setup(
    ctx: typer.Context,
    names: Names = None,
    from_env: Annotated[
        bool, typer.Option("--from-env", help="Take the values from the environment")
    ] = False,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read NAME=value lines from standard input")] = False,
    again: Annotated[bool, typer.Option("--again", help="Ask for credentials that are set, too")] = False,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Try them before writing")] = True,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Ask for the credentials providers lack, try each with one request, and write them to .env.

    Without names: every enabled provider that lacks one. A named provider is enabled in mdc.toml, too.
    The file .env stays at mode 600 and keeps its other lines. Exit 3 if a key was refused. To take it
    back, delete its line from .env and set enabled = false.
    """
    from mdc_resources.cli import provider_setup

    home = home_of(ctx)
    if from_env and stdin:
        raise UsageError("--from-env and --stdin exclude each other")
    source = provider_setup.Source.ENVIRONMENT if from_env else provider_setup.Source.PROMPT
    source = provider_setup.Source.STDIN if stdin else source
    found = provider_setup.tasks(home, names or [], source, again=again)
    if dry_run or not found:
        _say_tasks(found, dry_run=dry_run, as_json=as_json)
        return
    value_of = (
        provider_setup.reader(source, lambda name: str(typer.prompt(name, hide_input=True, err=True)))
        if any(task.missing for task in found)
        else lambda _: None
    )
    results = []
    for task in found:
        given = {name: value for name in task.missing if (value := value_of(name))}
        done = provider_setup.carry_out(home, task, given, probe=_probe_of(task) if check else None)
        results.append(done)
        if not as_json:
            wrote = f"{', '.join(done.written)} written to .env; " if done.written else ""
            print(
                f"{done.provider}: {'' if done.ok else 'NOT SET UP: '}{wrote}{output.printable(done.message)}"
            )
    if as_json:
        output.print_json([done.as_dict() for done in results])
    if any(not done.ok for done in results):
        raise typer.Exit(ExitCode.PROVIDER)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower case: acme", show_default=False)],
    title: Annotated[str, typer.Option("--title", help="As the vendor writes itself")] = "",
    project: Annotated[
        Path | None, typer.Option("--project", help="A clone of the project", show_default=False)
    ] = None,
    dry_run: options.DryRun = False,
) -> None:
    """Write a new provider from a template: module, dialect, tape, tests, registration."""
    from mdc_resources.cli.provider_scaffold import checkout_from, scaffold
    from mdc_resources.domain.time import now

    made = scaffold(name, checkout_from(project or Path.cwd()), title=title, today=now().date())
    if not dry_run:
        made.write()
    for path in made.files:
        print(f"{'would write' if dry_run else 'wrote'} {path}")
    if not dry_run:
        print(f"Next: make install, then pytest tests/providers -k {name} (docs/howto/add-a-provider.md)")


def _probe_of(task: Task) -> Callable[[Home], Probe]:
    """One request to the provider of ``task``."""
    from mdc_resources.cli.provider_probe import probe_all, probe_source
    from mdc_resources.providers.registry import provider_names

    if task.provider not in provider_names():
        return probe_source
    return lambda home: probe_all(home, [task.provider])[0]


def _say_tasks(found: Sequence[Task], *, dry_run: bool, as_json: bool) -> None:
    """What setup would do."""
    if as_json:
        rows = [{"provider": t.provider, "missing": t.missing, "enabled": t.enabled} for t in found]
        output.print_json({"dry_run": dry_run, "providers": rows})
        return
    for task in found:
        asked = f"would ask for {', '.join(task.missing)}" if task.missing else "lacks no credential"
        print(f"{task.provider}: {asked}{'' if task.enabled else '; would be enabled in mdc.toml'}")
    if not found:
        output.note("no enabled provider lacks a credential; name one to enable it, or use --again")
    else:
        output.note("dry run: nothing was changed")
