"""Backfills through Finnhub, Alpha Vantage and Nasdaq Data Link, each of them alone, into a lake."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Outcome, Want, backfill
from mdc_resources.lake import Lake
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.homes import Served, make_home

D = dt.date
PRESENT, EMPTY, MISSING = PartitionState.PRESENT, PartitionState.EMPTY, PartitionState.MISSING
NAMES = ("FINNHUB_API_KEY", "ALPHA_VANTAGE_API_KEY", "NASDAQ_API_KEY")
KEYS = dict.fromkeys(NAMES, "good-key-of-the-test")
FREE = dict.fromkeys(NAMES, "free-key-of-the-test")


@pytest.fixture(scope="module")
def vendor() -> Iterator[SandboxServer]:
    """One sandbox for all tests here."""
    with SandboxServer(market=Market.synthetic(seed=7)) as server:
        yield server


def home(
    root: Path, vendor: SandboxServer, name: str, *, keys: dict[str, str] = KEYS, extra: str = ""
) -> Served:
    """A home whose only vendor is ``name``."""
    off = "".join(f"[providers.{other}]\nenabled = false\n" for other in ("yahoo", "stooq", "alpaca"))
    served = Served(
        make_home(root / "home", vendor.url, providers=(name,), extra=extra + off, environ=keys), vendor
    )
    served.calm()
    return served


def fetch(served: Served, dataset: Dataset, symbol: str, start: dt.date, end: dt.date) -> Outcome:
    """Backfill one symbol."""
    return backfill(served.home, Want(dataset, (Symbol(symbol),), start, end), run_id="test")


def query(served: Served, sql: str) -> list[tuple[Any, ...]]:
    """Ask the lake."""
    with (
        contextlib.closing(Lake.open(served.home.lake_dir)) as lake,
        contextlib.closing(lake.connect()) as connection,
    ):
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("name", ["finnhub", "alphavantage", "nasdaq"])
def test_a_week_of_daily_bars_is_held(tmp_path: Path, vendor: SandboxServer, name: str) -> None:
    """Five sessions before WIKI's end are present, under the vendor's name."""
    served = home(tmp_path, vendor, name)
    outcome = fetch(served, Dataset.BARS_1D, "KO", D(2018, 3, 19), D(2018, 3, 23))
    assert outcome.counts == {PRESENT: 5}
    source = {"nasdaq": "sandbox:nasdaq/WIKI"}.get(name, f"sandbox:{name}")
    rows = query(served, "SELECT source, count(*), count(volume) FROM bars_1d_raw GROUP BY ALL")
    assert rows == [(source, 5, 0 if name == "finnhub" else 5)]
    assert served.requests() == (3 if name == "alphavantage" else 1), (
        "raw bars need their splits and dividends"
    )


def test_what_lies_after_the_end_of_wiki_is_not_asked_for(tmp_path: Path, vendor: SandboxServer) -> None:
    """The last two sessions of March 2018 stay open, with one request for the two before."""
    served = home(tmp_path, vendor, "nasdaq")
    outcome = fetch(served, Dataset.BARS_1D, "KO", D(2018, 3, 26), D(2018, 3, 29))
    assert outcome.counts == {PRESENT: 2, MISSING: 2}
    assert served.requests() == 1
    served.calm()
    assert fetch(served, Dataset.BARS_1D, "KO", D(2020, 1, 2), D(2020, 1, 3)).counts == {MISSING: 2}
    assert served.requests() == 0


def test_another_database_goes_on(tmp_path: Path, vendor: SandboxServer) -> None:
    """``feed = "EOD"`` has what came later."""
    served = Served(
        make_home(
            tmp_path / "home",
            vendor.url,
            providers=(),
            extra=f'[providers.nasdaq]\nbase_url = "{vendor.url}/nasdaq"\nlimits = {{}}\nfeed = "EOD"\n'
            + "".join(f"[providers.{other}]\nenabled = false\n" for other in ("yahoo", "stooq", "alpaca")),
            environ=KEYS,
        ),
        vendor,
    )
    assert fetch(served, Dataset.BARS_1D, "BRK.B", D(2020, 1, 2), D(2020, 1, 3)).counts == {PRESENT: 2}
    assert query(served, "SELECT DISTINCT source FROM bars_1d") == [("sandbox:nasdaq/EOD",)]


def test_facts_of_wiki_come_with_its_bars(tmp_path: Path, vendor: SandboxServer) -> None:
    """A dividend on its day, and proof that nothing happened on the others."""
    served = home(tmp_path, vendor, "nasdaq")
    outcome = fetch(served, Dataset.BARS_1D, "KO", D(2018, 2, 5), D(2018, 2, 9))
    assert outcome.counts == {PRESENT: 5}
    facts = query(served, "SELECT kind, ex_date, basis FROM corporate_actions")
    assert facts == [("dividend", D(2018, 2, 9), "raw")]
    served.calm()
    again = fetch(served, Dataset.CORPORATE_ACTIONS, "KO", D(2018, 2, 5), D(2018, 2, 9))
    assert again.counts == {PRESENT: 1, EMPTY: 4}
    assert served.requests() == 0


@pytest.mark.parametrize("name", ["finnhub", "alphavantage"])
def test_splits_and_dividends_are_two_requests(tmp_path: Path, vendor: SandboxServer, name: str) -> None:
    """Both end in one table; a day without facts stays open, for nobody proves it."""
    served = home(tmp_path, vendor, name)
    outcome = fetch(served, Dataset.CORPORATE_ACTIONS, "NVDA", D(2021, 7, 19), D(2021, 8, 10))
    facts = query(
        served, "SELECT kind, ex_date, ratio_to, ratio_from, amount::DOUBLE FROM corporate_actions ORDER BY 2"
    )
    assert facts == [("split", D(2021, 7, 20), 4, 1, None), ("dividend", D(2021, 8, 9), None, None, 0.04)]
    assert outcome.counts[PRESENT] == 2
    assert EMPTY not in outcome.counts
    assert served.requests() == 2


@pytest.mark.parametrize("name", ["finnhub", "alphavantage"])
def test_minutes_over_two_months_are_whole(tmp_path: Path, vendor: SandboxServer, name: str) -> None:
    """Alpha Vantage follows the months, Finnhub takes the range; a half day is 210 minutes."""
    served = home(tmp_path, vendor, name)
    outcome = fetch(served, Dataset.BARS_1M, "AAPL", D(2024, 11, 27), D(2024, 12, 2))
    assert outcome.counts == {PRESENT: 3}
    counts = query(served, "SELECT session, count(*), basis FROM bars_1m GROUP BY ALL ORDER BY 1")
    assert counts == [
        (D(2024, 11, 27), 390, "raw"),
        (D(2024, 11, 29), 210, "raw"),
        (D(2024, 12, 2), 390, "raw"),
    ]
    of_the_minutes = 2 if name == "alphavantage" else 1
    assert served.requests() == of_the_minutes + 2, "raw bars need their splits and dividends"


@pytest.mark.parametrize("name", ["finnhub", "alphavantage", "nasdaq"])
def test_who_it_is_is_one_row(tmp_path: Path, vendor: SandboxServer, name: str) -> None:
    """A profile, an overview, metadata."""
    served = home(tmp_path, vendor, name)
    assert fetch(served, Dataset.INSTRUMENTS, "KO", D(2018, 3, 23), D(2018, 3, 23)).counts == {PRESENT: 1}
    ((name_of,),) = query(served, "SELECT name FROM instruments")
    assert name_of.startswith("KO Synthetic")


@pytest.mark.parametrize(
    ("name", "start", "held"),
    [
        ("finnhub", D(2018, 3, 19), False),
        ("alphavantage", D(2018, 3, 19), False),
        ("nasdaq", D(2018, 3, 19), True),
    ],
)
def test_a_free_key_is_refused_what_its_plan_lacks(
    tmp_path: Path, vendor: SandboxServer, name: str, start: dt.date, *, held: bool
) -> None:
    """The sessions stay open, the reason is told, and no key is in it."""
    served = home(tmp_path, vendor, name, keys=FREE)
    outcome = fetch(served, Dataset.BARS_1D, "KO", start, D(2018, 3, 23))
    assert outcome.counts == ({PRESENT: 5} if held else {MISSING: 5})
    assert "free-key" not in repr(outcome)


def test_a_free_key_of_alpha_vantage_has_the_last_hundred_sessions(
    tmp_path: Path, vendor: SandboxServer
) -> None:
    """The request is compact, so the plan has it."""
    served = home(tmp_path, vendor, "alphavantage", keys=FREE)
    recent = [day for day in vendor.sandbox.market.calendar.dates if day < vendor.sandbox.market.today()][
        -20:-15
    ]
    assert fetch(served, Dataset.BARS_1D, "KO", recent[0], recent[-1]).counts == {PRESENT: 5}
