"""Subscriptions over the lines of a shard: at most so many symbols each, and nobody moves without need."""

from __future__ import annotations

from collections.abc import Sequence

from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import Subscription


def spread(
    wanted: frozenset[Subscription], have: Sequence[frozenset[Subscription]], most: int | None
) -> list[frozenset[Subscription]]:
    """What each line is to carry: as many entries as ``have`` has, or more where those are full.

    A symbol stays where it is, with all its datasets; a new one goes to the first line with room. An
    emptied line stays, empty.
    """
    by_symbol: dict[Symbol, set[Subscription]] = {}
    for subscription in wanted:
        by_symbol.setdefault(subscription.symbol, set()).add(subscription)
    seats = [[s for s in dict.fromkeys(x.symbol for x in sorted(line)) if s in by_symbol] for line in have]
    seated = {symbol for line in seats for symbol in line}
    for symbol in sorted(by_symbol.keys() - seated):
        free = next((line for line in seats if most is None or len(line) < most), None)
        if free is None:
            free = []
            seats.append(free)
        free.append(symbol)
    return [frozenset(s for symbol in line for s in by_symbol[symbol]) for line in seats]
