"""What the lake costs: commit, ledger growth, throughput, symbol-year read, bytes per bar, memory.

Each ``bench_*`` function runs alone in a process of its own and returns figures, each with a
yardstick measured in the same run: the least that could be done for the same rows. Run all with
``python tests/bench/bench_lake.py``.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mdc_resources.domain.coverage import CoverageRow, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import Attempt
from mdc_resources.lake import CommitBatch, Lake, fingerprints
from mdc_resources.schema.arrow import BARS, PRICE, SIZE
from tests.memory import peak_mb

MINUTES = 390
YEAR = 250
BATCHES = 1_000
EPOCH = dt.date(1970, 1, 1)
FIRST = dt.date(2015, 1, 1)
MINUTE_BARS = Dataset.BARS_1M


class Figure(NamedTuple):
    """One measured figure; ``ratio`` is value / yardstick, or the other way where more is better."""

    name: str
    value: float
    unit: str
    yardstick: str
    ratio: float
    target: str


def synthetic(symbol: str, sessions: int, *, per: int = MINUTES, seed: int = 1) -> pa.Table:
    """Bars of a random walk in cents with lognormal volumes, as a canonical table."""
    chance = np.random.default_rng(seed)
    rows = sessions * per
    close = 100_000_000_000 + np.cumsum(chance.integers(-5, 6, rows)) * 10_000_000
    days = np.repeat(np.arange(sessions), per) + (FIRST - EPOCH).days
    stamps = (days * 86_400 + 52_200 + np.tile(np.arange(per) * 60, sessions)) * 1_000_000
    shares = chance.lognormal(7, 1.2, rows).astype(np.int64) + 1
    high = close + chance.integers(0, 5, rows) * 10_000_000
    low = close - chance.integers(0, 5, rows) * 10_000_000
    columns = {
        "symbol": pa.array([symbol]).take(pa.array(np.zeros(rows, np.int32))),
        "session": pa.array(days.astype(np.int32)).cast(pa.date32()),
        "ts": pa.array(stamps, pa.timestamp("us", tz="UTC")),
        "open": _decimals(np.roll(close, 1), PRICE),
        "high": _decimals(high, PRICE),
        "low": _decimals(low, PRICE),
        "close": _decimals(close, PRICE),
        "volume": _decimals(shares * 100_000_000, SIZE),
        "trade_count": pa.array(shares // 40 + 1),
        "vwap": pa.array(np.round((high + low) / 2e9, 4)),
        "basis": pa.array(["raw"]).take(pa.array(np.zeros(rows, np.int32))),
        "basis_asof": pa.array(np.full(rows, 20_000, np.int32)).cast(pa.date32()),
        "exact": pa.array(np.ones(rows, bool)),
        "source": pa.array(["alpaca/iex"]).take(pa.array(np.zeros(rows, np.int32))),
    }
    return pa.table([columns[name] for name in BARS.names], schema=BARS)


def batch_of(table: pa.Table, *, per: int = MINUTES) -> CommitBatch:
    """A batch with coverage of every partition and one fetch, as ingest sends it."""
    coverage = [
        CoverageRow(
            MINUTE_BARS, key.symbol, key.session, PartitionState.PRESENT,
            source="alpaca/iex", basis="raw", basis_asof=FIRST, row_count=per, fingerprint=mark, attempt=1,
        )
        for key, mark in fingerprints(MINUTE_BARS, table).items()
    ]  # fmt: skip
    fetch = Attempt(
        fetch_id=f"{coverage[0].symbol}-{time.time_ns()}",
        provider="alpaca",
        dataset=MINUTE_BARS,
        symbols=(coverage[0].symbol,),
        start=coverage[0].session,
        end=coverage[-1].session,
        url="https://data.alpaca.markets/v2/stocks/bars",
        started_at=dt.datetime.now(dt.UTC),
        duration_ms=80.0,
        status=200,
        sha256="0" * 64,
    )
    return CommitBatch("bench", 1, {MINUTE_BARS: table}, coverage, attempts=[fetch])


def bench_commit() -> list[Figure]:
    """One 390-row partition with all ledgers, alone in a fresh lake."""
    return _alone(_commit)


def bench_growth() -> list[Figure]:
    """The same commit with 250,000 covered partitions against 1,000, alternating; then throughput."""
    return _alone(_growth)


def bench_read() -> list[Figure]:
    """A symbol-year of minutes through the view against one exact Parquet file; bytes per bar."""
    return _alone(_read)


def bench_fingerprint() -> list[Figure]:
    """Fingerprints of a symbol-year of minutes."""
    return _alone(_fingerprint)


def _commit(folder: Path) -> list[Figure]:
    lake = Lake.create(folder / "lake")
    spent, bare = [], []
    for number in range(40):
        table = synthetic(f"S{number}", 1, seed=number)
        given = batch_of(table)
        spent.append(_seconds(lambda given=given: lake.commit(given)))
        bare.append(_seconds(lambda table=table: _write_synced(folder, table)))
    value, least = statistics.median(spent[5:]), statistics.median(bare[5:])
    return [
        Figure("commit of one 390-row partition, p50", value * 1e3, "ms", _BARE, value / least, "<= 45 ms")
    ]


def _growth(folder: Path) -> list[Figure]:
    small, large = Lake.create(folder / "small"), Lake.create(folder / "large")
    for number in range(4):
        small.commit(batch_of(synthetic(f"F{number}", YEAR, per=1), per=1))
    for number in range(BATCHES):  # small files, so that what grows is the catalog and the ledgers
        large.commit(batch_of(synthetic(f"F{number}", YEAR, per=1), per=1))
    at_small, at_large = [], []
    for number in range(40):
        given = batch_of(synthetic(f"X{number}", 1, seed=number))
        at_small.append(_seconds(lambda given=given: small.commit(given)))
        at_large.append(_seconds(lambda given=given: large.commit(given)))
    before, after = statistics.median(at_small), statistics.median(at_large)
    batches, bare = [], []
    for number in range(8):
        table = synthetic(f"Y{number}", YEAR, seed=number)
        given = batch_of(table)
        batches.append(_seconds(lambda given=given: large.commit(given)))
        bare.append(_seconds(lambda table=table: _write_synced(folder, table)))
    full, least = statistics.median(batches), statistics.median(bare)
    ledger = _seconds(lambda: large.coverage(MINUTE_BARS))
    return [
        Figure("commit p50, 250,000 covered", after * 1e3, "ms", "1,000 covered", after / before, "<= 1.2"),
        Figure("250 a batch, 1,000th batch", YEAR / full, "partitions/s", _BARE, full / least, ">= 2,000/s"),
        Figure("newest coverage of 250,000", ledger * 1e3, "ms", "", 0.0, ""),
    ]  # fmt: skip


def _read(folder: Path) -> list[Figure]:
    lake = Lake.create(folder / "lake")
    exact, plain = folder / "exact.parquet", folder / "snappy.parquet"
    for number in range(20):
        lake.commit(batch_of(synthetic(f"S{number}", YEAR, seed=number)))
    table = synthetic("S7", YEAR, seed=7)
    pq.write_table(table, plain, compression="snappy")
    stored = next(row for row in lake.status().tables if row.name == "bars_1m")
    reader = lake.connect()
    (path,) = reader.execute("SELECT DISTINCT filename FROM lake.bars_1m WHERE symbol = 'S7'").fetchone() or (
        "",
    )
    os.link(path, exact)
    last = FIRST + dt.timedelta(days=YEAR)
    names = ", ".join(BARS.names)
    query = f"SELECT {names} FROM bars_1m WHERE symbol = 'S7' AND session BETWEEN '{FIRST}' AND '{last}'"
    yardstick = f"SELECT {names} FROM read_parquet('{exact}')"
    spent, least = [], []
    for _ in range(25):
        spent.append(_seconds(lambda: reader.execute(query).to_arrow_table()))
        least.append(_seconds(lambda: reader.execute(yardstick).to_arrow_table()))
    value, base = statistics.median(spent), statistics.median(least)
    per_bar, snappy = stored.bytes / stored.rows, plain.stat().st_size / table.num_rows
    return [
        Figure("symbol-year of minutes", value * 1e3, "ms", "one exact Parquet file", value / base, "<= 1.5"),
        Figure("bytes per bar", per_bar, "B", "snappy Parquet", per_bar / snappy, "< 1"),
    ]


def _fingerprint(folder: Path) -> list[Figure]:
    table = synthetic("S", YEAR)
    spent = statistics.median(_seconds(lambda: fingerprints(MINUTE_BARS, table)) for _ in range(10))
    least = statistics.median(_seconds(lambda: _write_synced(folder, table)) for _ in range(10))
    return [Figure("fingerprints", table.num_rows / spent / 1e6, "Mrow/s", _BARE, spent / least, "")]


_BARE = "bare pyarrow write + fsync"


def _write_synced(folder: Path, table: pa.Table) -> None:
    """The least a durable write of ``table`` can be: one zstd file, fsynced with its directory."""
    path = folder / f"bare-{time.time_ns()}.parquet"
    pq.write_table(table, path, compression="zstd")
    for target, flags in ((path, os.O_RDONLY), (folder, os.O_RDONLY | os.O_DIRECTORY)):
        handle = os.open(target, flags)
        os.fsync(handle)
        os.close(handle)
    path.unlink()


def _decimals(units: np.ndarray[tuple[int], np.dtype[np.int64]], kind: pa.DataType) -> pa.Array:
    words = np.zeros((len(units), 2), "<i8")
    words[:, 0] = units
    words[:, 1] = np.where(units < 0, -1, 0)
    return pa.Array.from_buffers(kind, len(units), [None, pa.py_buffer(words.tobytes())])


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _run(work: Callable[[Path], list[Figure]]) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mdc-bench-") as folder:
        figures = work(Path(folder))
    peak = peak_mb()
    name = work.__name__.removeprefix("_")
    return [*figures, Figure(f"peak memory of {name}", peak, "MB", "", 0.0, "")]


def _alone(work: Callable[[Path], list[Figure]]) -> list[Figure]:
    """Run ``work`` in a process of its own, so that its peak memory is its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_run, work).result()


BENCHES: tuple[Callable[[], list[Figure]], ...] = (bench_commit, bench_growth, bench_read, bench_fingerprint)


def main(names: list[str]) -> None:
    """Print the figures of the benches named, or of all."""
    for bench in BENCHES:
        if names and bench.__name__ not in names:
            continue
        for figure in bench():
            against = f"{figure.ratio:8.2f} x {figure.yardstick}" if figure.yardstick else ""
            print(
                f"{figure.name:42} {figure.value:10.1f} {figure.unit:13} {figure.target:12} {against}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
