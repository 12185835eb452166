"""Merges what the other modules define, for one home."""

from __future__ import annotations

from dagster import Definitions, ResourceDefinition, in_process_executor

from mdc_assets.assets import assets_of
from mdc_assets.checks import checks_of
from mdc_assets.jobs import backfill_job
from mdc_resources.config import Home
from mdc_resources.dagster_resources import NoPickles, lake_of


def build(home: Home) -> Definitions:
    """All definitions of ``home``."""
    return Definitions(
        assets=assets_of(home),
        asset_checks=checks_of(home),
        jobs=[backfill_job],
        # The lake is hard-coded: a run's config must not point it elsewhere.
        resources={
            "lake": ResourceDefinition.hardcoded_resource(lake_of(home)),
            "io_manager": NoPickles(),
        },
        executor=in_process_executor,
    )
