"""``mdc symbols search|identify|history``: which ticker is meant, by which FIGI, and since when.

A search stores nothing. ``identify`` writes FIGIs into ``figis.csv`` of the home: they are facts
about the symbols this home follows, so they live with its data, as text a person can read and mend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdc_resources.config import Home
    from mdc_resources.domain.symbols import Symbol
    from mdc_resources.providers.search.openfigi import Mapped

_NAME = 38


def search(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A ticker or part of a name")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Show so many")] = 20,
    provider: Annotated[
        str | None, typer.Option("--provider", help="Ask only this source", show_default=False)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Search alpaca, finnhub, polygon and OpenFIGI for a US symbol; best first.

    First the exact ticker, then tickers that begin so, then names; what more sources know comes
    before what fewer do. Exit 1 if nothing was found, 3 if every source failed.
    """
    from mdc_resources.ingest.searching import search as ask

    found = ask(home_of(ctx), text, limit=limit, only=provider)
    if as_json:
        output.print_json(
            {
                "hits": [hit.as_dict() for hit in found.hits],
                "asked": found.asked,
                "errors": found.errors,
                "left_out": found.left_out,
            }
        )
    else:
        rows = [
            (h.symbol, _short(h.name), h.exchange, h.composite_figi or h.figi, len(h.sources))
            for h in found.hits
        ]
        if rows:
            output.print_table(("symbol", "name", "exchange", "composite figi", "sources"), rows)
        for name, reason in {**found.errors, **found.left_out}.items():
            output.note(f"{name}: {output.printable(reason)}")
    if len(found.errors) == len(found.asked):
        raise typer.Exit(ExitCode.PROVIDER)
    if not found.hits:
        output.note("nothing was found")
        raise typer.Exit(ExitCode.FINDINGS)


def identify(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL]...", show_default=False)] = None,
    universe: options.UniverseName = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Look up the FIGIs of symbols at OpenFIGI and keep them in figis.csv. Exit 1 if one has none.

    Without names those of the universe (or of all) that have none yet. A row is replaced when its
    symbol is named; to take one back, delete its line.
    """
    from mdc_resources.cli.home_files import replace_file
    from mdc_resources.domain.time import now
    from mdc_resources.ingest.searching import identify as ask
    from mdc_resources.symbology import FIGIS_FILE, Figi, figis_text, read_figis

    home = home_of(ctx)
    known = read_figis(home.root)
    wanted = _wanted(home, names, universe, known)
    mapped: list[Mapped] = [] if dry_run or not wanted else ask(home, wanted)
    fresh = {
        m.symbol: Figi(
            m.symbol,
            m.found.figi,
            m.found.composite_figi,
            m.found.share_class_figi,
            m.found.name,
            now().date(),
        )
        for m in mapped
        if m.found
    }
    if fresh:
        replace_file(home.root / FIGIS_FILE, figis_text({**known, **fresh}), mode=0o644)
    rows = [
        {
            "symbol": m.symbol,
            "status": "found" if m.found else "not found",
            "figi": m.found.figi if m.found else "",
            "composite_figi": m.found.composite_figi if m.found else "",
            "share_class_figi": m.found.share_class_figi if m.found else "",
            "note": m.reason,
        }
        for m in mapped
    ]
    if as_json:
        output.print_json({"dry_run": dry_run, "asked": wanted if dry_run else None, "rows": rows})
    elif dry_run:
        print(f"would ask OpenFIGI about {len(wanted)} symbols")
    elif rows:
        output.print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        output.note("every symbol has its FIGI; name one to look it up again")
    if any(m.found is None for m in mapped):
        raise typer.Exit(ExitCode.FINDINGS)


def history(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SYMBOL", show_default=False)],
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="The name on this date", show_default=False)
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show the names a company had, and which ticker to ask for on a date. Exit 1 if it had none then."""
    from mdc_resources.coverage.listings import listings_of
    from mdc_resources.domain.symbols import parse_symbol
    from mdc_resources.domain.time import parse_session
    from mdc_resources.lake import Lake
    from mdc_resources.symbology import lineage, name_on, read_figis

    home = home_of(ctx)
    symbol, date = parse_symbol(name), parse_session(as_of) if as_of else None
    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        names = lineage(listings_of(home, lake), symbol)
    finally:
        lake.close()
    figis = read_figis(home.root)
    then = name_on(names, date) if date else None
    rows = [
        {
            "symbol": listing.symbol,
            "first": listing.first,
            "last": listing.last,
            "composite_figi": figis[listing.symbol].composite_figi if listing.symbol in figis else None,
            "origin": listing.origin or None,
        }
        for listing in names
    ]
    if as_json:
        output.print_json({"symbol": symbol, "names": rows, "as_of": date, "ask_for": then})
    else:
        output.print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
        if date:
            print(f"on {date}: ask for {then}" if then else f"on {date}: not listed under any of these names")
    if date and then is None:
        raise typer.Exit(ExitCode.FINDINGS)


def _wanted(
    home: Home, names: Sequence[str] | None, universe: str | None, known: Mapping[Symbol, object]
) -> list[Symbol]:
    """The symbols to ask about: those named, else members without a FIGI. Venue symbols have none."""
    from mdc_resources.cli import selection
    from mdc_resources.domain.symbols import parse_symbols, venue_of
    from mdc_resources.state import State

    if names:
        if universe:
            raise UsageError("name symbols or a universe, not both")
        return parse_symbols(list(names))
    if universe:
        selection.universe_settings(home, universe)
    with State.open(home) as state:
        members = [member.symbol for member in state.members(universe)]
    return [symbol for symbol in members if symbol not in known and not venue_of(symbol)]


def _short(text: str) -> str:
    return text if len(text) <= _NAME else f"{text[: _NAME - 1]}…"
