"""``mdc stream run``: the capturing process, in the foreground, until it is told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from mdc_resources.cli.context import home_of
from mdc_resources.cli.options import Json

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def run(
    ctx: typer.Context,
    shard: Annotated[
        list[str] | None,
        typer.Option("--shard", help="Only this shard (coinbase-0); may repeat", show_default=False),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for", help="Stop after so many seconds", metavar="SECONDS", show_default=False, min=0
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Capture the live feeds of this home. SIGTERM drains, SIGHUP reads the settings anew."""
    import asyncio
    import gc
    import sys

    from mdc_resources.cli.output import note, print_json
    from mdc_resources.telemetry import setup_logging
    from mdc_streaming.service import Service
    from mdc_streaming.status import summary_of

    home = home_of(ctx)
    setup_logging(json=not sys.stderr.isatty(), level="INFO")
    service = Service(home, only=tuple(shard or ()))
    # What is there by now stays. Walking it in each full collection, twice a second under load, kept
    # frames waiting for 60 ms.
    gc.collect()
    gc.freeze()
    asyncio.run(service.run(seconds=seconds))
    found = summary_of(service)
    if as_json:
        print_json(found)
    else:
        note(f"{found['frames']} frames logged, {found['bytes']} bytes; stopped in order")
