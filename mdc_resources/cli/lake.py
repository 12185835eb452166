"""``mdc lake``: how large it is, its versions, whether it is sound, and making it again from ``raw/``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode

if TYPE_CHECKING:
    from mdc_resources.lake import Lake

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.command()
def status(ctx: typer.Context, as_json: options.Json = False) -> None:
    """Show rows, files and bytes per table."""
    with _open(ctx) as lake:
        seen = lake.status()
    if as_json:
        totals = {
            "rows": seen.rows,
            "files": seen.files,
            "bytes": seen.bytes,
            "inlined_rows": seen.inlined_rows,
        }
        output.print_json(asdict(seen) | totals)
        return
    output.print_fields(
        [
            ("lake", seen.root),
            ("id", seen.lake_id),
            ("kind", "sandbox: synthetic data only" if seen.sandbox else "real data"),
            ("catalog", seen.catalog),
            ("snapshots", f"{seen.snapshots}, {seen.oldest_snapshot} to {seen.snapshot_id}"),
            ("size", f"{output.size(seen.bytes)} in {seen.files} files"),
        ]
    )
    print()
    rows = [(t.name, t.rows, t.files, output.size(t.bytes), t.inlined_rows) for t in seen.tables]
    columns = ("table", "rows", "files", "size", "inlined")
    output.print_table(columns, rows, right=columns[1:])


@app.command()
def snapshots(
    ctx: typer.Context,
    last: Annotated[int, typer.Option("--last", min=1, help="Only the newest N")] = 20,
    as_json: options.Json = False,
) -> None:
    """List the newest versions that --as-of can read, oldest first."""
    with _open(ctx) as lake:
        found = lake.snapshots()[-last:]
    if as_json:
        output.print_json([asdict(snapshot) for snapshot in found])
        return
    rows = [(s.snapshot_id, s.committed_at.isoformat(timespec="seconds"), s.run_id, s.message) for s in found]
    output.print_table(("snapshot", "committed at", "run", "message"), rows, right=("snapshot",))


@app.command()
def verify(
    ctx: typer.Context,
    deep: Annotated[bool, typer.Option("--deep", help="Read every row, not only the catalog")] = False,
    as_json: options.Json = False,
) -> None:
    """Compare files, catalog and ledgers. Exit 1 on findings."""
    with _open(ctx) as lake:
        found = lake.verify(deep=deep)
    if as_json:
        output.print_json({"deep": deep, "findings": [asdict(finding) for finding in found]})
    else:
        for finding in found:
            print(
                output.printable(f"{finding.severity}: {finding.kind}: {finding.subject}: {finding.message}")
            )
        if not found:
            print("the lake is sound" if deep else "the lake is sound (--deep reads every row)")
    if found:
        raise typer.Exit(ExitCode.FINDINGS)


@app.command()
def rebuild(ctx: typer.Context, dry_run: options.DryRun = False, as_json: options.Json = False) -> None:
    """Make the lake again from the raw archive alone. The old one is kept beside it.

    Exit 4 if a partition came out with other content than was recorded.
    """
    from mdc_resources import ingest

    home = home_of(ctx)
    report = ingest.rebuild(home, dry_run=dry_run)
    if as_json:
        output.print_json(report.as_dict() | {"dry_run": dry_run})
    else:
        output.print_fields(
            [
                ("commits", report.commits),
                ("partitions", report.partitions),
                ("rows", report.rows),
                ("differing", len(report.differing)),
                ("old lake", report.backup or "untouched (dry run)"),
                ("seconds", f"{report.seconds:.1f}"),
            ]
        )
        for name in report.differing[:20]:
            output.note(f"differs: {name}")
    if report.differing:
        raise typer.Exit(ExitCode.DATA)


@contextmanager
def _open(ctx: typer.Context) -> Iterator[Lake]:
    from mdc_resources.lake import Lake

    home = home_of(ctx)
    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        yield lake
    finally:
        lake.close()
