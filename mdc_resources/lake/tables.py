"""Every table of the lake and its DDL: the datasets (from their Arrow schemas) and the ledgers.

The source of ``docs/reference/tables.md``: ``python -m mdc_resources.lake.reference`` rewrites it.
Ledgers are append-only. Their columns change only by a migration: a new ``SCHEMA_VERSION`` and a
statement in the catalog's ``migrate``.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from mdc_resources.schema.arrow import SCHEMAS

# Tables of their own, made when an older lake is opened: 2 added `trades` and `quotes`, 3 `depth` and
# `segments`.
SCHEMA_VERSION = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One column: SQL type, meaning, nullability."""

    name: str
    type: str
    doc: str
    nullable: bool = False

    @property
    def ddl(self) -> str:
        """The column's line in CREATE TABLE."""
        return f"{self.name} {self.type}{'' if self.nullable else ' NOT NULL'}"


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table. ``sort`` is the order of its rows in flushed files; only ledgers have one."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    sort: tuple[str, ...] = ()

    @property
    def ddl(self) -> str:
        """The CREATE TABLE statement, without a catalog name."""
        body = ",\n".join(f"    {column.ddl}" for column in self.columns)
        return f"CREATE TABLE {self.name} (\n{body}\n);"

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema of rows appended to this table."""
        return pa.schema([pa.field(c.name, _ARROW[c.type], nullable=c.nullable) for c in self.columns])


_SQL = {
    pa.string(): "VARCHAR",
    pa.date32(): "DATE",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
    pa.decimal128(18, 9): "DECIMAL(18,9)",
    pa.decimal128(28, 8): "DECIMAL(28,8)",
}
_ARROW = {sql: arrow for arrow, sql in _SQL.items()}

_SEQ = Column(
    "commit_seq", "BIGINT", "snapshot id of the commit that appended the row; grows with every commit"
)
_AT = Column("committed_at", "TIMESTAMPTZ", "when that commit began, UTC")
_RUN = Column("run_id", "VARCHAR", "the run that committed it")
_DATASET = Column("dataset", "VARCHAR", "dataset name")
_SYMBOL = Column("symbol", "VARCHAR", "canonical symbol")
_SESSION = Column("session", "DATE", "the exchange's trading date")

LEDGERS: tuple[TableSpec, ...] = (
    TableSpec(
        "coverage",
        "State of every partition. The newest `commit_seq` per (dataset, symbol, session) wins; "
        "the view `coverage` shows only that row, `coverage_log` shows all.",
        (
            _SEQ,
            _AT,
            _RUN,
            _DATASET,
            _SYMBOL,
            _SESSION,
            Column(
                "state",
                "VARCHAR",
                "partial, present, empty, quarantined, expired or missing; no row means missing",
            ),
            Column(
                "reason",
                "VARCHAR",
                "why, where the state alone does not say: halted, no trades, which check failed",
            ),
            Column(
                "source",
                "VARCHAR",
                "provider or provider/feed of the stored rows; empty where there are none",
            ),
            Column("basis", "VARCHAR", "raw, split or split+dividend; empty where prices are not involved"),
            Column("basis_asof", "DATE", "date of the fetch that stored the rows", nullable=True),
            Column("row_count", "BIGINT", "rows stored"),
            Column(
                "fingerprint",
                "VARCHAR",
                "order-independent hash of data columns and basis; empty without rows",
            ),
            Column("attempt", "BIGINT", "fencing token of the claim that wrote it"),
            Column("verified_at", "TIMESTAMPTZ", "last time a fetch gave exactly this content, UTC"),
            Column(
                "basis_confirmed_asof",
                "DATE",
                "date of that fetch: adjustments known then are in the prices",
                nullable=True,
            ),
        ),
        ("dataset", "symbol", "session", "commit_seq"),
    ),
    TableSpec(
        "spans",
        "Event datasets have one source per span of time; these are the spans.",
        (
            _SEQ,
            _AT,
            _RUN,
            _DATASET,
            _SYMBOL,
            _SESSION,
            Column("start_ns", "BIGINT", "first instant, nanoseconds UTC, inclusive"),
            Column("end_ns", "BIGINT", "last instant, nanoseconds UTC, exclusive"),
            Column("source", "VARCHAR", "provider or provider/feed"),
            Column("state", "VARCHAR", "present or hole"),
            Column("reason", "VARCHAR", "why it is a hole, or what repaired it"),
        ),
        ("dataset", "symbol", "session", "start_ns", "commit_seq"),
    ),
    TableSpec(
        "holes",
        "Times a live feed did not deliver, as derived from its sealed log, and what became of them.",
        (
            _SEQ,
            _AT,
            _RUN,
            _DATASET,
            _SYMBOL,
            _SESSION,
            Column("hole_id", "VARCHAR", "identity of the hole; a repair appends a row with the same id"),
            Column("provider", "VARCHAR", "whose feed it was"),
            Column("connection", "VARCHAR", "connection id of the capture"),
            Column("channel", "VARCHAR", "channel of the feed"),
            Column("start_ns", "BIGINT", "last instant known good, nanoseconds UTC"),
            Column("end_ns", "BIGINT", "first instant good again, nanoseconds UTC"),
            Column("reason", "VARCHAR", "disconnect, sequence, checksum, crossed, refused, start or damaged"),
            Column("state", "VARCHAR", "open, repaired or unrepairable"),
        ),
        ("dataset", "symbol", "session", "start_ns", "commit_seq"),
    ),
    TableSpec(
        "segments",
        "Sealed segments of captured logs that were landed: one row each, written with what it came to.",
        (
            _SEQ,
            _AT,
            _RUN,
            Column("shard", "VARCHAR", "the log it is of: feed-number"),
            Column("number", "BIGINT", "its place in that log"),
            Column("feed", "VARCHAR", "the feed the log is of"),
            Column("first_ns", "BIGINT", "when its first record was received, nanoseconds UTC"),
            Column("last_ns", "BIGINT", "when its last record was received"),
            Column("records", "BIGINT", "records read"),
            Column("frames", "BIGINT", "frames read"),
            Column("bytes", "BIGINT", "size of the file"),
            Column("rows", "BIGINT", "rows of all datasets it came to, repetitions among them"),
            Column("rejected", "BIGINT", "frames or parts of frames that went to quarantine"),
            Column("state", "VARCHAR", "landed, or damaged: only what lies before the damage was"),
            Column("reason", "VARCHAR", "what is damaged, and where"),
            Column("decoder_version", "BIGINT", "of the feed's decoder that read it"),
        ),
        ("shard", "number", "commit_seq"),
    ),
    TableSpec(
        "fetches",
        "One row per request that was sent, failed ones included.",
        (
            _SEQ,
            _AT,
            _RUN,
            Column("fetch_id", "VARCHAR", "identity of the request"),
            Column("provider", "VARCHAR", "who was asked"),
            _DATASET,
            Column("symbols", "VARCHAR", "symbols asked for, joined by commas"),
            Column("first_session", "DATE", "first session asked for"),
            Column("last_session", "DATE", "last session asked for, inclusive"),
            Column("url", "VARCHAR", "the URL, secrets masked"),
            Column("started_at", "TIMESTAMPTZ", "when it was sent, UTC"),
            Column("duration_ms", "DOUBLE", "until the answer was complete or failed"),
            Column("status", "INTEGER", "HTTP status", nullable=True),
            Column("error", "VARCHAR", "what went wrong; empty on success"),
            Column("body_bytes", "BIGINT", "decoded size of the answer"),
            Column("sha256", "VARCHAR", "of the decoded answer"),
            Column("record_id", "VARCHAR", "WARC-Record-ID in the raw archive"),
        ),
        ("started_at", "fetch_id"),
    ),
    TableSpec(
        "observations",
        "One row per answer that was not chosen, to compare sources by.",
        (
            _SEQ,
            _AT,
            _RUN,
            _DATASET,
            _SYMBOL,
            _SESSION,
            Column("source", "VARCHAR", "provider or provider/feed of this answer"),
            Column("row_count", "BIGINT", "rows in it"),
            Column("first", "DECIMAL(18,9)", "first price", nullable=True),
            Column("high", "DECIMAL(18,9)", "highest price", nullable=True),
            Column("low", "DECIMAL(18,9)", "lowest price", nullable=True),
            Column("last", "DECIMAL(18,9)", "last price", nullable=True),
            Column("volume", "DECIMAL(28,8)", "total volume", nullable=True),
            Column("basis", "VARCHAR", "what its prices mean"),
            Column("fingerprint", "VARCHAR", "hash of its content"),
            Column("fetch_id", "VARCHAR", "the request it came with"),
        ),
        ("dataset", "symbol", "session", "commit_seq"),
    ),
    TableSpec(
        "incidents",
        "Outages, conflicts, restated history: what a person should be able to find later.",
        (
            _SEQ,
            _AT,
            _RUN,
            Column("kind", "VARCHAR", "provider, conflict, restated, unrecoverable, storage ..."),
            Column("message", "VARCHAR", "one sentence"),
            Column("started_at", "TIMESTAMPTZ", "when it began, UTC"),
            Column("ended_at", "TIMESTAMPTZ", "when it was over, UTC", nullable=True),
            Column("provider", "VARCHAR", "whom it concerns; empty if none"),
            Column("dataset", "VARCHAR", "which dataset", nullable=True),
            Column("symbol", "VARCHAR", "which symbol", nullable=True),
            Column("session", "DATE", "which session", nullable=True),
        ),
        ("started_at",),
    ),
    TableSpec(
        "quarantine",
        "Rows, partitions and payloads that were refused, as received.",
        (
            _SEQ,
            _AT,
            _RUN,
            _DATASET,
            Column("symbol", "VARCHAR", "symbol, where one could be read", nullable=True),
            Column("session", "DATE", "session, where one could be read", nullable=True),
            Column("source", "VARCHAR", "provider or provider/feed"),
            Column("reason", "VARCHAR", "the check that failed"),
            Column("raw", "VARCHAR", "what was received, at most 2,000 characters"),
            Column("fetch_id", "VARCHAR", "the request it came with"),
            Column("attempt", "BIGINT", "fencing token of the claim"),
        ),
        ("dataset", "symbol", "session", "commit_seq"),
    ),
    TableSpec(
        "quality",
        "Scores and findings about partitions; never a state.",
        (
            _SEQ,
            _AT,
            _RUN,
            _DATASET,
            _SYMBOL,
            _SESSION,
            Column("metric", "VARCHAR", "what was measured: minutes_with_trades, spread_vs_source ..."),
            Column("value", "DOUBLE", "the figure; a statistic, not a price", nullable=True),
            Column("detail", "VARCHAR", "what a person needs to judge it"),
        ),
        ("dataset", "symbol", "session", "metric", "commit_seq"),
    ),
)
IDENTITY = TableSpec(
    "lake_identity",
    "Facts about the lake itself: its id (the marker's) and the version of this DDL.",
    (Column("name", "VARCHAR", "lake_id or schema_version"), Column("value", "VARCHAR", "its value")),
    ("name",),
)
DATASETS: tuple[TableSpec, ...] = tuple(
    TableSpec(
        dataset.value,
        f"Canonical rows of {dataset.value}, in Parquet.",
        tuple(Column(f.name, _SQL[f.type], f.metadata[b"doc"].decode(), nullable=f.nullable) for f in schema),
    )
    for dataset, schema in SCHEMAS.items()
)
TABLES: tuple[TableSpec, ...] = (*DATASETS, *LEDGERS, IDENTITY)
BY_NAME = {table.name: table for table in TABLES}
