"""The backfill queue as people see it: one entry per run that fetches, and what a command changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from mdc_resources.domain.priorities import Priority
from mdc_resources.domain.time import now

SHORT = 8  # characters of a run's id that are shown; as many as make it unambiguous are accepted


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A queued or running run. ``partitions`` is None where the run does not say how many.

    ``lost``: it is under way on paper, but its process is gone. ``asked_by`` is the command line, a
    sensor, a schedule, the web UI or a retry; ``part`` is "2 of 9" of a request that was split.
    """

    run_id: str
    status: str
    priority: Priority
    paused: bool
    dataset: str
    symbols: str
    sessions: str
    partitions: int | None
    part: str
    asked_by: str
    created_at: dt.datetime
    lost: bool = False

    @property
    def short_id(self) -> str:
        """What is shown of the id."""
        return self.run_id[:SHORT]

    @property
    def state(self) -> str:
        """The status in one word: paused and lost are said in its place."""
        return "lost" if self.lost else "paused" if self.paused else self.status

    @property
    def age_seconds(self) -> float:
        """Since it was asked for."""
        return max((now() - self.created_at).total_seconds(), 0.0)

    def as_dict(self) -> dict[str, object]:
        """The JSON form."""
        return {
            "run_id": self.run_id,
            "status": self.status,
            "priority": str(self.priority),
            "paused": self.paused,
            "lost": self.lost,
            "dataset": self.dataset,
            "symbols": self.symbols,
            "sessions": self.sessions,
            "partitions": self.partitions,
            "part": self.part,
            "asked_by": self.asked_by,
            "created_at": self.created_at,
            "age_seconds": round(self.age_seconds, 1),
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What a command did to one run; where it did nothing ``why_not`` says why."""

    run_id: str
    before: str
    after: str
    why_not: str = ""

    def as_dict(self) -> dict[str, object]:
        """The JSON form."""
        return {
            "run_id": self.run_id,
            "before": self.before,
            "after": self.after,
            "changed": not self.why_not,
            "why_not": self.why_not,
        }
