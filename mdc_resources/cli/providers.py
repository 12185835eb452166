"""``mdc providers``: who can be asked for what, and whether each answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of
from mdc_resources.domain.errors import ExitCode

if TYPE_CHECKING:
    from mdc_resources.config import Home, Limits, ProviderSettings
    from mdc_resources.providers.spec import Provider

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.command("list")
def list_(ctx: typer.Context, as_json: options.Json = False) -> None:
    """List every installed provider: rank, datasets, credentials, what is used of its limits."""
    from mdc_resources.providers.registry import load_providers
    from mdc_resources.state import State
    from mdc_resources.transport.budget import Budgets

    home = home_of(ctx)
    with State.open(home) as state, Budgets.open(home.state_dir) as budgets:
        breakers = {(b.provider, str(b.dataset)): b.failures for b in state.breakers()}
        rows = [_row(home, name, provider, budgets) for name, provider in load_providers().items()]
    for row in rows:
        row["failures"] = sum(count for (name, _), count in breakers.items() if name == row["provider"])
    rows.sort(key=lambda row: (not row["enabled"], row["rank"]))
    if as_json:
        output.print_json(rows)
        return
    columns = ("provider", "enabled", "rank", "datasets", "credentials", "budget", "failures")
    cells = [[_cell(row[name]) for name in columns] for row in rows]
    output.print_table(columns, cells, right=("rank", "failures"))


@app.command()
def check(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[PROVIDER]...", show_default=False)] = None,
    symbol: Annotated[str, typer.Option("--symbol", help="The symbol to ask for")] = "AAPL",
    as_json: options.Json = False,
) -> None:
    """Ask each enabled provider for a few daily bars; nothing is stored. Exit 3 if one fails."""
    from mdc_resources.cli.provider_probe import probe_all

    results = probe_all(home_of(ctx), names or [], symbol)
    if as_json:
        output.print_json([result.as_dict() for result in results])
    else:
        columns = ("provider", "ok", "rows", "ms", "message")
        rows = [
            (r.provider, "yes" if r.ok else "NO", r.rows, round(r.milliseconds), r.message) for r in results
        ]
        output.print_table(columns, rows, right=("rows", "ms"))
    if any(not result.ok for result in results):
        raise typer.Exit(ExitCode.PROVIDER)


def _row(home: Home, name: str, provider: Provider, budgets: object) -> dict[str, object]:
    from mdc_resources.cli.config_checks import shown_variable
    from mdc_resources.config import ProviderSettings
    from mdc_resources.ingest.candidates import credential_names

    settings = home.settings.providers.get(name)
    known = settings or ProviderSettings()
    needed = credential_names(provider, known)
    return {
        "provider": name,
        "title": provider.spec.title,
        "enabled": settings is not None and settings.enabled,
        "rank": provider.spec.rank if known.rank is None else known.rank,
        "base_url": _masked(known.base_url or provider.spec.base_url),
        "datasets": {str(dataset): offer.market for dataset, offer in provider.spec.offers.items()},
        "credentials": {
            shown_variable(variable): home.secrets.get(variable) is not None for variable in needed
        },
        "budget": _budget(budgets, name, known, provider.spec.limits),
    }


def _budget(budgets: object, name: str, settings: ProviderSettings, declared: Limits) -> dict[str, list[int]]:
    from mdc_resources.transport.budget import Budgets

    assert isinstance(budgets, Budgets)
    return {
        window: [used, limit]
        for window, (used, limit) in budgets.used(name, settings.limits or declared).items()
    }


def _masked(url: str) -> str:
    from mdc_resources.cli.failures import masked

    return masked(url)


def _cell(value: object) -> object:
    """A dict on one line: datasets by name, credentials set or missing, used of allowed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, dict):
        return value
    words = {True: "set", False: "MISSING"}
    parts = []
    for name, inner in value.items():
        if isinstance(inner, bool):
            parts.append(f"{name} {words[inner]}")
        elif isinstance(inner, list):
            parts.append(f"{inner[0]}/{inner[1]} a {name}")
        else:
            parts.append(str(name))
    return ", ".join(parts)
