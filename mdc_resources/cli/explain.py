"""``mdc explain SYMBOL DATE``: everything known about one partition, for a person or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import home_of

if TYPE_CHECKING:
    from mdc_resources.coverage.explain import Explanation, Partition

app = typer.Typer(rich_markup_mode=None)


@app.command()
def explain(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", show_default=False)],
    date: Annotated[str, typer.Argument(metavar="DATE", help="A session date: 2024-07-03")],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Only this one; default bars_1d, the others in a line each"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show everything known about one partition: its state and why, and the evidence.

    Provider, request, raw bytes (checked), fingerprint, basis, corporate actions, attempts,
    incidents, and the snapshots in which it changed.
    """
    from mdc_resources.coverage.explain import EXPLAINED
    from mdc_resources.coverage.explain import explain as explain_partition
    from mdc_resources.domain.datasets import parse_dataset
    from mdc_resources.domain.symbols import parse_symbol
    from mdc_resources.domain.time import parse_session

    wanted = (parse_dataset(dataset),) if dataset else EXPLAINED
    found = explain_partition(home_of(ctx), parse_symbol(symbol), parse_session(date), wanted)
    if as_json:
        output.print_json(as_dict(found))
    else:
        from mdc_resources.cli.explain_text import print_explanation

        print_explanation(found)


def as_dict(found: Explanation) -> dict[str, object]:
    """The JSON form; ``partitions`` has one entry per dataset that was asked about."""
    whole = asdict(found)
    whole["day"]["is_session"] = found.day.is_session
    whole["partitions"] = [_partition(partition) for partition in found.partitions]
    return whole


def _partition(partition: Partition) -> dict[str, object]:
    """The partition with its newest ledger line and its evidence beside each other."""
    whole = asdict(partition)
    evidence = whole.pop("evidence")
    newest = evidence["changes"][-1] if evidence["changes"] else None
    return {"dataset": whole.pop("dataset"), "state": whole.pop("state"), "why": whole.pop("why"),
            "line": newest, **whole, **evidence}  # fmt: skip
