"""A run's priority as tags: the archive's word for people, Dagster's number for its queue."""

from __future__ import annotations

from mdc_resources.domain.priorities import Priority

PRIORITY = "mdc/priority"
_DAGSTER = "dagster/priority"


def tags_of(priority: Priority) -> dict[str, str]:
    """Tags that make the queue launch a run as early as ``priority`` says."""
    return {PRIORITY: str(priority), _DAGSTER: str(priority.weight)}
