"""``mdc universe``: groups of symbols that share a calendar, and how many shards each may fill.

``grow`` changes the one number in ``mdc.toml`` and nothing else in the file. Shards only ever
grow: each is an asset, and an asset's history stays.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from mdc_resources.config import Home

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
MAX_SHARDS = 500


@app.command("list")
def list_(ctx: typer.Context, as_json: options.Json = False) -> None:
    """List universes with their calendar, start and room."""
    from mdc_resources.state import SHARD_SIZE, State

    home = home_of(ctx)
    with State.open(home) as state:
        members = state.members(active_only=False)
    rows = []
    for name, settings in home.settings.universes.items():
        seated = [member for member in members if member.universe == name]
        rows.append(
            {
                "universe": name,
                "calendar": settings.calendar,
                "asset_class": settings.asset_class,
                "start": settings.start,
                "shards": settings.shards,
                "symbols": sum(member.active for member in seated),
                "removed": sum(not member.active for member in seated),
                "capacity": settings.shards * SHARD_SIZE,
            }
        )
    if as_json:
        output.print_json(rows)
    else:
        numbers = ("shards", "symbols", "removed", "capacity")
        output.print_table(tuple(rows[0]), [tuple(row.values()) for row in rows], right=numbers)


@app.command()
def grow(
    ctx: typer.Context,
    universe: Annotated[str, typer.Argument(metavar="UNIVERSE", show_default=False)],
    shards: Annotated[
        int | None, typer.Option("--shards", help="The new number; default one more", show_default=False)
    ] = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Add shards of 40 symbols to a universe: edits `shards` in mdc.toml."""
    from mdc_resources.cli import home_files, selection
    from mdc_resources.state import SHARD_SIZE

    home = home_of(ctx)
    before = selection.universe_settings(home, universe).shards
    after = before + 1 if shards is None else shards
    if not before < after <= MAX_SHARDS:
        raise UsageError(f"{universe!r} has {before} shards; {after} is not more, or above {MAX_SHARDS}")
    text = with_shards(home, universe, after)
    if not dry_run:
        path = home.config_file
        home_files.replace_file(path, text, mode=path.stat().st_mode & 0o777)
    if as_json:
        output.print_json({"universe": universe, "before": before, "after": after, "dry_run": dry_run})
        return
    verb = "would grow" if dry_run else "grew"
    print(f"{universe} {verb} from {before} to {after} shards: room for {after * SHARD_SIZE} symbols")
    if not dry_run:
        print("Reload the code location for the new assets: restart mdc up, or Reload definitions in its UI")


def with_shards(home: Home, universe: str, shards: int) -> str:
    """The text of ``mdc.toml`` with another number of shards, all else as it is.

    Raises:
        ConfigError: the number is set elsewhere (environment), or the file is written in a way
            that cannot be edited safely.
    """
    origin = home.origins.get(f"universes.{universe}.shards", str(home.config_file))
    if Path(origin) != home.config_file:
        raise ConfigError(f"universes.{universe}.shards is set in {origin}", hint="Change it there")
    text = home.config_file.read_text(encoding="utf-8")
    edited = _edited(text, universe, shards)
    wanted = tomllib.loads(text)
    wanted.setdefault("universes", {}).setdefault(universe, {})["shards"] = shards
    if tomllib.loads(edited) != wanted:
        raise ConfigError(
            f"{home.config_file} cannot be edited safely",
            hint=f"Set shards = {shards} under [universes.{universe}]",
        )
    return edited


def _edited(text: str, universe: str, shards: int) -> str:
    header = re.search(rf"^\[universes\.{re.escape(universe)}\][^\n]*\n?", text, re.MULTILINE)
    if not header:
        return f"{text.rstrip()}\n\n[universes.{universe}]\nshards = {shards}\n"
    following = re.search(r"^\[", text[header.end() :], re.MULTILINE)
    end = header.end() + following.start() if following else len(text)
    section = text[header.end() : end]
    changed, count = re.subn(
        r"^(\s*shards\s*=\s*)\d+", rf"\g<1>{shards}", section, count=1, flags=re.MULTILINE
    )
    if not count:
        changed = f"shards = {shards}\n{section}"
    return text[: header.end()] + changed + text[end:]
