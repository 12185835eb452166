"""``mdc stream status``: what the running sidecar says about itself."""

from __future__ import annotations

from typing import Any

import typer

from mdc_resources.cli.context import home_of
from mdc_resources.cli.options import Json
from mdc_resources.domain.errors import ExitCode

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_DEADLINE = 10.0


@app.command()
def status(ctx: typer.Context, as_json: Json = False) -> None:
    """What is captured now. Exit code 1 if anything needs a person."""
    import httpx

    from mdc_resources.cli.output import print_fields, print_json, print_table, size
    from mdc_resources.domain.errors import UsageError
    from mdc_streaming.announce import address

    url = address(home_of(ctx))
    try:
        found: dict[str, Any] = httpx.get(f"{url}/status", timeout=_DEADLINE).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise UsageError(
            f"the sidecar at {url} does not answer: {type(error).__name__}",
            hint="It may be starting or ending; try again, or look at its log",
        ) from None
    if as_json:
        print_json(found)
    else:
        print_fields(
            [
                ("sidecar", f"{found['url']} (pid {found['pid']})"),
                ("ready", found["ready"]),
                ("up", f"{found['uptime_seconds']:.0f} s"),
                *(("trouble", trouble) for trouble in found["troubles"]),
                ("settings", found["reload"]["error"] or "as loaded"),
            ]
        )
        print_table(
            ("shard", "state", "live", "wanted", "frames", "pending", "reconnects", "holes"),
            [_row(shard, size) for shard in found["shards"]],
            right=("live", "wanted", "frames", "pending", "reconnects", "holes"),
        )
    if found["troubles"] or not (found["ready"] or found["standby"]):
        raise typer.Exit(ExitCode.FINDINGS)


def _row(shard: dict[str, Any], size: Any) -> tuple[object, ...]:
    return (
        shard["shard"],
        shard["state"],
        shard["confirmed"],
        shard["wanted"],
        shard["frames"],
        size(shard["pending_bytes"]),
        sum(shard["ends"].values()),
        sum(shard["holes"].values()),
    )
