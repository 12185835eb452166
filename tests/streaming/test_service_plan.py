"""From settings to shards: who carries what, and which mistakes are refused before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.live import Address, Subscription
from mdc_streaming.plan import plans, shard_of
from mdc_streaming.spread import spread
from mdc_streaming.wire import wire_of
from tests.streaming.capturing import coinbase, home_at

_NAMES = st.lists(st.from_regex(r"[A-Z]{1,6}", fullmatch=True), unique=True, max_size=40)


def _subs(*names: str) -> frozenset[Subscription]:
    return frozenset(Subscription(dataset, Symbol(name)) for name in names for dataset in _BOTH)


_BOTH = (Dataset.TRADES, Dataset.QUOTES)


def test_a_symbol_keeps_its_shard_whatever_else_there_is() -> None:
    """The shard is a matter of the symbol and the number of shards alone."""
    found = {name: shard_of(name, 4) for name in ("COINBASE:BTC-USD", "COINBASE:ETH-USD", "AAPL")}
    assert found == {name: shard_of(name, 4) for name in found}
    assert {shard_of(f"S{at}", 4) for at in range(200)} == {0, 1, 2, 3}


def test_one_more_shard_moves_only_what_moves_there() -> None:
    """Nothing moves between the shards that were there before."""
    for name in (f"S{at}" for at in range(300)):
        assert shard_of(name, 5) in (shard_of(name, 4), 4)


@given(_NAMES, _NAMES, st.integers(1, 7))
def test_spreading_moves_nobody_without_need(before: list[str], after: list[str], most: int) -> None:
    """Every wanted symbol is on one line, whole; lines are never too long; who was there stays there."""
    lines = spread(_subs(*before), [], most)
    again = spread(_subs(*after), lines, most)
    assert frozenset().union(*again) == _subs(*after)
    assert sum(map(len, again)) == len(_subs(*after))
    assert all(len({s.symbol for s in line}) <= most for line in again)
    for old, new in zip(lines, again, strict=False):
        assert old & _subs(*after) <= new
    assert spread(_subs(*after), again, most) == again


def test_shards_split_a_feed(tmp_path: Path) -> None:
    """Each symbol is wanted by exactly one shard, with all its datasets; only the named ones are run."""
    symbols = [f"A{chr(65 + at)}-USD" for at in range(20)]
    home = home_at(
        tmp_path, coinbase("ws://127.0.0.1:9", *symbols, more="shards = 3", datasets='["trades", "depth"]')
    )
    found = plans(home)
    assert list(found) == ["coinbase-0", "coinbase-1", "coinbase-2"]
    assert sum(len(plan.wanted) for plan in found.values()) == 40
    assert list(plans(home, only=["coinbase-2"])) == ["coinbase-2"]


def test_a_primary_that_is_out_lends_its_symbols(tmp_path: Path) -> None:
    """While a backup stands in, the primary wants nothing and the backup wants both lists."""
    backup = '[stream.coinbase-advanced]\nsymbols = ["COINBASE:LTC-USD"]\ndatasets = ["trades"]\n'
    home = home_at(tmp_path, coinbase("ws://127.0.0.1:9", more='backups = ["coinbase-advanced"]') + backup)
    found = plans(home, standing_in={"coinbase": "coinbase-advanced"})
    assert (found["coinbase-0"].wanted, found["coinbase-0"].probed) == (frozenset(), True)
    only = plans(home, only=["coinbase-0"], standing_in={"coinbase": "coinbase-advanced"})
    assert list(only) == ["coinbase-0", "coinbase-advanced-0"]
    held = {s.symbol for s in found["coinbase-advanced-0"].wanted}
    assert held == {"COINBASE:BTC-USD", "COINBASE:LTC-USD"}


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ("[stream.coinbas]\n", "there is no feed 'coinbas'"),
        ('[stream.coinbase]\nsymbols = ["BTC-USD"]\n', "Write it as COINBASE:BTC-USD"),
        ('[stream.coinbase]\nsymbols = ["COINBASE:BTC/USD"]\n', "is not a symbol"),
        ('[stream.polygon]\nsymbols = ["AAPL"]\ndatasets = ["depth"]\n', "polygon has no depth"),
        ('[stream.polygon]\nsymbols = ["COINBASE:BTC-USD"]\n', "is not a symbol of polygon"),
    ],
)
def test_mistakes_are_named_with_their_key(tmp_path: Path, stream: str, said: str) -> None:
    """Unknown feeds, foreign symbols and datasets a feed has not: a ConfigError each."""
    home = home_at(tmp_path, stream, environ={"POLYGON_API_KEY": "a-key-of-the-test"})
    with pytest.raises(ConfigError) as caught:
        plans(home)
    assert said in str(caught.value)
    assert caught.value.key.startswith("stream.")


def test_a_disabled_section_asks_for_nothing(tmp_path: Path) -> None:
    """enabled = false: no shard, no connection, no key needed."""
    assert not plans(home_at(tmp_path, '[stream.polygon]\nenabled = false\nsymbols = ["AAPL"]\n'))


def test_settings_of_a_section_reach_the_feed(tmp_path: Path) -> None:
    """Address, vendor's feed, levels: from the section, else from the provider's, else from the spec."""
    more = 'levels = 10\nsymbol_levels = { "COINBASE:ETH-USD" = 1000 }\nsilence = "7s"\nlifetime = "1h"'
    home = home_at(tmp_path, coinbase("ws://127.0.0.1:9/x", "BTC-USD", "ETH-USD", more=more))
    plan = plans(home)["coinbase-0"]
    assert plan.dialect.ws_url == "ws://127.0.0.1:9/x"
    assert plan.dialect.levels == {"COINBASE:BTC-USD": 10, "COINBASE:ETH-USD": 1000}
    assert (plan.silence, plan.lifetime) == (7.0, 3600.0)
    assert plan.alike(plan)


def test_what_differs_only_in_symbols_is_alike(tmp_path: Path) -> None:
    """A reload that adds a symbol keeps connections; another address or depth does not."""
    base = plans(home_at(tmp_path / "a", coinbase("ws://127.0.0.1:9", "BTC-USD")))["coinbase-0"]
    more = plans(home_at(tmp_path / "b", coinbase("ws://127.0.0.1:9", "BTC-USD", "ETH-USD")))["coinbase-0"]
    moved = plans(home_at(tmp_path / "c", coinbase("ws://127.0.0.1:10", "BTC-USD")))["coinbase-0"]
    deeper = plans(home_at(tmp_path / "d", coinbase("ws://127.0.0.1:9", "BTC-USD", more="levels = 7")))
    patient = coinbase("ws://127.0.0.1:9", "BTC-USD", more='failover_lag = "99s"\nlifetime = "9h"')
    assert base.alike(more)
    assert base.alike(plans(home_at(tmp_path / "e", patient))["coinbase-0"])
    assert not base.alike(moved)
    assert not base.alike(deeper["coinbase-0"])


def test_a_wire_shows_no_secret() -> None:
    """Key in the query, key in a header: real on the wire, masked in what is shown and in its repr."""
    from pydantic import SecretStr

    address = Address(
        "wss://host/ws?token=old&a=1",
        headers=(("X-Version", "2"),),
        query_auth=(("token", "KEY"),),
        auth=(("Authorization: Bearer", "KEY"),),
    )
    wire = wire_of(address, {"KEY": SecretStr("a/secret+value")})
    assert wire.url == "wss://host/ws?a=1&token=a/secret%2Bvalue"
    assert wire.headers == (("X-Version", "2"), ("Authorization", "Bearer a/secret+value"))
    assert "secret" not in wire.shown
    assert "secret" not in repr(wire)
