"""Which universe a symbol counts in, and the calendar of that, the home's closures applied."""

from __future__ import annotations

from collections.abc import Sequence

from mdc_resources.calendars import Calendar, get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol, venue_of
from mdc_resources.state import State


def universe_to_join(home: Home, symbol: Symbol) -> str:
    """Where a symbol that is in no universe belongs: the default one, or the first one for crypto.

    A symbol that names a venue (``KRAKEN:BTC-USD``) is a coin's, and never joins the universe of shares.

    Raises:
        UsageError: it names a venue, and the home has no universe for crypto.
    """
    if not venue_of(symbol):
        return home.settings.ingest.default_universe
    for name, settings in home.settings.universes.items():
        if settings.asset_class == "crypto":
            return name
    raise UsageError(
        f"{symbol} names an exchange, and no universe of this home is for crypto",
        hint='Add below [universes.crypto] in mdc.toml: calendar = "24/7" and asset_class = "crypto"',
    )


def calendar_of(home: Home, state: State, symbol: Symbol) -> Calendar:
    """The calendar of the symbol's universe; of the one it would join if it is in none."""
    member = state.member(symbol)
    return calendar_in(home, member.universe if member else universe_to_join(home, symbol))


def calendar_in(home: Home, universe: str) -> Calendar:
    """The calendar of the universe called ``universe``; XNYS where the home has none of that name."""
    settings = home.settings.universes.get(universe)
    return get_calendar(settings.calendar if settings else "XNYS", home.root)


def universes_of(home: Home, state: State, symbols: Sequence[Symbol]) -> dict[Symbol, str]:
    """The universe of each of ``symbols``, in order; the one it would join where it is in none."""
    seats = {member.symbol: member.universe for member in state.members(active_only=False)}
    return {symbol: seats.get(symbol) or universe_to_join(home, symbol) for symbol in symbols}
