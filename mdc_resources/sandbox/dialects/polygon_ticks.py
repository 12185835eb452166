"""Polygon's ``/v3/trades/{T}`` and ``/v3/quotes/{T}``: nanoseconds, newest first unless asked otherwise.

``timestamp`` and its ranges are dates of New York or nanoseconds; ``limit`` is 1,000, at most 50,000.
Trades of FINRA (exchange 4) carry the TRF that reported them; an id is unique per exchange and TRF.
A canceled trade stays, with ``correction`` 8. Quote sizes are round lots before 2025-11-03 and shares
from then on; a side that is not there is 0.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator

import numpy as np

from mdc_resources.sandbox.answers import Answer, Query
from mdc_resources.sandbox.dialects.polygon_request import (
    BadRequest,
    continued,
    next_url,
    read_limit,
    read_span,
    request_id,
)
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.ticks import Quotes, Ticks, quotes_of, trades_of

_EXCHANGES = (4, 12, 11, 8, 19, 10, 15, 21)  # the vendor's numbers of FINRA, Nasdaq, Arca ...
_FINRA, _TRFS = 4, (202, 201, 203)
_SHARES_FROM = dt.date(2025, 11, 3)
_CANCELED, _CANCELED_EVERY = 8, 5003  # the tapes' code, and one trade in so many
_LATE = 350_000  # nanoseconds from the exchange to the tape
_MOST_SESSIONS = 400


def respond(market: Market, query: Query, kind: str, ticker: str) -> Answer:
    """One page of ticks; raises BadRequest."""
    params = continued(query)
    limit = read_limit(params, default=1000, most=50_000)
    order = params.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadRequest("'order' must be one of: asc, desc")
    skip = int(params.get("ap", "0")) if params.get("ap", "0").isdecimal() else 0
    rows: list[str] = []
    more = False
    for times, show in _parts(market, kind, ticker, params, newest_first=order == "desc"):
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


def _parts(
    market: Market, kind: str, ticker: str, params: dict[str, str], *, newest_first: bool
) -> Iterator[tuple[np.typing.NDArray[np.intp], Callable[[int], str]]]:
    """Per session: positions of the ticks inside the span, in the order asked for, and how to show one."""
    instrument = market.instrument(ticker)
    if instrument is None or not ticker.isupper():
        return
    span = read_span(params, "timestamp", now=market.now())
    last = min(market.today(), _date_of(span.end))
    first = max(_date_of(span.start), last - dt.timedelta(days=_MOST_SESSIONS), market.calendar.dates[0])
    sessions = market.sessions(ticker, first, last) if first <= last else ()
    for session in reversed(sessions) if newest_first else sessions:
        found = trades_of(market, ticker, session) if kind == "trades" else quotes_of(market, ticker, session)
        inside = np.flatnonzero((found.times >= span.start) & (found.times < span.end))
        yield (inside[::-1] if newest_first else inside), _shower(found, session)


def _shower(found: Ticks | Quotes, session: dt.date) -> Callable[[int], str]:
    if isinstance(found, Ticks):
        return lambda at: _trade(found, at)
    lot = 100 if session < _SHARES_FROM else 1
    return lambda at: _quote(found, at, lot)


def _trade(found: Ticks, at: int) -> str:
    exchange, time, size = _EXCHANGES[found.venues[at]], int(found.times[at]), int(found.sizes[at])
    conditions = '"conditions":[37],' if size < 100 else ""
    correction = f'"correction":{_CANCELED},' if found.ids[at] % _CANCELED_EVERY == _CANCELED else ""
    trf = f',"trf_id":{_TRFS[at % 3]},"trf_timestamp":{time - 1000}' if exchange == _FINRA else ""
    return (
        f'{{{conditions}{correction}"exchange":{exchange},"id":"{found.ids[at]}",'
        f'"participant_timestamp":{time - _LATE},'
        f'"price":{found.prices[at] / 100:.10g},"sequence_number":{1000 + 3 * at},"sip_timestamp":{time},'
        f'"size":{size},"tape":3{trf}}}'
    )


def _quote(found: Quotes, at: int, lot: int) -> str:
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
        f'"sequence_number":{1000 + 2 * at},"sip_timestamp":{time},"tape":3}}'
    )


def _date_of(nanoseconds: int) -> dt.date:
    """The UTC date of an instant; no session crosses midnight UTC."""
    return dt.datetime.fromtimestamp(min(nanoseconds, 4 * 10**18) // 10**9, dt.UTC).date()
