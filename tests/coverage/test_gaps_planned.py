"""From the ledger to requests: what is planned is what is open, and once filled nothing is planned.

The plan goes through the limits of real provider specs, over a ledger with any history of commits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.coverage.gaps import open_sessions
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest.planner import ANSWER_ROWS, Holes, plan, reachable, rows_per_session
from mdc_resources.lake import Lake
from mdc_resources.providers.registry import load_providers
from mdc_resources.providers.spec import ProviderSpec
from mdc_resources.state import State
from tests.coverage.ledgers import UTC, append_all, empty_home, fresh

XNYS = get_calendar("XNYS")
FIRST, LAST = dt.date(2024, 1, 2), dt.date(2024, 4, 30)
SESSIONS = XNYS.sessions(FIRST, LAST)
AT = dt.datetime(2024, 5, 1, 12, tzinfo=UTC)
ASOF = AT.date()
SYMBOLS = [Symbol(name) for name in ("AAPL", "BRK.B", "IBM", "ZM")]
OPEN = (PartitionState.MISSING, PartitionState.PARTIAL)
SPECS = [
    provider.spec
    for _, provider in sorted(load_providers().items())
    if Dataset.BARS_1D in provider.spec.offers and provider.spec.name != "files"
]
NUMBERS = count()

Rows = Mapping[PartitionKey, PartitionState]
RUNS = st.builds(
    lambda symbol, start, length, state: {
        PartitionKey(symbol, session): state for session in SESSIONS[start : start + length]
    },
    st.sampled_from(SYMBOLS),
    st.integers(0, len(SESSIONS) - 1),
    st.integers(1, 40),
    st.sampled_from([state for state in PartitionState if state is not PartitionState.PENDING]),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Lake, State]]:
    """One lake for many examples: each has symbols of its own."""
    home = empty_home(tmp_path_factory.mktemp("planned") / "home")
    with State.open(home) as state, fresh(home) as lake:
        yield home, lake, state


def asked(requests: Sequence[FetchRequest]) -> list[PartitionKey]:
    """Every partition that the requests ask for, with repeats."""
    return [
        PartitionKey(symbol, session)
        for request in requests
        for symbol in request.symbols
        for session in XNYS.sessions(request.start, request.end)
    ]


def planned(
    spec: ProviderSpec, dataset: Dataset, holes: Mapping[Symbol, list[PartitionKey]]
) -> list[FetchRequest]:
    """The plan for what the provider's history reaches of ``holes``."""
    offer = spec.offers[dataset]
    ordinals = {
        symbol: reachable(offer, XNYS, Intervals.of(XNYS.ordinal(key.session) for key in keys), asof=ASOF)
        for symbol, keys in holes.items()
    }
    return plan(spec, dataset, Holes(XNYS, ordinals), asof=ASOF)


@settings(max_examples=25, deadline=None)
@given(
    commits=st.lists(RUNS, min_size=1, max_size=8),
    spec=st.sampled_from(SPECS),
    dataset=st.sampled_from([Dataset.BARS_1D, Dataset.BARS_1M]),
    random=st.randoms(use_true_random=False),
)
def test_the_plan_is_the_missing_set(
    shared: tuple[Home, Lake, State],
    commits: list[Rows],
    spec: ProviderSpec,
    dataset: Dataset,
    random: object,
) -> None:
    """Disjoint, sorted, within the limits, empty after the fill, and the same in every order."""
    home, lake, state = shared
    if dataset not in spec.offers:
        dataset = Dataset.BARS_1D
    names = {symbol: Symbol(f"{symbol}-{next(NUMBERS)}") for symbol in SYMBOLS}
    said = [{PartitionKey(names[k.symbol], k.session): v for k, v in rows.items()} for rows in commits]
    append_all(lake, said)

    def holes(symbols: Sequence[Symbol]) -> dict[Symbol, list[PartitionKey]]:
        found = open_sessions(home, lake, state, Dataset.BARS_1D, symbols, at=AT)
        return {symbol: list(gap.keys()) for symbol, gap in found.items()}

    missing = holes(list(names.values()))
    requests = planned(spec, dataset, missing)
    offer = spec.offers[dataset]
    first = offer.history_start or dt.date.min
    if offer.history_days is not None:
        first = max(first, ASOF - dt.timedelta(days=offer.history_days))
    last = offer.history_end or dt.date.max
    partitions = asked(requests)
    assert len(partitions) == len(set(partitions))
    assert set(partitions) == {k for keys in missing.values() for k in keys if first <= k.session <= last}
    assert requests == sorted(requests, key=lambda request: (request.symbols, request.start))
    for request in requests:
        sessions = len(XNYS.sessions(request.start, request.end))
        assert len(request.symbols) <= offer.max_symbols
        assert offer.max_sessions is None or sessions <= offer.max_sessions
        if offer.page_rows is not None:
            assert len(request.symbols) * sessions * rows_per_session(dataset, XNYS) <= ANSWER_ROWS

    shuffled = list(names.values())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert planned(spec, dataset, holes(shuffled)) == requests

    fills = [[PartitionKey(symbol, session)] for symbol, session in set(partitions)]
    random.shuffle(fills)  # type: ignore[attr-defined]
    half = len(fills) // 2
    for part in (fills[:half], fills[half:]):
        append_all(lake, [dict.fromkeys((key for keys in part for key in keys), PartitionState.PRESENT)])
    assert planned(spec, dataset, holes(list(names.values()))) == []


@settings(max_examples=12, deadline=None)
@given(commits=st.lists(RUNS, min_size=2, max_size=6), random=st.randoms(use_true_random=False))
def test_settling_commits_may_come_in_any_order(
    shared: tuple[Home, Lake, State], commits: list[Rows], random: object
) -> None:
    """Where no row reopens a partition, the order of commits changes nothing; nor do repeats."""
    home, lake, state = shared
    settling = [{k: v for k, v in rows.items() if v not in OPEN} for rows in commits]
    again = [*settling, *settling]
    random.shuffle(again)  # type: ignore[attr-defined]
    told = []
    for order in (settling, again):
        names = {symbol: Symbol(f"{symbol}-{next(NUMBERS)}") for symbol in SYMBOLS}
        append_all(
            lake,
            [{PartitionKey(names[k.symbol], k.session): v for k, v in rows.items()} for rows in order],
        )
        found = open_sessions(home, lake, state, Dataset.BARS_1D, list(names.values()), at=AT)
        back = {new: old for old, new in names.items()}
        told.append({back[symbol]: gap.all for symbol, gap in found.items()})
    assert told[0] == told[1]
