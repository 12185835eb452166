"""One look of the gap sensor: what is open in the ledger, and the runs that would fill it.

250,000 partitions (100 symbols, ten years) with 2 % scattered holes, evaluated as the code server
does, the instance's runs included; and 1.25 million (500 symbols) as planning alone, in a process of
its own so that its memory is its own. A UI backfill of the same scattered holes would be split by
Dagster into nearly a run a hole. The ledgers are flushed files.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dagster import build_sensor_context

from mdc_assets.definition_set import build
from mdc_assets.gap_sensor import SENSOR
from mdc_assets.instance import open_instance
from mdc_resources import config
from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.lake import CommitBatch, Lake
from mdc_resources.recovery.repairs import plan_repairs
from mdc_resources.state import State
from tests.memory import peak_mb

Figure = tuple[str, float, str, str, float | None, str]
SESSIONS, HOLES = 2_500, 0.02
TICK, MANY = 100, 500
_BATCH = 250_000


def one_tick() -> list[Figure]:
    """Milliseconds of a whole tick over 250,000 partitions, and how many runs it asks for."""
    with tempfile.TemporaryDirectory(prefix="mdc-bench-") as folder:
        home = _home(Path(folder), TICK)
        with open_instance(home, silent=True) as instance:
            definitions = build(home)
            sensor = definitions.resolve_sensor_def(SENSOR)

            def tick() -> int:
                with build_sensor_context(instance, definitions=definitions) as context:
                    return len(sensor.evaluate_tick(context).run_requests or ())

            tick()  # imports and calendars
            seconds, runs = _best(tick)
    beside = f"{TICK * SESSIONS * HOLES:,.0f} holes"
    return [
        ("sensor tick, 250,000 partitions", seconds * 1000, "ms", beside, None, "<= 1,000 ms"),
        ("sensor tick: runs asked for", runs, "runs", "a UI backfill: one a hole", None, ""),
    ]


def a_million() -> list[Figure]:
    """Seconds and memory of planning over 1.25 million partitions, cold, in a process of its own."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.bench.bench_sensor"], check=True, capture_output=True, text=True
    )
    found = json.loads(told.stdout.splitlines()[-1])
    return [
        (
            "plan of 1,250,000 partitions, cold",
            found["seconds"],
            "s",
            f"{found['open']:,} holes",
            None,
            "< 10 s",
        ),
        ("plan of 1,250,000 partitions: peak memory", found["mb"], "MB", "", None, "< 1,000 MB"),
    ]


BENCHES: tuple[Callable[[], list[Figure]], ...] = (one_tick, a_million)


def _home(folder: Path, symbols: int) -> Home:
    """A home whose members hold all but 2 % of their newest sessions, chosen at random."""
    lines = f"[universes.us]\nshards = {-(-symbols // 40)}\n[recovery]\ndatasets = ['bars_1d']\n"
    (folder / config.FILE_NAME).write_text(lines, encoding="utf-8")
    home = config.load(folder / config.FILE_NAME, environ={})
    names = [Symbol(f"S{number:04d}") for number in range(symbols)]
    with State.open(home) as state:
        state.add_members("us", names, shards=-(-symbols // 40))
    Lake.create(home.lake_dir, sandbox=True).close()
    dates = _sessions(home)
    chance = random.Random(7)
    with closing(Lake.open(home.lake_dir)) as lake:
        rows: list[CoverageRow] = []
        for name in names:
            gone = set(chance.sample(range(1, SESSIONS), int(SESSIONS * HOLES)))  # the first one begins it
            rows += [
                CoverageRow(Dataset.BARS_1D, name, day, PartitionState.PRESENT, row_count=1)
                for at, day in enumerate(dates)
                if at not in gone
            ]
            if len(rows) > _BATCH or name == names[-1]:
                lake.commit(CommitBatch(run_id="bench", attempt=1, tables={}, coverage=rows))
                rows = []
        lake.flush()
    return home


def _sessions(home: Home) -> tuple[dt.date, ...]:
    calendar = get_calendar("XNYS", home.root)
    at = now()
    due = calendar.final_sessions(
        at.date() - dt.timedelta(days=30), at.date(), at=at, settle=dt.timedelta(minutes=30)
    )
    last = calendar.ordinal(due[-1])
    return calendar.dates[last + 1 - SESSIONS : last + 1]


def _best(work: Callable[[], int], *, repeats: int = 3) -> tuple[float, int]:
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        answer = work()
        found.append((time.perf_counter() - began, answer))
    return min(found)


def _plan(folder: str) -> dict[str, float]:
    home = config.load(Path(folder) / config.FILE_NAME, environ={})
    began = time.perf_counter()
    with closing(Lake.open(home.lake_dir)) as lake, State.open(home) as state:
        plan = plan_repairs(home, lake, state, at=now(), in_flight={}, limit=10)
    seconds = time.perf_counter() - began
    peak = peak_mb()
    return {"seconds": seconds, "open": plan.open, "runs": len(plan.repairs), "mb": peak}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(_plan(sys.argv[1])) + "\n")
    else:
        with tempfile.TemporaryDirectory(prefix="mdc-bench-") as scratch:
            _home(Path(scratch), MANY)
            subprocess.run([sys.executable, "-m", "tests.bench.bench_sensor", scratch], check=True)
