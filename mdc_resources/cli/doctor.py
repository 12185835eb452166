"""``mdc doctor``: everything a home relies on, one line each, worst first.

It changes nothing, unless ``--accept-clock`` tells it to believe a clock that jumped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode

if TYPE_CHECKING:
    from mdc_resources.config import Home

app = typer.Typer(rich_markup_mode=None)
_ORDER = ("error", "warning", "ok")


@app.command()
def doctor(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only what is wrong")] = False,
    accept_clock: Annotated[
        bool, typer.Option("--accept-clock", help="This machine's clock is right: go on from it")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Check versions, settings, permissions, disk, lake, state, and Dagster. Exit 1 on findings."""
    from mdc_resources.cli.health import examine

    if accept_clock:
        _accept_clock(home_of(ctx))
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


def _accept_clock(home: Home) -> None:
    from mdc_resources.domain.time import now
    from mdc_resources.state import State

    with State.open(home) as state:
        state.accept_clock()
    output.note(f"the clock is taken to be right: {now():%Y-%m-%d %H:%M:%S} UTC")
