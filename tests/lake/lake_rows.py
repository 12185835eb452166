"""Rows and batches for the lake's tests, built by hand: small, exact, readable."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import pyarrow as pa

from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import Attempt
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import CommitBatch, fingerprints
from mdc_resources.schema.arrow import BARS, CORPORATE_ACTIONS

ASOF = dt.date(2024, 6, 3)
FETCHED = dt.datetime(2024, 6, 3, 21, 0, tzinfo=dt.UTC)


def day(number: int) -> dt.date:
    """The ``number``-th weekday from Tuesday 2024-01-02, starting at 0."""
    weeks, rest = divmod(number + 1, 5)
    return dt.date(2024, 1, 1) + dt.timedelta(days=7 * weeks + rest)


def bars(
    symbol: str,
    sessions: Iterable[dt.date],
    *,
    per: int = 3,
    close: str = "100.25",
    basis: str = "raw",
    asof: dt.date = ASOF,
    source: str = "alpaca",
) -> pa.Table:
    """``per`` bars a session, one minute apart; each a cent above the one before."""
    rows = []
    for session in sessions:
        opened = dt.datetime.combine(session, dt.time(14, 30), dt.UTC)
        for minute in range(per):
            price = Decimal(close) + Decimal(minute) / 100
            rows.append(
                {
                    "symbol": symbol,
                    "session": session,
                    "ts": opened + dt.timedelta(minutes=minute),
                    "open": price,
                    "high": price + 1,
                    "low": price - 1,
                    "close": price,
                    "volume": Decimal("1200.5"),
                    "trade_count": 12,
                    "vwap": float(price),
                    "basis": basis,
                    "basis_asof": asof,
                    "exact": True,
                    "source": source,
                }
            )
    return pa.Table.from_pylist(rows, schema=BARS)


def action(symbol: str, ex_date: dt.date, kind: str, **fields: object) -> dict[str, object]:
    """One corporate action as a row; its session is its ex-date."""
    empty = {"ratio_to": None, "ratio_from": None, "amount": None, "currency": None, "successor": None}
    return {
        "symbol": symbol,
        "session": ex_date,
        "kind": kind,
        "ex_date": ex_date,
        **empty,
        "basis": "raw",
        "known_at": FETCHED,
        "exact": True,
        "source": "yahoo",
        **fields,
    }


def actions(*rows: dict[str, object]) -> pa.Table:
    """Corporate actions as a table."""
    return pa.Table.from_pylist(list(rows), schema=CORPORATE_ACTIONS)


def explain(dataset: Dataset, table: pa.Table, *, attempt: int = 1) -> list[CoverageRow]:
    """Coverage of every partition in ``table``, as ingest writes it."""
    counts: dict[PartitionKey, int] = {}
    for symbol, session in zip(
        table.column("symbol").to_pylist(), table.column("session").to_pylist(), strict=True
    ):
        key = PartitionKey(Symbol(symbol), session)
        counts[key] = counts.get(key, 0) + 1
    marks = fingerprints(dataset, table)
    first = table.slice(0, 1).to_pylist()[0]
    return [
        CoverageRow(
            dataset,
            key.symbol,
            key.session,
            PartitionState.PRESENT,
            source=first["source"],
            basis=first.get("basis") or "",
            basis_asof=first.get("basis_asof"),
            row_count=count,
            fingerprint=marks[key],
            attempt=attempt,
        )
        for key, count in counts.items()
    ]


def empties(dataset: Dataset, symbol: str, sessions: Iterable[dt.date]) -> list[CoverageRow]:
    """Coverage saying that nothing happened."""
    return [
        CoverageRow(dataset, Symbol(symbol), session, PartitionState.EMPTY, reason="no actions")
        for session in sessions
    ]


def batch(
    *tables: pa.Table,
    dataset: Dataset = Dataset.BARS_1M,
    replaces: Iterable[PartitionKey] = (),
    coverage: Sequence[CoverageRow] = (),
    run_id: str = "run-1",
    before_commit: Callable[[], None] = lambda: None,
) -> CommitBatch:
    """A batch of ``tables`` of one dataset, explained; ``coverage`` adds lines without rows."""
    table = pa.concat_tables(tables) if tables else None
    return CommitBatch(
        run_id=run_id,
        attempt=1,
        tables={dataset: table} if table is not None else {},
        coverage=[*(explain(dataset, table) if table is not None else ()), *coverage],
        replaces=frozenset((dataset, key) for key in replaces),
        before_commit=before_commit,
    )


def fetch(number: int, *, error: str = "") -> Attempt:
    """One line of the fetches ledger."""
    return Attempt(
        fetch_id=f"fetch-{number}",
        provider="alpaca",
        dataset=Dataset.BARS_1M,
        symbols=(Symbol("AAPL"), Symbol("MSFT")),
        start=day(0),
        end=day(4),
        url="https://data.example/v2/bars?apikey=***",
        started_at=FETCHED,
        duration_ms=12.5,
        status=None if error else 200,
        error=error,
        body_bytes=1234,
        sha256="ab" * 32,
        record_id=f"<urn:uuid:{number}>",
    )


def key(symbol: str, number: int) -> PartitionKey:
    """The partition of ``symbol`` on ``day(number)``."""
    return PartitionKey(Symbol(symbol), day(number))
