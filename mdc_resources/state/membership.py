"""Membership of universes: which symbols are followed, and the shard each belongs to.

A symbol is in exactly one universe and keeps its shard for ever, because the shard is part of its
Dagster asset key. Shards fill in order, 40 symbols each. A removed symbol turns inactive: its
place, its partitions and its data stay.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, func, insert, select, update

from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import UTC
from mdc_resources.state.tables import members

SHARD_SIZE = 40


@dataclass(frozen=True, slots=True)
class Member:
    """A symbol's place: ``position`` is 0..39 within its ``shard``; ``added_at`` is UTC."""

    universe: str
    symbol: Symbol
    shard: int
    position: int
    active: bool
    added_at: dt.datetime


def add(connection: Connection, universe: str, symbols: Sequence[Symbol], *, shards: int) -> list[Member]:
    """Seat ``symbols``, in order; ones already seated keep their place and turn active.

    Raises:
        UsageError: a symbol sits in another universe, or the shards are full. Nothing is added.
    """
    wanted = list(dict.fromkeys(symbols))
    known = {member.symbol: member for member in _of(connection, wanted)}
    for member in known.values():
        if member.universe != universe:
            raise UsageError(
                f"{member.symbol} is already in universe {member.universe!r}",
                hint="A symbol is in exactly one universe; leave it there, or list it elsewhere by name",
            )
    new = [symbol for symbol in wanted if symbol not in known]
    taken = connection.scalar(select(func.count()).where(members.c.universe == universe)) or 0
    if taken + len(new) > shards * SHARD_SIZE:
        raise UsageError(
            f"universe {universe!r} has room for {shards * SHARD_SIZE - taken} more symbols "
            f"({shards} shards of {SHARD_SIZE}), {len(new)} were given",
            hint="mdc universe grow adds shards",
        )
    if new:
        connection.execute(
            insert(members), [_row(universe, symbol, taken + n) for n, symbol in enumerate(new)]
        )
    _activate(connection, list(known), active=True)
    return _in_order(connection, wanted)


def remove(connection: Connection, universe: str, symbols: Sequence[Symbol]) -> list[Member]:
    """Turn ``symbols`` inactive; UsageError for one that is not in ``universe``."""
    wanted = list(dict.fromkeys(symbols))
    known = {member.symbol for member in _of(connection, wanted) if member.universe == universe}
    if strangers := [symbol for symbol in wanted if symbol not in known]:
        raise UsageError(
            f"{', '.join(strangers[:5])} not in universe {universe!r}",
            hint=f"mdc symbols list --universe {universe}",
        )
    _activate(connection, wanted, active=False)
    return _in_order(connection, wanted)


def select_members(connection: Connection, universe: str | None, *, active_only: bool) -> list[Member]:
    """Members in seating order."""
    query = select(members).order_by(members.c.universe, members.c.shard, members.c.position)
    if universe is not None:
        query = query.where(members.c.universe == universe)
    if active_only:
        query = query.where(members.c.active)
    return [_member(row) for row in connection.execute(query)]


def one(connection: Connection, symbol: Symbol) -> Member | None:
    """The place of ``symbol``, active or not; None if it has none."""
    found = _of(connection, [symbol])
    return found[0] if found else None


def _row(universe: str, symbol: Symbol, seat: int) -> dict[str, object]:
    shard, position = divmod(seat, SHARD_SIZE)
    return {
        "symbol": symbol,
        "universe": universe,
        "shard": shard,
        "position": position,
        "active": True,
        "added_at": time.time(),
    }


def _activate(connection: Connection, symbols: Sequence[Symbol], *, active: bool) -> None:
    if symbols:
        connection.execute(update(members).where(members.c.symbol.in_(symbols)).values(active=active))


def _of(connection: Connection, symbols: Sequence[Symbol]) -> list[Member]:
    return [_member(row) for row in connection.execute(select(members).where(members.c.symbol.in_(symbols)))]


def _in_order(connection: Connection, symbols: Sequence[Symbol]) -> list[Member]:
    found = {member.symbol: member for member in _of(connection, symbols)}
    return [found[symbol] for symbol in symbols]


def _member(row: Row[tuple[object, ...]]) -> Member:
    return Member(
        universe=row.universe,
        symbol=Symbol(row.symbol),
        shard=row.shard,
        position=row.position,
        active=bool(row.active),
        added_at=dt.datetime.fromtimestamp(row.added_at, UTC),
    )
