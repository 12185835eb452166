"""Freshness promises: is a dataset of a universe complete so long after each close?

``[sla.NAME]`` names dataset, universe, delay and how many of the newest sessions it covers. A session
is judged once its close plus the delay has passed; before that it is pending and breaks nothing. A
session is *met* if every symbol was settled in time, *late* if all are settled but one was not in
time, *incomplete* otherwise. A symbol counts from its first session in the ledger, or from when it
joined the universe, within its listing: history nobody asked for breaks no promise.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from mdc_resources.calendars import Calendar, get_calendar
from mdc_resources.config import Home, SlaSettings
from mdc_resources.coverage.listings import bounds, listings_of
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset, parse_dataset
from mdc_resources.domain.errors import ConfigError, UsageError
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import UTC
from mdc_resources.lake import Lake
from mdc_resources.state import Member, State

WORST = 10
"""Unsettled symbols that are named per session."""
_LOOK_BACK = dt.timedelta(days=30)

_SETTLED = """
SELECT symbol, session, arg_max(state, commit_seq), min(committed_at) FILTER (WHERE list_contains(?, state))
FROM coverage_log WHERE dataset = ? AND session BETWEEN ? AND ? AND list_contains(?, symbol)
GROUP BY symbol, session
"""
_FIRST = """
SELECT symbol, min(session) FROM coverage WHERE dataset = ? AND list_contains(?, symbol) GROUP BY symbol
"""


class Verdict(StrEnum):
    """What became of one session's promise."""

    MET = "met"
    LATE = "late"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class SlaSession:
    """One session: how many symbols it expects, how many are settled, and since when all are.

    ``worst`` are the first unsettled symbols with their state.
    """

    session: dt.date
    due_at: dt.datetime
    expected: int
    settled: int
    complete_at: dt.datetime | None
    worst: tuple[tuple[Symbol, PartitionState], ...]

    @property
    def verdict(self) -> Verdict:
        """Whether the promise was kept."""
        if self.settled < self.expected:
            return Verdict.INCOMPLETE
        in_time = self.complete_at is None or self.complete_at <= self.due_at
        return Verdict.MET if in_time else Verdict.LATE

    def as_dict(self) -> dict[str, object]:
        """The JSON form."""
        return {
            "session": self.session,
            "due_at": self.due_at,
            "verdict": str(self.verdict),
            "expected": self.expected,
            "settled": self.settled,
            "complete_at": self.complete_at,
            "worst": [{"symbol": symbol, "state": str(state)} for symbol, state in self.worst],
        }


@dataclass(frozen=True, slots=True)
class SlaStatus:
    """One promise over its newest due sessions, newest first. ``pending`` is the next one, if known."""

    name: str
    dataset: Dataset
    universe: str
    within: str
    sessions: tuple[SlaSession, ...]
    pending: dt.date | None
    pending_due_at: dt.datetime | None

    @property
    def fresh(self) -> bool:
        """True if nothing that is due is incomplete now, however late it came."""
        return all(session.verdict is not Verdict.INCOMPLETE for session in self.sessions)

    @property
    def met(self) -> bool:
        """True if every session was complete in time."""
        return all(session.verdict is Verdict.MET for session in self.sessions)

    def as_dict(self) -> dict[str, object]:
        """The JSON form printed by ``mdc coverage --sla --json``."""
        return {
            "name": self.name,
            "dataset": str(self.dataset),
            "universe": self.universe,
            "within": self.within,
            "fresh": self.fresh,
            "met": self.met,
            "pending": self.pending,
            "pending_due_at": self.pending_due_at,
            "sessions": [session.as_dict() for session in self.sessions],
        }


class _Line(NamedTuple):
    """What the ledger says of a partition: its newest state, and when it was first settled."""

    state: PartitionState
    settled_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class _Seats:
    """Who is measured: members, their listings and their first sessions in the ledger."""

    members: Sequence[Member]
    listings: Mapping[Symbol, Listing]
    first: Mapping[Symbol, dt.date]

    def expected(self, calendar: Calendar, session: dt.date, due_at: dt.datetime) -> list[Symbol]:
        """Symbols that owe ``session``."""
        at = calendar.ordinal(session)
        found = []
        for member in self.members:
            begun = self.first.get(member.symbol, dt.date.max) <= session or member.added_at < due_at
            listing = self.listings.get(member.symbol)
            start, stop = bounds(calendar, listing) if listing else (0, at + 1)
            if begun and start <= at < stop:
                found.append(member.symbol)
        return found


