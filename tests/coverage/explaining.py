"""Explanations of a home's partitions, and ways to put lines into its ledger."""

from __future__ import annotations

import datetime as dt

from mdc_resources import ingest
from mdc_resources.coverage.explain import explain
from mdc_resources.domain.coverage import CoverageRow
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import CommitBatch, Lake

D = dt.date.fromisoformat
DAILY, ACTIONS = Dataset.BARS_1D, Dataset.CORPORATE_ACTIONS
LISTINGS = """
[FB]
last = 2022-06-08
successor = "META"
[META]
first = 2022-06-09
predecessor = "FB"
"""


def fetch(home, *symbols, start, end, run_id, **more):
    """Backfill daily bars."""
    want = ingest.Want(DAILY, tuple(Symbol(s) for s in symbols), D(start), D(end), **more)
    return ingest.backfill(home, want, run_id=run_id)


def about(home, symbol, date, dataset=DAILY, **more):
    """One partition, explained."""
    return explain(home, Symbol(symbol), D(date), [dataset], **more).partitions[0]


def say(home, symbol, date, state, *, reason="", rows=0, source="", **batch):
    """Append a ledger line, as a commit does."""
    line = CoverageRow(DAILY, Symbol(symbol), D(date), state, reason, source, row_count=rows)
    lake = Lake.open(home.lake_dir)
    try:
        lake.commit(CommitBatch("by-hand", 7, {}, [line], **batch))
    finally:
        lake.close()
