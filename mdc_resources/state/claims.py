"""Claims: which partitions are being fetched, by whom, under which fencing token.

A claim is granted for every key nobody living holds; the others come back as ``busy``. What a
dead owner held is free at once, what lapsed is free when somebody asks for it. The token
(``attempt``) is never given twice, so a writer that lost a key is told so before it commits.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import FencedOut
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import UTC
from mdc_resources.state.owner import Owner
from mdc_resources.state.tables import attempts, claims, counters

COMMIT_GRACE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Claim:
    """``granted`` keys are held by ``attempt``; ``busy`` ones by somebody else who lives."""

    attempt: int
    dataset: Dataset
    granted: tuple[PartitionKey, ...]
    busy: tuple[PartitionKey, ...]


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One claim in force, for status output."""

    attempt: int
    dataset: Dataset
    owner: Owner
    keys: int
    claimed_at: dt.datetime
    expires_at: dt.datetime


def take(
    connection: Connection, dataset: Dataset, keys: Iterable[PartitionKey], *, owner: Owner, ttl: dt.timedelta
) -> Claim:
    """Grant what is free of ``keys`` to a new attempt."""
    wanted = dict.fromkeys(keys)
    attempt = _next_attempt(connection)
    if not wanted:
        return Claim(attempt, dataset, (), ())
    _drop(connection, _dead(connection))
    held = _held(connection, dataset, wanted)
    lapsed = _lapsed(connection, set(held.values()))
    _drop(connection, lapsed)
    busy = {key for key, holder in held.items() if holder not in lapsed}
    granted = tuple(key for key in wanted if key not in busy)
    if granted:
        _grant(connection, dataset, granted, attempt=attempt, owner=owner, ttl=ttl)
    return Claim(attempt, dataset, granted, tuple(key for key in wanted if key in busy))


def prolong(connection: Connection, claim: Claim, *, ttl: dt.timedelta) -> None:
    """Move the claim's end to ``ttl`` from now; FencedOut if it no longer holds every key."""
    check(connection, claim, grace_seconds=ttl.total_seconds())


def check(connection: Connection, claim: Claim, *, grace_seconds: float = COMMIT_GRACE_SECONDS) -> None:
    """Raise FencedOut unless every granted key is still held by the claim.

    The claim then lasts for ``grace_seconds`` at least, so it cannot lapse between this check and
    the commit it guards.
    """
    lost = _lost(connection, claim)
    if lost:
        first = min(lost)
        raise FencedOut(
            f"attempt {claim.attempt} has lost {len(lost)} of {len(claim.granted)} partitions "
            f"of {claim.dataset}, {first.symbol} {first.session} among them, to a newer attempt",
            hint="Nothing of it was committed; run the command again",
        )
    until = time.time() + grace_seconds
    connection.execute(
        update(attempts)
        .where(attempts.c.attempt == claim.attempt, attempts.c.expires_at < until)
        .values(expires_at=until)
    )


def _lost(connection: Connection, claim: Claim) -> set[PartitionKey]:
    """Granted keys that are no longer held."""
    mine = claims.c.attempt == claim.attempt
    # An attempt's keys only ever become fewer: the same number means the same keys.
    if connection.scalar(select(func.count()).where(mine)) == len(claim.granted):
        return set()
    held = connection.execute(select(claims.c.symbol, claims.c.session).where(mine))
    return set(claim.granted) - {PartitionKey(Symbol(symbol), session) for symbol, session in held}


def give_back(connection: Connection, claim: Claim) -> None:
    """Free what the claim still holds; harmless if it holds nothing."""
    _drop(connection, {claim.attempt})


def rows(connection: Connection) -> list[ClaimRow]:
    """Claims in force, oldest first."""
    counted = select(claims.c.attempt, func.count().label("held")).group_by(claims.c.attempt).subquery()
    found = connection.execute(
        select(attempts, counted.c.held)
        .join(counted, counted.c.attempt == attempts.c.attempt)
        .order_by(attempts.c.attempt)
    )
    return [
        ClaimRow(
            attempt=row.attempt,
            dataset=Dataset(row.dataset),
            owner=Owner(row.host, row.boot_id, row.pid, row.started),
            keys=row.held,
            claimed_at=dt.datetime.fromtimestamp(row.claimed_at, UTC),
            expires_at=dt.datetime.fromtimestamp(row.expires_at, UTC),
        )
        for row in found
    ]


def held_keys(connection: Connection, dataset: Dataset) -> frozenset[PartitionKey]:
    """Keys of ``dataset`` under a claim that has not lapsed and whose owner is not known to be dead."""
    found = connection.execute(
        select(attempts).where(attempts.c.dataset == dataset.value, attempts.c.expires_at > time.time())
    )
    alive = [row.attempt for row in found if not Owner(row.host, row.boot_id, row.pid, row.started).is_dead()]
    if not alive:
        return frozenset()
    held = connection.execute(
        select(claims.c.symbol, claims.c.session).where(
            claims.c.dataset == dataset.value, claims.c.attempt.in_(alive)
        )
    )
    return frozenset(PartitionKey(Symbol(symbol), session) for symbol, session in held)


def _next_attempt(connection: Connection) -> int:
    bumped = update(counters).where(counters.c.name == "attempt").values(value=counters.c.value + 1)
    return int(connection.execute(bumped.returning(counters.c.value)).scalar_one())


def _dead(connection: Connection) -> set[int]:
    owners = connection.execute(select(attempts))
    return {row.attempt for row in owners if Owner(row.host, row.boot_id, row.pid, row.started).is_dead()}


def _held(
    connection: Connection, dataset: Dataset, wanted: Iterable[PartitionKey]
) -> dict[PartitionKey, int]:
    """Holder of each wanted key that is held; read by the hull of the sessions, in one query."""
    wanted = set(wanted)
    sessions = [key.session for key in wanted]
    found = connection.execute(
        select(claims.c.symbol, claims.c.session, claims.c.attempt).where(
            claims.c.dataset == dataset.value, claims.c.session.between(min(sessions), max(sessions))
        )
    )
    keyed = {PartitionKey(Symbol(symbol), session): attempt for symbol, session, attempt in found}
    return {key: attempt for key, attempt in keyed.items() if key in wanted}


def _lapsed(connection: Connection, holders: set[int]) -> set[int]:
    if not holders:
        return set()
    alive = connection.execute(
        select(attempts.c.attempt).where(attempts.c.expires_at > time.time())
    ).scalars()
    return holders - set(alive)


def _drop(connection: Connection, gone: set[int]) -> None:
    if gone:
        connection.execute(delete(claims).where(claims.c.attempt.in_(sorted(gone))))
        connection.execute(delete(attempts).where(attempts.c.attempt.in_(sorted(gone))))


def _grant(
    connection: Connection,
    dataset: Dataset,
    keys: Sequence[PartitionKey],
    *,
    attempt: int,
    owner: Owner,
    ttl: dt.timedelta,
) -> None:
    now = time.time()
    connection.execute(
        insert(attempts).values(
            attempt=attempt,
            dataset=dataset.value,
            host=owner.host,
            boot_id=owner.boot_id,
            pid=owner.pid,
            started=owner.started,
            claimed_at=now,
            expires_at=now + ttl.total_seconds(),
        )
    )
    connection.execute(
        insert(claims),
        [
            {"dataset": dataset.value, "symbol": k.symbol, "session": k.session, "attempt": attempt}
            for k in keys
        ],
    )
