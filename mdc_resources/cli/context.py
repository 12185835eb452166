"""What one invocation of ``mdc`` knows: which config was asked for, and the home it opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mdc_resources.config import Home


@dataclass(slots=True)
class Invocation:
    """The global options. ``opened`` is the home once a command has loaded it."""

    config: Path | None = None
    verbose: bool = False
    opened: Home | None = None


def home_of(ctx: typer.Context, folder: Path | None = None) -> Home:
    """The home of this invocation: ``folder``, else ``--config``, ``MDC_CONFIG`` or upward.

    Raises:
        ConfigError: there is none, or it is not valid.
    """
    from mdc_resources import config
    from mdc_resources.telemetry.logs import setup_logging

    invocation: Invocation = ctx.find_root().obj
    setup_logging(level="INFO" if invocation.verbose else "ERROR")
    invocation.opened = config.load(config.find(folder or invocation.config))
    return invocation.opened
