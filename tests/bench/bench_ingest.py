"""What a backfill costs beside what it must cost: 250 symbols x 252 sessions from the sandbox.

The vendor answers after a fixed latency and allows a fixed rate, as real ones do. The bound is what
the requests alone would take: their number over the rate, or their latency over the connections,
whichever is longer. Runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.memory import peak_mb

SYMBOLS = 250
START, END = dt.date(2024, 1, 2), dt.date(2024, 12, 31)
LATENCY_SECONDS = 0.25
PER_SECOND = 10
CONNECTIONS = 16
Figure = tuple[str, float, str, str, float | None, str]


def backfill_year() -> list[Figure]:
    """Ingest alone, against the latency-and-rate bound."""
    from mdc_resources.sandbox.market import Market
    from mdc_resources.sandbox.server import SandboxServer

    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool, tempfile.TemporaryDirectory() as folder:
            # The vendor invents its series once; that time is not the backfill's.
            pool.submit(_measure, server.url, folder + "/warm", 0.0, 0).result()
            server.add_fault("yahoo", "slow", probability=1.0, params={"seconds": LATENCY_SECONDS})
            requests, minimum, seconds, peak = pool.submit(
                _measure, server.url, folder + "/timed", LATENCY_SECONDS, PER_SECOND
            ).result()
    bound = max(minimum / PER_SECOND, minimum / CONNECTIONS * LATENCY_SECONDS)
    return [
        (
            "backfill 250 x 252: requests",
            requests,
            "",
            f"the fewest, {minimum}",
            requests / minimum,
            "<= 1.05",
        ),
        ("backfill 250 x 252: wall time", seconds, "s", "latency-and-rate bound", seconds / bound, "<= 1.25"),
        ("backfill 250 x 252: peak memory", peak, "MB", "", None, ""),
    ]


def _measure(url: str, folder: str, latency: float, per_second: int) -> tuple[int, int, float, float]:
    from mdc_resources.domain.coverage import PartitionState
    from mdc_resources.domain.datasets import Dataset
    from mdc_resources.domain.symbols import parse_symbols
    from mdc_resources.ingest import Want, backfill
    from tests.homes import make_home

    rate = f"[providers.yahoo.limits]\nsecond = {per_second}\n" if per_second else ""
    home = make_home(Path(folder), url, providers=("yahoo",), extra=rate, limits=bool(per_second))
    symbols = tuple(parse_symbols([f"S{number:03d}" for number in range(SYMBOLS)]))
    began = time.perf_counter()
    outcome = backfill(home, Want(Dataset.BARS_1D, symbols, START, END), run_id="bench")
    seconds = time.perf_counter() - began
    assert outcome.counts[PartitionState.PRESENT] == outcome.expected == SYMBOLS * 252, outcome.errors
    peak = peak_mb()
    return outcome.requests_sent, outcome.requests_minimum, seconds, peak


BENCHES: tuple[Callable[[], list[Figure]], ...] = (backfill_year,)
