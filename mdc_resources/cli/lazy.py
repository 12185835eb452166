"""A command group that imports a command's module when the command is asked for, not before.

The table of commands carries each one's help line, so that ``mdc --help`` imports none of them.
Upper floors add commands by the entry point group ``mdc.commands``. Errors of the archive end
here: one line on stderr and the exit code of their class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from mdc_resources.cli import failures

PLUGIN_GROUP = "mdc.commands"


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command lives (``module:attribute``), its help line and its section."""

    target: str
    help: str
    section: str


class LazyGroup(TyperGroup):
    """The root group. A subclass sets ``table``."""

    table: ClassVar[Mapping[str, Lazy]] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names of the table, then of the plug-ins."""
        return [*self.table, *(name for name in _plugins() if name not in self.table)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import and build the command called ``cmd_name``; None if there is none."""
        entry = self.table.get(cmd_name)
        if entry is not None:
            module, _, attribute = entry.target.partition(":")
            app = getattr(import_module(module), attribute)
        elif cmd_name in (plugins := _plugins()):
            app = plugins[cmd_name].load()
        else:
            return None
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As usual, with the table's names as suggestions for a misspelt one."""
        self.commands = dict.fromkeys(self.list_commands(ctx))  # type: ignore[assignment]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Help lines from the table; a plug-in's own, whose group must be cheap to import."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.table.items():
            sections.setdefault(entry.section, []).append((name, entry.help))
        for name, point in _plugins().items():
            if name not in self.table:
                sections.setdefault("From the floor above", []).append((name, point.load().info.help or ""))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Accept ``--config`` after the command too: people type it there."""
        return super().parse_args(ctx, _config_first(args))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error becomes a message and an exit code."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            raise typer.Exit(failures.report(error, ctx.obj)) from error


def _config_first(args: list[str]) -> list[str]:
    """``args`` with every ``--config X`` before ``--`` moved to the front."""
    end = args.index("--") if "--" in args else len(args)
    front: list[str] = []
    rest: list[str] = []
    at = 0
    while at < end:
        if args[at] == "--config" and at + 1 < end:
            front += args[at : at + 2]
            at += 2
            continue
        (front if args[at].startswith("--config=") else rest).append(args[at])
        at += 1
    return [*front, *rest, *args[end:]]


def _plugins() -> Mapping[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=PLUGIN_GROUP)}
