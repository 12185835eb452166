"""The job ``verify``: findings are metadata and a failed run, a sound lake is a green one."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from pathlib import Path

import pytest

from mdc_assets import maintenance
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want, backfill
from mdc_resources.lake import Lake
from tests.dagster.conftest import QUIET

SYMBOLS = tuple(Symbol(name) for name in ("AAPL", "MSFT", "NVDA"))


@pytest.fixture
def stocked(home, monkeypatch):
    """Three symbols, fetched one by one; the job finds the home by its environment."""
    monkeypatch.setenv("MDC_CONFIG", str(home.config_file))
    for symbol in SYMBOLS:
        backfill(
            home, Want(Dataset.BARS_1D, (symbol,), dt.date(2024, 1, 2), dt.date(2024, 1, 5)), run_id=symbol
        )
    return home


def verify(instance, **config):
    """Run the job as the daemon does."""
    op = {"ops": {maintenance.OP: {"config": config}}} if config else {}
    return maintenance.verify_job.execute_in_process(
        instance=instance, run_config={**QUIET, **op}, raise_on_error=False
    )


def damage(home, symbol):
    """Delete the file of a symbol's bars."""
    with closing(Lake.open(home.lake_dir)) as lake, closing(lake.connect()) as connection:
        query = "SELECT DISTINCT filename FROM lake.bars_1d WHERE symbol = ?"
        (row,) = connection.execute(query, [symbol]).fetchall()
    Path(row[0]).unlink()
    return row[0]


def failure(result):
    """What the run's page says about its failed step."""
    return result.failure_data_for_node(maintenance.OP).user_failure_data


def missing(home):
    """Partitions of daily bars that the ledger calls missing."""
    with closing(Lake.open(home.lake_dir)) as lake:
        return lake.coverage(Dataset.BARS_1D)["state"].to_pylist().count("missing")


def test_a_sound_lake_is_a_green_run(stocked, instance):
    """With the counts as metadata."""
    result = verify(instance)
    assert result.success
    (output,) = [e for e in result.all_events if e.event_type_value == "STEP_OUTPUT"]
    assert output.event_specific_data.metadata["mdc/findings"].value == 0


def test_damage_fails_the_run_and_names_the_partitions(stocked, instance):
    """The file, the partitions that lay in it, and what is new."""
    path = damage(stocked, "MSFT")
    result = verify(instance)
    assert not result.success
    told = failure(result)
    assert "4 partitions damaged" in told.description
    assert told.metadata["mdc/damaged"].value == [f"bars_1d MSFT 2024-01-0{day}" for day in (2, 3, 4, 5)]
    assert path in told.metadata["mdc/found"].value[0]
    assert told.metadata["mdc/new_findings"].value == 1
    assert failure(verify(instance)).metadata["mdc/new_findings"].value == 0


def test_only_an_explicit_repair_gives_partitions_up(stocked, instance):
    """The default run of the schedule changes no partition."""
    damage(stocked, "MSFT")
    verify(instance)
    assert missing(stocked) == 0
    told = failure(verify(instance, repair=True))
    assert told.metadata["mdc/repaired_partitions"].value == 4
    assert missing(stocked) == 4


def test_a_lake_that_is_not_there_fails_with_its_own_words(stocked, instance):
    """An unmounted disk: nothing is verified, nothing repaired."""
    (stocked.lake_dir / "MARKER").unlink()
    assert "MARKER" in failure(verify(instance, repair=True)).description
