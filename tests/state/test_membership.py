"""Membership: one universe a symbol, seats filled in order and kept for ever."""

from __future__ import annotations

import datetime as dt

import pytest

from mdc_resources.config import Home
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import SHARD_SIZE, State


def _symbols(count: int, *, start: int = 0) -> list[Symbol]:
    return [Symbol(f"S{n}") for n in range(start, start + count)]


def test_shards_fill_in_order(state: State) -> None:
    """Forty symbols a shard, in the order they were added."""
    added = state.add_members("us", _symbols(85), shards=3)
    assert [m.shard for m in added] == [0] * 40 + [1] * 40 + [2] * 5
    assert [m.position for m in added[38:42]] == [38, 39, 0, 1]
    assert [m.symbol for m in state.members("us")] == _symbols(85)


def test_adding_again_changes_nothing(state: State) -> None:
    """A symbol keeps its seat, however often and in whatever company it is added."""
    first = state.add_members("us", _symbols(3), shards=1)
    again = state.add_members("us", [*reversed(_symbols(3)), Symbol("NEW"), Symbol("NEW")], shards=1)
    assert again[:3] == list(reversed(first))
    assert again[3].position == 3


def test_a_full_universe_names_the_way_out(state: State) -> None:
    """Beyond capacity nothing is added, and the message names ``mdc universe grow``."""
    state.add_members("us", _symbols(SHARD_SIZE - 1), shards=1)
    with pytest.raises(UsageError, match=r"room for 1 more.*mdc universe grow"):
        state.add_members("us", _symbols(2, start=100), shards=1)
    assert len(state.members("us")) == SHARD_SIZE - 1
    assert len(state.add_members("us", _symbols(2, start=100), shards=2)) == 2


def test_a_symbol_is_in_one_universe(state: State) -> None:
    """Adding a member of another universe is refused, also after its removal there."""
    state.add_members("us", [Symbol("AAPL")], shards=1)
    state.remove_members("us", [Symbol("AAPL")])
    with pytest.raises(UsageError, match="already in universe 'us'"):
        state.add_members("eu", [Symbol("SAP"), Symbol("AAPL")], shards=1)
    assert state.member(Symbol("SAP")) is None


def test_removal_keeps_the_seat(state: State) -> None:
    """A removed symbol turns inactive; its seat is not given away; it can come back to it."""
    before = state.add_members("us", _symbols(3), shards=1)[1]
    (removed,) = state.remove_members("us", [before.symbol])
    assert (removed.active, removed.shard, removed.position) == (False, 0, 1)
    assert [m.symbol for m in state.members("us")] == ["S0", "S2"]
    assert len(state.members("us", active_only=False)) == 3
    assert state.add_members("us", [Symbol("NEXT")], shards=1)[0].position == 3
    assert state.add_members("us", [before.symbol], shards=1) == [before]


def test_removing_a_stranger_is_refused(state: State) -> None:
    """The message names who is not in the universe; nobody is removed."""
    state.add_members("us", _symbols(2), shards=1)
    with pytest.raises(UsageError, match="NOBODY"):
        state.remove_members("us", [Symbol("S0"), Symbol("NOBODY")])
    assert all(m.active for m in state.members())


def test_membership_survives_a_restart(home: Home) -> None:
    """Another process sees the same seats and times."""
    with State.open(home) as first:
        added = first.add_members("us", _symbols(2), shards=1)
    with State.open(home) as second:
        assert second.members() == added
        assert second.member(Symbol("S1")) == added[1]
    assert abs(added[0].added_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
