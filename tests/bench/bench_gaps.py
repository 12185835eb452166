"""What it costs to know what is missing: from the ledger, by anti-join, from the event log.

The ledger of 5,000 symbols x 2,500 sessions is one flushed, sorted file in which 2 % of the rows
say empty, 0.2 % are open and one in a thousand is not there. Each answer is measured in a process of
its own, so that its peak memory is its own. The anti-join is let off lightly: it need not find the
newest row of a partition.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from mdc_resources import config
from mdc_resources.calendars import get_calendar
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.lake.catalog import Catalog
from mdc_resources.lake.location import Location
from mdc_resources.lake.parquet import _write
from mdc_resources.lake.tables import BY_NAME
from tests.memory import peak_mb

Figure = tuple[str, float, str, str, float | None, str]
LARGE, SMALL = (5_000, 2_500), (100, 2_500)
AT = dt.datetime(2026, 11, 20, 23, tzinfo=dt.UTC)
ROUNDS = 5
STATES = ("empty", "partial", "missing", "present")


def gaps() -> list[Figure]:
    """5,000 x 2,500 beside an anti-join; 250,000 beside Dagster's own answer."""
    with tempfile.TemporaryDirectory(prefix="mdc-bench-") as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        _alone(_build, large, *LARGE)
        ours, peak, found = _alone(_ours, large)
        theirs, their_peak, _ = _alone(_anti_join, large)
        _alone(_build, small, *SMALL)
        few, _, open_few = _alone(_ours, small)
        log, _, told = _alone(_event_log, small)
        assert told + open_few == SMALL[0] * SMALL[1], "both count the same partitions"
    beside, memory = f"anti-join {theirs:.2f} s", f"anti-join {their_peak:,.0f} MB"
    return [
        ("gaps of 12.5 M partitions", ours, "s", beside, ours / theirs, "<= 0.5 s"),
        ("gaps of 12.5 M: peak memory", peak, "MB", memory, peak / their_peak, "<= 700 MB"),
        ("gaps of 12.5 M: open", found, "partitions", "", None, ""),
        ("gaps of 250,000", few * 1e3, "ms", f"the event log {log:.2f} s", few / log, ""),
    ]


BENCHES: tuple[Callable[[], list[Figure]], ...] = (gaps,)


