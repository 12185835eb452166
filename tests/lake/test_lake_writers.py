"""Several writers and readers at once: the result is some serial order of the commits."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest
from lake_rows import bars, batch, day, key

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeBusy
from mdc_resources.lake import Lake
from mdc_resources.lake.locks import FileLock

MINUTES = Dataset.BARS_1M
PROCESSES = multiprocessing.get_context("spawn")


def commit_many(lake_dir: str, symbol: str, commits: int) -> None:
    """Body of a writer process: new partitions, and one that is replaced again and again."""
    lake = Lake.open(Path(lake_dir))
    lake.commit(batch(bars(symbol, [day(0)])))
    for number in range(1, commits):
        lake.commit(batch(bars(symbol, [day(number)])))
        lake.commit(batch(bars(symbol, [day(0)], close=str(number)), replaces=[key(symbol, 0)]))


def test_two_processes_commit_at_once(lake: Lake) -> None:
    """Every commit of both is there once, numbered in one order."""
    writers = [
        PROCESSES.Process(target=commit_many, args=(str(lake.root), symbol, 6)) for symbol in ("AAPL", "MSFT")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    reader = lake.connect()
    assert reader.execute("SELECT symbol, count(*) FROM bars_1m GROUP BY 1 ORDER BY 1").fetchall() == [
        ("AAPL", 18),
        ("MSFT", 18),
    ]
    assert reader.execute("SELECT count(*), count(DISTINCT commit_seq) FROM coverage_log").fetchone() == (
        22,
        22,
    )
    assert lake.verify(deep=True) == []


def test_threads_share_one_lake(lake: Lake) -> None:
    """An open lake may be used from several threads."""
    failures: list[BaseException] = []

    def work(symbol: str) -> None:
        try:
            for number in range(4):
                lake.commit(batch(bars(symbol, [day(number)])))
                lake.coverage(MINUTES, symbols=None)
        except BaseException as error:  # whatever it is, the test must see it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(symbol,)) for symbol in ("A", "B", "C")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert lake.coverage(MINUTES).num_rows == 12


def test_readers_and_a_writer_do_not_block_each_other(lake: Lake) -> None:
    """A reader in the middle of a result does not stop a commit, nor the other way round."""
    lake.commit(batch(bars("AAPL", [day(0)], per=3000)))
    reader = lake.connect()
    reader.execute("SELECT * FROM bars_1m")
    assert reader.fetchone() is not None
    lake.commit(batch(bars("AAPL", [day(1)])))
    assert len(reader.fetchall()) == 2999
    assert reader.execute("SELECT count(*) FROM bars_1m").fetchone() == (3003,)


def test_a_busy_lock_is_an_error_that_may_be_retried(lake: Lake) -> None:
    """A writer that cannot get the lock in time says so and changes nothing."""
    path = lake.root / "commit.lock"
    with FileLock(path).hold(), pytest.raises(LakeBusy, match="not free"), FileLock(path).hold(timeout=0.05):
        pass
    with FileLock(path).hold(timeout=1):
        pass


def test_a_lock_left_by_a_dead_process_is_free(lake: Lake) -> None:
    """The lock dies with its holder: the file alone means nothing."""
    (lake.root / "commit.lock").write_text("left behind")
    lake.commit(batch(bars("AAPL", [day(0)])))
    assert lake.coverage(MINUTES).num_rows == 1
