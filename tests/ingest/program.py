"""One backfill in a process of its own, for tests that kill it or run two at once.

python -m tests.ingest.program HOME DATASET SYMBOLS START END RUN_ID
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mdc_resources import config
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import parse_symbols
from mdc_resources.domain.time import parse_session_range
from mdc_resources.ingest import Want, backfill


def main(home: str, dataset: str, symbols: str, start: str, end: str, run_id: str) -> None:
    """Backfill and print the outcome as JSON."""
    want = Want(Dataset(dataset), tuple(parse_symbols([symbols])), *parse_session_range(start, end))
    outcome = backfill(config.load(Path(home) / "mdc.toml"), want, run_id=run_id)
    sys.stdout.write(json.dumps(outcome.as_dict()))


if __name__ == "__main__":
    main(*sys.argv[1:])