def _alone(work: Callable[..., tuple[float, float, int]], *arguments: object) -> tuple[float, float, int]:
    """Run ``work`` in a process of its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _build(root: Path, symbols: int, sessions: int) -> tuple[float, float, int]:
    """A home with ``symbols`` members, whose ledger has the ``sessions`` newest due sessions of each."""
    from mdc_resources.state import State

    root.mkdir(parents=True)
    (root / "mdc.toml").write_text(f"[universes.us]\nshards = {symbols // 40 + 1}\n", encoding="utf-8")
    home = config.load(root / "mdc.toml", environ={})
    Lake.create(home.lake_dir).close()
    names = [Symbol(f"S{number:04d}") for number in range(symbols)]
    with State.open(home) as state:
        state.add_members("us", names, shards=symbols // 40 + 1)
    catalog = Catalog(Location(home.lake_dir, ""))
    # As `write_ledger_file` does, which would sort once more what is in order.
    written = _write(catalog.location.data_dir / "main" / "coverage", _rows(names, _sessions(sessions)))
    with catalog.transaction(author="bench", message="one ledger file"):
        catalog.add_file("coverage", written.path)
    catalog.close()
    return 0.0, 0.0, written.rows


def _sessions(count: int) -> list[dt.date]:
    calendar = get_calendar("XNYS")
    return list(calendar.sessions(dt.date(2010, 1, 4), AT.date())[-count:])


def _rows(names: list[Symbol], sessions: list[dt.date]) -> pa.Table:
    chance = np.random.default_rng(7)
    there = chance.random(len(names) * len(sessions)) > 0.001
    there[:: len(sessions)] = True  # each symbol begins where the others do
    count = int(there.sum())
    which = np.repeat(np.arange(len(names), dtype=np.int32), len(sessions))[there]
    days = np.tile(np.array(sessions, "datetime64[D]"), len(names))[there]
    state = np.searchsorted([0.02, 0.021, 0.022], chance.random(count)).astype(np.int32)
    marks = [f"{number:032x}" for number in range(65_536)]
    told = {
        "dataset": _codes(np.zeros(count, np.int32), ["bars_1d"]),
        "symbol": _codes(which, names),
        "session": pa.array(days),
        "state": _codes(state, STATES),
        "source": _codes(np.zeros(count, np.int32), ["alpaca/iex"]),
        "fingerprint": _codes(chance.integers(0, len(marks), count).astype(np.int32), marks),
    }
    schema = BY_NAME["coverage"].arrow
    return pa.table([told.get(field.name, _same(field.type, count)) for field in schema], names=schema.names)


def _codes(codes: np.ndarray[tuple[int], np.dtype[np.int32]], values: object) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(values))


def _same(kind: pa.DataType, count: int) -> pa.Array:
    """``count`` times one value of ``kind``."""
    if pa.types.is_string(kind):
        return _codes(np.zeros(count, np.int32), ["raw"])
    return pa.array(np.ones(count, np.int64)).cast(pa.int32() if kind == pa.date32() else kind).cast(kind)


def _ours(root: Path) -> tuple[float, float, int]:
    from mdc_resources.coverage.gaps import open_sessions
    from mdc_resources.state import State

    home = config.load(root / "mdc.toml", environ={})
    lake = Lake.open(home.lake_dir)
    with State.open(home) as state:
        found = open_sessions(home, lake, state, Dataset.BARS_1D, at=AT)
        spent = _median(lambda: open_sessions(home, lake, state, Dataset.BARS_1D, at=AT))
    return spent, _peak(), sum(len(gap.all) for gap in found.values())


def _anti_join(root: Path) -> tuple[float, float, int]:
    reader = Lake.open(root / "lake").connect()
    reader.register("sessions", pa.table({"session": pa.array(_sessions(LARGE[1]))}))
    query = (
        "SELECT symbol, session FROM"
        " (SELECT symbol, session FROM (SELECT DISTINCT symbol FROM lake.coverage) CROSS JOIN sessions)"
        " ANTI JOIN (SELECT symbol, session FROM lake.coverage WHERE dataset = 'bars_1d'"
        " AND state NOT IN ('missing', 'partial')) USING (symbol, session)"
    )
    found = reader.execute(query).to_arrow_table().num_rows
    return _median(lambda: reader.execute(query).to_arrow_table()), _peak(), found


def _event_log(root: Path) -> tuple[float, float, int]:
    """``get_materialized_partitions`` of an instance that has an event of each settled partition."""
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

    from mdc_assets.instance import open_instance
    from mdc_assets.partitions import asset_key

    home = config.load(root / "mdc.toml", environ={})
    lake, key = Lake.open(home.lake_dir), asset_key(Dataset.BARS_1D, "us_00")
    held = lake.coverage(Dataset.BARS_1D).filter(~pa.compute.field("state").isin(["missing", "partial"]))
    pairs = zip(held["symbol"].to_pylist(), held["session"].to_pylist(), strict=True)
    shared = {
        "run_id": "bench",
        "event": "{}",
        "dagster_event_type": "ASSET_MATERIALIZATION",
        "timestamp": dt.datetime(2026, 11, 20),
        "asset_key": key.to_string(),
    }
    rows = [{**shared, "partition": f"{session}|{symbol}"} for symbol, session in pairs]
    with open_instance(home, silent=True) as instance:
        with instance.event_log_storage.index_connection() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        told = len(instance.get_materialized_partitions(key))
        return _median(lambda: instance.get_materialized_partitions(key)), _peak(), told


def _median(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def _peak() -> float:
    return peak_mb()


if __name__ == "__main__":
    for figure in gaps():
        print(figure)
