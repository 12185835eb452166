"""Re-checks: the newest stored sessions, each asked again of the provider that gave it."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.ingest import Want, backfill
from mdc_resources.lake import CommitBatch, Lake
from mdc_resources.recovery.rechecks import plan_rechecks
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.state import State
from tests.homes import Served, make_home

AAPL, MSFT, NVDA = Symbol("AAPL"), Symbol("MSFT"), Symbol("NVDA")
FEW = '[schedule]\nrecheck_sessions = 5\n[recovery]\ndatasets = ["bars_1d"]\n'


@pytest.fixture(scope="module")
def vendor() -> Iterator[SandboxServer]:
    """One sandbox for this module."""
    with SandboxServer(market=Market.synthetic(seed=7)) as running:
        yield running


@pytest.fixture
def served(tmp_path, vendor) -> Served:
    """A home that follows three symbols and re-checks five sessions."""
    home = make_home(tmp_path / "home", vendor.url, extra=FEW)
    with State.open(home) as state:
        state.add_members("us", [AAPL, MSFT, NVDA], shards=1)
    found = Served(home, vendor)
    found.calm()
    return found


def newest(count):
    """The newest ``count`` sessions that are due now, ascending."""
    calendar = get_calendar("XNYS")
    settle = dt.timedelta(minutes=30)
    at = now()
    return calendar.final_sessions(at.date() - dt.timedelta(days=40), at.date(), at=at, settle=settle)[
        -count:
    ]


def plan(home):
    """The plan of the universe us, now."""
    with closing(Lake.open(home.lake_dir)) as lake, State.open(home) as state:
        return plan_rechecks(home, lake, state, "us", at=now())


def line(symbol, session, source, state=PartitionState.PRESENT):
    """A ledger line without data."""
    return CoverageRow(Dataset.BARS_1D, symbol, session, state, source=source)


def write(home, *rows):
    """Append ledger lines."""
    with closing(Lake.open(home.lake_dir)) as lake:
        lake.commit(CommitBatch(run_id="by-hand", attempt=1, tables={}, coverage=rows))


def ledger(home):
    """{partition: (fingerprint, source, commit)} of the newest lines."""
    with closing(Lake.open(home.lake_dir)) as lake:
        table = lake.coverage(Dataset.BARS_1D)
    columns = ("symbol", "session", "state", "fingerprint", "source")
    rows = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    return {PartitionKey(row[0], row[1]): row[2:] for row in rows}


def test_keys_are_grouped_by_the_provider_that_stored_them(served):
    """One run a provider, with exactly its partitions."""
    days = newest(5)
    write(
        served.home,
        *(line(AAPL, day, "sandbox:yahoo") for day in days),
        *(line(MSFT, day, "sandbox:alpaca/sip") for day in days[:2]),
        *(line(MSFT, day, "sandbox:yahoo") for day in days[2:]),
    )
    found = {recheck.provider: recheck.want for recheck in plan(served.home).rechecks}
    assert set(found) == {"alpaca", "yahoo"}
    assert found["alpaca"].keys == {PartitionKey(MSFT, day) for day in days[:2]}
    assert (found["alpaca"].start, found["alpaca"].end) == (days[0], days[1])
    assert found["yahoo"].keys == {PartitionKey(AAPL, day) for day in days} | {
        PartitionKey(MSFT, day) for day in days[2:]
    }
    for name, want in found.items():
        assert (want.provider, want.refetch, want.patient) == (name, True, False)


def test_only_the_last_sessions_and_only_what_is_settled(served):
    """What is older is left alone; what is open is the gap sensor's."""
    days = newest(7)
    write(
        served.home,
        *(line(AAPL, day, "sandbox:yahoo") for day in days),
        line(MSFT, days[-1], "sandbox:yahoo", PartitionState.QUARANTINED),
        line(MSFT, days[-2], "sandbox:yahoo", PartitionState.PARTIAL),
        line(MSFT, days[-3], "", PartitionState.MISSING),
        line(NVDA, days[-1], "sandbox:yahoo", PartitionState.EMPTY),
    )
    (recheck,) = plan(served.home).rechecks
    assert recheck.want.keys == {
        *(PartitionKey(AAPL, day) for day in days[2:]),
        PartitionKey(NVDA, days[-1]),
    }


def test_inactive_symbols_are_not_asked_for(served):
    """A removed symbol keeps what it has."""
    write(served.home, *(line(symbol, newest(1)[0], "sandbox:yahoo") for symbol in (AAPL, MSFT)))
    with State.open(served.home) as state:
        state.remove_members("us", [MSFT])
    (recheck,) = plan(served.home).rechecks
    assert recheck.want.symbols == (AAPL,)


