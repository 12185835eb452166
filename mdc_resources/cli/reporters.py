"""The one hook through which an orchestrator shows (and queues) what the command line does.

A reporter is installed by the entry point group ``mdc.reporters``; this package imports none of
them. Without one, ``mdc backfill --direct`` still works and everything else says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from mdc_resources.domain.errors import UsageError

if TYPE_CHECKING:
    from mdc_resources.config import Home
    from mdc_resources.domain.priorities import Priority
    from mdc_resources.domain.queue import Change, QueuedRun
    from mdc_resources.ingest import Outcome, Progress, Want
    from mdc_resources.landing.land import Landed
    from mdc_resources.landing.refill import Refilled
    from mdc_resources.recovery.reconciling import ReconcileReport

GROUP = "mdc.reporters"


class Queue(Protocol):
    """Runs that fetch: queued, or under way. They are named by as much of their ids as is unambiguous.

    A name that fits none or several raises UsageError, and then nothing was changed.
    """

    def entries(self) -> list[QueuedRun]:
        """Runs under way, then queued ones in the order of starting, then paused ones."""
        ...

    def bump(self, runs: Sequence[str], *, to: Priority | None = None, dry_run: bool = False) -> list[Change]:
        """Give queued runs the priority ``to``, or the next higher one."""
        ...

    def pause(self, runs: Sequence[str], *, every: bool = False, dry_run: bool = False) -> list[Change]:
        """Hold queued runs back: the named ones, or ``every`` one."""
        ...

    def resume(self, runs: Sequence[str], *, every: bool = False, dry_run: bool = False) -> list[Change]:
        """Let paused runs start again."""
        ...

    def cancel(self, runs: Sequence[str], *, dry_run: bool = False) -> list[Change]:
        """Cancel queued runs at once and end running ones; what these committed stays."""
        ...


class Reporter(Protocol):
    """Runs a backfill where people can watch it."""

    def prepare(self, home: Home) -> None:
        """Write what the orchestrator keeps in a home (``mdc init``); what a person changed stays."""
        ...

    def run(self, home: Home, want: Want, *, on_progress: Callable[[Progress], None] | None) -> Outcome:
        """Backfill in this process as a run of the orchestrator; returns once everything is reported.

        Raises KeyboardInterrupt on Ctrl-C and where somebody cancelled the run.
        """
        ...

    def submit(self, home: Home, want: Want, *, priority: Priority) -> list[str]:
        """Queue what is open of ``want`` in parts of bounded size; returns their run ids at once."""
        ...

    def queue(self, home: Home) -> AbstractContextManager[Queue]:
        """The queue of ``home``, whether or not anything serves it."""
        ...

    def reconcile(self, home: Home, *, dry_run: bool) -> ReconcileReport:
        """Report what the event log lacks, mark as missing what the ledger lacks; nothing is fetched."""
        ...

    def land(self, home: Home) -> Landed:
        """Land sealed segments of live capture in this process, as a run of the orchestrator."""
        ...

    def refill(self, home: Home) -> Refilled:
        """Refill holes of live capture from history, likewise."""
        ...

    def lacking(self, home: Home) -> dict[str, str]:
        """What the queue misses in settings that a person changed: effect -> lines to add."""
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
