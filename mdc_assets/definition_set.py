"""Merges what the other modules define, for one home."""

from __future__ import annotations

from dagster import Definitions, ResourceDefinition, in_process_executor

from mdc_assets import capture
from mdc_assets.assets import assets_of
from mdc_assets.captured import captured_assets_of, captured_checks_of
from mdc_assets.checks import checks_of
from mdc_assets.coverage_map import coverage_map_job, coverage_maps_of
from mdc_assets.freshness import freshness_checks_of, freshness_sensor_of
from mdc_assets.gap_sensor import gap_sensor_of
from mdc_assets.jobs import backfill_job
from mdc_assets.maintenance import verify_job
from mdc_assets.reconciling import reconcile_job
from mdc_assets.schedules import schedules_of
from mdc_resources.config import Home
from mdc_resources.dagster_resources import NoPickles, lake_of


def build(home: Home) -> Definitions:
    """All definitions of ``home``."""
    return Definitions(
        assets=[*assets_of(home), *captured_assets_of(home), *coverage_maps_of(home)],
        asset_checks=[*checks_of(home), *captured_checks_of(home), *freshness_checks_of(home)],
        jobs=[backfill_job, coverage_map_job, reconcile_job, verify_job, *capture.JOBS],
        schedules=schedules_of(home),
        sensors=[gap_sensor_of(home), freshness_sensor_of(home), *capture.sensors_of(home)],
        # The lake is hard-coded: a run's config must not point it elsewhere.
        resources={
            "lake": ResourceDefinition.hardcoded_resource(lake_of(home)),
            "io_manager": NoPickles(),
        },
        executor=in_process_executor,
    )
