"""From a page's columns to the canonical table of bars: range, duplicates, order.

Promises: rows outside the request are dropped and counted; a row that cannot be read is rejected
with its reason; exact repetitions collapse into one row; rows that contradict each other are all
rejected; the result does not depend on the order of the vendor's rows. What a row *says* (high
below low, a negative volume) is not judged here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bodies import RAW_LIMIT
from mdc_resources.providers.decoding.numbers import Numbers
from mdc_resources.providers.decoding.sessions import Days, Micros, SessionColumns, date_of
from mdc_resources.providers.spec import Dialect, Rejected
from mdc_resources.schema.arrow import BARS

PRICES = ("open", "high", "low", "close")
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BarColumns:
    """One page's bars in the vendor's order, nothing checked yet; all columns of one length.

    ``codes`` index ``names``. Daily bars have ``days`` (their session's date), others
    ``instants`` (µs UTC, start of the interval). ``errors`` are rows that could not be read at
    all; ``raw`` shows a row as received.
    """

    names: Sequence[Symbol]
    codes: npt.NDArray[np.int32]
    numbers: Mapping[str, Numbers]
    raw: Callable[[int], str]
    days: Days | None = None
    instants: Micros | None = None
    counts: pa.Array | None = None
    vwap: pa.Array | None = None
    errors: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True)
class AssembledBars:
    """Canonical rows, and what became of the others."""

    table: pa.Table
    rejected: tuple[Rejected, ...]
    dropped: int
    rounded: int


def assemble(
    bars: BarColumns, *, request: FetchRequest, dialect: Dialect, sessions: SessionColumns | None = None
) -> AssembledBars:
    """The canonical table of ``bars`` for ``request``; see the module's promises.

    ``sessions`` are those of ``request``, where the caller has them already.
    """
    sessions = sessions or SessionColumns.of(dialect.calendar, request)
    if bars.days is not None:
        at, inside = sessions.find_days(bars.days)
        instants = sessions.opens[at] if len(sessions.opens) else np.zeros(len(bars), np.int64)
    else:
        assert bars.instants is not None
        instants = bars.instants
        at, inside = sessions.find_instants(instants)
    errors = _errors(bars)
    wrong = np.zeros(len(bars), bool)
    wrong[list(errors)] = True
    unreadable = np.zeros(len(bars), bool)
    unreadable[list(bars.errors)] = True
    rejected = {row: errors[row] for row in np.flatnonzero(wrong & (inside | unreadable)).tolist()}

    good = np.flatnonzero(inside & ~wrong)
    order = good[np.lexsort((instants[good], _ranks(bars)[good]))]
    kept, conflicts = _without_duplicates(bars, order, instants)
    rejected |= conflicts

    days = sessions.days[at] if len(sessions.days) else np.zeros(len(bars), np.int32)
    table = _table(bars, kept, days, instants, request, dialect)
    shown = [
        _show(bars, row, reason, int(days[row]) if inside[row] else None) for row, reason in rejected.items()
    ]
    return AssembledBars(
        table=table,
        rejected=tuple(
            sorted(shown, key=lambda r: (r.symbol or "", r.session or dt.date.min, r.reason, r.raw))
        ),
        dropped=int((~inside & ~unreadable).sum()),
        rounded=_rounded_count(bars, kept),
    )


def _errors(bars: BarColumns) -> dict[int, str]:
    """The first thing that is wrong with each row that cannot be stored."""
    errors = dict(bars.errors)
    for name, numbers in bars.numbers.items():
        for row, reason in numbers.errors.items():
            errors.setdefault(row, f"{name}: {reason}")
        if name in PRICES and numbers.values.null_count:
            for row in np.flatnonzero(numbers.values.is_null().to_numpy(zero_copy_only=False)).tolist():
                errors.setdefault(row, f"{name} is missing")
    return errors


def _ranks(bars: BarColumns) -> npt.NDArray[np.int64]:
    """Per row, the alphabetical position of its symbol."""
    rank_of = np.empty(len(bars.names), np.int64)
    rank_of[sorted(range(len(bars.names)), key=lambda code: bars.names[code])] = np.arange(len(bars.names))
    ranks: npt.NDArray[np.int64] = rank_of[bars.codes]
    return ranks


def _without_duplicates(
    bars: BarColumns, order: npt.NDArray[np.intp], instants: Micros
) -> tuple[npt.NDArray[np.intp], dict[int, str]]:
    """``order`` without repetitions and contradictions; the latter's rows with a reason."""
    codes, starts = bars.codes[order], instants[order]
    same = (codes[1:] == codes[:-1]) & (starts[1:] == starts[:-1])
    if not same.any():
        return order, {}
    keep = np.ones(len(order), bool)
    conflicts: dict[int, str] = {}
    group_of = np.concatenate(([0], np.cumsum(~same)))
    repeated = np.flatnonzero(np.concatenate(([False], same)) | np.concatenate((same, [False])))
    for _, members in groupby(repeated.tolist(), key=lambda at: int(group_of[at])):
        group = list(members)
        keep[group[1:]] = False
        if len({_content(bars, int(order[at])) for at in group}) > 1:
            keep[group[0]] = False
            conflicts |= {int(order[at]): f"{len(group)} rows for one bar disagree" for at in group}
    return order[keep], conflicts


def _content(bars: BarColumns, row: int) -> tuple[object, ...]:
    columns = [numbers.values for numbers in bars.numbers.values()]
    columns += [column for column in (bars.counts, bars.vwap) if column is not None]
    return tuple(column[row].as_py() for column in columns)


def _table(
    bars: BarColumns,
    rows: npt.NDArray[np.intp],
    days: Days,
    instants: Micros,
    request: FetchRequest,
    dialect: Dialect,
) -> pa.Table:
    whole = len(rows) == len(bars) and bool((rows == np.arange(len(rows))).all())
    indices = None if whole else pa.array(rows)

    def take(column: pa.Array | None, kind: pa.DataType) -> pa.Array:
        if column is None:
            return pa.nulls(len(rows), kind)
        return column if indices is None else column.take(indices)

    inexact = np.zeros(len(bars), bool)
    inexact[list(frozenset().union(*(numbers.rounded for numbers in bars.numbers.values())))] = True
    symbols = pa.DictionaryArray.from_arrays(
        pa.array(bars.codes[rows]), pa.array(list(bars.names), pa.string())
    )
    constant = {"basis": dialect.offer(request.dataset).basis.value, "source": dialect.source}
    columns: dict[str, pa.Array] = {
        "symbol": symbols.cast(pa.string()),
        "session": pa.array(days[rows]).view(pa.date32()),
        "ts": pa.array(instants[rows]).view(BARS.field("ts").type),
        "trade_count": take(bars.counts, pa.int64()),
        "vwap": take(bars.vwap, pa.float64()),
        "basis_asof": pa.repeat(pa.scalar(request.asof, pa.date32()), len(rows)),
        "exact": pa.array(~inexact[rows]),
        **{name: take(numbers.values, BARS.field(name).type) for name, numbers in bars.numbers.items()},
        **{name: pa.repeat(pa.scalar(text), len(rows)) for name, text in constant.items()},
    }
    columns.setdefault("volume", pa.nulls(len(rows), BARS.field("volume").type))
    return pa.table([columns[name] for name in BARS.names], schema=BARS)


def _rounded_count(bars: BarColumns, rows: npt.NDArray[np.intp]) -> int:
    if not any(numbers.rounded for numbers in bars.numbers.values()):
        return 0
    kept = set(rows.tolist())
    return sum(len(numbers.rounded & kept) for numbers in bars.numbers.values())


def _show(bars: BarColumns, row: int, reason: str, day: int | None) -> Rejected:
    session = None if day is None else date_of(day)
    return Rejected(bars.names[bars.codes[row]], session, reason, bars.raw(row)[:RAW_LIMIT])
