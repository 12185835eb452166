"""Missing partitions to the fewest requests. Pure: no clock, no network, no ledger.

The union of the planned ranges is exactly the missing set: ranges are disjoint, in order, and
within the provider's limits. Contiguous sessions of a symbol coalesce; symbols that miss the same
run share a request where the provider takes several.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mdc_resources.calendars import Calendar
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.spec import Offer, ProviderSpec

# Estimates only, never a rule.
_ROWS_PER_SESSION = {
    Dataset.BARS_1D: 1.0,
    Dataset.CORPORATE_ACTIONS: 0.02,
    Dataset.INSTRUMENTS: 1.0,
    Dataset.TRADES: 50_000.0,
    Dataset.QUOTES: 200_000.0,
}
# All pages of an answer are held until it is complete: ten of the largest pages, about 15 MB. Events
# are not held; theirs are estimates of a liquid US stock.
ANSWER_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Holes:
    """Missing sessions per symbol, as ordinals of the one calendar they share."""

    calendar: Calendar
    missing: Mapping[Symbol, Intervals]


def rows_per_session(dataset: Dataset, calendar: Calendar) -> float:
    """About how many rows a partition of ``dataset`` has: a minute bar for every regular minute."""
    if dataset is Dataset.BARS_1M:
        return float(calendar.minutes(calendar.dates[-1]))
    return _ROWS_PER_SESSION[dataset]


def plan(
    spec: ProviderSpec, dataset: Dataset, holes: Holes, *, asof: dt.date, attempt: int = 0
) -> list[FetchRequest]:
    """Requests to ``spec`` whose union is ``holes``, sorted by symbols and range."""
    offer = spec.offers[dataset]
    rows = rows_per_session(dataset, holes.calendar)
    groups: dict[tuple[int, int], list[Symbol]] = defaultdict(list)
    for symbol in sorted(holes.missing):
        for run in _cut(holes.missing[symbol], offer, rows, dataset).runs:
            groups[run].append(symbol)
    requests = [
        FetchRequest(
            provider=spec.name,
            dataset=dataset,
            symbols=chunk,
            start=holes.calendar.session_at(start),
            end=holes.calendar.session_at(end - 1),
            calendar=holes.calendar.name,
            asof=asof,
            attempt=attempt,
        )
        for (start, end), symbols in groups.items()
        for chunk in _chunks(symbols, _symbols_at_once(offer, dataset, rows=rows * (end - start)))
    ]
    return sorted(requests, key=lambda r: (r.symbols, r.start))


def pages(offer: Offer, *, rows: float) -> int:
    """Fewest pages that hold ``rows`` rows, those of one request."""
    return 1 if offer.page_rows is None else max(1, math.ceil(rows / offer.page_rows))


def reachable(offer: Offer, calendar: Calendar, missing: Intervals, *, asof: dt.date) -> Intervals:
    """The part of ``missing`` that the provider's history holds on ``asof``: not before it, not after it."""
    first, last = offer.history_start or dt.date.min, offer.history_end or dt.date.max
    if offer.history_days is not None:
        first = max(first, asof - dt.timedelta(days=offer.history_days))
    if (first, last) == (dt.date.min, dt.date.max):
        return missing
    return Intervals.of(o for o in missing if first <= calendar.session_at(o) <= last)


def _cut(missing: Intervals, offer: Offer, rows: float, dataset: Dataset) -> Intervals:
    if dataset.is_events:  # streamed: one request and all its pages are one partition
        return missing.split(1)
    limits = [offer.max_sessions] if offer.max_sessions else []
    if offer.page_rows is not None:
        limits.append(max(1, int(ANSWER_ROWS / rows)))
    return missing.split(min(limits)) if limits else missing


def _symbols_at_once(offer: Offer, dataset: Dataset, *, rows: float) -> int:
    if dataset.is_events:
        return 1
    if offer.page_rows is None:
        return offer.max_symbols
    return max(1, min(offer.max_symbols, int(ANSWER_ROWS / rows)))


def _chunks(symbols: list[Symbol], size: int) -> Iterable[tuple[Symbol, ...]]:
    return (tuple(symbols[at : at + size]) for at in range(0, len(symbols), size))
