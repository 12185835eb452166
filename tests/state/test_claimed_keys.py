"""Which partitions somebody living is fetching."""

from __future__ import annotations

import datetime as dt

from mdc_resources.domain.datasets import Dataset
from mdc_resources.state import Owner, State
from tests.state.conftest import MakeKeys

TTL = dt.timedelta(minutes=30)


def test_claimed_keys_are_those_of_the_living(state: State, keys: MakeKeys) -> None:
    """Of one dataset, of claims in force; lapsed ones and those of dead processes are left out."""
    mine, lapsed, dead, other = keys(40)[:10], keys(40)[10:20], keys(40)[20:30], keys(40)[30:]
    claim = state.claim(Dataset.BARS_1D, mine, ttl=TTL)
    state.claim(Dataset.BARS_1D, lapsed, ttl=dt.timedelta(seconds=-1))
    gone = Owner(Owner.current().host, Owner.current().boot_id, 2**22 + 1, "1")
    state.claim(Dataset.BARS_1D, dead, owner=gone, ttl=TTL)
    state.claim(Dataset.BARS_1M, other, ttl=TTL)
    assert state.claimed(Dataset.BARS_1D) == frozenset(mine)
    assert state.claimed(Dataset.BARS_1M) == frozenset(other)
    state.release(claim)
    assert state.claimed(Dataset.BARS_1D) == frozenset()


def test_renewing_keeps_keys_claimed(state: State, keys: MakeKeys) -> None:
    """A long run's keys stay claimed for as long as it renews them."""
    claim = state.claim(Dataset.BARS_1D, keys(3), ttl=dt.timedelta(seconds=60))
    state.renew(claim, ttl=TTL)
    assert state.claimed(Dataset.BARS_1D) == frozenset(keys(3))
