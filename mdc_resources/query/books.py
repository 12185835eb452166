"""The book of a symbol as it stood at an instant, from the archive: the last snapshot, then what changed.

Time is the receiver's clock, the event's own where that is not known: a book is what could be known
then. Books of two feeds are never mixed: the rows of the snapshot's own source count. After a break
(an ``invalid`` row, or a hole in the ledger) there is no book until the next snapshot.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import UTC

if TYPE_CHECKING:
    import duckdb

Level = tuple[Decimal, Decimal]
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
_AT = "coalesce(ts_recv, ts_event)"
# A session of a market that never closes is a day in UTC; others reach into the days beside it.
_NEAR = dt.timedelta(days=1)
_SNAPSHOT = f"""
    SELECT session, ordinal, source, {_AT} AS at FROM depth
    WHERE symbol = ? AND session BETWEEN ? AND ? AND action = 'snapshot_begin' AND {_AT} <= ?
    ORDER BY session DESC, ordinal DESC LIMIT 1"""  # noqa: S608 - a constant
_SINCE = f"""
    FROM depth WHERE symbol = $symbol AND session = $session AND source = $source
    AND ordinal >= $ordinal AND {_AT} <= $at"""
_STATE = f"""
    SELECT max({_AT}), max(sequence), min({_AT}) FILTER (action = 'invalid'),
        count(*) FILTER (action IN ('set', 'delete')) {_SINCE}"""
_LEVELS = f"""
    SELECT side, price, arg_max(size, ordinal) AS held {_SINCE} AND action IN ('set', 'delete')
    GROUP BY side, price HAVING arg_max(action, ordinal) = 'set' ORDER BY price"""
_HOLE = """
    SELECT start_ns, reason FROM holes
    WHERE dataset = 'depth' AND symbol = ? AND start_ns >= ? AND start_ns <= ? ORDER BY start_ns LIMIT 1"""


@dataclass(frozen=True, slots=True)
class ArchivedBook:
    """A book at ``at_ns``; instants are nanoseconds UTC.

    ``broken`` says why it cannot be believed; there are no levels then. ``changes`` counts the rows since
    the snapshot, ``updated_ns`` is when the last of them came.
    """

    symbol: Symbol
    at_ns: int
    source: str
    snapshot_ns: int
    updated_ns: int
    sequence: int | None
    changes: int
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    broken: str = ""

    @property
    def spread(self) -> Decimal | None:
        """Best ask less best bid; None where a side is empty."""
        return self.asks[0][0] - self.bids[0][0] if self.bids and self.asks else None

    @property
    def age_seconds(self) -> float:
        """Since the last update."""
        return (self.at_ns - self.updated_ns) / 1e9


def nanos_of(instant: dt.datetime) -> int:
    """An aware ``instant`` as nanoseconds since 1970, exactly."""
    return (instant - _EPOCH) // dt.timedelta(microseconds=1) * 1000


def read_book(connection: duckdb.DuckDBPyConnection, symbol: Symbol, at: dt.datetime) -> ArchivedBook | None:
    """The book of ``symbol`` at the aware instant ``at``, inclusive; None where no snapshot is that old."""
    at_ns, day = nanos_of(at), at.astimezone(UTC).date()
    found = connection.execute(_SNAPSHOT, [symbol, day - _NEAR, day + _NEAR, at_ns]).fetchone()
    if found is None:
        return None
    session, ordinal, source, snapshot_ns = found
    since = {"symbol": symbol, "session": session, "source": source, "ordinal": ordinal, "at": at_ns}
    state = connection.execute(_STATE, since).fetchone()
    assert state is not None, "an aggregate has one row"
    updated_ns, sequence, invalid_ns, changes = state
    broken = "" if invalid_ns is None else f"the feed's own check failed at {shown(invalid_ns)}"
    hole = connection.execute(_HOLE, [symbol, snapshot_ns, at_ns]).fetchone()
    if hole is not None and not broken:
        broken = f"nothing is known since {shown(hole[0])} ({hole[1]})"
    sides: dict[str, list[Level]] = {"bid": [], "ask": []}
    if not broken:
        for side, price, size in connection.execute(_LEVELS, since).fetchall():
            sides[side].append((price, size))
    return ArchivedBook(
        symbol,
        at_ns,
        source,
        snapshot_ns,
        updated_ns,
        sequence,
        changes,
        tuple(reversed(sides["bid"])),
        tuple(sides["ask"]),
        broken,
    )


def shown(at_ns: int) -> str:
    """``2026-11-21T05:00:00.123456789Z``: nanoseconds as ISO 8601, as many decimals as there are."""
    seconds, fraction = divmod(at_ns, 10**9)
    text = (_EPOCH + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"
