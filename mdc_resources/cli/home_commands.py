"""``mdc init`` makes a home, ``mdc up`` serves one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mdc_resources.cli import home_files, options, output
from mdc_resources.cli.context import home_of

init_app = typer.Typer(rich_markup_mode=None)
up_app = typer.Typer(rich_markup_mode=None)

Folder = Annotated[Path | None, typer.Argument(metavar="DIR", help="The home", show_default=False)]


@init_app.command()
def init(
    folder: Folder = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Synthetic data from the local sandbox only")
    ] = False,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="With --sandbox: its port")] = 8790,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Make a home in DIR (default: here). Never overwrites; run again, it adds what is missing."""
    root = (folder or Path.cwd()).expanduser().resolve()
    home_files.check_folder(root, os.environ)
    planned = list(home_files.steps(root, sandbox=sandbox))
    if not dry_run:
        home_files.make_home(root, sandbox=sandbox, port=port, environ=os.environ)
    if as_json:
        done = [{"path": step.path, "what": step.what, "existed": step.done} for step in planned]
        output.print_json({"home": root, "sandbox": sandbox, "dry_run": dry_run, "steps": done})
        return
    for step in planned:
        verb = "kept" if step.done else ("would make" if dry_run else "made")
        print(f"{verb}  {step.path}  ({step.what})")
    if not dry_run:
        serve = f"mdc sandbox serve --port {port} &" if sandbox else "mdc config check"
        steps = ("mdc symbols add --universe us AAPL MSFT", "mdc backfill AAPL MSFT --years 1", "mdc up")
        print(f"\n{root} is ready. Next:\n")
        for line in (f"cd {root}", serve, *steps):
            print(f"  {line}")


@up_app.command()
def up(ctx: typer.Context, folder: Folder = None) -> None:
    """Serve the home DIR: web UI and daemon, restarted when they die, until Ctrl-C."""
    from mdc_resources.cli.config_checks import require_sound
    from mdc_resources.cli.reporters import load_reporter

    home = home_of(ctx, folder)
    require_sound(home)
    raise typer.Exit(load_reporter().serve(home))
