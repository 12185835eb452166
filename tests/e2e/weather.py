"""Vendors that come and go while a drill runs: down for a few seconds, up for a few, each its own way.

The rhythm is drawn from a seed; what a request meets still depends on when it is sent, so drills
state what must hold whatever the weather was.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mdc_resources.sandbox.server import SandboxServer

Fault = dict[str, Any]
OUTAGES: tuple[Fault, ...] = (
    {"kind": "status", "params": {"status": 503}},
    {"kind": "status", "params": {"status": 429, "retry_after": "1"}},
    {"kind": "reset"},
    {"kind": "truncated"},
    {"kind": "html200"},
)
SECONDS = (0.5, 2.5)


@contextmanager
def flapping(
    vendor: SandboxServer, providers: Sequence[str], *, seed: int, always: Sequence[Fault] = ()
) -> Iterator[None]:
    """Until the block ends each of ``providers`` is down a quarter of the time; ``always`` is met on top."""
    over = threading.Event()
    thread = threading.Thread(target=_flap, args=(vendor, providers, seed, always, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        vendor.clear_faults()


def _flap(
    vendor: SandboxServer, providers: Sequence[str], seed: int, always: Sequence[Fault], over: threading.Event
) -> None:
    chance = random.Random(seed)
    while not over.is_set():
        vendor.clear_faults()
        for fault in always:
            vendor.add_fault(**fault)
        for provider in providers:
            if chance.random() < 0.25:
                vendor.add_fault(provider, probability=1.0, **chance.choice(OUTAGES))
        over.wait(chance.uniform(*SECONDS))
