"""A second look at the newest sessions: vendors restate what they published.

Each stored partition is asked for again from the provider that gave it, and from no other: another
vendor's numbers would be a change without being a restatement. What comes back equal confirms the
partition; what differs becomes a new version (the old one stays readable ``--as-of``) and an
incident, which ingest writes. A provider that fails changes nothing. Decides only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.coverage.expectation import ledger
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import BadCredentials, UsageError
from mdc_resources.ingest import Want
from mdc_resources.ingest.candidates import candidates
from mdc_resources.ingest.votes import provider_of
from mdc_resources.lake import Lake
from mdc_resources.recovery.end_of_day import datasets_of
from mdc_resources.state import State

_RECHECKED = frozenset({PartitionState.PRESENT, PartitionState.EMPTY})
# Sessions are at most this far apart on average: enough days to hold the last N of them.
_DAYS_PER_SESSION = 2
_LONGEST_CLOSURE = 14


@dataclass(frozen=True, slots=True)
class Recheck:
    """One run: partitions of ``want`` that ``provider`` stored, to be asked of it again."""

    universe: str
    provider: str
    newest: dt.date
    part: int
    want: Want

    @property
    def name(self) -> str:
        """``recheck:bars_1d:us:yahoo:2024-07-03``, with ``:2`` and so on for further parts."""
        part = f":{self.part}" if self.part > 1 else ""
        return f"recheck:{self.want.dataset}:{self.universe}:{self.provider}:{self.newest.isoformat()}{part}"


@dataclass(frozen=True, slots=True)
class RecheckPlan:
    """``unasked`` counts stored partitions whose provider cannot be asked any more."""

    rechecks: tuple[Recheck, ...]
    unasked: int
    reason: str = ""


def plan_rechecks(home: Home, lake: Lake, state: State, universe: str, *, at: dt.datetime) -> RecheckPlan:
    """The last ``schedule.recheck_sessions`` due sessions of the active members of ``universe``.

    Raises:
        LakeError: the ledger cannot be read.
        ConfigError: there is no such calendar, or an unknown provider is configured.
    """
    members = [member.symbol for member in state.members(universe)]
    settings = home.settings.universes[universe]
    calendar = get_calendar(settings.calendar, home.root)
    count = home.settings.schedule.recheck_sessions
    found: list[Recheck] = []
    unasked = 0
    for dataset in datasets_of(home, universe) if members else ():
        settle = home.settings.dataset(dataset).settle_delay
        start = max(
            settings.start, at.date() - dt.timedelta(days=count * _DAYS_PER_SESSION + _LONGEST_CLOSURE)
        )
        final = calendar.final_sessions(
            start, at.date(), at=at, settle=settle, whole_window=dataset.is_events
        )
        due = final[-count:]
        if not due:
            continue
        stored = ledger(lake, dataset, members, due[0], due[-1])
        for provider, keys in sorted(_by_provider(stored).items()):
            if _can_ask(home, dataset, provider, settings.asset_class):
                found += _in_parts(home, dataset, universe, provider, keys)
            else:
                unasked += len(keys)
    return RecheckPlan(tuple(found), unasked, "" if found else _why_not(universe, len(members), unasked))


def _by_provider(stored: Mapping[PartitionKey, CoverageRow]) -> dict[str, list[PartitionKey]]:
    found: dict[str, list[PartitionKey]] = {}
    for key, row in stored.items():
        if row.state in _RECHECKED and row.source:
            found.setdefault(provider_of(row.source), []).append(key)
    return found


def _can_ask(home: Home, dataset: Dataset, provider: str, asset_class: str) -> bool:
    """False where the provider was disabled since, or lost its credentials."""
    try:
        candidates(home, dataset, asset_class=asset_class, only=provider)
    except (UsageError, BadCredentials):
        return False
    return True


def _in_parts(
    home: Home, dataset: Dataset, universe: str, provider: str, keys: Collection[PartitionKey]
) -> list[Recheck]:
    """``keys`` in runs of no more than the settings allow, whole symbols together."""
    size = home.settings.dataset(dataset).max_partitions_per_run
    ordered = sorted(keys)
    newest = max(key.session for key in ordered)
    parts = [ordered[at : at + size] for at in range(0, len(ordered), size)]
    return [
        Recheck(universe, provider, newest, number, _want(dataset, provider, part))
        for number, part in enumerate(parts, start=1)
    ]


def _want(dataset: Dataset, provider: str, keys: list[PartitionKey]) -> Want:
    sessions = [key.session for key in keys]
    return Want(
        dataset=dataset,
        symbols=tuple(dict.fromkeys(key.symbol for key in keys)),
        start=min(sessions),
        end=max(sessions),
        provider=provider,
        refetch=True,
        keys=frozenset(keys),
    )


def _why_not(universe: str, members: int, unasked: int) -> str:
    if not members:
        return f"universe {universe} has no symbols: mdc symbols add"
    if unasked:
        return f"the providers of the {unasked} stored partitions cannot be asked any more"
    return f"nothing of the last sessions of universe {universe} is stored yet"
