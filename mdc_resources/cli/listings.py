"""``mdc symbols rename|delist|listings``: when a symbol meant what it means.

What is said here goes into ``listings.toml`` of the home and wins over what vendors tell. Sessions
outside a listing are not expected, so they are no gaps; stored data stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import UsageError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from mdc_resources.config import Home
    from mdc_resources.domain.listings import Listing
    from mdc_resources.domain.symbols import Symbol


def rename(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(help="The name that ended", show_default=False)],
    new: Annotated[str, typer.Argument(help="The name that goes on", show_default=False)],
    date: Annotated[str, typer.Argument(help="First session under the new name", show_default=False)],
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Say that a symbol was renamed: OLD ends the session before DATE, NEW begins on it."""
    from mdc_resources.domain.listings import Listing
    from mdc_resources.domain.symbols import parse_symbol
    from mdc_resources.symbology import read_listings

    home = home_of(ctx)
    former, successor = parse_symbol(old), parse_symbol(new)
    if former == successor:
        raise UsageError(
            f"{former} cannot be renamed to itself", hint="mdc symbols rename FB META 2022-06-09"
        )
    first, before = _session(home, former, date)
    stated = read_listings(home.root)
    ended = replace(stated.get(former, Listing(former)), last=before, successor=successor)
    begun = replace(stated.get(successor, Listing(successor)), first=first, predecessor=former)
    _write(home, [ended, begun], dry_run=dry_run, as_json=as_json)


def delist(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SYMBOL", show_default=False)],
    last: Annotated[str, typer.Argument(metavar="LAST_SESSION", show_default=False)],
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Say that a symbol was delisted: nothing is expected of it after LAST_SESSION."""
    from mdc_resources.domain.listings import Listing
    from mdc_resources.domain.symbols import parse_symbol
    from mdc_resources.symbology import read_listings

    home = home_of(ctx)
    symbol = parse_symbol(name)
    session, _ = _session(home, symbol, last)
    before = read_listings(home.root).get(symbol, Listing(symbol))
    _write(home, [replace(before, last=session, successor=None)], dry_run=dry_run, as_json=as_json)


def listings(
    ctx: typer.Context,
    as_json: options.Json = False,
) -> None:
    """List what is known of listings, and who says so: listings.toml, or rows of the lake."""
    from mdc_resources.coverage.listings import listings_of
    from mdc_resources.lake import Lake

    home = home_of(ctx)
    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        known = listings_of(home, lake)
    finally:
        lake.close()
    rows = [_row(known[symbol]) for symbol in sorted(known)]
    if as_json:
        output.print_json(rows)
    elif rows:
        _print(rows)
    else:
        output.note("every symbol is taken to be listed all along; see mdc symbols rename and delist")


def _session(home: Home, symbol: Symbol, text: str) -> tuple[dt.date, dt.date]:
    """The session ``text`` of the symbol's calendar, and the one before it."""
    from mdc_resources.coverage import calendar_of
    from mdc_resources.domain.time import parse_session
    from mdc_resources.state import State

    date = parse_session(text)
    with State.open(home) as state:
        calendar = calendar_of(home, state, symbol)
    at = calendar.first_from(date)
    if not calendar.is_session(date):
        near = [calendar.session_at(ordinal).isoformat() for ordinal in (at - 1, at)]
        raise UsageError(
            f"{date} is no session of {calendar.name}", hint=f"The nearest are {' and '.join(near)}"
        )
    if at == 0:
        raise UsageError(f"{date} is the first session that {calendar.name} knows", hint="Name a later one")
    return date, calendar.session_at(at - 1)


def _write(home: Home, changed: Sequence[Listing], *, dry_run: bool, as_json: bool) -> None:
    """Write ``changed`` unless the file would not be valid after it."""
    from mdc_resources.cli.home_files import replace_file
    from mdc_resources.symbology import LISTINGS_FILE, listings_text, parse_listings

    for listing in changed:
        if listing.first and listing.last and listing.first > listing.last:
            raise UsageError(
                f"{listing.symbol} would begin {listing.first}, after its end {listing.last}",
                hint=f"Look at its table in {home.root / LISTINGS_FILE}; nothing was changed",
            )
    path = home.root / LISTINGS_FILE
    text = listings_text(changed, path.read_text(encoding="utf-8") if path.exists() else "")
    parse_listings(text, path)
    if not dry_run:
        replace_file(path, text, mode=0o644)
    rows = [_row(listing) for listing in changed]
    if as_json:
        output.print_json({"dry_run": dry_run, "listings": rows})
        return
    _print(rows)
    output.note("dry run: nothing was changed" if dry_run else f"written to {path}")


def _row(listing: Listing) -> dict[str, object]:
    return {
        "symbol": listing.symbol,
        "first": listing.first,
        "last": listing.last,
        "predecessor": listing.predecessor,
        "successor": listing.successor,
        "origin": listing.origin or "listings.toml",
    }


def _print(rows: Sequence[dict[str, object]]) -> None:
    shown = [tuple("" if value is None else value for value in row.values()) for row in rows]
    output.print_table(tuple(rows[0]), shown)
