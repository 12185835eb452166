"""Facts are nearly all empty: a repair waits for the vendor whose silence is proof, a person does not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest import Outcome, Want, backfill
from mdc_resources.ingest.memory import OUTAGES_WAITED
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.state import State
from tests.homes import Served, make_home

FACTS = Dataset.CORPORATE_ACTIONS
AT = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
QUICK = {"MDC__TRANSPORT__MAX_ATTEMPTS": "1", "MDC__TRANSPORT__BREAKER_OPEN_SECONDS": "0.001"}


@pytest.fixture
def pair(tmp_path: Path, vendor: SandboxServer) -> Served:
    """A home that asks yahoo for facts first, whose contract proves silence, and alpaca next."""
    found = Served(make_home(tmp_path / "home", vendor.url, providers=("yahoo", "alpaca")), vendor)
    found.calm()
    return found


def run(home: Home, at: dt.datetime, *, patient: bool) -> Outcome:
    """One look at a week of facts."""
    want = Want(FACTS, (Symbol("IBM"),), dt.date(2024, 3, 4), dt.date(2024, 3, 8), patient=patient)
    return backfill(home, want, run_id=f"run-{at:%d%H%M%S}", at=at)


def asked(served: Served) -> dict[str, int]:
    """Requests per vendor."""
    found: dict[str, int] = served.server.requests()["providers"]
    return found


def due(home: Home) -> dt.datetime:
    """When everything that failed is due again, whoever is asked."""
    with State.open(home) as state:
        return max(pair.next_at for found in state.tries(FACTS).values() for pair in found.providers)


def test_a_repair_waits_for_the_proof_and_then_asks_the_others(pair: Served) -> None:
    """Three outages long nobody else is asked; then they are, and the first one's return settles it."""
    pair.fault("yahoo", "status", probability=1.0, params={"status": 503})
    home, at = pair.reload(**QUICK), AT
    for _ in range(OUTAGES_WAITED):
        assert run(home, at, patient=True).retryable_missing == 5
        assert "alpaca" not in asked(pair)
        at = due(home)
    run(home, at, patient=True)
    assert asked(pair)["alpaca"] == 1
    pair.calm()
    assert run(home, due(home), patient=True).counts == {PartitionState.EMPTY: 5}
    assert asked(pair) == {"yahoo": 1}


def test_a_person_is_answered_by_whoever_can(pair: Served) -> None:
    """Who asks by hand gets all there is at once."""
    pair.fault("yahoo", "status", probability=1.0, params={"status": 503})
    run(pair.reload(**QUICK), AT, patient=False)
    assert asked(pair)["alpaca"] == 1


def test_a_vendor_that_does_not_know_the_symbol_is_not_waited_for(pair: Served) -> None:
    """Not knowing will not pass: the next one is asked in the same run."""
    pair.fault("yahoo", "status", probability=1.0, params={"status": 404})
    run(pair.reload(**QUICK), AT, patient=True)
    assert asked(pair)["alpaca"] == 1
