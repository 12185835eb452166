"""A run's priority and pause as tags: the archive's words for people, Dagster's number for its queue.

The daemon launches the run with the highest ``dagster/priority`` first, equal ones in order of
arrival. A request split into parts lowers each part by one, within its band, so that whoever asks
later at the same priority waits for one part and not for all. ``dagster.yaml`` limits two tags:
paused runs to none at a time, background ones (low, deferred) to fewer than there are slots.
"""

from __future__ import annotations

from collections.abc import Mapping

from mdc_resources.domain.priorities import Priority

PRIORITY = "mdc/priority"
BACKGROUND = "mdc/background"
PAUSED = "mdc/paused"
PART = "mdc/part"
ON, OFF = "true", "false"
FETCH_POOL = "fetch"
"""Pool of every run that fetches: ``pool=FETCH_POOL`` on its asset or op."""

_DAGSTER = "dagster/priority"
_LOWEST_PART = 99  # weights of two priorities are 100 apart
_BACKGROUND = frozenset({Priority.LOW, Priority.DEFERRED})


def tags_of(priority: Priority, *, part: int = 1) -> dict[str, str]:
    """Tags that make the queue launch a run as early as ``priority`` says; ``part`` counts from 1."""
    return {
        PRIORITY: str(priority),
        _DAGSTER: str(priority.weight - min(part - 1, _LOWEST_PART)),
        BACKGROUND: ON if priority in _BACKGROUND else OFF,
    }


def part_tags(part: int, of: int) -> dict[str, str]:
    """Which part of a split request a run is; nothing for an undivided one."""
    return {PART: f"{part} of {of}"} if of > 1 else {}


def part_of(tags: Mapping[str, str]) -> int:
    """The part's number, from 1; 1 for an undivided request."""
    number = tags.get(PART, "").partition(" ")[0]
    return int(number) if number.isdecimal() and int(number) > 0 else 1


def weight_of(tags: Mapping[str, str]) -> int:
    """What the daemon sorts by; 0 where there is no tag, or none that is a number."""
    try:
        return int(tags.get(_DAGSTER, "0"))
    except ValueError:
        return 0


def priority_of(tags: Mapping[str, str]) -> Priority:
    """The word for a run's weight: the lowest priority that is not below it."""
    weight = weight_of(tags)
    ascending = sorted(Priority, key=lambda priority: priority.weight)
    return next((priority for priority in ascending if priority.weight >= weight), Priority.CRITICAL)


def is_paused(tags: Mapping[str, str]) -> bool:
    """True if the queue holds the run back."""
    return tags.get(PAUSED) == ON