def sla_report(
    home: Home,
    lake: Lake,
    state: State,
    *,
    at: dt.datetime,
    shard: tuple[str, int] | None = None,
) -> list[SlaStatus]:
    """Every promise of ``home`` as of the instant ``at``, in the order of ``mdc.toml``.

    ``shard`` (universe, number) narrows it to the promises about that universe and to the symbols of
    that shard. Only active members count.

    Raises:
        ConfigError: a promise names an unknown dataset or universe.
        LakeError: the ledger cannot be read.
    """
    found = []
    for name, sla in home.settings.sla.items():
        dataset = check_sla(home, name, sla)
        if shard is None or sla.universe == shard[0]:
            members = state.members(sla.universe)
            mine = [member for member in members if shard is None or member.shard == shard[1]]
            found.append(_status(home, lake, name, sla, dataset, mine, at))
    return found


def check_sla(home: Home, name: str, sla: SlaSettings) -> Dataset:
    """The dataset of a promise; ConfigError if it, or the universe, is unknown."""
    try:
        dataset = parse_dataset(sla.dataset)
    except UsageError as error:
        raise ConfigError(error.message, key=f"sla.{name}.dataset", hint=error.hint) from None
    if sla.universe not in home.settings.universes:
        raise ConfigError(
            f"[sla.{name}] names universe {sla.universe!a}, which is not configured",
            key=f"sla.{name}.universe",
            hint=f"Known: {', '.join(sorted(home.settings.universes))}",
        )
    return dataset


def _status(
    home: Home,
    lake: Lake,
    name: str,
    sla: SlaSettings,
    dataset: Dataset,
    members: Sequence[Member],
    at: dt.datetime,
) -> SlaStatus:
    universe = home.settings.universes[sla.universe]
    calendar = get_calendar(universe.calendar, home.root)
    start = max(universe.start, at.date() - _LOOK_BACK - sla.delay - dt.timedelta(days=2 * sla.sessions))
    horizon = min(at.date() + _LOOK_BACK, calendar.last_known)
    known = calendar.sessions(start, horizon) if start <= horizon else ()
    due = [day for day in known if calendar.hours(day)[1] + sla.delay <= at]
    coming = next((day for day in known if calendar.hours(day)[1] + sla.delay > at), None)
    newest = due[-sla.sessions :]
    lines, first = _ledger(lake, dataset, [member.symbol for member in members], newest)
    seats = _Seats(members, listings_of(home, lake, [member.symbol for member in members]), first)
    return SlaStatus(
        name=name,
        dataset=dataset,
        universe=sla.universe,
        within=sla.within,
        sessions=tuple(_session(calendar, sla, seats, lines, day) for day in reversed(newest)),
        pending=coming,
        pending_due_at=calendar.hours(coming)[1] + sla.delay if coming else None,
    )


def _ledger(
    lake: Lake, dataset: Dataset, symbols: Sequence[Symbol], sessions: Sequence[dt.date]
) -> tuple[dict[PartitionKey, _Line], dict[Symbol, dt.date]]:
    """The lines of ``sessions``, and each symbol's first session of all."""
    if not sessions or not symbols:
        return {}, {}
    settled = [str(state) for state in PartitionState if state.is_settled]
    with closing(lake.connect()) as connection:
        bound = [settled, dataset.value, sessions[0], sessions[-1], list(symbols)]
        rows = connection.execute(_SETTLED, bound).fetchall()
        first = dict(connection.execute(_FIRST, [dataset.value, list(symbols)]).fetchall())
    lines = {
        PartitionKey(symbol, session): _Line(
            PartitionState(state), settled_at.astimezone(UTC) if settled_at else None
        )
        for symbol, session, state, settled_at in rows
    }
    return lines, first


def _session(
    calendar: Calendar,
    sla: SlaSettings,
    seats: _Seats,
    lines: Mapping[PartitionKey, _Line],
    session: dt.date,
) -> SlaSession:
    due_at = calendar.hours(session)[1] + sla.delay
    expected = seats.expected(calendar, session, due_at)
    missing = _Line(PartitionState.MISSING, None)
    found = {symbol: lines.get(PartitionKey(symbol, session), missing) for symbol in expected}
    lacking = [(symbol, line.state) for symbol, line in found.items() if not line.state.is_settled]
    instants = [line.settled_at for line in found.values() if line.settled_at is not None]
    return SlaSession(
        session=session,
        due_at=due_at,
        expected=len(expected),
        settled=len(expected) - len(lacking),
        complete_at=max(instants) if instants and not lacking else None,
        worst=tuple(lacking[:WORST]),
    )
