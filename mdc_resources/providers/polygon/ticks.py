"""Polygon's trades and quotes: ``/v3/trades/{T}`` and ``/v3/quotes/{T}``, asked for oldest first.

Times are integer nanoseconds; a number of another unit is an error of its row, for it would look
like an event of 1970. Exchanges, conditions and tapes are the vendor's numbers, kept as text.
"""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import FetchRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.events import (
    AssembledEvents,
    EventColumns,
    Nanos,
    assemble_events,
    window_of,
)
from mdc_resources.providers.decoding.numbers import Numbers
from mdc_resources.providers.decoding.sessions import micros_of
from mdc_resources.providers.polygon.rows import Rows, joined, read
from mdc_resources.providers.spec import Dialect, Page
from mdc_resources.schema.arrow import PRICE, SIZE

PAGE_ROWS = 50_000
Params = tuple[tuple[str, str], ...]
_CODES = pa.list_(pa.int64())
_SHARED = [
    ("sip_timestamp", pa.int64()),
    ("sequence_number", pa.int64()),
    ("conditions", _CODES),
    ("tape", pa.int64()),
]
_TRADE = pa.struct(
    [*_SHARED, ("price", PRICE), ("size", SIZE), ("exchange", pa.int64()), ("trf_id", pa.int64()),
     ("id", pa.string()), ("correction", pa.int64())]
)  # fmt: skip
_QUOTE = pa.struct(
    [*_SHARED, ("bid_price", PRICE), ("bid_size", SIZE), ("bid_exchange", pa.int64()),
     ("ask_price", PRICE), ("ask_size", SIZE), ("ask_exchange", pa.int64())]
)  # fmt: skip
_NANOS = (10**17, 2**63 - 1)  # 1973 to 2262
# https://polygon.io/blog/change-stocks-quotes-round-lots-to-shares: midnight in New York of that Monday.
_SHARES_FROM = int(dt.datetime(2025, 11, 3, 5, tzinfo=dt.UTC).timestamp()) * 10**9
_LOT = pa.scalar(decimal.Decimal(100), pa.decimal128(3, 0))
_MOST_LOTS = pa.scalar(decimal.Decimal(10**15), SIZE)
# The tapes' correction indicators. 1, 7 and 8 are trades that did not stand, the others tell of one.
_CORRECTIONS = {
    1: "corrected",
    7: "incorrect",
    8: "canceled",
    10: "cancel record",
    11: "error record",
    12: "correction record",
}
_RECORDS = 10  # codes from here on tell of an earlier trade
_SIDES = ("bid", "ask")


def question(request: FetchRequest, dialect: Dialect) -> tuple[str, Params]:
    """Path and parameters of the first page: the windows of the sessions, half-open, in nanoseconds."""
    start, end = window_of(request, dialect)
    params = (
        ("timestamp.gte", str(start)),
        ("timestamp.lt", str(end)),
        ("order", "asc"),
        ("sort", "timestamp"),
        ("limit", str(PAGE_ROWS)),
    )
    kind = "trades" if request.dataset is Dataset.TRADES else "quotes"
    return f"/v3/{kind}/{request.symbols[0]}", params


def decode(response: HttpResponse, *, request: FetchRequest, dialect: Dialect) -> tuple[Page, str | None]:
    """One page and its ``next_url``; PayloadError where it is no page. The body names no ticker."""
    trades = request.dataset is Dataset.TRADES
    envelope, rows = read(response.body, _TRADE if trades else _QUOTE)
    errors = dict(rows.errors)
    times = _times(rows, errors)
    events = EventColumns(
        names=request.symbols[:1],
        codes=np.zeros(len(rows), np.int32),
        times=times,
        numbers=rows.numbers if trades else _sides(rows, times),
        columns={
            "sequence": rows.columns["sequence_number"],
            "conditions": joined(rows.columns["conditions"]),
            "tape": rows.columns["tape"].cast(pa.string()),
            **(_trade_columns(rows) if trades else _quote_columns(rows)),
        },
        raw=rows.raw,
        errors=errors,
    )
    found = assemble_events(events, request=request, dialect=dialect)
    page = Page(
        tables={request.dataset: found.table},
        rejected=found.rejected,
        dropped=found.dropped,
        incomplete=_open(found, response.received_at, request, dialect),
    )
    return page, envelope.next_url


