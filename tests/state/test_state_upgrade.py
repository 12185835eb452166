"""A state of version 1 goes on being used: nothing is lost, what later ones added is there."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, MetaData, select

from mdc_resources.config import Home
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import SHARD_SIZE, State
from mdc_resources.state import tables as current
from mdc_resources.state.engine import StateEngine
from tests.state.conftest import MakeKeys

ADDED_SINCE = ("tries", "uses", "clock", "answers")
TTL = dt.timedelta(minutes=30)


def as_version_1(home: Home) -> None:
    """Take from the state of ``home`` what version 1 did not have."""
    engine = StateEngine.of(home)
    with engine.write() as connection:
        for name in ADDED_SINCE:
            getattr(current, name).drop(connection)
        connection.execute(
            current.counters.update().where(current.counters.c.name == "schema").values(value=1)
        )
    engine.close()


def tables_of(connection: Connection) -> set[str]:
    """Names of the tables that exist."""
    schema = current.SCHEMA if connection.dialect.name == "postgresql" else None
    found = MetaData(schema=schema)
    found.reflect(connection)
    return {table.name for table in found.tables.values()}


def test_version_1_is_brought_up_to_date(home: Home, keys: MakeKeys) -> None:
    """Members, claims, breakers and the fencing token survive; the new tables can be used at once."""
    with State.open(home) as before:
        before.add_members("us", [Symbol("AAPL"), Symbol("IBM")], shards=1)
        claim = before.claim(Dataset.BARS_1D, keys(20), ttl=TTL)
        before.request_failed("yahoo", Dataset.BARS_1D, reason="503", threshold=1, open_seconds=600)
    as_version_1(home)
    with State.open(home) as after:
        assert [member.symbol for member in after.members("us")] == ["AAPL", "IBM"]
        assert after.claimed(Dataset.BARS_1D) == frozenset(claim.granted)
        assert after.breaker("yahoo", Dataset.BARS_1D).reason == "503"
        assert after.claim(Dataset.BARS_1D, [], ttl=TTL).attempt > claim.attempt
        assert (after.tries(Dataset.BARS_1D), after.uses(), after.answers()) == ({}, {}, {})
        after.note_use([Symbol("AAPL")])
        after.check_clock()
        with after._engine.read() as connection:
            assert set(ADDED_SINCE) <= tables_of(connection)
            version = connection.scalar(
                select(current.counters.c.value).where(current.counters.c.name == "schema")
            )
    assert version == current.VERSION == 3


def test_upgrading_twice_is_upgrading_once(home: Home) -> None:
    """A second process that opens it at the same time finds it done, or does it harmlessly."""
    State.open(home).close()
    as_version_1(home)
    with State.open(home) as one, State.open(home) as two:
        one.note_use([Symbol("AAPL")])
        assert two.uses() == {Symbol("AAPL"): 1}


def test_a_file_that_version_1_made_is_opened(sqlite_home: Home) -> None:
    """Not taken back from version 2, but made from version 1's own statements."""
    import sqlite3

    sqlite_home.state_dir.mkdir()
    with sqlite3.connect(sqlite_home.state_dir / "mdc.sqlite") as old:
        old.executescript(VERSION_1)
    old.close()
    with State.open(sqlite_home) as state:
        assert [(m.symbol, m.shard, m.position) for m in state.members()] == [("AAPL", 0, 0)]
        assert state.claim(Dataset.BARS_1D, [], ttl=TTL).attempt == 42
        assert len(state.add_members("us", [Symbol("IBM")], shards=1)) == 1
        assert state.uses() == {}
    assert SHARD_SIZE == 40, "part of what version 1 stored"


VERSION_1 = """
CREATE TABLE counters (name VARCHAR(40) NOT NULL, value BIGINT NOT NULL, PRIMARY KEY (name));
CREATE TABLE attempts (
    attempt BIGINT NOT NULL, dataset VARCHAR(32) NOT NULL, host VARCHAR(200) NOT NULL,
    boot_id VARCHAR(64) NOT NULL, pid INTEGER NOT NULL, started VARCHAR(32) NOT NULL,
    claimed_at FLOAT NOT NULL, expires_at FLOAT NOT NULL, PRIMARY KEY (attempt));
CREATE TABLE claims (
    dataset VARCHAR(32) NOT NULL, symbol VARCHAR(32) NOT NULL, session DATE NOT NULL,
    attempt BIGINT NOT NULL, PRIMARY KEY (dataset, symbol, session)) WITHOUT ROWID;
CREATE INDEX claims_attempt ON claims (attempt);
CREATE TABLE members (
    symbol VARCHAR(32) NOT NULL, universe VARCHAR(64) NOT NULL, shard INTEGER NOT NULL,
    position INTEGER NOT NULL, active BOOLEAN NOT NULL, added_at FLOAT NOT NULL, PRIMARY KEY (symbol));
CREATE UNIQUE INDEX members_place ON members (universe, shard, position);
CREATE TABLE breakers (
    provider VARCHAR(64) NOT NULL, dataset VARCHAR(32) NOT NULL, failures INTEGER NOT NULL,
    openings INTEGER NOT NULL, open_until FLOAT NOT NULL, probe_until FLOAT NOT NULL,
    reason VARCHAR(300) NOT NULL, PRIMARY KEY (provider, dataset));
INSERT INTO counters VALUES ('schema', 1), ('attempt', 41);
INSERT INTO members VALUES ('AAPL', 'us', 0, 0, 1, 1700000000.0);
"""
