"""Events as canonical Arrow tables: prices and sizes read exactly, a whole column at a time.

Rows keep the order of capture; ``ordinal`` is given when they are merged with what is stored. What
cannot be read, or is more than a day away from when it was received, is refused with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.landing.sessions import Sessions
from mdc_resources.landing.taking import DAY_NS, Event, Events
from mdc_resources.providers.decoding.numbers import read_texts
from mdc_resources.schema.arrow import PRICE, SIZE, schema_of
from mdc_resources.schema.checks import failures

# A connection may begin by repeating what happened before it. Of an earlier session that is history.
REPEATED_NS = 300 * 10**9
_TICK = ("symbol", "ts_event", "ts_recv")
_COLUMNS = {
    Dataset.TRADES: (
        *_TICK, "price", "size", "side", "venue", "trade_id", "conditions", "tape", "sequence", "correction",
        "source",
    ),
    Dataset.QUOTES: (
        *_TICK, "bid_price", "bid_size", "ask_price", "ask_size", "bid_venue", "ask_venue", "conditions",
        "tape", "sequence", "source",
    ),
    Dataset.DEPTH: (*_TICK, "at", "side", "price", "size", "action", "sequence", "source"),
}  # fmt: skip
_NUMBERS = {PRICE: ("price", "bid_price", "ask_price"), SIZE: ("size", "bid_size", "ask_size")}


class Unfit(NamedTuple):
    """A decoded row that no partition can hold."""

    dataset: Dataset
    key: PartitionKey | None
    symbol: Symbol
    source: str
    reason: str
    raw: str


class Tables(NamedTuple):
    """Rows by dataset, and those that were refused; ``repeated`` are of sessions long over."""

    tables: dict[Dataset, pa.Table]
    unfit: tuple[Unfit, ...]
    repeated: int

    @property
    def rows(self) -> int:
        """Rows of all datasets."""
        return sum(table.num_rows for table in self.tables.values())


def tables_of(events: Events, sessions: Sessions) -> Tables:
    """The canonical tables of ``events``, in the order of capture."""
    found: dict[Dataset, pa.Table] = {}
    unfit: list[Unfit] = []
    repeated = 0
    for dataset, rows in (
        (Dataset.TRADES, events.trades),
        (Dataset.QUOTES, events.quotes),
        (Dataset.DEPTH, events.depth),
    ):
        if rows:
            table, refused, dropped = _table(dataset, rows, sessions)
            unfit += refused
            repeated += dropped
            if table.num_rows:
                found[dataset] = table
    return Tables(found, tuple(unfit), repeated)


def _table(dataset: Dataset, rows: list[Event], sessions: Sessions) -> tuple[pa.Table, list[Unfit], int]:
    names = _COLUMNS[dataset]
    given = dict(zip(names, zip(*rows, strict=True), strict=True))
    times, received = _nanos(given["ts_event"]), _nanos(given["ts_recv"])
    symbols = pa.array(given["symbol"], pa.string())
    errors: dict[int, str] = {}
    wild = np.abs(times - received) > DAY_NS
    for row in np.flatnonzero(wild).tolist():
        errors[row] = "its time is more than a day away from when it was received"
    by = _nanos(given["at"]) if "at" in given else np.where(wild, received, times)
    days = sessions.days(symbols, by)
    late = by < received - REPEATED_NS
    if late.any():
        late[late] = days[late] < sessions.days(symbols.filter(pa.array(late)), received[late])
    columns: dict[str, pa.Array] = {
        "symbol": symbols,
        "session": pa.array(days).view(pa.date32()),
        "ts_event": pa.array(times),
        "ts_recv": pa.array(received),
        "ordinal": pa.array(np.arange(len(rows), dtype=np.int64)),
    }
    for kind, numbers in _NUMBERS.items():
        for name in numbers:
            if name in given:
                read = read_texts(pa.array(given[name], pa.string()), kind)
                columns[name] = read.values
                for row, reason in read.errors.items():
                    errors.setdefault(row, f"{name}: {reason}")
    schema = schema_of(dataset)
    for field in schema:
        if field.name not in columns:
            columns[field.name] = _column(given[field.name], field.type, errors, field.name)
    # Nullability is checked where files are written; here a row may still be wrong.
    table = pa.table([columns[name] for name in schema.names], names=schema.names)
    wrong = _mask(errors, len(rows))
    keep = ~(wrong | late)
    sound = (table if keep.all() else table.filter(pa.array(keep))).cast(schema)
    kept = np.flatnonzero(keep)
    broken = failures(dataset, sound)
    for failure in broken:
        errors.setdefault(int(kept[failure.row]), failure.rule)
    if broken:
        bad = _mask((failure.row for failure in broken), sound.num_rows)
        sound = sound.filter(pa.array(~bad))
    refused = [_unfit(dataset, names, rows[row], reason, days[row]) for row, reason in sorted(errors.items())]
    return sound, refused, int((late & ~wrong).sum())


def _column(values: Iterable[object], kind: pa.DataType, errors: dict[int, str], name: str) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([_fitting(row, value, kind, errors, name) for row, value in enumerate(values)], kind)


def _fitting(row: int, value: object, kind: pa.DataType, errors: dict[int, str], name: str) -> object:
    try:
        pa.scalar(value, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        errors.setdefault(row, f"{name}: {str(value)[:40]!a} does not fit {kind}")
        return "" if name == "source" else None
    return value


def _nanos(values: Iterable[object]) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def _mask(rows: Iterable[int], count: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(count, bool)
    mask[list(rows)] = True
    return mask


def _unfit(dataset: Dataset, names: tuple[str, ...], row: Event, reason: str, day: int) -> Unfit:
    values = dict(zip(names, row, strict=True))
    symbol = Symbol(str(values["symbol"]))
    session = pa.scalar(int(day), pa.int32()).cast(pa.date32()).as_py()
    raw = json.dumps(values, default=str)
    return Unfit(dataset, PartitionKey(symbol, session), symbol, str(values["source"]), reason, raw)


def partitions(table: pa.Table) -> Iterator[tuple[PartitionKey, pa.Table]]:
    """The partitions of ``table``, each in the order of its rows."""
    if not table.num_rows:
        return
    order, starts = _grouped(table)
    taken = table.take(pa.array(order))
    for start, end in pairwise([*starts, table.num_rows]):
        piece = taken.slice(start, end - start)
        yield PartitionKey(piece["symbol"][0].as_py(), piece["session"][0].as_py()), piece


def _grouped(table: pa.Table) -> tuple[npt.NDArray[np.intp], list[int]]:
    """Row order in which the rows of a partition are adjacent, and where each begins."""
    codes = table["symbol"].combine_chunks().dictionary_encode()
    if isinstance(codes, pa.ChunkedArray):
        codes = codes.combine_chunks()
    days = table["session"].combine_chunks().cast(pa.int32()).to_numpy(zero_copy_only=False)
    code = codes.indices.to_numpy(zero_copy_only=False).astype(np.int64) * (1 << 32) + days
    order = np.argsort(code, kind="stable")
    grouped = code[order]
    starts = np.flatnonzero(np.append(True, grouped[1:] != grouped[:-1]))
    return order, starts.tolist()