def _open(
    found: AssembledEvents, received_at: dt.datetime, request: FetchRequest, dialect: Dialect
) -> tuple[tuple[Symbol, dt.date], ...]:
    """Sessions whose window is not over, or that may own a row whose time cannot be read."""
    stray = any(row.session is None for row in found.rejected)
    told_ns = micros_of(received_at) * 1000
    _, asked_ns = window_of(request, dialect)
    return tuple(
        (request.symbols[0], session)
        for session in dialect.calendar.sessions(request.start, request.end)
        if stray or min(micros_of(dialect.calendar.window(session)[1]) * 1000, asked_ns) > told_ns
    )


def _times(rows: Rows, errors: dict[int, str]) -> Nanos:
    times: Nanos = rows.columns["sip_timestamp"].fill_null(0).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero((times < _NANOS[0]) | (times >= _NANOS[1])).tolist():
        errors.setdefault(row, f"sip_timestamp: {times[row]} is no instant in nanoseconds")
    return times


def _trade_columns(rows: Rows) -> dict[str, pa.Array]:
    """Venue with the TRF, identity, correction. A record of a correction is not the trade it tells of."""
    venue = rows.columns["exchange"].cast(pa.string())
    trf, code, told = (rows.columns[key] for key in ("trf_id", "correction", "id"))
    at_trf = pc.binary_join_element_wise(venue, trf.cast(pa.string()), "/")
    record = pc.binary_join_element_wise(told, code.cast(pa.string()), "/")
    return {
        "venue": pc.if_else(_true(pc.greater(trf, 0)), at_trf, venue),
        "trade_id": pc.if_else(_true(pc.greater_equal(code, _RECORDS)), record, told),
        "correction": _corrections(code),
    }


def _corrections(codes: pa.Array) -> pa.Array:
    """What the tape says against a trade, in words; null where nothing."""
    found = codes.dictionary_encode()
    words = [
        _CORRECTIONS.get(code, f"correction {code}") if code else None
        for code in found.dictionary.to_pylist()
    ]
    return pa.array(words, pa.string()).take(found.indices)


def _quote_columns(rows: Rows) -> dict[str, pa.Array]:
    """Exchange numbers as text; 0 is none."""
    nothing = pa.scalar(None, pa.string())
    venues = {f"{side}_venue": rows.columns[f"{side}_exchange"] for side in _SIDES}
    return {
        name: pc.if_else(_true(pc.greater(codes, 0)), codes.cast(pa.string()), nothing)
        for name, codes in venues.items()
    }


def _sides(rows: Rows, times: Nanos) -> Mapping[str, Numbers]:
    """Prices, and sizes in shares. A side of which nothing is told is 0, where the other one is there."""
    absent = {
        side: pc.and_(*(rows.numbers[f"{side}_{name}"].values.is_null() for name in ("price", "size")))
        for side in _SIDES
    }
    found: dict[str, Numbers] = {}
    for side, other in (_SIDES, _SIDES[::-1]):
        alone = pc.and_not(absent[side], absent[other])
        price, size = rows.numbers[f"{side}_price"], _in_shares(rows.numbers[f"{side}_size"], times)
        for name, numbers in ((f"{side}_price", price), (f"{side}_size", size)):
            zero = pa.scalar(0, pa.int8()).cast(numbers.values.type)
            found[name] = replace(numbers, values=pc.if_else(alone, zero, numbers.values))
    return found


def _in_shares(sizes: Numbers, times: Nanos) -> Numbers:
    """Round lots as shares, for the times that were told in lots."""
    lots = times < _SHARES_FROM
    if not lots.any():
        return sizes
    fits = _true(pc.less(pc.abs(sizes.values), _MOST_LOTS))
    times_lot = pc.multiply(pc.if_else(fits, sizes.values, pa.scalar(None, SIZE)), _LOT).cast(SIZE)
    too_large = np.flatnonzero(
        lots & ~fits.to_numpy(zero_copy_only=False) & sizes.values.is_valid().to_numpy(zero_copy_only=False)
    )
    errors = dict.fromkeys(too_large.tolist(), "too many round lots")
    return Numbers(
        pc.if_else(pa.array(lots), times_lot, sizes.values), {**errors, **sizes.errors}, sizes.rounded
    )


def _true(flags: pa.Array) -> pa.Array:
    """``flags`` where null counts as false."""
    return flags.fill_null(False)
