"""``mdc config``: the settings in force and where each comes from; never a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdc_resources.cli import options, output
from mdc_resources.cli.context import Invocation, home_of
from mdc_resources.domain.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mdc_resources.config import Home

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.command()
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from")] = False,
    as_json: options.Json = False,
) -> None:
    """Print every setting in force. Passwords inside URLs are masked; credentials are only named."""
    home = home_of(ctx)
    rows = settings_rows(home)
    if as_json:
        output.print_json(
            {key: {"value": value, "origin": source} for key, value, source in rows}
            if origin
            else {key: value for key, value, _ in rows}
        )
    elif origin:
        output.print_table(("key", "value", "origin"), rows)
    else:
        output.print_fields([(key, value) for key, value, _ in rows])


@app.command()
def check(ctx: typer.Context, as_json: options.Json = False) -> None:
    """Validate the settings: keys, types, providers, ranks, paths, calendars. Exit 1 on findings."""
    from mdc_resources import config
    from mdc_resources.cli import config_checks
    from mdc_resources.domain.errors import ConfigError

    invocation: Invocation = ctx.find_root().obj
    path = config.find(invocation.config)
    findings = config_checks.literal_secrets(path)
    try:
        home = home_of(ctx)
    except ConfigError as error:
        if not findings:
            raise
        findings.append(config_checks.ConfigFinding("error", error.key, error.message, error.hint))
    else:
        findings += config_checks.findings(home)
    if as_json:
        output.print_json({"config": path, "findings": [finding.as_dict() for finding in findings]})
    else:
        for finding in findings:
            print(f"{finding.level}: {finding.key}: {finding.message}. {finding.hint}".rstrip(" ."))
        if not findings:
            print(f"{path} is in order")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(ExitCode.FINDINGS)


def settings_rows(home: Home) -> list[tuple[str, object, str]]:
    """(dotted key, value, origin) of every setting, in the order of the file's sections."""
    from mdc_resources.cli.failures import masked

    tree = home.settings.model_dump(mode="json")
    return [
        (key, masked(value) if isinstance(value, str) else value, _origin(home.origins, key))
        for key, value in _flat(tree)
        if value is not None
    ]


def _origin(origins: Mapping[str, str], key: str) -> str:
    """Where ``key`` was set; a table set as one value is the origin of all in it."""
    parts = key.split(".")
    candidates = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((origins[name] for name in candidates if name in origins), "default")


def _flat(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
