"""Finnhub's candles: ``{"s":"ok","t":[...],"o":[...],"h":[...],"l":[...],"c":[...],"v":[...]}``.

The arrays run parallel; nothing else says which price belongs to which time, so arrays of different
lengths are refused whole. ``{"s":"no_data"}`` has no arrays at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import FetchRequest, HttpResponse
from mdc_resources.providers.decoding.bars import BarColumns, assemble
from mdc_resources.providers.decoding.bodies import load_exact
from mdc_resources.providers.decoding.json_rows import JsonRows
from mdc_resources.providers.decoding.sessions import NO_DAY, Days
from mdc_resources.providers.decoding.unfinished import finished
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE

_DAY = 86_400
_LATEST = 7_258_118_400  # 2200-01-01 in epoch seconds: beyond it the unit is not seconds
_ARRAYS = ("t", "o", "h", "l", "c", "v")
_PRICES = {"open": 1, "high": 2, "low": 3, "close": 4}


def decode(response: HttpResponse, *, request: FetchRequest, dialect: Dialect) -> Page:
    """The bars of ``request``; raises PayloadError where the document is no candles."""
    rows = JsonRows(_rows(response.body))
    daily = request.dataset is Dataset.BARS_1D
    derived = dialect.offer(request.dataset).derived
    seconds = rows.integers(0)
    for at in np.flatnonzero(np.abs(seconds) > _LATEST).tolist():
        rows.errors.setdefault(at, f"t: {seconds[at]} is not in epoch seconds")
        seconds[at] = 0
    numbers = {
        name: rows.decimals(at, PRICE, quoted=False, derived=name in derived) for name, at in _PRICES.items()
    }
    days = instants = None
    if daily:
        days = _days(seconds, rows)
    else:
        numbers["volume"] = rows.decimals(5, SIZE, quoted=False)
        instants = seconds * 1_000_000
    columns = BarColumns(
        names=request.symbols[:1],
        codes=np.zeros(len(rows), np.int32),
        numbers=numbers,
        days=days,
        instants=instants,
        errors=rows.errors,
        raw=rows.raw,
    )
    over = finished(
        assemble(columns, request=request, dialect=dialect),
        request=request,
        dialect=dialect,
        received_at=response.received_at,
    )
    found = over.bars
    warnings: tuple[str, ...] = ()
    if daily and found.table.num_rows:
        warnings = (
            f"volume of {found.table.num_rows} daily bars left out: "
            "it is as traded, and the prices are over later splits",
        )
    return Page(
        tables={request.dataset: found.table},
        rejected=found.rejected,
        dropped=found.dropped,
        rounded=found.rounded,
        incomplete=over.incomplete,
        warnings=warnings,
    )


def _rows(body: bytes) -> list[list[Any]]:
    """The arrays side by side, one list per candle."""
    document = load_exact(body, provider="finnhub")
    status = document.get("s") if isinstance(document, dict) else None
    if status not in ("ok", "no_data"):
        raise PayloadError("finnhub sent a document that is no candles", provider="finnhub")
    if status == "no_data":
        if any(document.get(name) for name in _ARRAYS):
            raise PayloadError("finnhub says no_data beside data", provider="finnhub")
        return []
    arrays = [document.get(name) for name in _ARRAYS]
    lists = [array for array in arrays if isinstance(array, list)]
    if len(lists) < len(arrays):
        raise PayloadError(f"finnhub sent candles without all of {', '.join(_ARRAYS)}", provider="finnhub")
    lengths = {name: len(array) for name, array in zip(_ARRAYS, lists, strict=True)}
    if len(set(lengths.values())) != 1:
        raise PayloadError(f"finnhub sent candles with columns of {lengths}", provider="finnhub")
    return [list(row) for row in zip(*lists, strict=True)]


def _days(seconds: np.typing.NDArray[np.int64], rows: JsonRows) -> Days:
    """UTC dates of midnights; a stamp that is none is an error of its row."""
    days: Days = (seconds // _DAY).astype(np.int32)
    for at in np.flatnonzero(seconds % _DAY).tolist():
        rows.errors.setdefault(at, f"t: {seconds[at]} is no midnight UTC")
    days[list(rows.errors)] = NO_DAY
    return days
