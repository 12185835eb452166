"""What tests of the gap sensor share: a home that holds the last sessions, ticks, and carrying runs out."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    Definitions,
    RunRequest,
    build_sensor_context,
    reconstructable,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.storage.tags import RUN_KEY_TAG

from mdc_assets import jobs
from mdc_assets.definition_set import build
from mdc_assets.gap_sensor import SENSOR
from mdc_resources.config import Home
from mdc_resources.coverage.expectation import ledger
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.lake import Lake
from tests.recovery.ledgers import open_up, product, recent, write

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
NOT_STARTED = DagsterRunStatus.NOT_STARTED
HELD = 40
BARS, ACTIONS = Dataset.BARS_1D, Dataset.CORPORATE_ACTIONS


@dataclass(frozen=True, slots=True)
class Watched:
    """A home whose members hold their last sessions, and the instance that watches over them."""

    home: Home
    instance: DagsterInstance
    definitions: Definitions
    sessions: tuple[dt.date, ...]

    def key(self, symbol: str, number: int) -> PartitionKey:
        """Counting back from -1, the newest due session but one of a few hours ago."""
        return PartitionKey(Symbol(symbol), self.sessions[number])

    def open_up(self, *cells: tuple[str, int]) -> set[PartitionKey]:
        """Make these bars missing."""
        keys = {self.key(*cell) for cell in cells}
        open_up(self.home, BARS, keys)
        return keys

    def held(self) -> set[PartitionKey]:
        """The bars that the ledger settles."""
        with closing(Lake.open(self.home.lake_dir)) as lake:
            found = ledger(lake, BARS, [Symbol("AAPL"), Symbol("MSFT")], self.sessions[0], self.sessions[-1])
        return {key for key, row in found.items() if row.state.is_settled}

    def tick(self) -> SensorExecutionData:
        """One evaluation of the sensor, as the code server makes it."""
        sensor = self.definitions.resolve_sensor_def(SENSOR)
        with build_sensor_context(self.instance, definitions=self.definitions) as context:
            return sensor.evaluate_tick(context)

    def create(
        self, request: RunRequest, status: DagsterRunStatus = DagsterRunStatus.NOT_STARTED
    ) -> DagsterRun:
        """The run of ``request`` as the daemon creates it; QUEUED puts it into the queue."""
        origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("mdc"), "__repository__")
        assert request.run_key is not None
        run = self.instance.create_run_for_job(
            jobs.backfill_job,
            run_config={**QUIET, **request.run_config},
            tags={**request.tags, RUN_KEY_TAG: request.run_key},
            remote_job_origin=origin.get_job_origin(jobs.JOB),
            job_code_origin=reconstructable(jobs.backfill_job).get_python_origin(),
        )
        if status is DagsterRunStatus.QUEUED:
            # The queue asks for no workspace.
            self.instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]
        return run

    def carry_out(self, *runs: DagsterRun) -> None:
        """Execute ``runs`` in this process, whatever becomes of them."""
        for run in runs:
            execute_run(reconstructable(jobs.backfill_job), run, self.instance)

    def repair(self) -> list[RunRequest]:
        """One tick, and every run of it."""
        requests = list(self.tick().run_requests or ())
        self.carry_out(*map(self.create, requests))
        return requests


def watched(home: Home, instance: DagsterInstance, *, held: int = HELD) -> Watched:
    """``home`` with ``held`` sessions of bars and corporate actions settled, of AAPL and MSFT."""
    os.environ["MDC_CONFIG"] = str(home.config_file)  # the tests' environment is theirs alone
    sessions = recent(home, held, at=now())
    for dataset in (BARS, ACTIONS):
        write(home, dataset, product(("AAPL", "MSFT"), sessions))
    return Watched(home, instance, build(home), sessions[:held])


def asked(requests: Iterable[RunRequest]) -> set[PartitionKey]:
    """Every partition that ``requests`` ask for; each once."""
    keys = [key for request in requests for key in jobs.want_of(request.run_config).keys or ()]
    assert len(keys) == len(set(keys))
    return set(keys)
