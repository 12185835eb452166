"""The order of asking in real runs: budgets, breakers and health have a say, basis and market the last."""

from __future__ import annotations

import asyncio
import datetime as dt
import time

import pytest

from mdc_resources.config import Home
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Want, backfill
from mdc_resources.ingest.preview import preview
from mdc_resources.state import Sample, State
from mdc_resources.transport.budget import Budgets
from tests.homes import Served

DAY = dt.date(2024, 1, 3)
TEN = {"MDC__PROVIDERS__YAHOO__LIMITS__DAY": "10"}


def last(served: Served, **environ: str) -> Home:
    """The home with yahoo first, then stooq, and alpaca last."""
    return served.reload(**{"MDC__PROVIDERS__ALPACA__RANK": "50", **environ})


def fetch(home: Home, symbol: str, day: dt.date = DAY) -> None:
    """Daily bars of one session; states are whatever they become."""
    backfill(home, Want(Dataset.BARS_1D, (Symbol(symbol),), day, day), run_id=f"{symbol}-{day}")


def asked_first(served: Served, home: Home, symbol: str, day: dt.date = DAY) -> str:
    """Who is asked first for ``symbol``."""
    served.server.clear_requests()
    planned = preview(home, Want(Dataset.BARS_1D, (Symbol(symbol),), day, day)).requests[0].provider
    fetch(home, symbol, day)
    first = served.server.requests()["requests"][0]["provider"]
    assert first == planned, "the preview shows what happens"
    return first


def spend(home: Home, name: str, count: int) -> None:
    """Take permits without sending anything."""

    async def take() -> None:
        with Budgets.open(home.state_dir) as budgets:
            for _ in range(count):
                await budgets.acquire(name, home.settings.providers[name].limits)

    asyncio.run(take())


def test_above_its_share_the_best_rank_yields(served: Served) -> None:
    """Eight of ten used: still first. Nine: the next one of the same market is."""
    home = last(served, **TEN)
    assert asked_first(served, home, "A1") == "yahoo"  # one used
    spend(home, "yahoo", 7)
    assert asked_first(served, home, "A2") == "yahoo"  # the ninth
    assert asked_first(served, home, "A3") == "stooq"


def test_who_yields_is_asked_where_nobody_else_can(served: Served) -> None:
    """The last permits are for that."""
    home = last(
        served, **TEN, MDC__PROVIDERS__STOOQ__ENABLED="false", MDC__PROVIDERS__ALPACA__ENABLED="false"
    )
    spend(home, "yahoo", 9)
    assert asked_first(served, home, "A1") == "yahoo"


def test_a_series_keeps_its_basis_even_if_its_provider_yields(served: Served) -> None:
    """Mixing bases to spare a budget would be the wrong economy."""
    home = last(served, **TEN)
    fetch(home, "KO")
    spend(home, "yahoo", 8)
    assert asked_first(served, home, "KO", dt.date(2024, 1, 4)) == "yahoo"
    assert asked_first(served, home, "KO2") == "stooq"


def test_an_open_breaker_goes_last(served: Served) -> None:
    """Of this dataset; another's says nothing about it."""
    home = last(served)
    with State.open(home) as state:
        state.request_failed("yahoo", Dataset.BARS_1M, reason="503", threshold=1, open_seconds=600)
    assert asked_first(served, home, "B1") == "yahoo"
    with State.open(home) as state:
        state.request_failed("yahoo", Dataset.BARS_1D, reason="503", threshold=1, open_seconds=600)
    assert asked_first(served, home, "B2") == "stooq"


def test_who_fails_lately_comes_after_who_works_and_is_forgiven(served: Served) -> None:
    """A quarter of an hour later nobody remembers."""
    home = last(served)
    for age, first in ((60, "stooq"), (1000, "yahoo")):
        with State.open(home) as state:
            state.note_answers([Sample("yahoo", time.time() - 2000, 9.0, True)] * 200)
            state.note_answers([Sample("yahoo", time.time() - age, 9.0, False)] * 9)
        assert asked_first(served, home, f"C{age}") == first


def test_real_failures_are_remembered_by_the_transport(served: Served) -> None:
    """Every request leaves a sample, with how it went and how long it took."""
    home = last(served, MDC__TRANSPORT__MAX_ATTEMPTS="2")
    served.fault("yahoo", "status", every=1, params={"status": 503})
    fetch(home, "D1")
    with State.open(home) as state:
        answers = state.answers()
    assert {sample.ok for sample in answers["yahoo"]} == {False}
    assert all(sample.ok for sample in answers["stooq"])
    assert all(0 < s.milliseconds < 30_000 for several in answers.values() for s in several)


@pytest.mark.parametrize("trouble", ["breaker", "budget"])
def test_trouble_never_changes_the_market(served: Served, trouble: str) -> None:
    """The consolidated tape's providers are in trouble: IEX's is not asked in their place."""
    home = last(
        served,
        MDC__PROVIDERS__ALPACA__FEED="iex",
        MDC__PROVIDERS__YAHOO__LIMITS__DAY="1",
        MDC__PROVIDERS__STOOQ__LIMITS__DAY="1",
    )
    for name in ("yahoo", "stooq"):
        if trouble == "budget":
            spend(home, name, 1)
        else:
            with State.open(home) as state:
                state.request_failed(name, Dataset.BARS_1D, reason="503", threshold=1, open_seconds=600)
    served.server.clear_requests()
    fetch(home, "E1")
    assert "alpaca" not in served.server.requests()["providers"]