def test_large_plans_are_split(served):
    """No run has more partitions than the settings allow; names are distinct."""
    days = newest(5)
    write(served.home, *(line(symbol, day, "sandbox:yahoo") for symbol in (AAPL, MSFT, NVDA) for day in days))
    home = served.reload(MDC__DATASETS__BARS_1D__MAX_PARTITIONS_PER_RUN="4")
    found = plan(home).rechecks
    assert [len(recheck.want.keys) for recheck in found] == [4, 4, 4, 3]
    assert len({recheck.name for recheck in found}) == 4
    together = [key for recheck in found for key in recheck.want.keys]
    assert len(together) == len(set(together)) == 15


def test_a_provider_that_cannot_be_asked_any_more_is_counted(served):
    """Disabled, without credentials, or unknown: no other one is asked instead."""
    day = newest(1)[0]
    write(
        served.home,
        line(AAPL, day, "sandbox:stooq"),
        line(MSFT, day, "sandbox:gone"),
        line(NVDA, day, "sandbox:alpaca/sip"),
    )
    home = served.reload(MDC__PROVIDERS__STOOQ__ENABLED="false", ALPACA_KEY_ID="")
    found = plan(home)
    assert found.rechecks == ()
    assert found.unasked == 3
    assert "cannot be asked any more" in found.reason


def test_an_empty_archive_has_nothing_to_recheck(served):
    """Said in words, for a universe with and without symbols."""
    assert "is stored yet" in plan(served.home).reason
    with State.open(served.home) as state:
        state.remove_members("us", [AAPL, MSFT, NVDA])
    assert "no symbols" in plan(served.home).reason


def run_all(home):
    """Carry the plan out."""
    return [backfill(home, recheck.want, run_id=str(uuid.uuid4())) for recheck in plan(home).rechecks]


def test_equal_answers_change_nothing(served):
    """Confirmed: fingerprints, sources and rows stay; only the provider that stored it is asked."""
    days = newest(5)
    backfill(served.home, Want(Dataset.BARS_1D, (AAPL,), days[0], days[-1], provider="stooq"), run_id="first")
    before = ledger(served.home)
    served.calm()
    (outcome,) = run_all(served.home)
    assert ledger(served.home) == before
    assert set(outcome.fetched) == set(before)
    assert outcome.retryable_missing == 0


@pytest.mark.parametrize(
    ("kind", "more"),
    [("status", {"params": {"status": 503}}), ("html200", {}), ("empty_body", {}), ("missing_rows", {})],
    ids=["503", "login-page", "no-body", "rows-left-out"],
)
def test_a_failing_provider_changes_nothing(served, kind, more):
    """What is stored is never given up for a bad answer, and nobody else is asked."""
    days = newest(5)
    backfill(served.home, Want(Dataset.BARS_1D, (AAPL,), days[0], days[-1], provider="stooq"), run_id="first")
    before = ledger(served.home)
    served.calm()
    served.fault("stooq", kind, **more)
    try:
        run_all(served.home)
        asked = served.server.requests()["providers"]
    finally:
        served.calm()
    assert ledger(served.home) == before
    assert set(asked) <= {"stooq"}


def test_restated_content_is_a_new_version_and_the_old_one_stays_readable(served):
    """The vendor changed its mind: both answers are in the lake, each at its time."""
    days = newest(5)
    backfill(served.home, Want(Dataset.BARS_1D, (AAPL,), days[0], days[-1], provider="stooq"), run_id="first")
    before = ledger(served.home)
    served.fault("stooq", "restated", params={"factor": "0.98"})
    try:
        (outcome,) = run_all(served.home)
    finally:
        served.calm()
    after = ledger(served.home)
    assert all(after[key][1] != before[key][1] and after[key][0] == "present" for key in before)
    with closing(Lake.open(served.home.lake_dir)) as lake:
        query = "SELECT session, close FROM bars_1d_stored WHERE symbol = 'AAPL' ORDER BY 1"
        with closing(lake.connect()) as connection:
            now_stored = connection.execute(query).fetchall()
            told = connection.execute("SELECT kind, symbol FROM incidents WHERE kind = 'restated'").fetchall()
        with closing(lake.connect(as_of=min(outcome.snapshots) - 1)) as connection:
            then_stored = connection.execute(query).fetchall()
    assert [day for day, _ in now_stored] == [day for day, _ in then_stored] == list(days)
    assert set(told) == {("restated", "AAPL")}
    assert all(new < old for (_, new), (_, old) in zip(now_stored, then_stored, strict=True))
