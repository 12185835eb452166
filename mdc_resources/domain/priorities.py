"""How urgent a backfill is. Higher weights are launched first; equal ones in order of arrival."""

from __future__ import annotations

from enum import StrEnum

from mdc_resources.domain.errors import UsageError


class Priority(StrEnum):
    """Named urgencies, as people type and see them."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
    DEFERRED = "deferred"

    @property
    def weight(self) -> int:
        """The number an orchestrator sorts by."""
        return _WEIGHTS[self]


_WEIGHTS = {
    Priority.CRITICAL: 200,
    Priority.HIGH: 100,
    Priority.NORMAL: 0,
    Priority.LOW: -100,
    Priority.DEFERRED: -200,
}


def parse_priority(text: str) -> Priority:
    """The priority called ``text``; raises UsageError listing the known ones."""
    try:
        return Priority(text.lower())
    except ValueError:
        raise UsageError(f"{text[:40]!a} is not a priority", hint=f"Known: {', '.join(Priority)}") from None
