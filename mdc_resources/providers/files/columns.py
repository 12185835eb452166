"""Columns of a person's file as bars: every number by way of exact text, every time with a zone."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mdc_resources.domain.datasets import Dataset, NumberEncoding
from mdc_resources.domain.errors import ConfigError, PayloadError, UsageError
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import parse_session
from mdc_resources.providers.decoding.bars import PRICES, BarColumns
from mdc_resources.providers.decoding.numbers import read_texts, shortest
from mdc_resources.providers.decoding.sessions import NO_DAY, day_of
from mdc_resources.providers.spec import Dialect
from mdc_resources.schema.arrow import PRICE, SIZE

_COUNT = pa.decimal128(18, 0)
_MIDNIGHT = dt.time()


def read_parquet(body: bytes, *, mapping: Mapping[str, str], required: Sequence[str]) -> dict[str, pa.Array]:
    """The mapped columns of a Parquet file by canonical name; raises PayloadError."""
    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        present = {name: column for name, column in mapping.items() if column in file.schema_arrow.names}
        if missing := [mapping[name] for name in required if name not in present]:
            has = ", ".join(file.schema_arrow.names)[:200]
            raise PayloadError(f"the file has no column {', '.join(missing)}; it has {has}", provider="files")
        table = file.read(columns=list(dict.fromkeys(present.values())))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise PayloadError(f"the file is no readable Parquet: {str(error)[:200]}", provider="files") from None
    return {name: table.column(column).combine_chunks() for name, column in present.items()}


def bars_of(
    columns: Mapping[str, pa.Array], symbol: Symbol, *, request: FetchRequest, dialect: Dialect
) -> BarColumns:
    """``columns`` as unchecked bars of ``symbol``."""
    rows = len(columns["open"])
    errors: dict[int, str] = {}
    if "symbol" in columns:
        for row, text in enumerate(_texts(columns["symbol"]).to_pylist()):
            if text != symbol:
                errors[row] = f"symbol: {ascii(text)[:40]} in the file of {symbol}"
    numbers = {
        name: read_texts(_texts(columns[name]), SIZE if name == "volume" else PRICE)
        for name in (*PRICES, "volume")
        if name in columns
    }
    days = instants = None
    if request.dataset is Dataset.BARS_1D:
        days = np.full(rows, NO_DAY, np.int32)
        for row, value in enumerate(_values(columns["session"])):
            try:
                days[row] = day_of(_date(value, dialect.calendar.tz))
            except (UsageError, ValueError) as error:
                errors[row] = f"session: {error}"
    else:
        zone = _declared_zone(dialect)
        instants = np.zeros(rows, np.int64)
        for row, value in enumerate(_values(_micros_safe(columns["ts"]))):
            try:
                instants[row] = _micros(value, zone)
            except (UsageError, ValueError, OverflowError) as error:
                errors[row] = f"ts: {error}"
    return BarColumns(
        names=(symbol,),
        codes=np.zeros(rows, np.int32),
        numbers=numbers,
        days=days,
        instants=instants,
        counts=_counts(columns["trade_count"], errors) if "trade_count" in columns else None,
        vwap=_doubles(columns["vwap"], errors) if "vwap" in columns else None,
        errors=errors,
        raw=lambda row: json.dumps({name: str(_value(column[row])) for name, column in columns.items()}),
    )


def _counts(column: pa.Array, errors: dict[int, str]) -> pa.Array:
    found = read_texts(_texts(column), _COUNT)
    for row, reason in found.errors.items():
        errors.setdefault(row, f"trade_count: {reason}")
    return found.values.cast(pa.int64())


def _doubles(column: pa.Array, errors: dict[int, str]) -> pa.Array:
    """A statistic: doubles, NaN (how data frames write a missing one) as null."""
    values: list[float | None] = []
    for row, text in enumerate(_texts(column).to_pylist()):
        try:
            value = None if text is None else float(text)
        except ValueError:
            value = None
            errors.setdefault(row, f"vwap: {text[:40]!a} is not a number")
        values.append(value if value is not None and math.isfinite(value) else None)
    return pa.array(values, pa.float64())


def _texts(column: pa.Array) -> pa.Array:
    """Any column as text, numbers in their shortest exact form."""
    kind = column.type
    if pa.types.is_floating(kind):
        encoding = NumberEncoding.FLOAT32 if kind.bit_width <= 32 else NumberEncoding.FLOAT64
        missing = column.is_null().to_numpy(zero_copy_only=False)
        values = column.cast(pa.float64()).fill_null(0.0).to_numpy()
        return shortest(values, encoding=encoding, missing=missing)
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if value is None else str(value) for value in _values(column)], pa.string())


def _values(column: pa.Array) -> list[object]:
    """Python values; one that Python has no value for (the year 50000) as a text that is no date."""
    try:
        values: list[object] = column.to_pylist()
    except (OverflowError, ValueError):
        return [_value(scalar) for scalar in column]
    return values


def _value(scalar: pa.Scalar) -> object:
    try:
        value: object = scalar.as_py()
    except (OverflowError, ValueError):
        return f"{scalar.type} out of range"
    return value


def _date(value: object, zone: ZoneInfo) -> dt.date:
    """A date of a date, of midnight without a zone, of an instant with one, or of ISO text."""
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            return value.astimezone(zone).date()
        if value.time() != _MIDNIGHT:
            raise ValueError(f"{value} is no date and has no time zone")
        return value.date()
    if isinstance(value, dt.date):
        return value
    if isinstance(value, str):
        return parse_session(value)
    raise ValueError(f"{ascii(value)[:40]} is not a date")


def _declared_zone(dialect: Dialect) -> ZoneInfo | None:
    name = dialect.settings.timezone
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # not found is a KeyError of zoneinfo's
        raise ConfigError(
            f"{ascii(name)[:40]} is not a time zone",
            key="providers.files.timezone",
            hint="Write it as America/New_York",
        ) from None


def _micros_safe(column: pa.Array) -> pa.Array:
    """Nanosecond timestamps cut to µs where that loses nothing; Python has no finer time."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        try:
            return column.cast(pa.timestamp("us", column.type.tz))
        except pa.ArrowInvalid:
            return column.cast(pa.string())
    return column


def _micros(value: object, zone: ZoneInfo | None) -> int:
    """µs since 1970; an instant without a zone takes the declared one or is refused."""
    if isinstance(value, str):
        text = value
        try:
            value = dt.datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text[:40]!a} is not an ISO instant") from None
    if not isinstance(value, dt.datetime):
        raise ValueError(f"{ascii(value)[:40]} is not an instant; epoch numbers have no declared unit")
    if value.tzinfo is None:
        if zone is None:
            raise ValueError(f"{value} has no time zone; declare providers.files.timezone")
        value = value.replace(tzinfo=zone)
    return int(value.timestamp()) * 1_000_000 + value.microsecond
