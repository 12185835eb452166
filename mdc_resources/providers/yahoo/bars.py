"""The bars of a Yahoo chart as unchecked columns.

Rows of nulls (days without data) and live rows beside a regular one are moved out of every
session, so that they are dropped and counted with the rows outside the range.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mdc_resources.domain.datasets import Dataset, NumberEncoding
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bars import PRICES, BarColumns, Mask
from mdc_resources.providers.decoding.bodies import NumberText
from mdc_resources.providers.decoding.numbers import Numbers, read_floats, read_texts, shortest
from mdc_resources.providers.decoding.sessions import NO_DAY, Days, Micros, SessionColumns, day_of
from mdc_resources.providers.spec import Offer
from mdc_resources.providers.yahoo.chart import Chart, read_seconds
from mdc_resources.schema.arrow import PRICE, SIZE

_FLOAT32 = NumberEncoding.FLOAT32
_NEVER = np.int64(-(2**62))  # an instant before every session
_FIELDS = (*PRICES, "volume")


def bars_of(
    chart: Chart, symbol: Symbol, zone: ZoneInfo, *, sessions: SessionColumns, dataset: Dataset, offer: Offer
) -> BarColumns:
    """The chart's rows; daily ones by their date in ``zone``, minutes by their start."""
    seconds, errors = read_seconds(chart.timestamps)
    numbers = {
        name: _numbers(chart, name, SIZE if name == "volume" else PRICE, derived=name in offer.derived)
        for name in _FIELDS
    }
    out = _absent(numbers)
    days = instants = None
    if dataset is Dataset.BARS_1D:
        days = _dates(seconds, zone, sessions)
        out |= _live(seconds, days, out, sessions)
        days[out] = NO_DAY
    else:
        instants = seconds * 1_000_000
        instants[out | (seconds % 60 != 0)] = _NEVER  # off the minute: the running bar
    return BarColumns(
        names=(symbol,),
        codes=np.zeros(len(seconds), np.int32),
        numbers=numbers,
        days=days,
        instants=instants,
        errors=errors,
        raw=lambda row: json.dumps(
            {"timestamp": chart.timestamps[row], **{name: chart.columns[name][row] for name in _FIELDS}}
        ),
    )


def widened(text: str) -> str:
    """One number's shortest decimal, by the rule of :func:`read_floats`; ValueError if it is none."""
    return str(shortest(np.array([float(text)]), encoding=_FLOAT32)[0].as_py())


def _absent(numbers: dict[str, Numbers]) -> Mask:
    """Rows whose four prices are all null in the document."""
    out = np.ones(len(numbers["open"].values), bool)
    for name in PRICES:
        null = numbers[name].values.is_null().to_numpy(zero_copy_only=False)
        null[list(numbers[name].errors)] = False
        out &= null
    return out


def _dates(seconds: npt.NDArray[np.int64], zone: ZoneInfo, sessions: SessionColumns) -> Days:
    """The session that opens at each stamp, else the stamp's date in ``zone``."""
    days = np.full(len(seconds), NO_DAY, np.int32)
    starts: Micros = seconds * 1_000_000
    at, inside = sessions.find_instants(starts)
    if inside.any():
        inside &= sessions.opens[at] == starts
        days[inside] = sessions.days[at[inside]]
    for row in np.flatnonzero(~inside).tolist():
        days[row] = day_of(dt.datetime.fromtimestamp(int(seconds[row]), zone).date())
    return days


def _live(seconds: npt.NDArray[np.int64], days: Days, absent: Mask, sessions: SessionColumns) -> Mask:
    """Rows stamped with the last trade where their session also has a row stamped with its open."""
    at, inside = sessions.find_days(days)
    if not inside.any():
        return np.zeros(len(days), bool)
    starts: Micros = seconds * 1_000_000
    aligned = inside & ~absent & (sessions.opens[at] == starts)
    live: Mask = inside & (sessions.opens[at] != starts) & np.isin(days, days[aligned])
    return live


def _numbers(chart: Chart, name: str, kind: pa.Decimal128Type, *, derived: bool) -> Numbers:
    values = chart.columns[name]
    if chart.typed and kind is SIZE:
        try:
            return read_texts(pa.array(values, pa.int64()).cast(pa.string()), kind, derived=derived)
        except OverflowError:
            return _one_by_one(values, kind, derived=derived)
    if chart.typed:
        column = pa.array(values, pa.float64())
        missing = column.is_null().to_numpy(zero_copy_only=False)
        floats = column.fill_null(0.0).to_numpy()
        return read_floats(floats, kind, encoding=_FLOAT32, missing=missing, derived=derived)
    return _one_by_one(values, kind, derived=derived)


def _one_by_one(values: Sequence[Any], kind: pa.Decimal128Type, *, derived: bool) -> Numbers:
    """A column of any JSON values: what is not a number is an error of its row."""
    errors: dict[int, str] = {}
    texts: list[str | None] = [None] * len(values)
    for row, value in enumerate(values):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | NumberText):
            errors[row] = f"{str(value)[:40]!a} is not a JSON number"
            continue
        try:
            texts[row] = (
                str(value) if kind is SIZE else widened(value if isinstance(value, str) else str(value))
            )
        except (ValueError, OverflowError):
            errors[row] = f"{str(value)[:40]!a} is not a number"
    found = read_texts(pa.array(texts, pa.string()), kind, derived=derived)
    return Numbers(found.values, {**found.errors, **errors}, found.rounded)
