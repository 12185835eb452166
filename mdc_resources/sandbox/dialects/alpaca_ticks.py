"""Alpaca's ``/v2/stocks/trades`` and ``/v2/stocks/quotes`` over the market's ticks.

``t`` has up to nine fractional digits with trailing zeros cut off; ``i`` is the exchange's number of
the trade; a few trades carry ``u``. Quote sizes are shares since 2025-11-03, lots of 100 before.
``limit`` (default 1000, at most 10000) is for the whole page; the token names the last event sent.
Where there is a live tape, it is what is shown from its first instant on, hour by hour.
Source: the vendor's OpenAPI document and recorded answers of its clients' tests.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mdc_resources.sandbox.answers import Answer, Page, cents_text
from mdc_resources.sandbox.dialects.alpaca_request import NEW_YORK, BadRequest, read_instant, read_limit
from mdc_resources.sandbox.dialects.alpaca_request import symbols_of as asked_symbols
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.tape import FIRST_ID, SECOND, LiveTape
from mdc_resources.sandbox.ticks import Quotes, Ticks, quotes_of, trades_of

_VENUES = "PQDKNZVJ"
_SHARES_FROM = "2025-11-03"
_CANCELED = 5003  # one trade in so many
_SWEEPS = 7
Encode = Callable[[Sequence[str], str | None, str, bool], Answer]


@dataclass(frozen=True, slots=True)
class _Asked:
    symbols: tuple[str, ...]
    start: int
    end: int
    limit: int
    token: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """Events ``first`` .. ``stop`` of a session (``2024-06-03``) or of an hour (``2026-11-20T15``)."""

    symbol: str
    session: str
    events: Ticks | Quotes
    first: int
    stop: int


def respond(
    market: Market,
    params: Mapping[str, str],
    kind: str,
    headers: Mapping[str, str],
    live: LiveTape | None = None,
) -> Page:
    """One page of ``kind`` (``trades`` or ``quotes``); raises BadRequest."""
    asked = _read(params, market)
    pieces, token = _page(_pieces(market, asked, kind, live), asked)

    def encode(page: Page) -> Answer:
        groups: dict[str, list[str]] = {}
        for piece in pieces:
            write = _trades if isinstance(piece.events, Ticks) else _quotes
            groups.setdefault(page.label or piece.symbol, []).extend(
                write(piece, ',"zz":1' if page.extra else "")
            )
        following = (asked.token or token or "loop") if page.loop else token
        inner = ",".join(f"{json.dumps(name)}:[{','.join(rows)}]" for name, rows in groups.items())
        body = f'{{"{kind}":{{{inner}}},"next_page_token":{json.dumps(following)}}}'
        return Answer(200, body.encode(), headers=headers)

    return Page([], encode, null="null")


def _read(params: Mapping[str, str], market: Market) -> _Asked:
    midnight = dt.datetime.combine(market.today(), dt.time(), NEW_YORK)
    start = read_instant(params.get("start"), "start", default=midnight, end=False)
    end = read_instant(params.get("end"), "end", default=market.now(), end=True)
    if end < start:
        raise BadRequest("end should not be before start")
    if params.get("sort", "asc") != "asc":
        raise BadRequest("the sandbox sends ticks in ascending order only")
    return _Asked(
        asked_symbols(params),
        _nanos(start),
        _nanos(end) + 999,  # instants here have microseconds; the last one asked for is included
        read_limit(params.get("limit", "1000"), most=10_000),
        params.get("page_token", ""),
    )


def venue_code(venue: int) -> str:
    """The vendor's letter of a venue."""
    return _VENUES[venue]


def conditions_of(size: int, identity: int) -> str:
    """The conditions of a trade, as JSON."""
    odd = ',"I"' if size < 100 else ""
    sweep = ',"F"' if identity % _SWEEPS == 0 else ""
    return f'["@"{sweep}{odd}]'


