"""Polygon's ``/v3/trades/{T}`` and ``/v3/quotes/{T}``: nanoseconds, newest first unless asked otherwise.

``timestamp`` and its ranges are dates of New York or nanoseconds; ``limit`` is 1,000, at most 50,000.
Trades of FINRA (exchange 4) carry the TRF that reported them; an id is unique per exchange and TRF.
A canceled trade stays, with ``correction`` 8. Quote sizes are round lots before 2025-11-03 and shares
from then on; a side that is not there is 0. Where there is a live tape, it is what is shown from its
first instant on.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np

from mdc_resources.sandbox.answers import Answer, Query
from mdc_resources.sandbox.dialects.polygon_request import (
    BadRequest,
    Span,
    continued,
    next_url,
    read_limit,
    read_span,
    request_id,
)
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.tape import DAY, FIRST_ID, HOUR, SECOND, LiveTape
from mdc_resources.sandbox.ticks import Quotes, Ticks, quotes_of, trades_of

_EXCHANGES = (4, 12, 11, 8, 19, 10, 15, 21)  # the vendor's numbers of FINRA, Nasdaq, Arca ...
_FINRA, _TRFS = 4, (202, 201, 203)
_SHARES_FROM = dt.date(2025, 11, 3)
_CANCELED, _CANCELED_EVERY = 8, 5003  # the tapes' code, and one trade in so many
_LATE = 350_000  # nanoseconds from the exchange to the tape
_MOST_SESSIONS = 400

# Positions of the ticks inside the span, in the order asked for, and how to show one.
_Part = tuple[np.typing.NDArray[np.intp], Callable[[int], str]]


def respond(market: Market, query: Query, kind: str, ticker: str, live: LiveTape | None = None) -> Answer:
    """One page of ticks; raises BadRequest."""
    params = continued(query)
    if live and "timestamp" not in params:  # pages of one answer end alike, whatever happens meanwhile
        params.setdefault("timestamp.lt", str(live.now()))
    limit = read_limit(params, default=1000, most=50_000)
    order = params.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadRequest("'order' must be one of: asc, desc")
    skip = int(params.get("ap", "0")) if params.get("ap", "0").isdecimal() else 0
    rows: list[str] = []
    more = False
    for times, show in _parts(market, kind, ticker, params, live, newest_first=order == "desc"):
        if skip >= len(times):
            skip -= len(times)
            continue
        wanted = times[skip : skip + limit - len(rows)]
        rows += [show(int(at)) for at in wanted]
        more, skip = skip + len(wanted) < len(times), 0
        if more or len(rows) == limit:
            more = True
            break
    document = [
        f'"results":[{",".join(rows)}]',
        '"status":"OK"',
        f'"request_id":"{request_id(query.target)}"',
    ]
    if more:
        after = int(params.get("ap", "0")) + len(rows)
        following = next_url(query, query.path, {**params, "ap": str(after)})
        document.append(f'"next_url":{json.dumps(following)}')
    return Answer(200, f"{{{','.join(document)}}}".encode())


def exchange_code(venue: int) -> int:
    """The vendor's number of a venue."""
    return _EXCHANGES[venue]


def reporting(venue: int, place: int) -> int | None:
    """The TRF that reported a trade of FINRA, by the trade's place in its day."""
    return _TRFS[place % 3] if _EXCHANGES[venue] == _FINRA else None


