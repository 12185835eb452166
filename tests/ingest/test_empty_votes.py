"""An empty answer is a vote: it takes two sources, or a contract, and they need not be up together."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol, parse_symbols
from mdc_resources.domain.time import now
from mdc_resources.ingest import Outcome, Want, backfill
from mdc_resources.ingest.votes import LASTING, provider_of
from mdc_resources.sandbox.instruments import NAMED
from mdc_resources.sandbox.server import SandboxServer
from tests.homes import Served, make_home
from tests.ingest.test_bad_input import query

# The sandbox's halted symbol: on these days nobody has a bar.
HALTED, HALTS = next((name, sorted(facts.halts)) for name, facts in NAMED.items() if facts.halts)
CALENDAR = get_calendar("XNYS")
START, END = HALTS[0] - dt.timedelta(days=4), HALTS[-1] + dt.timedelta(days=4)
SESSIONS = CALENDAR.sessions(START, END)
QUICK = {"MDC__TRANSPORT__MAX_ATTEMPTS": "1", "MDC__TRANSPORT__BREAKER_OPEN_SECONDS": "0.001"}
VOTES = "SELECT symbol, session, source FROM observations WHERE row_count = 0 ORDER BY ALL"


@pytest.fixture
def pair(tmp_path: Path, vendor: SandboxServer) -> Served:
    """A home with yahoo and alpaca: both can say that a session they were asked for alone is empty."""
    found = Served(make_home(tmp_path / "home", vendor.url, providers=("yahoo", "alpaca")), vendor)
    found.calm()
    return found


def run(home: Home, *, at: dt.datetime | None = None, **more: Any) -> Outcome:
    """One backfill of the days around the halt."""
    want = Want(Dataset.BARS_1D, tuple(parse_symbols([str(HALTED)])), START, END, **more)
    return backfill(home, want, run_id="run", at=at)


def down(served: Served, provider: str) -> None:
    """Only ``provider`` is out of order."""
    served.calm()
    served.fault(provider, "status", probability=1.0, params={"status": 503})


def halted(outcome: Outcome) -> set[PartitionState]:
    """How the halted sessions ended."""
    return {outcome.states[PartitionKey(Symbol(HALTED), session)].state for session in HALTS}


def test_one_source_is_not_believed_and_kept_once(pair: Served) -> None:
    """Missing, not empty; the vote is one row per partition, however often it is cast."""
    down(pair, "alpaca")
    for _ in range(2):
        assert halted(run(pair.reload(**QUICK))) == {PartitionState.MISSING}
    assert query(pair.home, VOTES) == [(HALTED, session, "sandbox:yahoo") for session in HALTS]


def test_two_sources_agree_though_never_up_together(pair: Served) -> None:
    """Yahoo on one day, Alpaca on another: the second vote settles it, and says why."""
    down(pair, "alpaca")
    run(pair.reload(**QUICK))
    down(pair, "yahoo")
    outcome = run(pair.reload(**QUICK))
    assert halted(outcome) == {PartitionState.EMPTY}
    reasons = {row.reason for row in outcome.states.values() if row.state is PartitionState.EMPTY}
    assert reasons == {"nothing happened: two sources agree"}
    assert outcome.counts[PartitionState.PRESENT] == len(SESSIONS) - len(HALTS)


def test_the_same_source_twice_is_one_vote(pair: Served) -> None:
    """Repeating oneself confirms nothing."""
    only = pair.reload(**QUICK, MDC__PROVIDERS__ALPACA__ENABLED="false")
    for _ in range(3):
        assert halted(run(only)) == {PartitionState.MISSING}


def test_old_votes_lapse(pair: Served) -> None:
    """After a month the first source may have got what it lacked: it has to say so again."""
    down(pair, "alpaca")
    run(pair.reload(**QUICK))
    down(pair, "yahoo")
    later = now() + LASTING + dt.timedelta(days=1)
    assert halted(run(pair.reload(**QUICK), at=later)) == {PartitionState.MISSING}


def test_a_source_that_is_no_candidate_any_more_has_no_vote(pair: Served) -> None:
    """Disabled since, or of another market: what it said then does not count now."""
    down(pair, "alpaca")
    run(pair.reload(**QUICK))
    down(pair, "yahoo")
    without = pair.reload(**QUICK, MDC__PROVIDERS__YAHOO__ENABLED="false")
    assert halted(run(without)) == {PartitionState.MISSING}


def test_rows_overrule_votes(pair: Served) -> None:
    """A source that has the bars settles it, whoever saw nothing before."""
    missing = Served(pair.home, pair.server)
    missing.calm()
    missing.fault("yahoo", "missing_rows", params={"rows": 3})
    without_alpaca = {"MDC__PROVIDERS__ALPACA__ENABLED": "false"}
    want = Want(Dataset.BARS_1D, (Symbol("IBM"),), START, END)
    first = backfill(pair.reload(**QUICK, **without_alpaca), want, run_id="first")
    assert first.counts[PartitionState.MISSING] == 3
    second = backfill(pair.reload(**QUICK), want, run_id="second")
    assert second.counts == {PartitionState.PRESENT: len(SESSIONS)}


def test_stored_bars_are_not_voted_away(pair: Served) -> None:
    """On a refetch two sources without the rows change nothing that is stored, and cast no votes."""
    want = Want(Dataset.BARS_1D, (Symbol("IBM"),), START, END)
    backfill(pair.home, want, run_id="first")
    pair.fault("*", "missing_rows", probability=1.0, params={"rows": 100})
    again = Want(Dataset.BARS_1D, (Symbol("IBM"),), START, END, refetch=True)
    outcome = backfill(pair.home, again, run_id="again")
    assert outcome.counts == {PartitionState.PRESENT: len(SESSIONS)}
    assert query(pair.home, VOTES) == []
    assert query(pair.home, "SELECT count(*) FROM bars_1d_stored") == [(len(SESSIONS),)]


@pytest.mark.parametrize(
    ("source", "provider"),
    [("yahoo", "yahoo"), ("sandbox:yahoo", "yahoo"), ("sandbox:alpaca/sip", "alpaca"), ("", "")],
)
def test_a_source_names_its_provider(source: str, provider: str) -> None:
    """Without the lake's mode and the feed."""
    assert provider_of(source) == provider
