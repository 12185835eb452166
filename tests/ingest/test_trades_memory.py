"""A busy session streams through in bounded memory, measured in a process of its own."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from mdc_resources.sandbox.ticks import trades_of
from tests.homes import KEYS, Served

LIMIT_MB = 600
HALF_DAY = dt.date(2024, 7, 3)  # some million trades of BUSY
_PROGRAM = """
import sys
from tests.ingest.program import main
from tests.memory import peak_mb
main(*sys.argv[1:])
print()
print(round(peak_mb()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("refetch", [False, True], ids=["at first", "replacing"])
def test_a_million_trades_take_little_memory(served: Served, refetch: bool) -> None:
    """Decoding, spooling, sorting out and committing hold a row group, never the session."""
    count = len(trades_of(served.server.sandbox.market, "BUSY", HALF_DAY))
    assert count > 1_000_000
    root = Path(__file__).resolve().parents[2]
    if refetch:
        served.fault("alpaca", "html200", every=40, times=5)  # cut short at first: the rest replaces it
    for _ in range(1 + refetch):
        words = [str(served.home.root), "trades", "BUSY", str(HALF_DAY), str(HALF_DAY), "busy"]
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *words],
            cwd=root,
            env={"PATH": "/usr/bin:/bin", **KEYS},
            stdout=subprocess.PIPE,
            check=True,
            timeout=300,
        )
        outcome, peak = done.stdout.decode().split("\n")[:2]
        assert int(peak) <= LIMIT_MB
        served.calm()
    assert f'"rows": {count}' in outcome
