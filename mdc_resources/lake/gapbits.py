"""Which sessions the ledger explains, as one string of bits per symbol: the raw material of gaps.

The ledger is append-only and its newest row per partition wins. Sorting out the newest of millions
of rows costs seconds; one string of bits per (symbol, state) costs a tenth. A partition whose rows
agree on being open or not needs no more; only those few that were opened and closed, or the other
way, are looked up by commit.
"""

# ruff: noqa: S608 - names in statements are constants of this package; values are bound or integers

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake.catalog import ALIAS

if TYPE_CHECKING:
    from mdc_resources.lake.catalog import Catalog

EPOCH = dt.date(1970, 1, 1)
_THREADS = 4
Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class GapBits:
    """The ledger of one dataset; line ``n`` is of ``symbols[n]``.

    Bits are of the newest states, eight days a byte from day ``base`` (since 1970-01-01) on, the
    earliest in the highest bit: ``explained`` where nothing is left to fetch, ``partial`` where the
    answer was cut short. ``first`` is the day of the symbol's first row, whatever it says.
    """

    base: int
    symbols: tuple[Symbol, ...]
    first: NDArray[np.int64]
    explained: Bits
    partial: Bits


def gap_bits(
    catalog: Catalog, dataset: Dataset, *, since: dt.date, end: dt.date, symbols: Sequence[Symbol] | None
) -> GapBits:
    """The bits of all sessions up to ``end``, inclusive; only symbols with a row there.

    ``since`` is where the rows are thought to begin: the bits do, unless there are earlier rows.
    """
    where = "dataset = ? AND session <= ?"
    parameters: list[object] = [dataset.value, end]
    if symbols is not None:
        where += " AND symbol IN (SELECT unnest(?::VARCHAR[]))"
        parameters.append(list(symbols))
    earlier = catalog.query(
        f"SELECT min(session) FROM {ALIAS}.coverage WHERE {where} AND session < ?", [*parameters, since]
    )
    start = min(earlier.column(0)[0].as_py() or since, end)
    base = (start - EPOCH).days
    width = (end - start).days // 8 + 1  # whole bytes: then the bits need no alignment
    day = "session - DATE '1970-01-01'"
    table = catalog.query(
        f"SELECT symbol, state, min({day}) AS first,"
        f" bitstring_agg({day}, {base}, {base + width * 8 - 1})::BLOB AS bits"
        f" FROM {ALIAS}.coverage WHERE {where} GROUP BY symbol, state ORDER BY symbol",
        parameters,
        threads=_THREADS,
    )
    return _Sorted.of(table, base, width).newest(catalog, where, parameters)


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Bits by what they say, not by when: a day may be in several."""

    base: int
    symbols: tuple[Symbol, ...]
    first: NDArray[np.int64]
    explained: Bits
    missing: Bits
    partial: Bits

    @classmethod
    def of(cls, table: pa.Table, base: int, width: int) -> _Sorted:
        names, states, bits = (table[name].to_pylist() for name in ("symbol", "state", "bits"))
        line_of = {name: line for line, name in enumerate(dict.fromkeys(names))}
        lines = np.array([line_of[name] for name in names], np.int64)
        first = np.full(len(line_of), np.iinfo(np.int64).max)
        np.minimum.at(first, lines, table["first"].to_numpy())
        packed = np.frombuffer(b"".join(bits), np.uint8).reshape(len(bits), width)
        explained, missing, partial = np.zeros((3, len(line_of), width), np.uint8)
        into = {PartitionState.MISSING.value: missing, PartitionState.PARTIAL.value: partial}
        for state in set(states):
            rows = np.array([state == each for each in states])
            into.get(state, explained)[lines[rows]] |= packed[rows]  # a line once per state
        return cls(base, tuple(map(Symbol, line_of)), first, explained, missing, partial)

    def newest(self, catalog: Catalog, where: str, parameters: Sequence[object]) -> GapBits:
        """Settle the days about which rows disagree by their newest one."""
        disputed = (self.partial & self.missing) | ((self.partial | self.missing) & self.explained)
        if disputed.any():
            lines, days = np.nonzero(np.unpackbits(disputed, axis=1))
            symbols = pa.array(self.symbols, pa.string()).take(pa.array(lines))
            keys = pa.table({"symbol": symbols, "day": days + self.base})
            self._look_up(catalog, where, parameters, keys)
        return GapBits(self.base, self.symbols, self.first, self.explained, self.partial)

    def _look_up(self, catalog: Catalog, where: str, parameters: Sequence[object], keys: pa.Table) -> None:
        rows = catalog.query(
            "SELECT symbol, session - DATE '1970-01-01' AS day, arg_max(state, commit_seq) AS state"
            f" FROM {ALIAS}.coverage SEMI JOIN disputed_keys ON disputed_keys.symbol = coverage.symbol"
            f" AND DATE '1970-01-01' + disputed_keys.day::INTEGER = session WHERE {where} GROUP BY ALL",
            parameters,
            threads=_THREADS,
            tables={"disputed_keys": keys},
        )
        line_of = {symbol: line for line, symbol in enumerate(self.symbols)}
        columns = (rows[name].to_pylist() for name in ("symbol", "day", "state"))
        for symbol, day, state in zip(*columns, strict=True):
            line, at = line_of[symbol], (day - self.base) >> 3
            flag = np.uint8(0x80 >> ((day - self.base) & 7))
            if state in (PartitionState.PARTIAL, PartitionState.MISSING):
                self.explained[line, at] &= ~flag
            if state != PartitionState.PARTIAL:
                self.partial[line, at] &= ~flag
