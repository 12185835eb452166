"""``mdc stream land``: sealed segments become rows of the lake, without Dagster.

What Dagster's sensor does by itself, by hand: both may run at the same time, a segment is landed once.
Exit 1 where a segment failed, 4 and 5 as everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode, LakeError, UsageError

if TYPE_CHECKING:
    from mdc_resources.landing.land import Landed
    from mdc_resources.wal import SealedSegment

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def land(
    ctx: typer.Context,
    segments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SEGMENT]...", help="coinbase-0/000000000012; all, if none is named"),
    ] = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Land sealed segments: rows, holes and coverage, each exactly once; then dead letters that are due."""
    from mdc_resources.landing.land import land as land_segments
    from mdc_resources.landing.land import unlanded
    from mdc_resources.landing.replaying import replay_due
    from mdc_resources.wal import sealed_segments

    home = home_of(ctx)
    named = _named(sealed_segments(home.segments_dir), segments) if segments else None
    if dry_run:
        names = {each.name for each in named} if named is not None else None
        _show_waiting([s for s in unlanded(home) if names is None or s.name in names], as_json=as_json)
        return
    landed = land_segments(home, named, run_id=f"land-{os.getpid()}")
    try:
        outcomes = replay_due(home) if named is None else []
    except LakeError as error:  # what landed has landed, and is told; the letters stay due
        output.note(f"dead letters were not tried again: {error}")
        outcomes = []
    replayed = sum(outcome.ok for outcome in outcomes)
    if as_json:
        output.print_json(_as_dict(landed) | {"replayed": replayed})
    else:
        _show(landed)
        if outcomes:
            print(f"{replayed} of {len(outcomes)} dead letters that were due landed after all")
    if landed.failed:
        raise typer.Exit(ExitCode.FINDINGS)


def _named(sealed: Sequence[SealedSegment], names: Sequence[str]) -> list[SealedSegment]:
    """The segments called ``names``; raises UsageError for one that is not there."""
    known = {each.name: each for each in sealed}
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no sealed segment {name[:80]!a}",
                hint="mdc stream land --dry-run lists those that are not landed",
            )
    return [known[name] for name in dict.fromkeys(names)]


def _show_waiting(waiting: Sequence[SealedSegment], *, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {
                "dry_run": True,
                "segments": [
                    {"name": each.name, "frames": each.footer.frames, "bytes": each.bytes} for each in waiting
                ],
            }
        )
        return
    for each in waiting:
        print(f"{each.name}  {each.footer.frames:,} frames  {output.size(each.bytes)}")
    print(f"{len(waiting)} segments would be landed")


def _show(landed: Landed) -> None:
    rows = ", ".join(f"{count:,} {dataset}" for dataset, count in landed.rows.items() if count) or "no rows"
    print(f"{landed.segments} segments landed: {rows}; {landed.skipped} were landed before")
    if landed.holes:
        print(f"{len(landed.holes)} holes: mdc query 'FROM holes' shows them")
    if landed.rejected:
        print(f"{landed.rejected:,} refused: mdc stream deadletter list")
    for name in landed.waiting:
        print(f"{name}  waits: its partitions are being worked on")
    for name, reason in landed.failed:
        print(output.printable(f"{name}  failed: {reason}"))


def _as_dict(landed: Landed) -> dict[str, object]:
    return {
        "segments": landed.segments,
        "skipped": landed.skipped,
        "rows": {dataset.value: count for dataset, count in landed.rows.items()},
        "partitions": [
            {
                "dataset": line.dataset.value,
                "symbol": line.symbol,
                "session": line.session.isoformat(),
                "state": line.state.value,
                "reason": line.reason,
                "rows": line.row_count,
            }
            for line in landed.partitions
        ],
        "holes": len(landed.holes),
        "rejected": landed.rejected,
        "snapshot": landed.snapshot_id,
        "waiting": list(landed.waiting),
        "failed": [{"segment": name, "reason": reason} for name, reason in landed.failed],
    }
