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


def tags_of_this_process() -> dict[str, str]:
    """Tags for a run that this process is about to execute."""
    owner = Owner.current()
    return {HOST: owner.host, BOOT_ID: owner.boot_id, PID: str(owner.pid), STARTED: owner.started}


def mark(instance: DagsterInstance, run_id: str) -> None:
    """Tag the run ``run_id`` as executed by this process."""
    instance.add_run_tags(run_id, tags_of_this_process())


def owner_of(tags: Mapping[str, str]) -> Owner | None:
    """The process that executes a run with these ``tags``; None where they do not say."""
    if not tags.get(PID, "").isdecimal():
        return None
    return Owner(tags.get(HOST, ""), tags.get(BOOT_ID, ""), int(tags[PID]), tags.get(STARTED, ""))
