"""A large request as several of bounded size, so that others get their turn between them.

Newest sessions come first: a part is a group of symbols over a stretch of about a year, with at most
``max_partitions_per_run`` open partitions. Shorter stretches would cost requests, since vendors
answer a symbol's year in one; longer ones would keep the newest sessions waiting. What the ledger
settles already is in no part.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want
from mdc_resources.ingest.scope import measure
from mdc_resources.lake import Lake
from mdc_resources.state import State

STRETCH = 252  # sessions: a year of most exchanges


@dataclass(frozen=True, slots=True)
class Part:
    """One run's share of a request, and how many open partitions it has."""

    want: Want
    partitions: int


def parts_of(home: Home, want: Want, *, at: dt.datetime) -> list[Part]:
    """``want`` in parts, newest sessions first; empty if nothing of it is open at the instant ``at``.

    The parts' open partitions are disjoint, and together those of ``want``.

    Raises:
        LakeError: the lake cannot be opened.
        UsageError: the range is one that a calendar does not know.
    """
    lake = Lake.open(home.lake_dir, catalog_url=home.settings.lake.catalog_url)
    with closing(lake), closing(State.open(home)) as state:
        found = measure(home, lake, state, want, at=at).open
    return split(want, found, limit=home.settings.dataset(want.dataset).max_partitions_per_run)


def split(want: Want, keys: Sequence[PartitionKey], *, limit: int) -> list[Part]:
    """``want`` as parts of at most ``limit`` of its open ``keys``, newest sessions first.

    Sessions of ``want`` that are not due yet go with the newest stretch.
    """
    newest_first = sorted({key.session for key in keys}, reverse=True)
    stretch = min(STRETCH, limit)
    found = []
    for at in range(0, len(newest_first), stretch):
        block = frozenset(newest_first[at : at + stretch])
        end = None if at else want.end
        for group in _groups([key for key in keys if key.session in block], want.symbols, limit):
            found.append(Part(_narrowed(want, group, end), len(group)))
    return found


def _groups(
    keys: Sequence[PartitionKey], symbols: Sequence[Symbol], limit: int
) -> Iterator[list[PartitionKey]]:
    """Whole symbols of ``keys``, in the order of ``symbols``, as many as fit into ``limit``."""
    by_symbol: dict[Symbol, list[PartitionKey]] = {}
    for key in keys:
        by_symbol.setdefault(key.symbol, []).append(key)
    group: list[PartitionKey] = []
    for symbol in symbols:
        mine = by_symbol.get(symbol, [])
        if group and len(group) + len(mine) > limit:
            yield group
            group = []
        group = group + mine
    if group:
        yield group


def _narrowed(want: Want, keys: Sequence[PartitionKey], end: dt.date | None) -> Want:
    """``want`` for ``keys`` alone; ``end`` is its last session, or that of the keys."""
    sessions = [key.session for key in keys]
    return replace(
        want,
        symbols=tuple(dict.fromkeys(key.symbol for key in keys)),
        start=min(sessions),
        end=end or max(sessions),
        keys=frozenset(keys) if want.keys is not None else None,
    )
