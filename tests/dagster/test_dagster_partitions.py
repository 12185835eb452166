"""Partition keys: true sessions, safe symbols, an order that never changes."""

from __future__ import annotations

import datetime as dt

import pytest
from dagster import MultiPartitionKey
from dagster._core.definitions.partitions.context import partition_loading_context

from mdc_assets import partitions
from mdc_resources.calendars import get_calendar
from mdc_resources.config import UniverseSettings
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError, UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import UTC
from mdc_resources.state import Member
from tests.dagster.conftest import key_of

HOSTILE = [
    "A|B",
    "",
    "..",
    "../../etc/passwd",
    "A B",
    "A\nB",
    "A\0B",
    "x" * 300,
    "2024-01-02|AAPL",
    "ＡＡＰＬ",
    "a...b",
]


def sessions(name="XNYS", start=dt.date(2023, 1, 1), at=dt.datetime(2024, 12, 31, 12, tzinfo=UTC)):
    """Keys of the date dimension as of ``at``."""
    with partition_loading_context(effective_dt=at):
        return partitions.sessions_of(get_calendar(name), start).get_partition_keys()


def member(symbol, *, shard=0, position=0, universe="us"):
    """A member that went past every other check."""
    return Member(universe, symbol, shard, position, True, dt.datetime(2024, 1, 1, tzinfo=UTC))


def test_dates_are_exactly_the_sessions_of_the_calendar():
    """Weekends, holidays and the mourning day of 2025-01-09 are no keys; half days are."""
    keys = sessions(start=dt.date(2015, 1, 1), at=dt.datetime(2026, 1, 1, 12, tzinfo=UTC))
    expected = get_calendar("XNYS").sessions(dt.date(2015, 1, 1), dt.date(2025, 12, 31))
    assert keys == [day.isoformat() for day in expected]
    assert "2025-01-09" not in keys
    assert "2024-11-29" in keys


@pytest.mark.parametrize("name", ["XLON", "XTAE", "XTKS", "24/7"])
def test_every_calendar_gives_its_own_weekdays(name):
    """Tel Aviv trades on Sundays, crypto every day; no calendar is assumed to rest on Saturdays."""
    expected = get_calendar(name).sessions(dt.date(2023, 1, 1), dt.date(2024, 12, 30))
    assert sessions(name) == [day.isoformat() for day in expected]


def test_a_session_is_a_key_once_its_day_has_ended_in_utc():
    """A session that still trades is not offered; New York's close lies before midnight UTC."""
    assert sessions(at=dt.datetime(2024, 7, 3, 23, 59, tzinfo=UTC))[-1] == "2024-07-02"
    assert sessions(at=dt.datetime(2024, 7, 4, 0, 1, tzinfo=UTC))[-1] == "2024-07-03"


def test_fridays_key_is_there_on_saturday():
    """A cron of weekdays would show it on Monday only."""
    assert sessions(at=dt.datetime(2024, 7, 6, 0, 1, tzinfo=UTC))[-1] == "2024-07-05"


def test_closures_are_known_a_year_ahead():
    """A code server that runs over New Year makes no key of next year's holidays."""
    year = dt.date.today().year + 1
    keys = sessions(start=dt.date(year, 1, 1), at=dt.datetime(year + 1, 1, 1, 12, tzinfo=UTC))
    assert f"{year}-01-01" not in keys
    assert f"{year}-12-25" not in keys
    assert len(keys) in range(248, 254)


def test_keys_round_trip_and_read_as_date_and_symbol():
    """The text is Dagster's own: dimensions in the order of their names."""
    key = key_of("BRK.B", "2024-07-03")
    there = partitions.to_dagster(key)
    assert isinstance(there, MultiPartitionKey)
    assert str(there) == "2024-07-03|BRK.B"
    assert partitions.from_dagster(there) == partitions.from_dagster("2024-07-03|BRK.B") == key


@pytest.mark.parametrize("symbol", HOSTILE, ids=lambda s: ascii(s[:12]))
def test_a_hostile_symbol_cannot_become_a_key(symbol, instance):
    """Dagster takes any text as a dynamic partition; the way to it here does not."""
    before = instance.get_dynamic_partitions("us_00")
    with pytest.raises(UsageError, match="is not a symbol"):
        partitions.register(instance, [member(symbol, position=9)])
    with pytest.raises(UsageError):
        partitions.to_dagster(key_of("AAPL", "2024-01-02")._replace(symbol=symbol))
    assert instance.get_dynamic_partitions("us_00") == before


@pytest.mark.parametrize(
    "text", ["", "AAPL", "AAPL|2024-01-02", "2024-01-02|A|B", "2024-13-01|AAPL", "2024-01-02|"]
)
def test_a_key_typed_wrongly_is_refused(text):
    """What someone adds in the web UI is parsed like anything else that comes from outside."""
    with pytest.raises(UsageError):
        partitions.from_dagster(text)


def test_members_become_keys_in_seating_order_and_stay(instance):
    """Ranges follow the order of insertion, so it is the order of position; removal removes nothing."""
    listed = [member(Symbol(name), shard=1, position=at) for at, name in enumerate(["ZM", "AMD", "MU"])]
    assert partitions.register(instance, reversed(listed)) == ["ZM", "AMD", "MU"]
    assert partitions.register(instance, listed) == []
    assert partitions.register(instance, [member(Symbol("KO"), shard=1, position=3)]) == ["KO"]
    assert instance.get_dynamic_partitions("us_01") == ["ZM", "AMD", "MU", "KO"]


def test_shards_and_assets_are_named_after_the_universe():
    """``bars_1d/us_00``: dataset, then universe and shard."""
    assert partitions.shard_names("us", UniverseSettings(shards=3)) == ["us_00", "us_01", "us_02"]
    assert partitions.asset_key(Dataset.BARS_1D, "us_00").path == ["bars_1d", "us_00"]


@pytest.mark.parametrize("name", ["US", "us stocks", "us/x", "", "us|x", "a" * 40])
def test_a_universe_whose_name_dagster_would_refuse_is_a_config_error(name):
    """The error names the key of mdc.toml."""
    with pytest.raises(ConfigError, match="universe") as raised:
        partitions.shard_name(name, 0)
    assert raised.value.key.startswith("universes.")
