"""The code location: what Dagster loads, for the home this process serves."""

from __future__ import annotations

from mdc_assets.definition_set import build
from mdc_assets.home import find_home

defs = build(find_home())
