"""``mdc doctor``: everything a home relies on, one line each, worst first. Changes nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode

app = typer.Typer(rich_markup_mode=None)
_ORDER = ("error", "warning", "ok")


@app.command()
def doctor(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only what is wrong")] = False,
    as_json: options.Json = False,
) -> None:
    """Check versions, settings, permissions, disk, lake, state, and Dagster. Exit 1 on findings."""
    from mdc_resources.cli.health import examine

    found = sorted(examine(home_of(ctx)), key=lambda finding: _ORDER.index(finding.level))
    wrong = [finding for finding in found if finding.level != "ok"]
    if as_json:
        output.print_json({"healthy": not wrong, "findings": [finding.as_dict() for finding in found]})
    else:
        rows = [(f.level, f.check, f.message) for f in (wrong if quiet else found)]
        if rows:
            output.print_table(("level", "check", "message"), rows)
        for finding in wrong:
            if finding.hint:
                output.note(f"{finding.check}: {finding.hint}")
    if wrong:
        raise typer.Exit(ExitCode.FINDINGS)
