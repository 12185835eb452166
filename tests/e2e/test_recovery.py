"""A damaged archive mends itself: daemon, sensor, three dialects of which two come and go."""

from __future__ import annotations

import datetime as dt
import os
import time
from contextlib import closing

import pytest
from dagster._core.execution.backfill import BulkActionStatus

from mdc_assets.instance import open_instance
from mdc_assets.partitions import to_dagster
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from tests.dagster.serving import up, wait_for
from tests.e2e import drill
from tests.e2e.killing import watching
from tests.e2e.ticking import ticks_of
from tests.e2e.weather import flapping

SEED = int(os.environ.get("MDC_DRILL_SEED", "20261120"))
BARS = ["bars_1d", "us_00"]
_LAUNCH = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.xdist_group("served")]


def test_what_is_lost_comes_back_by_itself(home_of, vendor, told_by, tmp_path):
    """5 % of all partitions lost, two of three vendors flapping: explained again, each fetched once.

    The yardstick of requests is what the planner needs for the whole loss at once from the first
    vendor, without a fault. Counted are answers that were usable: a request that met a fault is
    asked again, rightly; one whose answer nobody needed would show as an answer too many. Where
    another vendor stepped in, the corporate actions that yahoo sends along are a request of their own.
    """
    home = home_of()
    before = drill.content(home)
    late = drill.closures()[1]
    drill.close_sessions(home.root, *drill.closures())  # the second becomes known only now
    loss = drill.lose(home, before, seed=SEED)
    off = {at: held for at, held in before.items() if at[1].session == late}
    drill.lose_exactly(home, before, off)
    since, minimum = drill.marks(home), loss.minimum(drill.calendar_of_drill(home))
    began = time.monotonic()
    with (
        flapping(vendor, ["yahoo", "alpaca"], seed=SEED),
        up(home, tmp_path),
        open_instance(home) as instance,
        watching(instance) as watch,
    ):
        wait_for(lambda: watch.is_quiet() and drill.unexplained(home) == 0, seconds=900, every=1.0)
        took, answers = time.monotonic() - began, drill.usable_answers(vendor)
        ticks = ticks_of(instance)
    final = drill.content(home)
    elsewhere = [at for at in loss.before if final[at].source != before[at].source]
    print(
        f"seed {SEED}: {loss.count} partitions lost, explained again after {took:.0f} s; "
        f"{len(ticks.ticks)} ticks, {ticks.asking} of them asked for {len(ticks.runs)} runs; "
        f"{answers} usable answers of {vendor.requests()['total']} requests, at least {minimum}; "
        f"{len(elsewhere)} partitions came from another vendor; longest STARTED {watch.longest_started:.0f} s"
    )
    assert ticks.failed == []
    assert drill.fetched_twice(home, since, final) == {}
    assert answers <= 1.1 * minimum + len(elsewhere)
    assert drill.untrue({at: final[at] for at in loss.before}, told_by) == []
    assert {at: final[at] for at in loss.before if at not in elsewhere} == {
        at: before[at] for at in loss.before if at not in elsewhere
    }
    assert {at: held for at, held in final.items() if at not in loss.before and at not in off} == {
        at: held for at, held in before.items() if at not in loss.before and at not in off
    }
    assert all(final[at].state == "missing" for at in off), "an off-calendar session was fetched"
    assert watch.longest_stuck < 60


def test_only_what_was_listed_and_open_is_expected(home_of):
    """Delisted, renamed, closed: no partition where there was nothing to trade, and no gap either."""
    home = home_of()
    before = drill.content(home)
    sessions = {}
    for dataset, key in before:
        if dataset is Dataset.BARS_1D:
            sessions.setdefault(key.symbol, []).append(key.session)
    assert max(sessions["GONE"]) == dt.date(2025, 11, 14)
    assert max(sessions["OLDN"]) < dt.date(2025, 8, 18) == min(sessions["NEWN"])
    assert not [key for _, key in before if key.session == drill.closures()[0]]
    assert drill.unexplained(home) == 0
    assert all(held.state in ("present", "empty") for held in before.values())


def test_a_backfill_from_the_ui_over_half_of_it_ends_completed(home_of, vendor, tmp_path):
    """Launched over a range of which half is held, while the sensor mends the same half: fetched once."""
    home = home_of()
    before = drill.content(home)
    sessions = drill.calendar_of_drill(home).sessions(*drill.span_of())[-40:-20]
    keys = [PartitionKey(Symbol(symbol), session) for symbol in ("AAPL", "KO") for session in sessions]
    lost = [(Dataset.BARS_1D, key) for key in keys if key.session in sessions[::2]]
    with (
        up(home, tmp_path) as served,
        open_instance(home) as instance,
        watching(instance) as watch,
    ):
        wait_for(served.location_loads)
        drill.lose_exactly(home, before, lost)
        since = drill.marks(home)
        params = {
            "assetSelection": [{"path": BARS}],
            "partitionNames": [str(to_dagster(key)) for key in keys],
        }
        answer = served.query(_LAUNCH, params=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        backfill = answer["backfillId"]
        wait_for(lambda: _status(instance, backfill).value.startswith(("COMPLETED", "FAILED")), seconds=400)
        assert _status(instance, backfill) is BulkActionStatus.COMPLETED_SUCCESS
        wait_for(lambda: watch.is_quiet() and drill.unexplained(home) == 0, seconds=400, every=1.0)
    final = drill.content(home)
    assert final == before
    assert drill.fetched_twice(home, since, final) == {}
    with closing(Lake.open(home.lake_dir)) as lake:
        assert lake.verify(deep=True) == []


def _status(instance, backfill_id):
    return instance.get_backfill(backfill_id).status
