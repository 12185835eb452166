"""Tables of the machine state: one definition for SQLite and for Postgres (schema ``mdc_state``).

An attempt is one claim by one owner; ``claims`` says which partitions it still holds. Counters
only ever grow: the one named ``attempt`` is the fencing token. Nothing here is market data, and
losing all of it loses none.

Version 2 added ``tries``, ``uses`` and ``clock``, version 3 ``answers`` and ``page_cursors``; an older
file gets them when it is opened.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, Float, Index, Integer, MetaData, String, Table

SCHEMA = "mdc_state"
VERSION = 3

metadata = MetaData(schema=SCHEMA)

counters = Table(
    "counters",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt", BigInteger, primary_key=True, autoincrement=False),
    Column("dataset", String(32), nullable=False),
    Column("host", String(200), nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", String(32), nullable=False),
    Column("claimed_at", Float(53), nullable=False),  # POSIX seconds: the same in both databases
    Column("expires_at", Float(53), nullable=False),
)

claims = Table(
    "claims",
    metadata,
    Column("dataset", String(32), primary_key=True),
    Column("symbol", String(32), primary_key=True),
    Column("session", Date, primary_key=True),
    Column("attempt", BigInteger, nullable=False),
    Index("claims_attempt", "attempt"),
    sqlite_with_rowid=False,
)

members = Table(
    "members",
    metadata,
    Column("symbol", String(32), primary_key=True),
    Column("universe", String(64), nullable=False),
    Column("shard", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("added_at", Float(53), nullable=False),
    Index("members_place", "universe", "shard", "position", unique=True),
)

breakers = Table(
    "breakers",
    metadata,
    Column("provider", String(64), primary_key=True),
    Column("dataset", String(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("openings", Integer, nullable=False),  # in a row, without a success between
    Column("open_until", Float(53), nullable=False),  # 0 where closed
    Column("probe_until", Float(53), nullable=False),  # 0 where no probe is in flight
    Column("reason", String(300), nullable=False),
)

answers = Table(
    "answers",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("provider", String(64), nullable=False),
    Column("at", Float(53), nullable=False),
    Column("milliseconds", Float(53), nullable=False),
    Column("ok", Boolean, nullable=False),
    Index("answers_provider", "provider", "number"),
)

page_cursors = Table(
    "page_cursors",
    metadata,
    Column("dataset", String(32), primary_key=True),
    Column("symbol", String(32), primary_key=True),
    Column("session", Date, primary_key=True),
    Column("provider", String(64), primary_key=True),
    Column("page", Integer, primary_key=True),
    Column("decoder_version", Integer, nullable=False),
    Column("run_id", String(100), nullable=False),
    Column("record_id", String(100), nullable=False),  # of the archived answer
    Column("following", String, nullable=False),  # the next request as JSON, without secrets
    Column("noted_at", Float(53), nullable=False),
    sqlite_with_rowid=False,
)

tries = Table(
    "tries",
    metadata,
    Column("dataset", String(32), primary_key=True),
    Column("symbol", String(32), primary_key=True),
    Column("session", Date, primary_key=True),
    Column("provider", String(64), primary_key=True),  # "" is the partition itself
    Column("failures", Integer, nullable=False),  # of the pair; for the partition itself its attempts
    Column("outages", Integer, nullable=False),  # runs since the last answer; 0 for a provider
    Column("next_at", Float(53), nullable=False),
    Column("gave_up", Boolean, nullable=False),
    Column("reason", String(300), nullable=False),
    sqlite_with_rowid=False,
)

uses = Table(
    "uses",
    metadata,
    Column("symbol", String(32), primary_key=True),
    Column("reads", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

clock = Table(
    "clock",
    metadata,
    Column("host", String(200), primary_key=True),
    Column("boot_id", String(64), nullable=False),
    Column("wall", Float(53), nullable=False),  # of the last accepted check
    Column("boottime", Float(53), nullable=False),
    Column("highest", Float(53), nullable=False),  # wall clock ever accepted
)
