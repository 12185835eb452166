"""``mdc holes``: what live capture did not get, what repaired it, and ``mdc holes repair``.

A hole is data: it was derived from the sealed log when its segment was landed. ``open`` ones are
refilled from history by themselves where ``mdc up`` runs; ``repair`` does it now.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdc_resources.config import Home
    from mdc_resources.domain.symbols import Symbol
    from mdc_resources.lake import HoleRow, Span
    from mdc_resources.landing.refill import Refilled

_SHOWN = 100
COLUMNS = ("dataset", "symbol", "from", "to", "length", "why", "state", "repaired by")


class _Symbols(typer.core.TyperGroup):
    """A group whose words that are no command are symbols."""

    def parse_args(self, ctx: object, args: list[str]) -> list[str]:
        """``mdc holes AAPL`` is ``mdc holes list AAPL``."""
        if not args or args[0] not in (*self.commands, "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)  # type: ignore[arg-type]


app = typer.Typer(
    cls=_Symbols,
    rich_markup_mode=None,
    add_completion=False,
    help="Holes of live capture: list, repair.",
)


@app.command("list")
def show(
    ctx: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(metavar="SYMBOL...", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Repaired ones too")] = False,
    as_json: options.Json = False,
) -> None:
    """List what live capture missed and nothing repaired yet. Exit 1 if there is any.

    Without SYMBOL all symbols. Instants are UTC, of this machine's clock when frames arrived.
    """
    from mdc_resources.domain.symbols import parse_symbols

    named = parse_symbols(symbols or []) or None
    rows = [row for row in look(home_of(ctx), named) if everything or row["state"] != "repaired"]
    if as_json:
        output.print_json({"holes": rows})
    elif rows:
        print_rows(rows)
    else:
        print("no holes")
    if any(row["state"] == "open" for row in rows):
        raise typer.Exit(ExitCode.FINDINGS)


@app.command()
def repair(
    ctx: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(metavar="SYMBOL...", show_default=False)] = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Refill open holes from history now, also those that pause after a failure. Exit 1 if some stay open."""
    from mdc_resources.domain.symbols import parse_symbols
    from mdc_resources.domain.time import now
    from mdc_resources.landing.refill import open_holes, refill

    home, named = home_of(ctx), parse_symbols(symbols or []) or None
    if dry_run:
        due = open_holes(home, symbols=named, patient=False).due
        rows = [as_dict(hole, "") for torn in due for hole in torn.holes]
        if as_json:
            output.print_json({"dry_run": True, "holes": rows})
        else:
            print(f"{len(rows)} holes in {len(due)} partitions would be asked for")
            output.note("dry run: nothing was sent or changed")
        return
    with output.quiet_logs():
        run_id = f"holes-{now():%Y%m%dT%H%M%S%f}"
        done = refill(home, run_id=run_id, symbols=named, patient=False)
    if as_json:
        output.print_json(repaired_as_dict(done))
    else:
        _print_repaired(done)
    if done.failed or done.waiting:
        raise typer.Exit(ExitCode.FINDINGS)


def look(home: Home, symbols: Sequence[Symbol] | None = None) -> list[dict[str, object]]:
    """Every hole in order of time, with who repaired it."""
    from mdc_resources.lake import Lake

    with closing(Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)) as lake:
        holes, spans = lake.holes(symbols=symbols), lake.spans(symbols=symbols)
    mended = [span for span in spans if "refilled by" in span.reason]
    found = sorted(holes, key=lambda hole: (hole.start_ns, hole.dataset, hole.key.symbol))
    return [as_dict(hole, _mender(hole, mended)) for hole in found]


def as_dict(hole: HoleRow, repaired_by: str) -> dict[str, object]:
    """The JSON form; ``end`` is exclusive."""
    return {
        "dataset": hole.dataset,
        "symbol": hole.key.symbol,
        "session": hole.key.session,
        "start": _shown(hole.start_ns),
        "end": _shown(hole.end_ns),
        "seconds": round((hole.end_ns - hole.start_ns) / 1e9, 3),
        "reason": hole.reason,
        "state": hole.state,
        "repaired_by": repaired_by,
        "hole_id": hole.hole_id,
    }


def repaired_as_dict(done: Refilled) -> dict[str, object]:
    """What a refill did, in its JSON form."""
    return {
        "repaired": [as_dict(r.hole, r.source) | {"rows": r.rows, "state": "repaired"} for r in done.repairs],
        "failed": [as_dict(hole, "") | {"why": why} for hole, why in done.failed],
        "given_up": len(done.gave_up),
        "waiting": done.waiting,
        "requests": done.requests,
        "rows": done.rows,
        "seconds": round(done.seconds, 3),
    }


def print_rows(rows: Sequence[dict[str, object]]) -> None:
    """The table for a person, newest holes last."""
    table = [
        (row["dataset"], row["symbol"], row["start"], row["end"], f"{row['seconds']} s", row["reason"],
         row["state"], row["repaired_by"])
        for row in rows[-_SHOWN:]
    ]  # fmt: skip
    output.print_table(COLUMNS, table, right=("length",))
    if len(rows) > _SHOWN:
        output.note(f"and {len(rows) - _SHOWN} earlier ones; --json lists all")


def _print_repaired(done: Refilled) -> None:
    for each in done.repairs:
        hole = each.hole
        print(
            f"{hole.dataset} {hole.key.symbol} {_shown(hole.start_ns)}: {each.rows} rows from {each.source}"
        )
    print(f"{len(done.repairs)} holes repaired with {done.rows} rows, by {done.requests} requests")
    for hole, why in done.failed:
        output.note(f"{hole.dataset} {hole.key.symbol} {_shown(hole.start_ns)} stays open: {why}")
    if done.gave_up:
        output.note(f"{len(done.gave_up)} holes were given up; the table incidents says who was asked")
    if done.waiting:
        output.note(f"{done.waiting} holes are too young, or somebody is at their partition")


def _mender(hole: HoleRow, spans: Sequence[Span]) -> str:
    """The source of the span that covers ``hole``; empty while nothing does."""
    if hole.state != "repaired":
        return ""
    covering = (
        span.source
        for span in spans
        if (span.dataset, span.key) == (hole.dataset, hole.key)
        and span.start_ns <= hole.start_ns
        and hole.end_ns <= span.end_ns
    )
    return next(covering, "")


def _shown(ns: int) -> str:
    """An instant of nanoseconds, to the millisecond."""
    from mdc_resources.query.books import shown

    return shown(ns // 10**6 * 10**6)
