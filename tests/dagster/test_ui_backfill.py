"""A backfill launched from the web UI, through GraphQL, the daemon and the queue: it ends Completed."""

from __future__ import annotations

import pytest
from dagster import DagsterEventType

from mdc_assets import metadata
from mdc_assets.instance import open_instance
from mdc_assets.launch import REPORTER
from mdc_assets.partitions import register
from mdc_resources.state import State
from tests.dagster.conftest import BARS, follow
from tests.dagster.queueing import want
from tests.dagster.serving import up, wait_for

WEEK = tuple(f"2024-03-{day}" for day in (11, 12, 13, 14, 15))
LAUNCH = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  __typename ... on PartitionBackfill { status } } }"""
ENDS = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED")


def list_until(home, symbol, last):
    """State that ``symbol`` was delisted."""
    (home.root / "listings.toml").write_text(f"[{symbol}]\nlast = {last}\n", encoding="utf-8")


def states_of(instance, run_id):
    """``mdc/state`` of the run's materialisations, by partition."""
    logs = instance.all_logs(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    events = [entry.dagster_event.step_materialization_data.materialization for entry in logs]
    return {one.partition: one.metadata[metadata.STATE].value for one in events if one.asset_key == BARS}


def test_sessions_outside_a_listing_are_reported_without_a_request(home, instance, launch, served):
    """Promised by the range, expected by nobody: an event each, or the backfill would end failed."""
    list_until(home, "MSFT", "2024-01-04")
    result = launch(BARS, "2024-01-02|AAPL", "2024-01-12|MSFT")
    assert result.success
    states = states_of(instance, result.run_id)
    assert len(states) == 18
    unlisted = {key for key, state in states.items() if state == "unlisted"}
    assert unlisted == {f"2024-01-{day}|MSFT" for day in ("05", "08", "09", "10", "11", "12")}
    assert served.requests() == 2


def test_a_missing_session_is_never_called_unlisted(home, instance, launch, served):
    """Only the listing makes it so: what a vendor did not answer stays unmaterialised, the run fails."""
    list_until(home, "MSFT", "2024-01-04")
    served.fault("*", "status", probability=1.0, params={"status": 503})
    result = launch(BARS, "2024-01-02|AAPL", "2024-01-05|MSFT")
    served.calm()
    assert not result.success
    assert states_of(instance, result.run_id) == {"2024-01-05|MSFT": "unlisted"}


@pytest.mark.slow
def test_a_ui_backfill_over_a_half_covered_range_ends_completed(home, tmp_path, served):
    """Covered, empty (a halt, two sources agree) and delisted partitions in it: Completed, asked once."""
    with home.config_file.open("a", encoding="utf-8") as out:  # stooq cannot confirm that nothing happened
        out.write(f'[providers.alpaca]\nbase_url = "{served.server.url}/alpaca"\nlimits = {{}}\n')
    home = served.reload()
    list_until(home, "MSFT", WEEK[2])
    follow(home, "HALT")
    with open_instance(home, silent=True) as instance, State.open(home) as state:
        register(instance, state.members())
    REPORTER.run(home, want("AAPL", start=WEEK[0], end=WEEK[1]))
    REPORTER.run(home, want("MSFT", start=WEEK[1], end=WEEK[1]))
    served.calm()
    keys = [f"{day}|{symbol}" for day in WEEK for symbol in ("AAPL", "MSFT", "HALT")]
    params = {
        "assetSelection": [{"path": list(BARS.path)}],
        "partitionNames": keys,
        "title": "a week",
    }
    with up(home, tmp_path) as it, open_instance(home, silent=True) as instance:
        wait_for(it.location_loads)
        launched = it.query(LAUNCH, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        backfill = launched["backfillId"]
        wait_for(
            lambda: it.query(STATUS, id=backfill)["partitionBackfillOrError"]["status"] in ENDS, seconds=300
        )
        assert it.query(STATUS, id=backfill)["partitionBackfillOrError"]["status"] == "COMPLETED_SUCCESS"
        runs = [run for run in instance.get_runs() if run.tags.get("dagster/backfill") == backfill]
        states = {key: state for run in runs for key, state in states_of(instance, run.run_id).items()}
        assert set(states) == set(keys)
        assert {key for key, state in states.items() if state == "empty"} == {
            f"{day}|HALT" for day in WEEK[2:4]
        }
        assert {key for key, state in states.items() if state == "unlisted"} == {
            f"{day}|MSFT" for day in WEEK[3:]
        }
    paths = served.server.requests()["requests"]
    asked = [one["target"] for one in paths if one["provider"] == "yahoo"]
    assert len(asked) == len(set(asked))
