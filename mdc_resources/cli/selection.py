"""From what a person types to symbols and session dates, with the refusals in one place."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol, parse_symbols
from mdc_resources.domain.time import now, parse_session, parse_session_range

if TYPE_CHECKING:
    from mdc_resources.config import Home, UniverseSettings
    from mdc_resources.state import State

MAX_YEARS = 50


def chosen_symbols(
    state: State, home: Home, typed: Sequence[str], listed: Sequence[str] | None, universe: str | None
) -> list[Symbol]:
    """The symbols of ``SYMBOL ...`` and ``--symbols``, or the active members of ``--universe``.

    Raises:
        UsageError: none, both ways at once, not a symbol, or an unknown or empty universe.
    """
    named = [*typed, *(listed or ())]
    if named and universe:
        raise UsageError("symbols and --universe were both given", hint="Give one of them")
    if universe:
        universe_settings(home, universe)
        members = [member.symbol for member in state.members(universe)]
        if not members:
            raise UsageError(
                f"universe {universe!r} has no symbols",
                hint=f"mdc symbols add --universe {universe} AAPL MSFT",
            )
        return members
    symbols = parse_symbols(named)
    if not symbols:
        raise UsageError("no symbols were given", hint="Name some (AAPL MSFT), or --universe us")
    return symbols


def universe_settings(home: Home, name: str) -> UniverseSettings:
    """Settings of the universe ``name``; UsageError naming the nearest one."""
    known = home.settings.universes
    if name not in known:
        raise UsageError(f"there is no universe {name[:40]!a}", hint=nearest(name, known))
    return known[name]


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the nearest of ``known``, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names) or 'none'}"


def session_range(start: str | None, end: str | None, years: int | None) -> tuple[dt.date, dt.date]:
    """``--start``/``--end`` or ``--years`` as session dates, both inclusive.

    ``--years N`` ends today (UTC); sessions that are not final yet are left pending by the planner.

    Raises:
        UsageError: neither or both forms, a bad or reversed date, or a start that lies ahead.
    """
    if years is not None:
        if start or end:
            raise UsageError("--years and --start/--end were both given", hint="Give one of them")
        return years_back(years)
    if not start or not end:
        raise UsageError("a range is needed", hint="--start 2024-01-02 --end 2024-06-28, or --years 5")
    first, last = parse_session_range(start, end)
    if first > now().date():
        raise UsageError(f"--start {start} lies in the future", hint="Nothing has been traded there yet")
    return first, last


def years_back(years: int) -> tuple[dt.date, dt.date]:
    """The ``years`` years that end today, UTC."""
    if not 1 <= years <= MAX_YEARS:
        raise UsageError(f"--years {years} is not in 1..{MAX_YEARS}")
    today = now().date()
    day = min(today.day, 28) if today.month == 2 else today.day
    return dt.date(today.year - years, today.month, day) + dt.timedelta(days=1), today


def open_range(start: str | None, end: str | None, first: dt.date) -> tuple[dt.date, dt.date]:
    """``--start``/``--end`` with defaults: ``first`` and today (UTC)."""
    begin = parse_session(start) if start else first
    last = parse_session(end) if end else now().date()
    if begin > last:
        raise UsageError(f"--start {begin} lies after --end {last}", hint="Swap them")
    return begin, last


def join_default_universe(
    state: State, home: Home, symbols: Sequence[Symbol], *, dry_run: bool
) -> list[Symbol]:
    """Seat symbols that are in no universe in the one they belong to, removed ones in theirs; returns those.

    Raises:
        UsageError: a symbol names a venue, and no universe is for crypto. Nothing has joined then.
    """
    from mdc_resources.coverage.universes import universe_to_join

    seated = {member.symbol for member in state.members()}
    new = [symbol for symbol in symbols if symbol not in seated]
    by_universe: dict[str, list[Symbol]] = {}
    for symbol in new:
        member = state.member(symbol)
        universe = member.universe if member else universe_to_join(home, symbol)
        by_universe.setdefault(universe, []).append(symbol)
    for universe, group in by_universe.items():
        settings = universe_settings(home, universe)
        if not dry_run:
            state.add_members(universe, group, shards=settings.shards)
    return new
