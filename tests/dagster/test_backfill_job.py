"""The job ``backfill``: a run in this process for ``mdc backfill``, and any range from the Launchpad."""

from __future__ import annotations

import datetime as dt
import os

import pytest
from dagster import AssetKey, DagsterEventType, DagsterRunStatus

from mdc_assets import jobs, owners
from mdc_assets.instance import open_instance
from mdc_assets.launch import LOCATION, REPORTER
from mdc_assets.partitions import register
from mdc_resources.config import load
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeMarkerMissing, UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want
from mdc_resources.state import State
from tests.dagster.conftest import BARS, QUIET, follow, key_of

HOSTILE = ["A|B", "..", "A;DROP TABLE bars_1d", "A\nB", "ＡＡＰＬ"]


def want(*symbols, start="2024-01-02", end="2024-01-12", **more):
    """A want of daily bars."""
    first, last = dt.date.fromisoformat(start), dt.date.fromisoformat(end)
    return Want(Dataset.BARS_1D, tuple(Symbol(s) for s in symbols), first, last, **more)


def run_of(instance):
    """The newest run."""
    return instance.get_runs(limit=1)[0]


def launch(instance, **config):
    """Run the job as the code server would, from its config."""
    return jobs.backfill_job.execute_in_process(
        instance=instance, run_config={**QUIET, "ops": {jobs.OP: {"config": config}}}, raise_on_error=False
    )


def materialised(instance, run_id):
    """How many partition events a run wrote."""
    return len(instance.all_logs(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION))


def test_a_run_of_this_process_returns_the_outcome_and_reports_exact_keys(home, instance):
    """Committed first; on return the event log has the same partitions."""
    outcome = REPORTER.run(home, want("AAPL", "MSFT"))
    assert outcome.counts == {PartitionState.PRESENT: 18}
    expected = {f"{key.session}|{key.symbol}" for key in outcome.states}
    assert instance.get_materialized_partitions(BARS) == expected
    assert run_of(instance).status is DagsterRunStatus.SUCCESS
    assert outcome.run_id == run_of(instance).run_id


def test_the_run_is_live_while_it_fetches(home, instance):
    """Another process of the home, such as the web server, sees it STARTED under the code location."""
    seen = []

    def watch(progress):
        with open_instance(home) as other:
            seen.append((run_of(other).status, progress.done, run_of(other).tags["dagster/code_location"]))

    REPORTER.run(home, want("AAPL", "MSFT"), on_progress=watch)
    assert {status for status, _, _ in seen} == {DagsterRunStatus.STARTED}
    assert {location for _, _, location in seen} == {LOCATION}
    assert seen[-1][1] == 18


def test_the_run_names_its_process_and_what_it_wants(home, instance):
    """The reaper finds the process; a person finds the range in the list of runs."""
    REPORTER.run(home, want("AAPL"))
    run = run_of(instance)
    tags = run.tags
    assert tags[owners.PID] == str(os.getpid())
    assert not owners.owner_of(run.run_id, tags).is_dead()
    assert tags["mdc/symbols"] == "AAPL"
    assert tags["mdc/sessions"] == "2024-01-02..2024-01-12"


def test_again_it_fetches_nothing_and_reports_nothing(home, instance, served):
    """No promise of a hull here: what the log has already is not written again."""
    REPORTER.run(home, want("AAPL", end="2024-01-05"))
    served.calm()
    outcome = REPORTER.run(home, want("AAPL", end="2024-01-05"))
    assert served.requests() == 0
    assert not outcome.fetched
    assert materialised(instance, outcome.run_id) == 0


def test_what_the_log_lost_is_reported_again(home, instance, served):
    """The ledger is the truth: the same range again repairs the picture without a request."""
    REPORTER.run(home, want("AAPL"))
    instance.wipe_assets([BARS])
    served.calm()
    REPORTER.run(home, want("AAPL"))
    assert served.requests() == 0
    assert len(instance.get_materialized_partitions(BARS)) == 9


def test_a_stranger_joins_the_default_universe(home, instance):
    """Its shard is where its key is made."""
    REPORTER.run(home, want("NVDA", end="2024-01-03"))
    with State.open(home) as state:
        assert state.member(Symbol("NVDA")).universe == "us"
    assert "NVDA" in instance.get_dynamic_partitions("us_00")


def test_exact_keys_reach_ingest_through_the_config(home, instance):
    """A want of scattered partitions fetches those, not their hull."""
    keys = frozenset({key_of("AAPL", "2024-01-02"), key_of("AAPL", "2024-01-12")})
    outcome = REPORTER.run(home, want("AAPL", keys=keys))
    assert set(outcome.states) == keys
    assert instance.get_materialized_partitions(BARS) == {"2024-01-02|AAPL", "2024-01-12|AAPL"}


def test_left_open_for_a_passing_reason_the_run_fails_and_the_caller_knows(home, instance, served):
    """The command line gets the outcome, the UI a failed run that says what to do."""
    served.fault("*", "status", probability=1.0, params={"status": 503})
    outcome = REPORTER.run(home, want("AAPL"))
    served.calm()
    assert outcome.retryable_missing == 9
    assert run_of(instance).status is DagsterRunStatus.FAILURE
    outcome = REPORTER.run(home, want("AAPL"))
    assert outcome.counts[PartitionState.PRESENT] == 9


