"""One Yahoo chart document, parsed and checked for its structure.

The fast parser is typed; whatever it refuses (a NaN, text where a number belongs) is read again
row by row with every number as text, so that one bad value costs one row. Both give the same
tables for the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from mdc_resources.domain.errors import PayloadError
from mdc_resources.providers.decoding.bars import PRICES
from mdc_resources.providers.decoding.bodies import NumberText, load_exact

_LATEST = 7_258_118_400  # 2200-01-01 in epoch seconds: beyond it the unit is not seconds


class _Quote(msgspec.Struct):
    open: list[float | None] | None = None
    high: list[float | None] | None = None
    low: list[float | None] | None = None
    close: list[float | None] | None = None
    volume: list[int | None] | None = None


class _Indicators(msgspec.Struct):
    quote: list[_Quote]


class _Result(msgspec.Struct):
    meta: dict[str, Any]
    indicators: _Indicators
    timestamp: list[int] | None = None
    events: dict[str, Any] | None = None


class _Chart(msgspec.Struct):
    result: list[_Result]


class _Body(msgspec.Struct):
    chart: _Chart


_DECODER = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart's parts. ``columns`` hold floats and ints if ``typed``, else whatever JSON had there,
    numbers as :class:`NumberText`.
    """

    meta: Mapping[str, Any]
    timestamps: Sequence[Any]
    columns: Mapping[str, Sequence[Any]]
    events: Mapping[str, Any]
    typed: bool


def parse(body: bytes) -> Chart:
    """Parse a chart document; raises PayloadError where its structure is not a chart's."""
    try:
        result = _DECODER.decode(body).chart.result[0]
        quote = result.indicators.quote[0]
        columns = {name: getattr(quote, name) or [] for name in (*PRICES, "volume")}
        return _checked(Chart(result.meta, result.timestamp or [], columns, result.events or {}, typed=True))
    except (msgspec.MsgspecError, RecursionError, ValueError, IndexError):
        return _checked(_parse_slowly(body))


def _parse_slowly(body: bytes) -> Chart:
    try:
        result = load_exact(body, provider="yahoo")["chart"]["result"][0]
        quote = result["indicators"]["quote"][0]
        chart = Chart(
            meta=result["meta"],
            timestamps=result.get("timestamp") or [],
            columns={name: quote.get(name) or [] for name in (*PRICES, "volume")},
            events=result.get("events") or {},
            typed=False,
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise PayloadError(f"yahoo sent JSON that is no chart ({error!r})", provider="yahoo") from None
    parts = (chart.timestamps, *chart.columns.values())
    if (
        not isinstance(chart.meta, dict)
        or not isinstance(chart.events, dict)
        or not all(isinstance(p, list) for p in parts)
    ):
        raise PayloadError("yahoo sent a chart whose parts have the wrong types", provider="yahoo")
    return chart


def _checked(chart: Chart) -> Chart:
    """Every column must have one value per timestamp: nothing else says which day it is of."""
    lengths = {name: len(values) for name, values in chart.columns.items()}
    expected = len(chart.timestamps)
    if any(length != expected for length in lengths.values()) and (expected or any(lengths.values())):
        raise PayloadError(f"yahoo sent {expected} timestamps with columns of {lengths}", provider="yahoo")
    return chart


def read_seconds(stamps: Sequence[Any]) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """Epoch seconds; what is no integer, or too large to be seconds, is an error of its row."""
    if set(map(type, stamps)) == {int} and -_LATEST <= min(stamps) <= max(stamps) <= _LATEST:
        return np.array(stamps, np.int64), {}
    seconds = np.zeros(len(stamps), np.int64)
    errors: dict[int, str] = {}
    for row, stamp in enumerate(stamps):
        try:
            if isinstance(stamp, bool) or not isinstance(stamp, int | NumberText):
                raise ValueError
            value = int(str(stamp)[:20])
            if abs(value) > _LATEST:
                raise ValueError
            seconds[row] = value
        except ValueError:
            errors[row] = f"timestamp {str(stamp)[:30]!a} is not in epoch seconds"
    return seconds, errors
