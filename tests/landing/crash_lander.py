"""The body of a landing process that is killed on the way."""

from __future__ import annotations

import os
from pathlib import Path

from mdc_resources import config
from mdc_resources.lake.crashpoints import VARIABLE
from mdc_resources.landing.land import land
from mdc_resources.wal import sealed_segments


def run_landing(root: str, crash_at: str, numbers: tuple[int, ...]) -> None:
    """Land the segments ``numbers`` (all, if none is named); dies at ``crash_at``."""
    os.environ[VARIABLE] = crash_at
    home = config.load(Path(root) / "mdc.toml", environ={})
    chosen = [each for each in sealed_segments(home.segments_dir) if each.number in numbers]
    land(home, chosen if numbers else None, run_id="killed")
