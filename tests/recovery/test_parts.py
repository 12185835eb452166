"""A large request in parts: bounded, newest first, disjoint, and together the whole."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want
from mdc_resources.recovery.parts import STRETCH, split

DAYS = [dt.date(2014, 1, 1) + dt.timedelta(days=number) for number in range(2600)]


def want_of(*symbols, **more):
    """A want over all of DAYS."""
    return Want(Dataset.BARS_1D, tuple(Symbol(s) for s in symbols), DAYS[0], DAYS[-1], **more)


def keys_of(symbols, days):
    """Their product."""
    return [PartitionKey(Symbol(symbol), day) for symbol in symbols for day in days]


def covers(part, key):
    """True if the run of ``part`` would fetch ``key`` if it is open."""
    inside = key.symbol in part.want.symbols and part.want.start <= key.session <= part.want.end
    return inside and (part.want.keys is None or key in part.want.keys)


def test_nothing_open_makes_no_part():
    """There is nothing to queue."""
    assert split(want_of("AAPL"), [], limit=2600) == []


def test_a_small_request_is_one_part():
    """Its range is that of what is open, to the end that was asked for."""
    (part,) = split(want_of("AAPL", "MSFT"), keys_of(["AAPL", "MSFT"], DAYS[100:110]), limit=2600)
    assert part.want.symbols == ("AAPL", "MSFT")
    assert (part.want.start, part.want.end) == (DAYS[100], DAYS[-1])
    assert part.partitions == 20


def test_ten_years_come_newest_first_in_years():
    """Forty symbols: each run at most the limit, each stretch about a year, symbols as asked."""
    symbols = [f"S{number:02d}" for number in range(40)]
    parts = split(want_of(*symbols), keys_of(symbols, DAYS[:2520]), limit=2600)
    assert len(parts) == 40  # ten stretches of 252 sessions, ten symbols in each run
    assert {part.partitions for part in parts} == {2520}
    starts = [part.want.start for part in parts]
    assert starts == sorted(starts, reverse=True)
    assert parts[0].want.symbols == tuple(symbols[:10])
    assert parts[0].want.end == DAYS[-1]
    assert parts[-1].want.start == DAYS[0]


def test_a_limit_below_a_year_makes_shorter_stretches():
    """One symbol's year may not exceed the limit either."""
    parts = split(want_of("AAPL"), keys_of(["AAPL"], DAYS[:1000]), limit=100)
    assert [part.partitions for part in parts] == [100] * 10


def test_exact_keys_stay_exact():
    """A request for scattered partitions does not grow into its hull."""
    keys = keys_of(["AAPL"], DAYS[::7])
    parts = split(want_of("AAPL", keys=frozenset(keys)), keys, limit=100)
    assert sorted(key for part in parts for key in part.want.keys) == sorted(keys)


def test_how_it_was_asked_is_kept():
    """Provider, refetch and patience go with every part."""
    asked = want_of("AAPL", provider="yahoo", refetch=True, patient=True)
    parts = split(asked, keys_of(["AAPL"], DAYS), limit=500)
    assert {(p.want.provider, p.want.refetch, p.want.patient) for p in parts} == {("yahoo", True, True)}


@given(
    holes=st.dictionaries(
        st.sampled_from(["AAPL", "BRK.B", "KO", "MSFT"]),
        st.sets(st.sampled_from(DAYS[:700]), min_size=1, max_size=60),
        min_size=1,
    ),
    limit=st.integers(1, 90),
    exact=st.booleans(),
)
def test_parts_are_bounded_disjoint_and_complete(holes, limit, exact):
    """Every open partition is in exactly one part, newer stretches before older ones."""
    keys = [PartitionKey(Symbol(symbol), day) for symbol, days in holes.items() for day in sorted(days)]
    asked = want_of("AAPL", "BRK.B", "KO", "MSFT", keys=frozenset(keys) if exact else None)
    parts = split(asked, keys, limit=limit)
    assert all(0 < part.partitions <= limit for part in parts)
    assert sum(part.partitions for part in parts) == len(keys)
    assert all(sum(covers(part, key) for part in parts) == 1 for key in keys)
    newest = [max(key.session for key in keys if covers(part, key)) for part in parts]
    oldest = [min(key.session for key in keys if covers(part, key)) for part in parts]
    for earlier, later in zip(range(len(parts)), range(1, len(parts)), strict=False):
        same_stretch = oldest[earlier] <= newest[later]
        assert same_stretch or oldest[earlier] > newest[later]
    sessions = sorted({key.session for key in keys}, reverse=True)
    stretch = min(STRETCH, limit)
    order = [sessions.index(day) // stretch for day in newest]
    assert order == sorted(order)
