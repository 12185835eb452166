"""The checks of ``mdc doctor``. Each yields findings and raises nothing: a doctor must finish."""

from __future__ import annotations

from collections.abc import Iterable

from mdc_resources.cli.health.finding import Finding
from mdc_resources.config import Home
from mdc_resources.domain.errors import MdcError

__all__ = ["Finding", "examine"]


def examine(home: Home) -> Iterable[Finding]:
    """Run every check on ``home``."""
    from mdc_resources.cli.health import capture, machine, orchestrator, storage

    checks = (
        machine.versions,
        machine.settings,
        machine.permissions,
        machine.disk,
        storage.lake,
        storage.state,
        orchestrator.instance,
        capture.feeds,
    )
    for check in checks:
        name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
        try:
            yield from check(home)
        except MdcError as error:
            yield Finding("error", name, error.message, error.hint)
        except OSError as error:
            yield Finding("error", name, f"{error.strerror}: {error.filename}")
