"""Everything known about one (symbol, session): its state, why, and the evidence for both.

    calendar -> listing -> universe -> ledger -> attempts -> claims

A ledger line is the truth about a partition; without one the first of these that does not expect it
says why, and what all expect is pending or missing. One snapshot of the lake answers for everything.
Reads only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdc_resources.config import Home
from mdc_resources.coverage.adjustments import Adjustments, adjustments_of
from mdc_resources.coverage.day import Day, day_of
from mdc_resources.coverage.evidence import Evidence, Role, evidence_of
from mdc_resources.coverage.listings import listings_of
from mdc_resources.coverage.universes import calendar_of
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.lake import Lake
from mdc_resources.state import State

if TYPE_CHECKING:
    import duckdb

    from mdc_resources.state import ClaimRow, Member, Tries

NOT_EXPECTED = "not_expected"
EXPLAINED = (Dataset.BARS_1D, Dataset.BARS_1M, Dataset.CORPORATE_ACTIONS, Dataset.INSTRUMENTS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a symbol belongs; ``universe`` is empty if in none, then the default one's calendar counts."""

    universe: str
    shard: str
    active: bool
    since: dt.datetime | None
    start: dt.date | None
    calendar: str


@dataclass(frozen=True, slots=True)
class Partition:
    """One dataset of the (symbol, session). ``state`` is a PartitionState or ``not_expected``.

    ``due_at`` is when it is due (close plus settle), None without a session. ``expected`` may be False
    of a partition that is held all the same. ``begun`` is the first session the ledger has of the
    symbol: recovery looks after nothing before it. ``claims`` are those in force on the dataset, if
    this partition is among what they hold.
    """

    dataset: Dataset
    state: str
    why: str
    expected: bool
    due_at: dt.datetime | None
    begun: dt.date | None
    evidence: Evidence
    adjustments: Adjustments | None
    tries: Tries | None
    claimed: bool
    claims: tuple[ClaimRow, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What ``mdc explain`` says, as of the instant ``at``."""

    symbol: Symbol
    session: dt.date
    at: dt.datetime
    place: Place
    day: Day
    listing: Listing | None
    partitions: tuple[Partition, ...]


def explain(
    home: Home,
    symbol: Symbol,
    session: dt.date,
    datasets: Sequence[Dataset] = EXPLAINED,
    *,
    at: dt.datetime | None = None,
) -> Explanation:
    """Explain ``symbol`` on the date ``session``; ``at`` is the present unless a test says otherwise.

    Raises:
        UsageError: the date lies outside the years the calendar knows.
        LakeError: the lake is not there or cannot be read.
    """
    at = at or now()
    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    try:
        with State.open(home) as state, lake.connect() as connection:
            member = state.member(symbol)
            place = _place(home, state, symbol, member)
            day = day_of(calendar_of(home, state, symbol), session)
            listing = listings_of(home, lake, [symbol]).get(symbol)
            about = _About(home, state, connection, symbol, place, day, listing, at)
            partitions = tuple(_partition(about, dataset) for dataset in datasets)
    finally:
        lake.close()
    return Explanation(symbol, session, at, place, day, listing, partitions)


@dataclass(frozen=True, slots=True)
class _About:
    home: Home
    state: State
    connection: duckdb.DuckDBPyConnection
    symbol: Symbol
    place: Place
    day: Day
    listing: Listing | None
    at: dt.datetime


def _place(home: Home, state: State, symbol: Symbol, member: Member | None) -> Place:
    universe = member.universe if member else ""
    settings = home.settings.universes.get(universe or home.settings.ingest.default_universe)
    return Place(
        universe=universe,
        shard=f"{universe}_{member.shard:02d}" if member else "",
        active=member.active if member else False,
        since=member.added_at if member else None,
        start=settings.start if settings else None,
        calendar=calendar_of(home, state, symbol).name,
    )


def _partition(about: _About, dataset: Dataset) -> Partition:
    key = PartitionKey(about.symbol, about.day.date)
    evidence = evidence_of(about.connection, dataset, *key, root=about.home.root)
    tries = about.state.tries(dataset, [about.symbol]).get(key)
    claimed = key in about.state.claimed(dataset)
    begun = _begun(about, dataset)
    due_at = None
    if about.day.closes is not None:
        due_at = about.day.closes + about.home.settings.dataset(dataset).settle_delay
    unexpected = _unexpected(about, dataset)
    newest = evidence.changes[-1] if evidence.changes else None
    if newest is not None:
        state, why = str(newest.state), _why_held(evidence)
        if newest.state in (PartitionState.PARTIAL, PartitionState.MISSING) and tries:
            why = f"{why}; {_tried(tries)}"
        if unexpected:
            why = f"{why}; nobody would ask for it today: {unexpected}"
    elif unexpected:
        state, why = NOT_EXPECTED, unexpected
    elif due_at is not None and due_at > about.at:
        state, why = PartitionState.PENDING, f"not due before {due_at:%Y-%m-%d %H:%M} UTC"
    else:
        state = PartitionState.MISSING
        why = "being fetched now" if claimed else _why_missing(about, evidence, tries, begun)
    stored = evidence.rows[0] if evidence.rows and dataset is Dataset.BARS_1D else None
    return Partition(
        dataset=dataset,
        state=str(state),
        why=why,
        expected=not unexpected,
        due_at=due_at,
        begun=begun,
        evidence=evidence,
        adjustments=adjustments_of(about.connection, *key, stored=stored)
        if dataset is Dataset.BARS_1D
        else None,
        tries=tries,
        claimed=claimed,
        claims=tuple(row for row in about.state.claims() if row.dataset is dataset) if claimed else (),
    )


def _unexpected(about: _About, dataset: Dataset) -> str:
    """Why the partition is not expected at all; empty if it is."""
    day, listing, place = about.day, about.listing, about.place
    if not day.is_session:
        return day.why
    if listing is not None and listing.first and day.date < listing.first:
        before = f"; it was {listing.predecessor} before" if listing.predecessor else ""
        return f"{about.symbol} is listed from {listing.first} on{before}"
    if listing is not None and listing.last and day.date > listing.last:
        after = f"; it goes on as {listing.successor}" if listing.successor else ""
        return f"{about.symbol} was listed until {listing.last}{after}"
    if not place.universe:
        return f"no universe follows {about.symbol}"
    if place.start and day.date < place.start:
        return f"universe {place.universe} starts on {place.start}"
    if dataset is Dataset.INSTRUMENTS and (newest := _newest_due(about, dataset)) > day.date:
        return f"instruments are asked for as of the newest session, {newest}"
    return ""


def _newest_due(about: _About, dataset: Dataset) -> dt.date:
    """The last session, listed and due, from the date on; the date itself if there is none."""
    last = max(about.at.date(), about.day.date)
    if about.listing is not None and about.listing.last:
        last = min(last, about.listing.last)
    calendar = calendar_of(about.home, about.state, about.symbol)
    settle = about.home.settings.dataset(dataset).settle_delay
    return max(
        calendar.final_sessions(about.day.date, last, at=about.at, settle=settle), default=about.day.date
    )


def _why_held(evidence: Evidence) -> str:
    line = evidence.changes[-1]
    rows = f"{line.row_count} row{'' if line.row_count == 1 else 's'}"
    match line.state:
        case PartitionState.PRESENT:
            return f"{rows} of {line.source}" + (f", {line.reason}" if line.reason else "")
        case PartitionState.EMPTY:
            return line.reason or "nothing happened"
        case PartitionState.PARTIAL:
            return f"{line.reason or 'the answer was cut short'}: {rows} of {line.source}"
        case PartitionState.QUARANTINED:
            refused = len(evidence.quarantine)
            return f"{refused} refused, {line.reason or 'a check failed'}"
        case PartitionState.EXPIRED:
            return line.reason or f"dropped by retention on {line.committed_at:%Y-%m-%d}"
        case _:
            return line.reason or "asked in vain"


def _why_missing(about: _About, evidence: Evidence, tries: Tries | None, begun: dt.date | None) -> str:
    gone = "" if about.place.active else f"; {about.symbol} was removed from universe {about.place.universe}"
    if tries:
        return _tried(tries) + gone
    if evidence.requests:
        last = evidence.requests[-1]
        said = last.error if last.role is Role.FAILED else "an answer without it"
        return f"asked {len(evidence.requests)} times, at last {last.provider}: {said}{gone}"
    if begun is None:
        return f"never asked: nothing of {about.symbol} was ever asked for{gone}"
    if about.day.date < begun:
        return f"never asked: {about.symbol} was only asked for from {begun} on{gone}"
    return f"never asked{gone}"


def _tried(tries: Tries) -> str:
    times = f"tried {tries.count} time{'' if tries.count == 1 else 's'}"
    if tries.gave_up:
        return f"given up: {times} (mdc gaps --retry asks again)"
    return f"{times}, next not before {tries.next_at:%Y-%m-%d %H:%M} UTC"


def _begun(about: _About, dataset: Dataset) -> dt.date | None:
    query = "SELECT min(session) FROM coverage_log WHERE dataset = ? AND symbol = ?"
    found = about.connection.execute(query, [str(dataset), about.symbol]).fetchone()
    return found[0] if found else None
