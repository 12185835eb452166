"""Which home a code location, an op or a daemon serves.

``MDC_CONFIG`` names it; else it is the folder above ``DAGSTER_HOME``; else the nearest one upward
from the working directory. A process that finds none gets a ConfigError that names ``mdc init``.
"""

from __future__ import annotations

import os
from pathlib import Path

from mdc_resources.config import FILE_NAME, Home, find, load


def find_home() -> Home:
    """Load the home of this process.

    Raises:
        ConfigError: there is none, or its config is wrong.
    """
    dagster_home = os.environ.get("DAGSTER_HOME")
    beside = Path(dagster_home).parent if dagster_home else None
    if not os.environ.get("MDC_CONFIG") and beside and (beside / FILE_NAME).is_file():
        return load(beside / FILE_NAME)
    return load(find())