def place_in_day(live: LiveTape, ticker: str, time: int, number: int) -> int:
    """How many trades of the tape came before ``number`` on its UTC day."""
    return number - live.count_before("polygon", ticker, time // SECOND // DAY * DAY)


def _parts(
    market: Market,
    kind: str,
    ticker: str,
    params: dict[str, str],
    live: LiveTape | None,
    *,
    newest_first: bool,
) -> Iterator[_Part]:
    """The parts of the answer: one per session, one per hour of the tape."""
    instrument = market.instrument(ticker)
    if instrument is None or not ticker.isupper():
        return
    span = read_span(params, "timestamp", now=market.now())
    border = live.since_second * SECOND if live else span.end
    last = min(market.today(), _date_of(span.end))
    first = max(_date_of(span.start), last - dt.timedelta(days=_MOST_SESSIONS), market.calendar.dates[0])
    sessions = market.sessions(ticker, first, last) if first <= last and span.start < border else ()
    past = (
        _part(found, span.start, min(span.end, border), session, newest_first=newest_first)
        for session in (reversed(sessions) if newest_first else sessions)
        for found in [(trades_of if kind == "trades" else quotes_of)(market, ticker, session)]
    )
    recent = _live_parts(live, kind, ticker, span, newest_first=newest_first) if live else iter(())
    if instrument.last is not None:
        recent = iter(())
    yield from chain(recent, past) if newest_first else chain(past, recent)


def _live_parts(live: LiveTape, kind: str, ticker: str, span: Span, *, newest_first: bool) -> Iterator[_Part]:
    now = live.now()
    low = max(span.start // SECOND, live.since_second) // HOUR * HOUR
    hours = range(low, min(span.end, now) // SECOND + 1, HOUR)
    for hour in reversed(hours) if newest_first else hours:
        columns = live.hour("polygon", ticker, hour, now)
        found = columns.trades if kind == "trades" else columns.quotes
        place = live.count_before("polygon", ticker, hour) - live.count_before(
            "polygon", ticker, hour // DAY * DAY
        )
        yield _part(found, span.start, span.end, live.since.date(), place, newest_first=newest_first)


def _part(
    found: Ticks | Quotes, start: int, end: int, session: dt.date, place: int = 0, *, newest_first: bool
) -> _Part:
    inside = np.flatnonzero((found.times >= start) & (found.times < end))
    return (inside[::-1] if newest_first else inside), _shower(found, session, place)


def _shower(found: Ticks | Quotes, session: dt.date, place: int) -> Callable[[int], str]:
    """``place`` is that of the first of ``found`` in its day."""
    if isinstance(found, Ticks):
        return lambda at: _trade(found, at, place + at)
    lot = 100 if session < _SHARES_FROM else 1
    return lambda at: _quote(found, at, place + at, lot)


def _trade(found: Ticks, at: int, place: int) -> str:
    exchange, time, size = _EXCHANGES[found.venues[at]], int(found.times[at]), int(found.sizes[at])
    conditions = '"conditions":[37],' if size < 100 else ""
    correction = f'"correction":{_CANCELED},' if _canceled(int(found.ids[at])) else ""
    trf_id = reporting(int(found.venues[at]), place)
    trf = f',"trf_id":{trf_id},"trf_timestamp":{time - 1000}' if trf_id else ""
    return (
        f'{{{conditions}{correction}"exchange":{exchange},"id":"{found.ids[at]}",'
        f'"participant_timestamp":{time - _LATE},'
        f'"price":{found.prices[at] / 100:.10g},"sequence_number":{1000 + 3 * place},"sip_timestamp":{time},'
        f'"size":{size},"tape":3{trf}}}'
    )


def _quote(found: Quotes, at: int, place: int, lot: int) -> str:
    time = int(found.times[at])
    sides = [
        f'"{side}_exchange":{_EXCHANGES[venue] if price else 0},"{side}_price":{price / 100:.10g},'
        f'"{side}_size":{size // lot}'
        for side, price, size, venue in (
            ("ask", found.asks[at], found.ask_sizes[at], found.ask_venues[at]),
            ("bid", found.bids[at], found.bid_sizes[at], found.bid_venues[at]),
        )
    ]
    return (
        f'{{{",".join(sides)},"conditions":[1],"participant_timestamp":{time - _LATE},'
        f'"sequence_number":{1000 + 2 * place},"sip_timestamp":{time},"tape":3}}'
    )


def _canceled(identity: int) -> bool:
    return identity % _CANCELED_EVERY == _CANCELED and identity < FIRST_ID


def _date_of(nanoseconds: int) -> dt.date:
    """The UTC date of an instant; no session crosses midnight UTC."""
    return dt.datetime.fromtimestamp(min(nanoseconds, 4 * 10**18) // 10**9, dt.UTC).date()
