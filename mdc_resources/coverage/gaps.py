"""What is open, over whole universes at once: due sessions that no ledger row explains.

    due sessions x listing  -  present, empty, quarantined, expired  =  missing + partial

The ledger answers with a string of bits per symbol (:mod:`mdc_resources.lake.gapbits`); here they meet
the calendars as arrays, so that thousands of symbols cost what some dozen cost row by row.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdc_resources.calendars import FIRST, Calendar
from mdc_resources.config import Home
from mdc_resources.coverage.listings import bounds, listings_of
from mdc_resources.coverage.universes import calendar_in, universes_of
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.lake.gapbits import EPOCH, Bits, GapBits
from mdc_resources.state import State

_CHUNK = 512  # symbols unpacked at once: bounds the memory, costs no time


@dataclass(frozen=True, slots=True)
class OpenSessions:
    """What is open of one symbol, as ordinals of its calendar; ``partial`` was cut short when it came."""

    symbol: Symbol
    calendar: Calendar
    missing: Intervals
    partial: Intervals

    @property
    def all(self) -> Intervals:
        """Everything that is open."""
        return self.missing | self.partial

    def keys(self) -> Iterator[PartitionKey]:
        """The open partitions, by session."""
        return (PartitionKey(self.symbol, self.calendar.session_at(ordinal)) for ordinal in self.all)


def open_sessions(
    home: Home,
    lake: Lake,
    state: State,
    dataset: Dataset,
    symbols: Sequence[Symbol] | None = None,
    *,
    at: dt.datetime,
    start: dt.date | None = None,
    end: dt.date | None = None,
    begun: bool = True,
) -> dict[Symbol, OpenSessions]:
    """Symbols with open sessions of ``dataset`` as of ``at``, in the order of ``symbols``.

    ``symbols`` None means the active members of all universes; named ones are looked at whether they
    are members or not. ``start`` and ``end`` are inclusive. With ``begun`` a symbol counts from its
    first ledger session on, and not at all without one; otherwise from its universe's start. A session
    is due once its close plus the settle delay lies behind ``at``; ``instruments`` expects one
    partition a symbol, the last due session of its listing.

    Raises:
        UsageError: a calendar does not know the range, or ``at``; that never means "closed".
        ConfigError: ``closures.toml`` or ``listings.toml`` cannot be used.
    """
    if symbols is None:
        universes = {member.symbol: member.universe for member in state.members()}
    else:
        universes = universes_of(home, state, symbols)
    last = min(end, at.date()) if end else at.date()
    if not universes or last < FIRST:
        return {}
    since = min((known.start for known in home.settings.universes.values()), default=last)
    bits = lake.gap_bits(dataset, since=since, end=last, symbols=symbols)
    rows = {symbol: row for row, symbol in enumerate(bits.symbols)}
    groups: dict[str, list[Symbol]] = defaultdict(list)
    for symbol, universe in universes.items():
        if symbol in rows or not begun:
            groups[universe].append(symbol)
    listings = listings_of(home, lake, symbols) if groups else {}
    oldest = EPOCH + dt.timedelta(days=int(bits.first.min())) if rows else last
    settle = home.settings.dataset(dataset).settle_delay
    found: dict[Symbol, OpenSessions] = {}
    for universe, members in groups.items():
        settings = home.settings.universes.get(universe)
        begin = start or (FIRST if begun or settings is None else settings.start)
        begin = max(begin, oldest) if begun else begin
        if begin > last:
            continue
        calendar = calendar_in(home, universe)
        due = calendar.final_sessions(begin, last, at=at, settle=settle, whole_window=dataset.is_events)
        if due:
            grid = _Grid.of(calendar, due, bits, rows, listings, begun=begun)
            for line in range(0, len(members), _CHUNK):
                chunk = members[line : line + _CHUNK]
                found.update(grid.open(chunk, last_only=dataset is Dataset.INSTRUMENTS))
    return {symbol: found[symbol] for symbol in universes if symbol in found}


@dataclass(frozen=True, slots=True)
class _Grid:
    """One calendar against the ledger's bits: a line per symbol, a column per due session.

    ``first`` is the ordinal of the first column, ``days`` are counted from the first bit.
    """

    calendar: Calendar
    first: int
    days: NDArray[np.int64]
    bits: GapBits
    rows: Mapping[Symbol, int]
    listings: Mapping[Symbol, Listing]
    begun: bool

    @classmethod
    def of(
        cls,
        calendar: Calendar,
        due: Sequence[dt.date],
        bits: GapBits,
        rows: Mapping[Symbol, int],
        listings: Mapping[Symbol, Listing],
        *,
        begun: bool,
    ) -> _Grid:
        days = np.array(due, "datetime64[D]").astype(np.int64) - bits.base
        return cls(calendar, calendar.ordinal(due[0]), days, bits, rows, listings, begun)

    def open(self, symbols: Sequence[Symbol], *, last_only: bool) -> dict[Symbol, OpenSessions]:
        """Those of ``symbols`` that have something open."""
        low, high = self._bounds(symbols)
        if last_only:
            low = np.maximum(low, high - 1)
        columns = np.arange(len(self.days))
        held = [(line, self.rows[symbol]) for line, symbol in enumerate(symbols) if symbol in self.rows]
        opened = (columns >= low[:, None]) & (columns < high[:, None])
        opened &= ~self._unpacked(len(symbols), held, self.bits.explained)
        partial = opened & self._unpacked(len(symbols), held, self.bits.partial)
        missing, cut = self._runs(opened & ~partial), self._runs(partial)
        return {
            symbols[line]: OpenSessions(
                symbols[line], self.calendar, Intervals(missing.get(line, ())), Intervals(cut.get(line, ()))
            )
            for line in sorted(missing.keys() | cut.keys())
        }

    def _bounds(self, symbols: Sequence[Symbol]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Per symbol the half-open run of columns that is expected of it."""
        low = np.zeros(len(symbols), np.int64)
        high = np.full(len(symbols), len(self.days), np.int64)
        if self.begun:
            first = self.bits.first[[self.rows[symbol] for symbol in symbols]] - self.bits.base
            low = np.searchsorted(self.days, first).astype(np.int64)
        for line, symbol in enumerate(symbols):
            if symbol in self.listings:
                first_listed, stop = bounds(self.calendar, self.listings[symbol])
                low[line] = max(low[line], first_listed - self.first)
                high[line] = min(high[line], stop - self.first)
        return low, high

    def _unpacked(self, count: int, held: Sequence[tuple[int, int]], packed: Bits) -> NDArray[np.bool_]:
        """The bits of the days, a line per symbol; ``held`` pairs lines with rows of ``packed``."""
        flags = np.zeros((count, len(self.days)), np.bool_)
        rows = packed[[row for _, row in held]]
        if rows.any():
            since = int(np.searchsorted(self.days, 0))  # there are no rows of the days before
            flags[[line for line, _ in held], since:] = np.unpackbits(rows, axis=1)[:, self.days[since:]]
        return flags

    def _runs(self, flags: NDArray[np.bool_]) -> dict[int, tuple[tuple[int, int], ...]]:
        """Runs of True per line that has any, as ordinals of the calendar."""
        at = np.flatnonzero(flags)
        if not len(at):
            return {}
        lines, columns = np.divmod(at, len(self.days))
        apart = np.flatnonzero((np.diff(at) != 1) | (columns[1:] == 0))
        starts, ends = np.append(0, apart + 1), np.append(apart, len(at) - 1)
        found: dict[int, list[tuple[int, int]]] = defaultdict(list)
        spans = (lines[starts], columns[starts] + self.first, columns[ends] + self.first + 1)
        for line, start, stop in zip(*(each.tolist() for each in spans), strict=True):
            found[line].append((start, stop))
        return {line: tuple(runs) for line, runs in found.items()}
