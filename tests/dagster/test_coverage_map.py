"""The asset ``coverage_map/<universe>``: a real run, its figures, and the pages it leaves in the home."""

from __future__ import annotations

import base64
import datetime as dt
import re
import stat
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from dagster import AssetKey, DagsterInstance

from mdc_assets import metadata
from mdc_assets.coverage_map import coverage_map_job, coverage_maps_of, table_of
from mdc_resources.coverage.maps import draw_maps
from mdc_resources.domain.coverage import CoverageRow, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.lake import CommitBatch, Lake

MAP = AssetKey(["coverage_map", "us"])
DAILY = Dataset.BARS_1D


def hold(home, *lines: tuple[str, str, PartitionState], dataset=DAILY):
    """Let the ledger say so."""
    rows = [
        CoverageRow(dataset, Symbol(symbol), dt.date.fromisoformat(day), state)
        for symbol, day, state in lines
    ]
    lake = Lake.open(home.lake_dir)
    try:
        lake.commit(CommitBatch("run", 1, {}, rows))
    finally:
        lake.close()


@pytest.fixture
def drawn(home, definitions):
    """Draw the maps as the schedule does; returns the event's metadata."""

    def run():
        with DagsterInstance.ephemeral() as instance:
            ran = definitions.resolve_job_def(coverage_map_job.name).execute_in_process(instance=instance)
            assert ran.success
            event = instance.get_latest_materialization_event(MAP)
            return event.asset_materialization.metadata

    return run


def test_there_is_one_map_per_universe_without_partitions_and_outside_the_pool(home):
    """It fetches nothing, so nothing waits for it."""
    (found,) = coverage_maps_of(home)
    assert found.keys == {MAP}
    assert found.partitions_def is None
    assert found.op.pool is None


def test_a_run_writes_the_page_and_tells_its_figures(home, drawn):
    """Of two sessions of AAPL one is there; what came after is open too."""
    hold(home, ("AAPL", "2026-01-05", PartitionState.PRESENT), ("AAPL", "2026-01-06", PartitionState.MISSING))
    told = drawn()
    page = Path(told["mdc/bars_1d/page"].value)
    assert page == home.root / "reports" / "coverage" / "us-bars_1d.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    assert "2026-01-06 missing" in page.read_text(encoding="utf-8")
    (found,) = draw_maps(home, "us", at=now())
    assert told["mdc/bars_1d/expected"].value == found.picture.expected
    assert told["mdc/bars_1d/percent"].value == found.picture.percent
    assert told["mdc/bars_1d/open_sessions"].value == found.picture.expected - 1
    assert told["mdc/bars_1d/gaps"].value == 1


def test_the_table_is_short_enough_to_be_shown_in_place(home, drawn):
    """The web UI folds markdown of 1,000 characters and more."""
    hold(home, ("AAPL", "2026-01-05", PartitionState.PRESENT))
    hold(home, ("AAPL", "2026-01-05", PartitionState.EMPTY), dataset=Dataset.CORPORATE_ACTIONS)
    hold(home, ("AAPL", "2026-01-05", PartitionState.PARTIAL), dataset=Dataset.BARS_1M)
    table = drawn()[metadata.COVERAGE].value
    assert len(table) < 1_000
    assert [line.split("|")[1] for line in table.splitlines()[2:]] == [
        "bars_1d",
        "bars_1m",
        "corporate_actions",
    ]
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_drawing_is_an_image_that_markdown_shows(home, drawn):
    """A data URI of well-formed SVG, small enough for an event."""
    hold(home, ("AAPL", "2026-01-05", PartitionState.PRESENT))
    text = drawn()[metadata.MAP].value
    (image,) = re.findall(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([^)]*)\)", text)
    assert ET.fromstring(base64.b64decode(image)).tag.endswith("svg")
    assert len(text) < 20_000


def test_nothing_ever_asked_for_is_no_map_and_no_failure(home, drawn):
    """A home of today."""
    told = drawn()
    assert set(told) == {metadata.COVERAGE}
    assert not (home.root / "reports").exists()
    assert table_of([]).count("\n") == 1


def test_drawing_again_replaces_the_page(home, drawn):
    """One file per dataset, however often."""
    hold(home, ("AAPL", "2026-01-05", PartitionState.MISSING))
    page = Path(drawn()["mdc/bars_1d/page"].value)
    hold(home, ("AAPL", "2026-01-05", PartitionState.PRESENT))
    drawn()
    assert [each.name for each in page.parent.iterdir()] == [page.name]
    assert "2026-01-05 present" in page.read_text(encoding="utf-8")


def test_a_missing_lake_fails_the_run_and_leaves_the_page(home, definitions, drawn):
    """An unmounted disk is never a picture of nothing."""
    hold(home, ("AAPL", "2026-01-05", PartitionState.PRESENT))
    page = Path(drawn()["mdc/bars_1d/page"].value)
    before = page.read_bytes()
    (home.lake_dir / "MARKER").unlink()
    with DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def(coverage_map_job.name)
        ran = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not ran.success
    assert page.read_bytes() == before


def test_the_schedule_draws_it_daily(definitions):
    """Switched on by [schedule] coverage_map."""
    schedules = {schedule.job_name for schedule in definitions.schedules}
    assert coverage_map_job.name in schedules
