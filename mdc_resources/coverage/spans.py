"""How much time a picture shows of each symbol, and which part of it is expected.

With a start, everything from there on counts. Without one a symbol counts from its first ledger line
on, as recovery does; its first year is shown whole, so that years line up.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdc_resources.calendars import Calendar
from mdc_resources.config import Home
from mdc_resources.coverage.listings import bounds, listings_of
from mdc_resources.coverage.picture import Grain
from mdc_resources.coverage.universes import calendar_in, universes_of
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.state import State

if TYPE_CHECKING:
    import duckdb

_SESSIONS_A_MONTH = 21
_JOINED = 8  # neighbouring months that are complete become one cell: nearly all do


@dataclass(frozen=True, slots=True)
class Span:
    """One symbol's ordinals, half-open: shown are ``first``..``stop``, due those before ``due``.

    ``begun`` is the first that was ever asked for, or the first shown where all count.
    """

    calendar: Calendar
    first: int
    stop: int
    listed: tuple[int, int]
    begun: int
    due: int

    def expected(self) -> range:
        """What should be held."""
        low = max(self.first, self.begun, self.listed[0])
        return range(low, max(low, min(self.stop, self.due, self.listed[1])))


def spans_of(
    home: Home,
    lake: Lake,
    state: State,
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    symbols: Sequence[Symbol],
    *,
    at: dt.datetime,
    start: dt.date | None,
    end: dt.date,
) -> dict[Symbol, Span]:
    """The span of each of ``symbols``; without ``start``, of those the ledger has a line of."""
    listings = listings_of(home, lake, symbols)
    begun = _begun(connection, dataset, symbols) if start is None else {}
    found: dict[Symbol, Span] = {}
    for symbol, universe in universes_of(home, state, symbols).items():
        since = start or begun.get(symbol)
        if since is None or since > end:
            continue
        calendar = calendar_in(home, universe)
        settle = home.settings.dataset(dataset).settle_delay
        found[symbol] = _span(calendar, listings.get(symbol), since, end, at, settle, whole=start is None)
    return found


def _span(
    calendar: Calendar,
    listing: Listing | None,
    since: dt.date,
    end: dt.date,
    at: dt.datetime,
    settle: dt.timedelta,
    *,
    whole: bool,
) -> Span:
    """``whole``: the years are shown from their first day on, and what lies before ``since`` is unasked."""
    shown = max(dt.date(since.year, 1, 1), calendar.dates[0]) if whole else since
    first, stop = calendar.first_from(shown), calendar.first_from(end + dt.timedelta(days=1))
    listed = bounds(calendar, listing) if listing else (0, len(calendar.dates))
    begun = calendar.first_from(since)
    due = begun + len(calendar.final_sessions(since, end, at=at, settle=settle))
    if listing and listing.last and listed[1] < stop:
        year = calendar.first_from(dt.date(listing.last.year + 1, 1, 1))
        stop = max(listed[1], min(stop, year))
    return Span(calendar, first, stop, listed, begun, due)


def _begun(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, symbols: Sequence[Symbol]
) -> dict[Symbol, dt.date]:
    query = """SELECT symbol, min(session) FROM coverage_log
               WHERE dataset = ? AND symbol IN (SELECT unnest(?::VARCHAR[])) GROUP BY symbol"""
    rows = connection.execute(query, [str(dataset), list(symbols)]).fetchall()
    return {Symbol(symbol): session for symbol, session in rows}


def grain_of(spans: Iterable[Span], max_cells: int) -> Grain:
    """The finest grain that needs about ``max_cells`` or fewer; years where none does."""
    lengths = [span.stop - span.first for span in spans]
    if sum(lengths) <= max_cells:
        return Grain.DAY
    return Grain.MONTH if sum(lengths) // _SESSIONS_A_MONTH <= max_cells * _JOINED else Grain.YEAR