def _page(found: Iterator[_Piece], asked: _Asked) -> tuple[list[_Piece], str | None]:
    """The events of one page and the token that resumes after them."""
    after = _resume(asked.token) if asked.token else None
    room = asked.limit
    pieces: list[_Piece] = []
    for piece in found:
        first = piece.first
        if after is not None:
            if (piece.symbol, piece.session) < after[:2]:
                continue
            if (piece.symbol, piece.session) == after[:2]:
                first = max(first, after[2] + 1)
        if first >= piece.stop:
            continue
        if not room:
            last = pieces[-1]
            return pieces, _token(last.symbol, last.session, last.stop - 1)
        stop = min(piece.stop, first + room)
        pieces.append(_Piece(piece.symbol, piece.session, piece.events, first, stop))
        room -= stop - first
        if stop < piece.stop:
            return pieces, _token(piece.symbol, piece.session, stop - 1)
    return pieces, None


def _pieces(market: Market, asked: _Asked, kind: str, live: LiveTape | None) -> Iterator[_Piece]:
    border = live.since_second * SECOND if live else asked.end + 1
    days = [dt.datetime.fromtimestamp(at // SECOND, NEW_YORK).date() for at in (asked.start, asked.end)]
    for symbol in sorted(set(asked.symbols)):
        instrument = market.instrument(symbol)
        if instrument is None:
            continue
        for session in market.sessions(symbol, *days) if asked.start < border else ():
            events = (trades_of if kind == "trades" else quotes_of)(market, symbol, session)
            first, stop = np.searchsorted(events.times, [asked.start, min(asked.end + 1, border)])
            yield _Piece(symbol, session.isoformat(), events, int(first), int(stop))
        if live and instrument.last is None:
            for hour, columns in live.hours("alpaca", symbol, asked.start, asked.end):
                shown = columns.trades if kind == "trades" else columns.quotes
                first, stop = np.searchsorted(shown.times, [asked.start, asked.end + 1])
                name = f"{dt.datetime.fromtimestamp(hour, dt.UTC):%Y-%m-%dT%H}"
                yield _Piece(symbol, name, shown, int(first), int(stop))


def _trades(piece: _Piece, extra: str) -> Iterator[str]:
    at = slice(piece.first, piece.stop)
    found = piece.events
    assert isinstance(found, Ticks)
    columns = (found.prices[at].tolist(), found.sizes[at].tolist(), found.ids[at].tolist())
    rows = zip(_stamps(found.times[at]), *columns, found.venues[at].tolist(), strict=True)
    for stamp, price, size, identity, venue in rows:
        update = ',"u":"canceled"' if identity % _CANCELED == 17 and identity < FIRST_ID else ""
        yield (
            f'{{"t":"{stamp}Z","x":"{_VENUES[venue]}","p":{cents_text(price)},"s":{size},'
            f'"c":{conditions_of(size, identity)},"i":{identity},"z":"C"{update}{extra}}}'
        )


def _quotes(piece: _Piece, extra: str) -> Iterator[str]:
    at = slice(piece.first, piece.stop)
    found = piece.events
    assert isinstance(found, Quotes)
    unit = 1 if piece.session >= _SHARES_FROM else 100
    rows = zip(
        _stamps(found.times[at]),
        found.bids[at].tolist(),
        (found.bid_sizes[at] // unit).tolist(),
        found.bid_venues[at].tolist(),
        found.asks[at].tolist(),
        (found.ask_sizes[at] // unit).tolist(),
        found.ask_venues[at].tolist(),
        strict=True,
    )
    for stamp, bid, bid_size, bid_venue, ask, ask_size, ask_venue in rows:
        yield (
            f'{{"t":"{stamp}Z","ax":"{_VENUES[ask_venue]}","ap":{cents_text(ask)},"as":{ask_size},'
            f'"bx":"{_VENUES[bid_venue]}","bp":{cents_text(bid)},"bs":{bid_size},"c":["R"],"z":"C"{extra}}}'
        )


def _stamps(times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[str]:
    for text in np.datetime_as_string(times.view("datetime64[ns]")).tolist():
        yield text.rstrip("0").rstrip(".")


def _nanos(instant: dt.datetime) -> int:
    return int(instant.timestamp()) * 10**9 + instant.microsecond * 1000


def _token(symbol: str, session: str, at: int) -> str:
    return base64.b64encode(f"{symbol}|{session}|{at:019d}".encode()).decode()


def _resume(token: str) -> tuple[str, str, int]:
    try:
        symbol, session, at = base64.b64decode(token, validate=True).decode().split("|")
        return symbol, session, int(at)
    except (binascii.Error, ValueError):
        raise BadRequest("invalid page token") from None
