"""A run that a command line executes in its own process ends when somebody cancels or interrupts it.

Dagster asks a run's code server to end it; such a run has none. So this process looks at its run
every second, and interrupts itself as Ctrl-C would once the run is being canceled: from the web UI,
from ``mdc queue cancel``, or from another machine of the same instance.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import RunFailureReason
from dagster._core.storage.tags import WILL_RETRY_TAG

POLL_SECONDS = 1.0
_ENDING = (DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED)


@contextmanager
def interrupted_when_canceled(instance: DagsterInstance, run_id: str) -> Iterator[None]:
    """Within it the main thread gets SIGINT once the run is being canceled; nothing off the main thread."""
    main = threading.main_thread()
    if threading.current_thread() is not main or main.ident is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(instance, run_id, main.ident, over), name="cancelling", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(instance: DagsterInstance, run_id: str, main: int, over: threading.Event) -> None:
    while not over.wait(POLL_SECONDS):
        run = instance.get_run_by_id(run_id)
        if run is None or run.status in _ENDING:
            # To the main thread: it may be waiting for the network, and wakes up for its own signal only.
            signal.pthread_kill(main, signal.SIGINT)
            return


@contextmanager
def canceled_by_interrupt(instance: DagsterInstance, run_id: str) -> Iterator[None]:
    """Within it an interrupt cancels the run ``run_id``.

    Dagster takes one that nobody announced for a crash, and would start the run again.
    """
    try:
        yield
    except (DagsterExecutionInterruptedError, KeyboardInterrupt):
        run = instance.get_run_by_id(run_id)
        if run is not None and run.status is DagsterRunStatus.STARTED:
            instance.report_run_canceling(run, "Interrupted at the command line.")
        raise


def was_interrupted(instance: DagsterInstance, run_id: str) -> bool:
    """True if an interrupt ended the run; one that came before its body began is canceled here."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.status in _ENDING:
        return True
    failures = instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE)
    data = [entry.dagster_event.job_failure_data for entry in failures if entry.dagster_event]
    if not any(one.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION for one in data):
        return False
    instance.add_run_tags(run_id, {WILL_RETRY_TAG: "false"})
    instance.report_run_canceled(run, "Interrupted at the command line before it began.")
    return True
