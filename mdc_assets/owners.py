"""Which process executes a run: tags on the run, so that a dead one can be told from a slow one.

Dagster's default launcher watches its workers only while the code server that started them lives.
The tags say host, boot, pid and start time, so a reused pid or a reboot cannot pass for the worker.
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster import DagsterInstance

from mdc_resources.state import Owner

# Tags below `.dagster/` are kept out of the web UI's lists of runs.
HOST = ".dagster/mdc/host"
BOOT_ID = ".dagster/mdc/boot_id"
PID = ".dagster/mdc/pid"
STARTED = ".dagster/mdc/started"
RUN = ".dagster/mdc/run"  # a retry inherits its parent's tags: these are void in any other run


def tags_of_this_process(run_id: str) -> dict[str, str]:
    """Tags for the run ``run_id``, which this process is about to execute."""
    owner = Owner.current()
    return {
        RUN: run_id,
        HOST: owner.host,
        BOOT_ID: owner.boot_id,
        PID: str(owner.pid),
        STARTED: owner.started,
    }


def mark(instance: DagsterInstance, run_id: str) -> None:
    """Tag the run ``run_id`` as executed by this process."""
    instance.add_run_tags(run_id, tags_of_this_process(run_id))


def owner_of(run_id: str, tags: Mapping[str, str]) -> Owner | None:
    """The process that executes the run ``run_id`` with these ``tags``; None where they do not say."""
    if tags.get(RUN) != run_id or not tags.get(PID, "").isdecimal():
        return None
    return Owner(tags.get(HOST, ""), tags.get(BOOT_ID, ""), int(tags[PID]), tags.get(STARTED, ""))
