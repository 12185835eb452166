"""Partitions that were given up, as incidents with evidence: who was asked, how often, what came.

One incident per symbol and run, naming ranges of sessions, so that a thousand holes are not a
thousand incidents; beyond ``MAX_INCIDENTS`` symbols the rest of the run shares one.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from mdc_resources.calendars import Calendar
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.requests import Attempt
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Incident
from mdc_resources.state import Tries

KIND = "unrecoverable"
MAX_INCIDENTS = 20  # of single symbols; what gives up beyond them shares one
_SHOWN = 5


def incidents_of(
    dataset: Dataset,
    gone: Sequence[Tries],
    attempts: Sequence[Attempt],
    calendar: Callable[[Symbol], Calendar],
    *,
    at: dt.datetime,
) -> list[Incident]:
    """What to say about the partitions that were given up just now, with who was asked and what came."""
    by_symbol: dict[Symbol, list[Tries]] = defaultdict(list)
    for each in gone:
        by_symbol[each.key.symbol].append(each)
    symbols = sorted(by_symbol)
    single, rest = symbols[:MAX_INCIDENTS], symbols[MAX_INCIDENTS:]
    if len(rest) == 1:
        single, rest = symbols, []
    found = [_of_symbol(dataset, s, by_symbol[s], attempts, calendar(s), at=at) for s in single]
    if rest:
        together = [each for symbol in rest for each in by_symbol[symbol]]
        sessions = [each.key.session for each in together]
        names = ", ".join(rest[:_SHOWN]) + (f" and {len(rest) - _SHOWN} more" if len(rest) > _SHOWN else "")
        message = (
            f"{dataset} of {names}, {len(together)} sessions of {min(sessions)}..{max(sessions)}: "
            f"{_evidence(together, attempts)}"
        )
        found.append(Incident(KIND, message, started_at=at, dataset=dataset))
    return found


def _of_symbol(
    dataset: Dataset,
    symbol: Symbol,
    gone: Sequence[Tries],
    attempts: Sequence[Attempt],
    calendar: Calendar,
    *,
    at: dt.datetime,
) -> Incident:
    runs = Intervals.of(calendar.ordinal(each.key.session) for each in gone).runs
    spans = [_span(calendar, start, end) for start, end in runs]
    named = ", ".join(spans[:_SHOWN]) + (
        f" and {len(spans) - _SHOWN} more ranges" if len(spans) > _SHOWN else ""
    )
    count = f" ({len(gone)} sessions)" if len(gone) > 1 else ""
    return Incident(
        KIND,
        f"{dataset} of {symbol} {named}{count}: {_evidence(gone, attempts)}",
        started_at=at,
        dataset=dataset,
        symbol=symbol,
        session=gone[0].key.session if len(gone) == 1 else None,
    )


def _span(calendar: Calendar, start: int, end: int) -> str:
    first, last = calendar.session_at(start), calendar.session_at(end - 1)
    return str(first) if first == last else f"{first}..{last}"


def _evidence(gone: Sequence[Tries], attempts: Sequence[Attempt]) -> str:
    """How often, and per provider: how often, what it said most, the newest request."""
    most = max(gone, key=lambda each: (each.count, each.outages))
    times = f"{most.count} attempts" if most.count else f"{most.outages} runs in which nobody could answer"
    said: dict[str, Counter[str]] = defaultdict(Counter)
    asked: dict[str, int] = {}
    for each in gone:
        for pair in each.providers:
            said[pair.provider][pair.reason] += 1
            asked[pair.provider] = max(asked.get(pair.provider, 0), pair.count)
    parts = []
    for provider in sorted(said):
        reason = said[provider].most_common(1)[0][0]
        newest = _newest_fetch(provider, gone, attempts)
        cited = f" (newest request {newest})" if newest else ""
        parts.append(f"{provider} {asked[provider]} times: {reason}{cited}")
    return f"given up after {times}; " + ("; ".join(parts) if parts else "no provider could be asked")


def _newest_fetch(provider: str, gone: Sequence[Tries], attempts: Sequence[Attempt]) -> str:
    symbols = {each.key.symbol for each in gone}
    first, last = min(each.key.session for each in gone), max(each.key.session for each in gone)
    asked = (
        attempt.fetch_id
        for attempt in reversed(attempts)
        if attempt.provider == provider
        and not symbols.isdisjoint(attempt.symbols)
        and attempt.start <= last
        and first <= attempt.end
    )
    return next(asked, "")
