"""What Dagster itself costs per partition: writing its events, on SQLite and on PostgreSQL.

One run of one op reports 2,600 partitions (ten symbols, a year) through ``materialize_many``; the
yardstick is ``context.log_event`` for each of 300 in the same run, which is Dagster's public way.
The figure includes building the events. Nothing is fetched or stored.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

import datetime as dt
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dagster import AssetMaterialization, Nothing, OpExecutionContext, Out, in_process_executor, job, op

from mdc_assets import metadata
from mdc_assets.events import materialize_many
from mdc_assets.instance import open_instance
from mdc_assets.partitions import asset_key, to_dagster
from mdc_resources import config
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from tests.memory import peak_mb

Figure = tuple[str, float, str, str, float | None, str]
MANY, FEW = 2_600, 300
_TARGETS = {"SQLite": 15.0, "PostgreSQL": 1.0}
_seconds: dict[str, float] = {}


def dagster_events() -> list[Figure]:
    """Milliseconds per partition on both storages; PostgreSQL only where its binaries are."""
    found = [*_measure("SQLite", "")]
    with _postgres() as url:
        if url:
            found += _measure("PostgreSQL", url)
    peak = peak_mb()
    found.append(("dagster events: peak memory", peak, "MB", "", None, ""))
    return found


BENCHES: tuple[Callable[[], list[Figure]], ...] = (dagster_events,)


def _measure(name: str, url: str) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="mdc-bench-") as folder:
        lines = f'[dagster]\nstorage_url = "{url}"\n' if url else ""
        (Path(folder) / config.FILE_NAME).write_text(lines, encoding="utf-8")
        home = config.load(Path(folder) / config.FILE_NAME, environ={})
        with open_instance(home, silent=True) as instance:
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            result = _report.execute_in_process(instance=instance, run_config=quiet)
            assert result.success
            assert len(instance.get_materialized_partitions(asset_key(Dataset.BARS_1D, "us_00"))) == MANY
    ours, public = _seconds["many"] / MANY * 1000, _seconds["one by one"] / FEW * 1000
    target = f"<= {_TARGETS[name]:g} ms"
    yield (
        f"dagster events, {name}",
        ours,
        "ms/partition",
        f"log_event {public:.2f} ms",
        ours / public,
        target,
    )


def _rows(count: int) -> list[AssetMaterialization]:
    key = asset_key(Dataset.BARS_1D, "us_00")
    found = []
    for at in range(count):
        session = dt.date(2024, 1, 1) + dt.timedelta(days=at // 10)
        row = CoverageRow(
            Dataset.BARS_1D,
            Symbol(f"S{at % 10}"),
            session,
            PartitionState.PRESENT,
            source="sandbox:yahoo",
            basis="split",
            row_count=1,
            fingerprint="f1-0123456789abcdef0123456789abcdef",
        )
        partition = to_dagster(PartitionKey(row.symbol, row.session))
        about = metadata.of_partition(row, snapshot=at)
        found.append(AssetMaterialization(key, partition=partition, metadata=about))
    return found


@op(out=Out(Nothing))
def _events(context: OpExecutionContext) -> None:
    def timed(name: str, count: int, report: Callable[[Sequence[AssetMaterialization]], object]) -> None:
        began = time.perf_counter()
        report(_rows(count))
        _seconds[name] = time.perf_counter() - began

    timed("one by one", FEW, lambda rows: [context.log_event(row) for row in rows])
    timed("many", MANY, lambda rows: materialize_many(context, rows))


@job(executor_def=in_process_executor)
def _report() -> None:
    _events()


@contextmanager
def _postgres() -> Iterator[str]:
    """URL of a real server with its defaults, fsync included; empty where there are no binaries."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        yield ""
        return
    user = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="mdc-pg-"))
    if user:
        shutil.chown(folder, user)
    initdb = [
        binaries[-1] / "initdb",
        "-D",
        folder / "data",
        "--username=mdc",
        "--auth=trust",
        "--encoding=UTF8",
    ]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
    server = subprocess.Popen(
        [binaries[-1] / "postgres", "-D", folder / "data", "-p", str(port), "-k", folder, "-h", "127.0.0.1"],
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield f"postgresql+psycopg2://mdc@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int) -> None:
    import psycopg2

    until = time.monotonic() + 30
    while True:
        try:
            psycopg2.connect(host="127.0.0.1", port=port, user="mdc", dbname="postgres").close()
        except psycopg2.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
