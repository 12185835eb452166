"""What one invocation of ``mdc`` knows: which config was asked for, and the home it opened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mdc_resources.config import Home

_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSWORD", re.IGNORECASE)


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
    from mdc_resources.telemetry.masking import register_secret

    invocation: Invocation = ctx.find_root().obj
    setup_logging(level="INFO" if invocation.verbose else "ERROR")
    invocation.opened = config.load(config.find(folder or invocation.config))
    for name, value in invocation.opened.secrets.environ.items():
        if looks_secret(name):  # masked from now on, also where nothing has used it yet
            register_secret(value)
    return invocation.opened


def looks_secret(name: str) -> bool:
    """True if a variable of this name holds something that must not be shown."""
    return bool(_SECRET_NAME.search(name))
