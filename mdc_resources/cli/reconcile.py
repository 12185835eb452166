"""``mdc reconcile``: the orchestrator's event log against the coverage ledger, both ways.

Nothing is fetched. Exit 0 also where there were differences: they are mended, or with --dry-run named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of

if TYPE_CHECKING:
    from mdc_resources.recovery.reconciling import ReconcileReport

SHOWN = 10
app = typer.Typer(rich_markup_mode=None)


@app.command()
def reconcile(ctx: typer.Context, dry_run: options.DryRun = False, as_json: options.Json = False) -> None:
    """Report to the web UI what the lake has, and mark as missing what only the web UI shows.

    Needed after `mdc backfill --direct`, after the orchestrator's home was lost, or `mdc lake rebuild`;
    a served home does it every hour. Refused where the lake looks like the wrong one.
    """
    from mdc_resources.cli.reporters import load_reporter

    report = load_reporter().reconcile(home_of(ctx), dry_run=dry_run)
    if as_json:
        output.print_json(report.as_dict())
    else:
        _print(report)


def _print(report: ReconcileReport) -> None:
    output.print_fields(
        [
            ("in the lake, not in the event log", report.unreported),
            ("reported", "dry run: nothing" if report.dry_run else report.reported),
            ("in the event log, not in the ledger", report.unexplained),
            ("marked missing", "dry run: nothing" if report.dry_run else report.marked_missing),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
    differing = [asset for asset in report.assets if asset.unreported or asset.unexplained or asset.under_way]
    if differing:
        print()
        columns = ("asset", "known", "unreported", "unexplained", "under way")
        rows = [(a.asset, a.known, a.unreported, a.unexplained, a.under_way) for a in differing]
        output.print_table(columns, rows, right=columns[1:])
    if report.strangers:
        names = ", ".join(report.strangers[:SHOWN])
        more = f" and {len(report.strangers) - SHOWN} more" if len(report.strangers) > SHOWN else ""
        output.note(
            f"in no universe, so not reported: {names}{more}; mdc symbols add --universe NAME seats them"
        )
