"""``mdc``: the root of the command line.

Everyday verbs stand alone, the rest is ``mdc <noun> <verb>``. Exit codes: 0 ok, 1 findings,
2 usage, 3 provider, 4 data, 5 lake, 70 a defect, 130 interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from mdc_resources.cli.context import Invocation
from mdc_resources.cli.lazy import Lazy, LazyGroup

_DAILY, _NOUNS = "Everyday", "By noun"
_HERE = "mdc_resources.cli"


class Root(LazyGroup):
    """Every command of this package."""

    table: ClassVar[Mapping[str, Lazy]] = {
        "init": Lazy(f"{_HERE}.home_commands:init_app", "Make a home: config, lake, state.", _DAILY),
        "up": Lazy(f"{_HERE}.home_commands:up_app", "Serve a home: web UI and daemon.", _DAILY),
        "demo": Lazy(f"{_HERE}.demo:app", "Backfill a synthetic market, start to finish.", _DAILY),
        "backfill": Lazy(f"{_HERE}.backfill:app", "Fetch what is missing in a range.", _DAILY),
        "coverage": Lazy(f"{_HERE}.coverage:app", "What a range should hold, and does.", _DAILY),
        "explain": Lazy(f"{_HERE}.explain:app", "Everything known about one partition.", _DAILY),
        "gaps": Lazy(f"{_HERE}.gaps:app", "What is missing, and when it is asked for again.", _DAILY),
        "query": Lazy(f"{_HERE}.query:app", "Run one SELECT over the lake.", _DAILY),
        "doctor": Lazy(f"{_HERE}.doctor:app", "Check everything this home relies on.", _DAILY),
        "queue": Lazy(f"{_HERE}.queue:app", "What waits to be fetched: list, bump, pause, cancel.", _NOUNS),
        "reconcile": Lazy(f"{_HERE}.reconcile:app", "The web UI against the lake, both ways.", _NOUNS),
        "actions": Lazy(f"{_HERE}.actions:app", "Splits and dividends: check with a second source.", _NOUNS),
        "holes": Lazy(f"{_HERE}.holes:app", "What live feeds did not deliver: list, repair.", _NOUNS),
        "book": Lazy(f"{_HERE}.book:app", "The order book as it stood at an instant.", _NOUNS),
        "universe": Lazy(f"{_HERE}.universe:app", "Universes: list, grow.", _NOUNS),
        "symbols": Lazy(f"{_HERE}.symbols:app", "Symbols: search, members, FIGIs, import, renames.", _NOUNS),
        "lake": Lazy(f"{_HERE}.lake:app", "The lake: status, snapshots, verify, rebuild.", _NOUNS),
        "providers": Lazy(f"{_HERE}.providers:app", "Providers: list, check, setup, new.", _NOUNS),
        "config": Lazy(f"{_HERE}.config:app", "Settings: show, check.", _NOUNS),
        "sandbox": Lazy("mdc_resources.sandbox.command:app", "The local synthetic vendor: serve.", _NOUNS),
    }


app = typer.Typer(cls=Root, add_completion=False, rich_markup_mode=None, no_args_is_help=True)


def _version(asked: bool) -> None:
    if asked:
        from mdc_resources import __version__

        print(f"mdc {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", help="mdc.toml, or the home that holds it", show_default=False)
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr what is done")] = False,
    version: Annotated[  # noqa: ARG001  typer hands it to its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    """A market-data archive you own: exact, complete, explained.

    The home is found by --config, MDC_CONFIG, or upward from the working directory.
    """
    ctx.obj = Invocation(config, verbose)


def main() -> None:
    """Entry point of the ``mdc`` script. What it creates is private to its user."""
    os.umask(0o077)
    typer.main.get_command(app).main(prog_name="mdc")


if __name__ == "__main__":  # how one mdc process starts another: python -m mdc_resources.cli.main
    main()
