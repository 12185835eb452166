"""What the instance remembers of the gap sensor: its ticks and the runs it asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dagster import DagsterInstance, DagsterRun
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus

REPAIR = "mdc/repair"


@dataclass(frozen=True, slots=True)
class Ticks:
    """Every tick of every sensor of the instance, and the runs that carry the repair tag."""

    ticks: Sequence[InstigatorTick]
    runs: Sequence[DagsterRun]

    @property
    def asking(self) -> int:
        """Ticks that asked for runs."""
        return sum(1 for tick in self.ticks if tick.status is TickStatus.SUCCESS and tick.run_ids)

    @property
    def failed(self) -> list[str]:
        """What failed ticks say."""
        return [str(tick.error) for tick in self.ticks if tick.status is TickStatus.FAILURE]


def ticks_of(instance: DagsterInstance) -> Ticks:
    """All ticks so far."""
    found: list[InstigatorTick] = []
    for state in instance.all_instigator_state():
        found += instance.get_ticks(state.instigator_origin_id, state.selector_id)
    return Ticks(found, [run for run in instance.get_runs() if REPAIR in run.tags])
