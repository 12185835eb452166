"""Steps of a writer that is killed on the way, or whose system calls fail.

``python crash_writer.py LAKE STEP`` runs one and exits with 5 where the lake refused, as ``mdc`` does.
Each step changes a lake prepared by ``prepare`` once; the test looks at what is left of it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lake_rows import bars, batch, day, key

from mdc_resources.domain.errors import LakeError
from mdc_resources.lake import Lake
from mdc_resources.lake.crashpoints import VARIABLE


def prepare(lake: Lake) -> None:
    """Three commits of two symbols; ledger rows inlined."""
    for number in range(3):
        lake.commit(batch(bars("AAPL", [day(number)]), bars("MSFT", [day(number)])))


def commit(lake: Lake) -> None:
    """Two new partitions."""
    lake.commit(batch(bars("AAPL", [day(3), day(4)], close="55")))


def replace(lake: Lake) -> None:
    """One partition is restated; its file also holds MSFT."""
    lake.commit(batch(bars("AAPL", [day(1)], per=4, close="77"), replaces=[key("AAPL", 1)]))


def flush(lake: Lake) -> None:
    """The ledger's inlined rows go to a file."""
    lake.flush()


def compact(lake: Lake) -> None:
    """Three small files become one."""
    lake.compact(min_files=2)


STEPS = {"commit": commit, "replace": replace, "flush": flush, "compact": compact}


def run_step(step: str, lake_dir: str, crash_at: str) -> None:
    """Body of the process to be killed: dies at ``crash_at``, or finishes."""
    os.environ[VARIABLE] = crash_at
    STEPS[step](Lake.open(Path(lake_dir)))


if __name__ == "__main__":
    try:
        STEPS[sys.argv[2]](Lake.open(Path(sys.argv[1])))
    except LakeError as error:
        sys.exit(error.exit_code)
