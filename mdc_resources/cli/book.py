"""``mdc book SYMBOL --at INSTANT``: the archived book at an instant, bids and asks side by side."""

from __future__ import annotations

from contextlib import closing
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode

if TYPE_CHECKING:
    from mdc_resources.query.books import ArchivedBook, Level

app = typer.Typer(rich_markup_mode=None)
_COLUMNS = ("bid size", "bid", "ask", "ask size")


@app.command()
def book(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", show_default=False)],
    at: Annotated[
        str, typer.Option("--at", metavar="INSTANT", help="2024-07-03T20:00:00Z", show_default=False)
    ],
    levels: Annotated[int, typer.Option("--levels", min=1, help="Levels of each side")] = 10,
    as_json: options.Json = False,
) -> None:
    """Show the order book as it stood at an instant, rebuilt from the archive.

    Exit code 1 where the archive holds no snapshot that old, or lost track of the book since.
    """
    from mdc_resources.domain.symbols import parse_symbol
    from mdc_resources.domain.time import parse_instant
    from mdc_resources.query.books import read_book
    from mdc_resources.query.noting import note_reading
    from mdc_resources.query.session import connect

    home, wanted, instant = home_of(ctx), parse_symbol(symbol), parse_instant(at)
    with closing(connect(home)) as connection:
        found = read_book(connection, wanted, instant)
    note_reading(home, [wanted])
    if found is None:
        output.note(f"no book of {wanted} at {at}: the archive has no snapshot of it from before then")
    elif as_json:
        output.print_json(as_dict(found, levels))
    elif found.broken:
        output.note(f"no book of {wanted} at {at}: {found.broken}, and no snapshot came after it")
    else:
        print_book(found, levels)
    if found is None or found.broken:
        raise typer.Exit(ExitCode.FINDINGS)


def as_dict(found: ArchivedBook, levels: int) -> dict[str, object]:
    """The JSON form: prices and sizes are strings with every digit, instants ISO 8601."""
    from mdc_resources.query.books import shown

    return {
        "symbol": found.symbol,
        "at": shown(found.at_ns),
        "valid": not found.broken,
        "reason": found.broken or None,
        "source": found.source,
        "snapshot_at": shown(found.snapshot_ns),
        "updated_at": shown(found.updated_ns),
        "age_seconds": found.age_seconds,
        "sequence": found.sequence,
        "changes": found.changes,
        "spread": found.spread,
        "held": {"bids": len(found.bids), "asks": len(found.asks)},
        "bids": found.bids[:levels],
        "asks": found.asks[:levels],
    }


def print_book(found: ArchivedBook, levels: int) -> None:
    """Bids and asks side by side, best first, then what is known about the book."""
    from mdc_resources.query.books import shown

    output.print_table(_COLUMNS, _rows(found, levels), right=_COLUMNS)
    print()
    output.print_fields([
        ("symbol", found.symbol),
        ("at", shown(found.at_ns)),
        ("spread", found.spread),
        ("levels", f"{len(found.bids)} bids, {len(found.asks)} asks"),
        ("last update", f"{shown(found.updated_ns)}, {output.duration(found.age_seconds)} before"),
        ("snapshot", f"{shown(found.snapshot_ns)}, {found.changes} changes since"),
        ("source", found.source),
    ])  # fmt: skip


def _rows(found: ArchivedBook, levels: int) -> list[tuple[object, ...]]:
    nobody: Level | tuple[None, None] = (None, None)
    pairs = zip_longest(found.bids[:levels], found.asks[:levels], fillvalue=nobody)
    return [(bid[1], bid[0], ask[0], ask[1]) for bid, ask in pairs]
