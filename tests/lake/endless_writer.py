"""Commits for ever, printing each symbol once its commit has returned: ``endless_writer.py LAKE CYCLE``."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from lake_rows import bars, batch, day, key

from mdc_resources.lake import Lake


def main(lake_dir: Path, cycle: str) -> None:
    """Commit a new symbol, now and then replace, flush and compact."""
    lake = Lake.open(lake_dir)
    for number in itertools.count():
        symbol = f"C{cycle}N{number}"
        lake.commit(batch(bars(symbol, [day(0), day(1)])))
        # One write per line, unbuffered: a killed process must not have printed half a symbol.
        os.write(1, f"{symbol}\n".encode())
        if number % 3 == 1:
            lake.commit(batch(bars(symbol, [day(1)], close="9"), replaces=[key(symbol, 1)]))
        if number % 5 == 2:
            lake.flush()
        if number % 7 == 3:
            lake.compact(min_files=4)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
