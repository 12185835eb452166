"""The live part of ``mdc demo``: a few seconds of a fast market, with faults, captured and mended.

The real sidecar runs as a process of its own against the sandbox's WebSocket dialects: three feeds,
one of which loses its connection while another leaves out messages. What it sealed is landed and its holes
are refilled by the same jobs that Dagster's sensors start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from mdc_resources.cli import output
from mdc_resources.cli.served_sandbox import pointed_at, sandbox_of
from mdc_resources.domain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdc_resources.config import Home

SECONDS = 10
RATE = 20.0  # trades a second and symbol
# Alpaca's connection is cut after four seconds, and three trades of Coinbase never leave the exchange's feed.
FAULTS: tuple[dict[str, object], ...] = (
    {"provider": "alpaca", "kind": "ws_disconnect", "times": 1, "params": {"after_seconds": 5.0}},
    {
        "provider": "coinbase",
        "kind": "ws_hole",
        "match": "^trades",
        "times": 1,
        "params": {"messages": 3, "after_seconds": 5.0},
    },
)
_MDC = "from mdc_resources.cli.main import main; main()"
_DRAIN_SECONDS = 30.0
_HEALING_SECONDS = 15.0


def is_captured(home: Home) -> bool:
    """True if this home has captured before; then there is nothing to show but what it holds."""
    return any(home.segments_dir.glob("*/*"))


def capture(home: Home, *, quiet: bool) -> None:
    """Capture, land and refill; what it came to is in the lake.

    Raises:
        UsageError: the sidecar failed; its last words are in the message.
    """
    from mdc_resources.cli.demo import set_faults
    from mdc_resources.cli.reporters import load_reporter

    reporter = load_reporter()
    with sandbox_of(home, live_rate=RATE) as (url, served):
        set_faults(url, FAULTS)
        if not quiet:
            output.note(f"capturing {', '.join(served.settings.stream)} live for {SECONDS} seconds")
        _run_sidecar(home, pointed_at(home, url))
        reporter.land(served)
        until = time.monotonic() + _HEALING_SECONDS
        while _is_torn(served) and time.monotonic() < until:
            if not reporter.refill(served).repairs:
                time.sleep(1.0)  # a hole must have ended a while ago before history is asked for it


def _run_sidecar(home: Home, environ: Mapping[str, str]) -> None:
    """``mdc stream run`` as a person would start it, on a free port."""
    words = ("--config", str(home.config_file), "stream", "run", "--for", str(SECONDS))
    settings = {**os.environ, **environ, "MDC__SIDECAR__PORT": "0"}
    done = subprocess.run(  # noqa: S603  our own command line
        [sys.executable, "-c", _MDC, *words],
        env=settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=SECONDS + _DRAIN_SECONDS,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UsageError(f"the sidecar failed: {said[-300:]!a}")


def _is_torn(home: Home) -> bool:
    from mdc_resources.landing.refill import open_holes

    return bool(open_holes(home).open)
