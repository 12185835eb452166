"""The one hook through which an orchestrator shows (and queues) what the command line does.

A reporter is installed by the entry point group ``mdc.reporters``; this package imports none of
them. Without one, ``mdc backfill --direct`` still works and everything else says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from mdc_resources.domain.errors import UsageError

if TYPE_CHECKING:
    from mdc_resources.config import Home
    from mdc_resources.ingest import Outcome, Progress, Want

GROUP = "mdc.reporters"


class Reporter(Protocol):
    """Runs a backfill where people can watch it."""

    def prepare(self, home: Home) -> None:
        """Write what the orchestrator keeps in a home (``mdc init``); never overwrites."""
        ...

    def run(self, home: Home, want: Want, *, on_progress: Callable[[Progress], None] | None) -> Outcome:
        """Backfill in this process as a run of the orchestrator; returns once everything is reported."""
        ...

    def submit(self, home: Home, want: Want) -> str:
        """Queue the backfill for the daemon and return the run id at once."""
        ...

    def serve(self, home: Home) -> int:
        """Serve the web UI and the daemons until interrupted; returns an exit code."""
        ...


def load_reporter() -> Reporter:
    """The installed reporter.

    Raises:
        UsageError: none is installed, or several are.
    """
    from importlib.metadata import entry_points

    found = list(entry_points(group=GROUP))
    if len(found) != 1:
        names = ", ".join(sorted(point.name for point in found)) or "none"
        raise UsageError(
            f"one reporter is needed, installed: {names}",
            hint="Reinstall mdc, or leave the orchestrator out with --direct",
        )
    reporter: Reporter = found[0].load()
    return reporter
