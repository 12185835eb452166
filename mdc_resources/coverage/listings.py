"""When each symbol was listed under its name: the home's file, laid over what the lake knows.

A rename ends the old symbol before its date and begins the successor on it; a delisting ends a
symbol before its date. A vendor's first trade may only ever narrow the start. Every fact but the
start of a successor yields to stored bars that disagree: too much expected is a gap that somebody
sees, too little is silence.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from mdc_resources.calendars import FIRST, Calendar
from mdc_resources.config import Home
from mdc_resources.coverage.universes import calendar_in, universes_of
from mdc_resources.domain.corporate_actions import ActionKind
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.state import State
from mdc_resources.symbology import read_listings

LEDGER = "corporate_actions"
INSTRUMENTS = "instruments"
_DAY = dt.timedelta(days=1)


def listings_of(home: Home, lake: Lake, symbols: Sequence[Symbol] | None = None) -> dict[Symbol, Listing]:
    """What is known about ``symbols`` (about everything if None); symbols without bounds are left out.

    A symbol's table in ``listings.toml`` wins as a whole. Raises ConfigError if that cannot be used.
    """
    stated = read_listings(home.root)
    if symbols is not None:
        stated = {symbol: stated[symbol] for symbol in symbols if symbol in stated}
    since = min((universe.start for universe in home.settings.universes.values()), default=FIRST)
    return {**_learned(lake, symbols, since), **stated}


def within(calendar: Calendar, listing: Listing | None, sessions: Intervals) -> Intervals:
    """The part of ``sessions`` (ordinals of ``calendar``) on which the symbol was listed."""
    if listing is None:
        return sessions
    first, stop = bounds(calendar, listing)
    return sessions & Intervals(((first, stop),) if first < stop else ())


def bounds(calendar: Calendar, listing: Listing) -> tuple[int, int]:
    """The half-open run of ordinals of ``listing``; its dates need not be sessions."""
    first = calendar.first_from(listing.first) if listing.first else 0
    stop = calendar.first_from(listing.last + _DAY) if listing.last else len(calendar.dates)
    return first, stop


def outside_listing(
    home: Home, lake: Lake, symbols: Sequence[Symbol], start: dt.date, end: dt.date
) -> list[str]:
    """Why sessions of ``start``..``end`` (inclusive) are not expected: a sentence per symbol and side.

    ``META: 1,860 sessions before 2022-06-09 are of FB``. Empty where every symbol was listed all along.
    """
    listings = listings_of(home, lake, symbols)
    told: list[str] = []
    with State.open(home) as state:
        universes = universes_of(home, state, [symbol for symbol in symbols if symbol in listings])
    for symbol, universe in universes.items():
        calendar, listing = calendar_in(home, universe), listings[symbol]
        first, stop = calendar.first_from(start), calendar.first_from(end + _DAY)
        begin, finish = bounds(calendar, listing)
        if (before := min(begin, stop) - first) > 0:
            told.append(
                _sentence(symbol, before, "before", listing.first, listing.predecessor, "not listed yet")
            )
        if (after := stop - max(finish, first)) > 0:
            told.append(_sentence(symbol, after, "after", listing.last, listing.successor, "delisted"))
    return told


def _sentence(
    symbol: Symbol, count: int, side: str, date: dt.date | None, other: Symbol | None, why: str
) -> str:
    sessions = "1 session" if count == 1 else f"{count:,} sessions"
    if other:
        return f"{symbol}: {sessions} {side} {date} {'is' if count == 1 else 'are'} of {other}"
    return f"{symbol}: {sessions} {side} {date} left out, it was {why}"


def _learned(lake: Lake, symbols: Sequence[Symbol] | None, since: dt.date) -> dict[Symbol, Listing]:
    facts = lake.listing_facts(symbols, since=since)
    found: dict[Symbol, Listing] = {}
    for symbol, first in facts.first_trade.items():
        if symbol not in facts.bars or facts.bars[symbol][0] >= first:
            found[symbol] = Listing(symbol, first=first, origin=INSTRUMENTS)
    for change in facts.changes:  # by date: a later fact is about a later life of the name
        if change.kind is ActionKind.RENAME and change.successor:
            now = found.get(change.successor, Listing(change.successor))
            begin = max(now.first or dt.date.min, change.ex_date)
            last = now.last if now.last and now.last >= begin else None
            found[change.successor] = replace(
                now, first=begin, last=last, predecessor=change.symbol, origin=LEDGER
            )
        newest = facts.bars[change.symbol][1] if change.symbol in facts.bars else dt.date.min
        if newest <= change.ex_date:
            before = found.get(change.symbol, Listing(change.symbol))
            last = max(change.ex_date - _DAY, newest)
            if before.first and before.first > last:
                before = replace(before, first=None, predecessor=None)
            found[change.symbol] = replace(before, last=last, successor=change.successor, origin=LEDGER)
    return found if symbols is None else {symbol: found[symbol] for symbol in symbols if symbol in found}
