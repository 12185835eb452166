"""Which universe a symbol counts in, and the calendar of that, the home's closures applied."""

from __future__ import annotations

from collections.abc import Sequence

from mdc_resources.calendars import Calendar, get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import State


def calendar_of(home: Home, state: State, symbol: Symbol) -> Calendar:
    """The calendar of the symbol's universe; that of the default universe if it is in none."""
    member = state.member(symbol)
    return calendar_in(home, member.universe if member else home.settings.ingest.default_universe)


def calendar_in(home: Home, universe: str) -> Calendar:
    """The calendar of the universe called ``universe``; XNYS where the home has none of that name."""
    settings = home.settings.universes.get(universe)
    return get_calendar(settings.calendar if settings else "XNYS", home.root)


def universes_of(home: Home, state: State, symbols: Sequence[Symbol]) -> dict[Symbol, str]:
    """The universe of each of ``symbols``, in order; the default one for those that are in none."""
    seats = {member.symbol: member.universe for member in state.members(active_only=False)}
    return {symbol: seats.get(symbol, home.settings.ingest.default_universe) for symbol in symbols}
