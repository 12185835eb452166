"""``mdc stream``: a group whose commands are imported when they are asked for, not before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from mdc_resources.cli.lazy import Lazy

_HERE = "mdc_streaming"


class Stream(TyperGroup):
    """Every command of this package."""

    table: ClassVar[Mapping[str, Lazy]] = {
        "run": Lazy(f"{_HERE}.run_command:app", "Capture the feeds of this home until told to stop.", ""),
        "status": Lazy(f"{_HERE}.status_command:app", "What the running sidecar captures, and how well.", ""),
        "tail": Lazy(f"{_HERE}.tail_command:app", "Live events of the running sidecar.", ""),
        "wal": Lazy(f"{_HERE}.wal_command:app", "The log: verify, cat, replay.", ""),
        "land": Lazy(f"{_HERE}.land_command:app", "Sealed segments into the lake.", ""),
        "deadletter": Lazy(f"{_HERE}.deadletter_command:app", "What could not be decoded or landed.", ""),
    }

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names in the table's order."""
        return [name for name, entry in self.table.items() if find_spec(entry.target.partition(":")[0])]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and build the command called ``cmd_name``; None if there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module, _, attribute = self.table[cmd_name].target.partition(":")
        command = typer.main.get_command(getattr(import_module(module), attribute))
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Help lines from the table alone: nothing is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.table[name].help) for name in self.list_commands(ctx)])


app = typer.Typer(
    cls=Stream,
    name="stream",
    help="Live capture: run, status, tail, log, dead letters.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def stream() -> None:
    """Live capture: run, status, tail, log, dead letters."""
