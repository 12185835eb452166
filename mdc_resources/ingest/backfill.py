"""A backfill of one want, and of the facts without which its prices mean nothing.

Bars that are not split-adjusted (as traded, or adjusted for dividends too) can only be read on one
basis with the corporate actions of their range. Those are fetched along, unless the same answer
brought them.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import venue_of
from mdc_resources.ingest.corroborating import after_recheck
from mdc_resources.ingest.run import Run
from mdc_resources.ingest.wants import Committed, Outcome, Progress, Want
from mdc_resources.lake import Lake
from mdc_resources.state import State

# Small files of one month before they are merged: a scan of many is slow, a merge is not free.
COMPACT_FILES = 16


def backfill(
    home: Home,
    want: Want,
    *,
    run_id: str,
    on_progress: Callable[[Progress], None] | None = None,
    on_commit: Callable[[Committed], None] | None = None,
    at: dt.datetime | None = None,
) -> Outcome:
    """Fetch what the ledger lacks of ``want`` and commit it; runs its own event loop.

    ``on_commit`` is called after each commit, in order, once it is durable. ``at`` is the instant that
    decides what is due and whose pause is over; the present one by default. The outcome's states are
    those of the wanted dataset; its requests, rows and errors include the corporate actions that
    were fetched along, not what a second source is asked after a recheck (:mod:`.corroborating`).

    Raises:
        LakeError: the marker is missing, the disk failed, or a newer claim fenced this run out.
        UsageError, ConfigError: the want or the configuration cannot be used.
        ProviderError: only where ``want.provider`` lacks its credentials; other vendors' failures
            are in the outcome.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        catalog_url = home.settings.lake.catalog_url
        lake = stack.enter_context(contextlib.closing(Lake.open(home.lake_dir, catalog_url=catalog_url)))
        state = stack.enter_context(contextlib.closing(State.open(home)))
        run = Run(home, want, run_id, lake, state, on_progress, on_commit, at=at)
        asyncio.run(run.work())
        outcome = run.outcome(time.monotonic() - started)
        if (facts := facts_of(want, outcome)) is not None:
            along = Run(home, facts, run_id, lake, state, on_progress, on_commit, at=at)
            outcome = _with_facts(outcome, along)
        if outcome.snapshots:
            lake.compact(min_files=COMPACT_FILES)
        after_recheck(home, want, run_id=run_id, at=at)
        return replace(outcome, seconds=time.monotonic() - started)


def facts_of(want: Want, outcome: Outcome) -> Want | None:
    """The corporate actions that the bars fetched by ``outcome`` need; None if they need none."""
    if not want.dataset.is_bars:
        return None
    needing = {
        key.symbol
        for key in outcome.fetched
        if outcome.states[key].state is PartitionState.PRESENT and outcome.states[key].basis != Basis.SPLIT
    }
    # What names a venue is a coin: it has no splits and no dividends.
    symbols = tuple(symbol for symbol in want.symbols if symbol in needing and not venue_of(symbol))
    if not symbols:
        return None
    return Want(Dataset.CORPORATE_ACTIONS, symbols, want.start, want.end, patient=want.patient)


def _with_facts(bars: Outcome, along: Run) -> Outcome:
    """``bars`` with what fetching the facts cost added."""
    try:
        asyncio.run(along.work())
    except UsageError as nobody:  # offers them; the bars are stored all the same
        return replace(bars, errors=(*bars.errors, str(nobody)))
    facts = along.outcome(0.0)
    return replace(
        bars,
        requests_sent=bars.requests_sent + facts.requests_sent,
        requests_minimum=bars.requests_minimum + facts.requests_minimum,
        failovers=bars.failovers + facts.failovers,
        rows=bars.rows + facts.rows,
        snapshots=(*bars.snapshots, *facts.snapshots),
        errors=(*bars.errors, *(error for error in facts.errors if error not in bars.errors)),
    )
