"""Failed attempts: how often a partition was asked for in vain, of whom, and when it is due again.

Each (partition, provider) pair has a pause that doubles with every failure; a partition is due when
the first of the pairs that failed last is. A run is an *attempt* if a provider gave an answer about
the partition and none that was asked was out of order; ``cap`` attempts give the partition up. Any
other run is an *outage* and only pauses: an hour of it spends no attempt. ``OUTAGES_PER_ATTEMPT``
times ``cap`` outages in a row give up too, so that nothing loops for ever. The caller says which it was.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Select, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import UTC
from mdc_resources.state.tables import tries

# With pauses of ten minutes to a day, six attempts of five outages each are about three weeks of silence.
OUTAGES_PER_ATTEMPT = 5
JITTER = 0.1
_REASON = 300
_FEW_SYMBOLS = 500  # beyond, reading all and choosing here is quicker than a list of bound names
_CHUNK = 500  # sessions named in one statement
_ITSELF = ""
_Stored = tuple[str, dt.date, str, int, int, float, bool, str]
_COLUMNS = (
    tries.c.symbol,
    tries.c.session,
    tries.c.provider,
    tries.c.failures,
    tries.c.outages,
    tries.c.next_at,
    tries.c.gave_up,
    tries.c.reason,
)


@dataclass(frozen=True, slots=True)
class ProviderTry:
    """What ``provider`` last answered about a partition, how often, and when it may be asked again."""

    provider: str
    count: int
    next_at: dt.datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Tries:
    """The attempts at one partition. ``outages`` are runs since the last one that got an answer."""

    key: PartitionKey
    count: int
    next_at: dt.datetime
    gave_up: bool
    providers: tuple[ProviderTry, ...]
    outages: int = 0


def pause_after(count: int, *, first: dt.timedelta, longest: dt.timedelta, seed: str) -> dt.timedelta:
    """How long to wait after failure number ``count`` (from 1): doubling from ``first`` to ``longest``.

    Up to a tenth is added, the same for the same ``seed`` and count: not everything comes back at once.
    """
    doubled = min(first * 2 ** min(max(count, 1) - 1, 30), longest) if first < longest else longest
    share = (zlib.crc32(f"{seed}:{count}".encode()) & 0xFFFF) / 0xFFFF
    return doubled * (1 + JITTER * share)


@dataclass(slots=True)
class _Record:
    count: int = 0
    outages: int = 0
    next_at: float = 0.0
    gave_up: bool = False
    pairs: dict[str, tuple[int, float, str]] = field(default_factory=dict)


def note(
    connection: Connection,
    dataset: Dataset,
    failures: Mapping[PartitionKey, Mapping[str, str]],
    *,
    outages: Collection[PartitionKey],
    at: dt.datetime,
    cap: int,
    first_pause: dt.timedelta,
    longest_pause: dt.timedelta,
) -> list[Tries]:
    """Count one failed run for each key of ``failures``; returns those that gave up just now."""
    known = _read(connection, dataset, failures.keys())
    rows: list[dict[str, object]] = []
    gone: list[Tries] = []
    now = at.timestamp()
    pauses: dict[tuple[Symbol, int], float] = {}

    def due(symbol: Symbol, count: int) -> float:
        # By symbol: partitions of one symbol come back together, so that their range stays one request.
        if (symbol, count) not in pauses:
            wait = pause_after(count, first=first_pause, longest=longest_pause, seed=f"{dataset}:{symbol}")
            pauses[symbol, count] = now + wait.total_seconds()
        return pauses[symbol, count]

    for key, reasons in failures.items():
        record = known.get(key) or _Record()
        for provider, reason in reasons.items():
            count = record.pairs[provider][0] + 1 if provider in record.pairs else 1
            record.pairs[provider] = (count, due(key.symbol, count), reason[:_REASON])
            rows.append(_row(dataset, key, provider, count, next_at=record.pairs[provider][1], reason=reason))
        if key in outages or not reasons:
            record.outages += 1
        else:
            record.count, record.outages = record.count + 1, 0
        runs = record.count + record.outages
        record.next_at = min((record.pairs[p][1] for p in reasons), default=due(key.symbol, runs))
        spent = record.count >= cap or record.outages >= cap * OUTAGES_PER_ATTEMPT
        newly, record.gave_up = spent and not record.gave_up, record.gave_up or spent
        rows.append(
            _row(
                dataset,
                key,
                _ITSELF,
                record.count,
                next_at=record.next_at,
                outages=record.outages,
                gave_up=record.gave_up,
            )
        )
        if newly:
            gone.append(_tries(key, record))
    _upsert(connection, rows)
    return gone


def forget(connection: Connection, dataset: Dataset, keys: Collection[PartitionKey]) -> None:
    """Drop what is remembered about ``keys``."""
    sessions: dict[Symbol, list[dt.date]] = {}
    for key in known_of(connection, dataset, keys):
        sessions.setdefault(key.symbol, []).append(key.session)
    for symbol, dates in sessions.items():
        for at in range(0, len(dates), _CHUNK):
            connection.execute(
                delete(tries).where(
                    tries.c.dataset == dataset.value,
                    tries.c.symbol == symbol,
                    tries.c.session.in_(dates[at : at + _CHUNK]),
                )
            )


def known_of(connection: Connection, dataset: Dataset, keys: Collection[PartitionKey]) -> set[PartitionKey]:
    """Those of ``keys`` that have failed before."""
    if not keys:
        return set()
    sessions = [key.session for key in keys]
    wanted = keys if isinstance(keys, (set, frozenset, dict)) else set(keys)
    found = connection.execute(
        select(tries.c.symbol, tries.c.session).where(
            tries.c.dataset == dataset.value,
            tries.c.provider == _ITSELF,
            tries.c.session.between(min(sessions), max(sessions)),
        )
    )
    return {key for row in found if (key := PartitionKey(Symbol(row[0]), row[1])) in wanted}


def load(
    connection: Connection, dataset: Dataset, symbols: Sequence[Symbol] | None
) -> dict[PartitionKey, Tries]:
    """Everything remembered of ``dataset``, or of some ``symbols`` of it."""
    query = select(*_COLUMNS).where(tries.c.dataset == dataset.value)
    if symbols is not None and len(symbols) <= _FEW_SYMBOLS:
        query = query.where(tries.c.symbol.in_(symbols))
    wanted = None if symbols is None else set(symbols)
    return {
        key: _tries(key, record)
        for key, record in _records(connection, query).items()
        if wanted is None or key.symbol in wanted
    }


def _read(
    connection: Connection, dataset: Dataset, keys: Collection[PartitionKey]
) -> dict[PartitionKey, _Record]:
    if not keys:
        return {}
    sessions = [key.session for key in keys]
    query = select(*_COLUMNS).where(
        tries.c.dataset == dataset.value, tries.c.session.between(min(sessions), max(sessions))
    )
    return _records(connection, query)


def _records(connection: Connection, query: Select[_Stored]) -> dict[PartitionKey, _Record]:
    found: dict[PartitionKey, _Record] = {}
    for symbol, session, provider, failures, outages, next_at, gave_up, reason in connection.execute(query):
        key = PartitionKey(Symbol(symbol), session)
        record = found.get(key)
        if record is None:
            record = found[key] = _Record()
        if provider == _ITSELF:
            record.count, record.outages = failures, outages
            record.next_at, record.gave_up = next_at, gave_up
        else:
            record.pairs[provider] = (failures, next_at, reason)
    return found


def _tries(key: PartitionKey, record: _Record) -> Tries:
    return Tries(
        key=key,
        count=record.count,
        next_at=dt.datetime.fromtimestamp(record.next_at, UTC),
        gave_up=record.gave_up,
        providers=tuple(
            ProviderTry(name, count, dt.datetime.fromtimestamp(next_at, UTC), reason)
            for name, (count, next_at, reason) in sorted(record.pairs.items())
        ),
        outages=record.outages,
    )


def _row(
    dataset: Dataset,
    key: PartitionKey,
    provider: str,
    count: int,
    *,
    next_at: float,
    outages: int = 0,
    gave_up: bool = False,
    reason: str = "",
) -> dict[str, object]:
    return {
        "dataset": dataset.value,
        "symbol": key.symbol,
        "session": key.session,
        "provider": provider,
        "failures": count,
        "outages": outages,
        "next_at": next_at,
        "gave_up": gave_up,
        "reason": reason[:_REASON],
    }


def _upsert(connection: Connection, rows: list[dict[str, object]]) -> None:
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(tries)
    changed = ("failures", "outages", "next_at", "gave_up", "reason")
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["dataset", "symbol", "session", "provider"],
            set_={name: statement.excluded[name] for name in changed},
        ),
        rows,
    )
