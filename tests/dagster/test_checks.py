"""Summary checks and the preview: what they say about a lake with a hole, a duplicate, a bad bar."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from contextlib import closing

import duckdb
import pytest
from dagster import AssetKey

from mdc_assets import checks, preview
from mdc_assets.definition_set import build
from mdc_resources.dagster_resources import closes, duplicates, insane_bars, lake_of
from mdc_resources.domain.coverage import CoverageRow, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from tests.dagster.conftest import BARS, key_of

AAPL, MSFT = Symbol("AAPL"), Symbol("MSFT")


@pytest.fixture
def bars():
    """A connection with a table where the lake has its view: AAPL in order, MSFT not."""
    with closing(duckdb.connect()) as connection:
        connection.execute(
            "CREATE TABLE bars_1d_stored AS SELECT * FROM (VALUES "
            "('AAPL', DATE '2024-01-02', TIMESTAMPTZ '2024-01-02 14:30:00+00', 10.0, 12.0, 9.0, 11.0, 5.0),"
            "('AAPL', DATE '2024-01-03', TIMESTAMPTZ '2024-01-03 14:30:00+00', 10.0, 12.0, 9.0, 12.0, 5.0),"
            "('MSFT', DATE '2024-01-02', TIMESTAMPTZ '2024-01-02 14:30:00+00', 10.0, 9.5, 9.0, 9.2, 5.0),"
            "('MSFT', DATE '2024-01-03', TIMESTAMPTZ '2024-01-03 14:30:00+00', 10.0, 12.0, 9.0, 11.0, 5.0),"
            "('MSFT', DATE '2024-01-03', TIMESTAMPTZ '2024-01-03 14:30:00+00', 10.0, 12.0, 9.0, 11.0, 5.0))"
            " AS t(symbol, session, ts, open, high, low, close, volume)"
        )
        yield connection


def results_of(home, symbols=2):
    """Results of the checks of ``bars_1d/us_00`` by name."""
    with lake_of(home).get_lake() as lake, closing(lake.connect()) as connection:
        return {r.check_name: r for r in checks.evaluate(home, lake, connection, Dataset.BARS_1D, "us", 0)}


def test_insane_bars_are_named(bars):
    """A high below the open is one; the symbols asked for bound the answer."""
    found = insane_bars(bars, Dataset.BARS_1D, [AAPL, MSFT], limit=5)
    assert [(symbol, str(session)) for symbol, session in found] == [("MSFT", "2024-01-02")]
    assert insane_bars(bars, Dataset.BARS_1D, [AAPL], limit=5) == []


def test_duplicates_are_named(bars):
    """Two rows of one (symbol, session)."""
    found = duplicates(bars, Dataset.BARS_1D, [AAPL, MSFT], limit=5)
    assert [(symbol, str(session)) for symbol, session in found] == [("MSFT", "2024-01-03")]


def test_closes_are_in_order_and_bounded(bars):
    """The newest ones, ascending."""
    assert closes(bars, Dataset.BARS_1D, AAPL, limit=5) == [11.0, 12.0]
    assert closes(bars, Dataset.BARS_1D, AAPL, limit=1) == [12.0]


def test_an_empty_lake_passes(home):
    """What was never begun is no hole."""
    assert all(result.passed for result in results_of(home).values())


def test_a_hole_between_two_fetched_ranges_is_a_finding(launch, home):
    """Between the first and the last session of a symbol nothing may lack."""
    launch(BARS, "2024-01-02|AAPL", "2024-01-05|AAPL")
    launch(BARS, "2024-01-10|AAPL", "2024-01-12|AAPL")
    launch(BARS, "2024-01-02|MSFT", "2024-01-05|MSFT")
    found = results_of(home)
    assert not found[checks.COVERAGE].passed
    assert found[checks.COVERAGE].metadata["mdc/gaps"].value == ["AAPL 2024-01-08..2024-01-09 (2)"]
    assert found[checks.COVERAGE].metadata["mdc/missing"].value == 2
    assert found[checks.NO_DUPLICATES].passed
    assert found[checks.SANE_PRICES].passed
    launch(BARS, "2024-01-08|AAPL", "2024-01-09|AAPL")
    assert results_of(home)[checks.COVERAGE].passed


def test_checks_run_on_demand_without_fetching(home, instance, served):
    """The button in the web UI: the same results, no request."""
    job = build(home).resolve_implicit_global_asset_job_def()
    wanted = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.asset_key == BARS}
    subset = job.get_subset(asset_check_selection=wanted, asset_selection=set())
    result = subset.execute_in_process(instance=instance)
    assert {e.check_name for e in result.get_asset_check_evaluations()} == {key.name for key in wanted}
    assert served.requests() == 0


def test_the_lake_resource_reads_and_cannot_write(home):
    """Data enters by ingest alone."""
    with lake_of(home).get_connection() as connection:
        assert connection.execute("SELECT count(*) FROM bars_1d").fetchone() == (0,)
        with pytest.raises(duckdb.Error):
            connection.execute("CREATE TABLE lake.main.mine (x INTEGER)")


def row(symbol, session, count=1):
    """A ledger line."""
    key = key_of(symbol, session)
    return CoverageRow(Dataset.BARS_1D, key.symbol, key.session, PartitionState.PRESENT, row_count=count)


def test_the_preview_counts_and_draws(bars):
    """Sessions and rows per symbol, and a chart that is well-formed SVG."""
    text = preview.preview_of(bars, [row("AAPL", "2024-01-02"), row("AAPL", "2024-01-03", 2)])
    assert "| AAPL | 2 | 3 |" in text
    encoded = text.rpartition("base64,")[2].rstrip(")")
    drawn = ET.fromstring(base64.b64decode(encoded))
    assert len(drawn.find("{*}polyline").attrib["points"].split()) == 2


def test_a_preview_of_many_symbols_is_cut(bars):
    """An event stays small whatever a run fetched."""
    text = preview.preview_of(bars, [row(f"S{at}", "2024-01-02") for at in range(500)])
    assert "| and 488 more | 500 | 500 |" in text
    assert len(text) < 10_000


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0]], ids=["none", "one", "flat"])
def test_a_chart_of_too_little_is_still_a_chart(values):
    """No division by zero."""
    ET.fromstring(preview.chart(values))


def test_nothing_to_preview_is_empty(bars):
    """No heading without a table."""
    assert preview.preview_of(bars, []) == ""


def test_every_asset_with_sessions_has_its_checks(home):
    """Instruments have none: they have no sessions."""
    found = {spec.asset_key for check in build(home).asset_checks for spec in check.check_specs}
    assert found == {AssetKey([name, "us_00"]) for name in ("bars_1d", "bars_1m", "corporate_actions")}
