"""Backfills of ticks in tests: what is asked, what the market really had, where paging can be stopped."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import re
from typing import Any

from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Outcome, Want, backfill
from mdc_resources.lake import Lake
from mdc_resources.state import PageCursor, State

DAY = dt.date(2024, 6, 3)
PAGE = 10_000
KEY = PartitionKey(Symbol("MSFT"), DAY)


def fetch(
    home: Home,
    symbol: str = "MSFT",
    dataset: Dataset = Dataset.TRADES,
    *,
    start: dt.date = DAY,
    end: dt.date = DAY,
    **more: Any,
) -> Outcome:
    """Backfill ticks of one symbol."""
    return backfill(home, Want(dataset, (Symbol(symbol),), start, end, **more), run_id="ticks")


def query(home: Home, sql: str) -> list[tuple[Any, ...]]:
    """Ask the lake."""
    with (
        contextlib.closing(Lake.open(home.lake_dir)) as lake,
        contextlib.closing(lake.connect()) as connection,
    ):
        return connection.execute(sql).fetchall()


def verified(home: Home) -> bool:
    """True if a deep verification finds nothing."""
    with contextlib.closing(Lake.open(home.lake_dir)) as lake:
        return lake.verify(deep=True) == []


def only_line(outcome: Outcome) -> CoverageRow:
    """The one partition's line."""
    (line,) = outcome.states.values()
    return line


def cursors(home: Home, key: PartitionKey = KEY, provider: str = "alpaca") -> list[PageCursor]:
    """The pages that are noted."""
    with contextlib.closing(State.open(home)) as state:
        return state.pages_of(Dataset.TRADES, key, provider, decoder_version=1)


def page(number: int, symbol: str = "MSFT", session: dt.date = DAY) -> str:
    """A pattern that matches the request for page ``number`` (from 2) at the sandbox's alpaca."""
    last = (number - 1) * PAGE - 1
    token = base64.b64encode(f"{symbol}|{session}|{last:019d}".encode()).decode()
    return re.escape(token)


def spools(home: Home) -> list[str]:
    """Files left in the spool."""
    return [path.name for path in (home.state_dir / "spool").rglob("*.parquet")]
