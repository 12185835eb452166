"""Explanations of adjusted prices, of what others observed, and of whole years."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from mdc_resources.coverage.explain import explain
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import LakeMarkerMissing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Incident, Lake, Observation
from tests.coverage.explaining import DAILY, D, about, say

# -- adjustments ------------------------------------------------------------------------------------


def test_a_split_that_the_stored_price_knows_is_undone_for_the_raw_view(home):
    """NVDA split 10:1 on 2024-06-10; yahoo delivers adjusted prices, the raw view gives ten times that."""
    found = about(home, "NVDA", "2024-06-07").adjustments
    (split,) = [action for action in found.actions if action.kind == "split"]
    assert (split.ratio, split.in_price) == ("10:1", True)
    readings = {reading.view: reading for reading in found.readings}
    assert (readings["bars_1d"].factor, readings["bars_1d_raw"].factor) == ("1", "10")
    if readings["bars_1d_raw"].prices["close"] is not None:
        assert readings["bars_1d_raw"].prices["close"] == readings["bars_1d"].prices["close"] * 10


def test_the_day_of_the_split_itself_is_not_adjusted_by_it(home):
    """The ex-date already trades at the new price."""
    found = about(home, "NVDA", "2024-06-10").adjustments
    assert {reading.view: reading.factor for reading in found.readings}["bars_1d_raw"] == "1"
    assert not any(action.in_price for action in found.actions)


def test_without_a_bar_there_is_nothing_to_adjust(home):
    """Actions are told, readings are not."""
    found = about(home, "AAPL", "2024-02-05").adjustments
    assert found.readings == ()
    assert [action.kind for action in found.actions] == ["dividend"]


def test_a_price_that_needs_uncovered_actions_is_null_with_the_reason(home):
    """Coverage of actions ends with June, the fetch was later: what came since is unknown."""
    readings = {reading.view: reading for reading in about(home, "AAPL", "2024-03-05").adjustments.readings}
    for reading in readings.values():
        assert (reading.prices["close"] is None) == bool(reading.null_reason)


# -- the rest ---------------------------------------------------------------------------------------


def test_observations_and_incidents_of_the_partition_are_its_own(home):
    """What another source said and what was noted about that very day, and nothing of the next."""
    symbol, session = Symbol("AAPL"), D("2024-03-05")
    at = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
    say(
        home, "NVDA", "2024-03-05", PartitionState.EMPTY,
        observations=[Observation(DAILY, symbol, session, "sandbox:stooq", 1, last=Decimal("1.5"))],
        incidents=[Incident("restated", "told otherwise", at, dataset=DAILY, symbol=symbol, session=session)],
    )  # fmt: skip
    evidence = about(home, "AAPL", "2024-03-05").evidence
    assert [row["last"] for row in evidence.observations] == [Decimal("1.5")]
    assert [row["kind"] for row in evidence.incidents] == ["restated"]
    beside = about(home, "AAPL", "2024-03-06").evidence
    assert (beside.observations, beside.incidents) == ((), ())


def test_all_datasets_are_explained_by_default(home):
    """bars_1d first."""
    found = explain(home, Symbol("AAPL"), D("2024-03-05"))
    assert [partition.dataset for partition in found.partitions] == [
        Dataset.BARS_1D, Dataset.BARS_1M, Dataset.CORPORATE_ACTIONS, Dataset.INSTRUMENTS,
    ]  # fmt: skip


def test_every_date_of_two_weeks_has_a_state_and_a_reason(home):
    """None is left unexplained, and the counts are the ledger's."""
    states = [about(home, "HALT", str(D("2024-03-10") + dt.timedelta(days=n))) for n in range(14)]
    assert all(found.state and found.why for found in states)
    counted = [found.state for found in states]
    assert counted.count("empty") == 2
    assert counted.count("present") == 8  # of ten sessions two are halted


def test_a_missing_lake_is_an_error_and_nothing_is_missing(home):
    """Without the marker nothing is explained."""
    (home.lake_dir / "MARKER").unlink()
    with pytest.raises(LakeMarkerMissing):
        about(home, "AAPL", "2024-03-05")


def test_reading_changes_nothing(home):
    """No snapshot, no file of the home differs."""
    lake = Lake.open(home.lake_dir)
    before = lake.snapshots()
    explain(home, Symbol("AAPL"), D("2024-03-05"))
    assert lake.snapshots() == before
    lake.close()
