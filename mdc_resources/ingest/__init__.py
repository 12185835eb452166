"""From missing partitions to committed rows: plan, claim, fetch with failover, validate, commit.

:func:`backfill` is the one way data enters the lake over HTTP; Dagster, the ``mdc`` command and
tests all call it. :func:`preview` says what it would do; :func:`rebuild` does it again from the raw
archive alone.
"""

from mdc_resources.ingest.backfill import backfill
from mdc_resources.ingest.preview import Preview, preview
from mdc_resources.ingest.rebuild import RebuildReport, rebuild
from mdc_resources.ingest.wants import Committed, Outcome, Progress, Want

__all__ = [
    "Committed",
    "Outcome",
    "Preview",
    "Progress",
    "RebuildReport",
    "Want",
    "backfill",
    "preview",
    "rebuild",
]