def test_what_ingest_raises_reaches_the_caller(home, instance):
    """The error keeps its class and so its exit code; the run shows its message."""
    (home.lake_dir / "MARKER").unlink()
    with pytest.raises(LakeMarkerMissing):
        REPORTER.run(home, want("AAPL"))
    run = run_of(instance)
    assert run.status is DagsterRunStatus.FAILURE
    logs = instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
    assert "marker" in logs[0].dagster_event.step_failure_data.error.to_string().lower()


def test_no_secret_reaches_the_event_log(tmp_path, vendor):
    """A failing run with credentials set leaves none of them in Dagster's databases."""
    from tests.homes import make_home

    canary = "SEKRET-4f9d2c"
    environ = {"ALPACA_KEY_ID": canary, "ALPACA_SECRET_KEY": canary}
    home = make_home(tmp_path / "canary", vendor.url, providers=("alpaca",), environ=environ)
    vendor.add_fault("alpaca", "status", probability=1.0, params={"status": 401})
    outcome = REPORTER.run(home, want("AAPL"))
    vendor.clear_faults()
    assert outcome.counts[PartitionState.MISSING] == 9
    assert canary not in str(outcome.as_dict())
    held = [path for path in home.root.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]
    assert held == []


def test_submit_queues_for_the_daemon(home, instance):
    """Nothing runs here: the run waits, under the location that the daemon knows."""
    (run_id,) = REPORTER.submit(home, want("AAPL", "MSFT"))
    run = instance.get_run_by_id(run_id)
    assert run.status is DagsterRunStatus.QUEUED
    assert run.remote_job_origin.location_name == LOCATION
    assert run.run_config["ops"][jobs.OP]["config"]["symbols"] == ["AAPL", "MSFT"]
    assert owners.owner_of(run_id, run.tags) is None


def test_from_the_launchpad_the_home_is_found(home, instance, monkeypatch):
    """The code server's environment names the home."""
    monkeypatch.setenv("MDC_CONFIG", str(home.config_file))
    result = launch(instance, symbols=["aapl", "MSFT"], start="2024-01-02", end="2024-01-03")
    assert result.success
    assert len(instance.get_materialized_partitions(BARS)) == 4


@pytest.mark.parametrize("symbol", HOSTILE, ids=ascii)
def test_a_hostile_symbol_in_the_launchpad_fails_the_run(symbol, home, instance, served, monkeypatch):
    """Refused before the network, the lake, or a partition key."""
    monkeypatch.setenv("MDC_CONFIG", str(home.config_file))
    result = launch(instance, symbols=[symbol], start="2024-01-02", end="2024-01-03")
    assert not result.success
    assert instance.get_dynamic_partitions("us_00") == ["AAPL", "MSFT"]
    assert served.requests() == 0


@pytest.mark.parametrize(
    "config",
    [
        {"symbols": [], "start": "2024-01-02", "end": "2024-01-03"},
        {"symbols": ["AAPL"], "start": "2024-01-03", "end": "2024-01-02"},
        {"symbols": ["AAPL"], "start": "2024-02-30", "end": "2024-03-02"},
        {"symbols": ["AAPL"], "start": "2024-01-02", "end": "2024-01-03", "dataset": "bars_2d"},
        {"symbols": ["AAPL"], "start": "2024-01-02", "end": "2024-01-03", "holes": {"AAPL": ["soon"]}},
    ],
    ids=["no symbols", "reversed", "no such date", "no such dataset", "no such key"],
)
def test_what_a_person_typed_wrongly_is_a_usage_error(config):
    """Each with a message; none of them reaches ingest."""
    with pytest.raises(UsageError):
        jobs.BackfillConfig(**config).want()


def test_a_want_survives_its_config(home):
    """What the command line asks is what the run does."""
    asked = want(
        "AAPL", "BRK.B", provider="yahoo", refetch=True, keys=frozenset({key_of("BRK.B", "2024-01-03")})
    )
    config = jobs.config_of(asked)["ops"][jobs.OP]["config"]
    assert jobs.BackfillConfig(**config).want() == asked


def test_shards_of_two_universes_are_reported_apart(tmp_path, vendor):
    """One run, two assets: each key goes to its symbol's shard."""
    from tests.homes import make_home

    extra = '[universes.us]\n[universes.eu]\ncalendar = "XNYS"\n'
    home = make_home(tmp_path / "two", vendor.url, providers=("yahoo",), extra=extra)
    follow(home, "AAPL")
    follow(home, "MSFT", universe="eu")
    REPORTER.run(load(home.config_file), want("AAPL", "MSFT", end="2024-01-03"))
    with open_instance(home, silent=True) as instance, State.open(home) as state:
        assert register(instance, state.members()) == []
        for name, symbol in (("us_00", "AAPL"), ("eu_00", "MSFT")):
            found = instance.get_materialized_partitions(AssetKey(["bars_1d", name]))
            assert found == {f"2024-01-0{day}|{symbol}" for day in (2, 3)}
