"""Ticks in Dagster: assets where the home names the dataset, one run per session, events from the ledger."""

from __future__ import annotations

import contextlib
import shutil

import pytest
from dagster import AssetKey

from mdc_assets import metadata
from mdc_assets.definition_set import build
from mdc_assets.instance import open_instance
from mdc_resources import config
from mdc_resources.lake import Lake
from tests.dagster.conftest import QUIET
from tests.homes import KEYS

TRADES, QUOTES = AssetKey(["trades", "us_00"]), AssetKey(["quotes", "us_00"])
KEY = "2024-06-03|MSFT"


def keys_of(home):
    """Every asset the home's code location defines."""
    return set(build(home).resolve_asset_graph().get_all_asset_keys())


@pytest.fixture
def ticking(pristine, tmp_path, vendor):
    """A home of its own that keeps trades, and asks Alpaca."""
    shutil.copytree(pristine, tmp_path / "ticking")
    path = tmp_path / "ticking" / config.FILE_NAME
    more = f'[providers.alpaca]\nbase_url = "{vendor.url}/alpaca"\nlimits = {{}}\n[datasets.trades]\n'
    path.write_text(path.read_text() + more)
    return config.load(path, environ=KEYS)


def test_ticks_have_assets_where_the_home_names_them(home, ticking):
    """By default there are none; a section of mdc.toml is enough, for that dataset alone."""
    assert not {TRADES, QUOTES} & keys_of(home)
    assert TRADES in keys_of(ticking)
    assert QUOTES not in keys_of(ticking)
    definitions = build(ticking)
    policy = definitions.resolve_assets_def(TRADES).backfill_policy
    assert policy.max_partitions_per_run == 5


def test_a_session_of_trades_is_materialised(ticking):
    """One partition: the event says what the ledger says, the coverage check is evaluated, no pickle."""
    definitions = build(ticking)
    job = definitions.resolve_implicit_global_asset_job_def()
    with open_instance(ticking, silent=True) as instance:
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[TRADES],
            tags={"dagster/asset_partition_range_start": KEY, "dagster/asset_partition_range_end": KEY},
            run_config={**QUIET, "ops": {"trades__us_00": {"config": {}}}},
        )
        assert result.success
        assert instance.get_materialized_partitions(TRADES) == {KEY}
        event = instance.get_latest_materialization_event(TRADES).asset_materialization
    with contextlib.closing(Lake.open(ticking.lake_dir)) as lake, contextlib.closing(lake.connect()) as sql:
        stored = sql.execute("SELECT count(*) FROM trades").fetchone()[0]
        source, state = sql.execute("SELECT source, state FROM coverage WHERE dataset = 'trades'").fetchone()
    assert event.metadata[metadata.ROW_COUNT].value == stored > 100_000
    assert event.metadata[metadata.STATE].value == state == "present"
    assert event.metadata[metadata.SOURCE].value == source == "sandbox:alpaca/sip"
    checks = [
        e.asset_check_evaluation_data
        for e in result.all_events
        if e.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    assert [(check.check_name, check.passed) for check in checks] == [("coverage", True)]
