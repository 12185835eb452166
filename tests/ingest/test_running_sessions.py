"""What is final and what is not: running sessions, half days, thin names, answers that were cut."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.requests import HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.ingest import Outcome, Want, backfill
from mdc_resources.ingest.asking import told_at_of
from mdc_resources.lake import Lake
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.state import State
from tests.homes import Served, make_home
from tests.ingest.test_bad_input import query

D1, M1 = Dataset.BARS_1D, Dataset.BARS_1M
CALENDAR = get_calendar("XNYS")
HALF_DAY = dt.date(2024, 7, 3)  # closes at 13:00 New York
QUICK = {"MDC__TRANSPORT__MAX_ATTEMPTS": "1", "MDC__TRANSPORT__BREAKER_OPEN_SECONDS": "0.001"}
ASKED = [(D1, "yahoo"), (D1, "stooq"), (D1, "alpaca"), (M1, "alpaca")]
AtNow = Callable[..., Served]


@pytest.fixture
def vendor_at(tmp_path: Path) -> Iterator[AtNow]:
    """``vendor_at(instant, "alpaca")``: a home whose vendors live at that instant."""
    with ExitStack() as stack:

        def make(at: dt.datetime, *providers: str) -> Served:
            server = stack.enter_context(SandboxServer(market=Market.synthetic(seed=7, now=at)))
            return Served(make_home(tmp_path / f"home-{at:%d%H%M}", server.url, providers=providers), server)

        yield make


def run(home: Home, dataset: Dataset, start: dt.date, end: dt.date, **more: Any) -> Outcome:
    """One backfill of one symbol."""
    return backfill(home, Want(dataset, (Symbol("AAPL"),), start, end), run_id="run", **more)


def minutes_of(home: Home) -> dict[tuple[str, dt.date], int]:
    """Stored minutes per partition."""
    rows = query(home, "SELECT symbol, session, count(*) FROM bars_1m GROUP BY ALL")
    return {(symbol, session): count for symbol, session, count in rows}


def next_session() -> dt.date:
    """The first session whose close lies in the future."""
    today = now().date()
    ahead = CALENDAR.sessions(today, today + dt.timedelta(days=10))
    return next(session for session in ahead if CALENDAR.hours(session)[0] > now())


@pytest.mark.parametrize(
    ("dataset", "provider"), [(D1, "yahoo"), (D1, "stooq"), (D1, "alpaca"), (M1, "alpaca")]
)
def test_a_running_session_is_pending(vendor_at: AtNow, dataset: Dataset, provider: str) -> None:
    """In the middle of a half day the days before are stored; today's is not, whatever the answer has."""
    opened, _ = CALENDAR.hours(HALF_DAY)
    at = opened + dt.timedelta(hours=1)
    served = vendor_at(at, provider)
    outcome = run(served.home, dataset, dt.date(2024, 7, 1), HALF_DAY, at=at)
    assert {key.session for key in outcome.states} == {dt.date(2024, 7, 1), dt.date(2024, 7, 2)}
    assert outcome.counts == {PartitionState.PRESENT: 2}
    assert outcome.pending == 1
    view = "bars_1m" if dataset is M1 else "bars_1d_stored"
    assert query(served.home, f"SELECT max(session) FROM {view}") == [(dt.date(2024, 7, 2),)]


@pytest.mark.parametrize("after", [dt.timedelta(0), dt.timedelta(minutes=29)])
def test_a_closed_session_settles_first(vendor_at: AtNow, after: dt.timedelta) -> None:
    """Between the early close and the settle delay it is still pending."""
    at = CALENDAR.hours(HALF_DAY)[1] + after
    served = vendor_at(at, "alpaca")
    assert run(served.home, M1, HALF_DAY, HALF_DAY, at=at).pending == 1


def test_a_half_day_is_whole(vendor_at: AtNow) -> None:
    """210 minutes are all there are; the next look sends nothing."""
    at = CALENDAR.hours(HALF_DAY)[1] + dt.timedelta(minutes=31)
    served = vendor_at(at, "alpaca")
    outcome = run(served.home, M1, dt.date(2024, 7, 2), HALF_DAY, at=at)
    assert outcome.counts == {PartitionState.PRESENT: 2}
    assert minutes_of(served.home) == {("AAPL", dt.date(2024, 7, 2)): 390, ("AAPL", HALF_DAY): 210}
    assert run(served.home, M1, dt.date(2024, 7, 2), HALF_DAY, at=at).requests_sent == 0


def test_a_thin_name_is_present_with_the_minutes_it_has(served: Served) -> None:
    """Most minutes without a trade, the last ones too: a fact, not a cut answer."""
    served.fault("alpaca", "missing_rows", match="stocks/bars", params={"rows": 380})
    day = dt.date(2024, 3, 4)
    outcome = run(served.home, M1, day, day)
    assert outcome.counts == {PartitionState.PRESENT: 1}
    assert minutes_of(served.home) == {("AAPL", day): 10}


@pytest.mark.parametrize(
    ("dataset", "provider"), [(D1, "yahoo"), (D1, "stooq"), (D1, "alpaca"), (M1, "alpaca")]
)
def test_an_answer_from_before_the_close_is_never_final(
    vendor_at: AtNow, dataset: Dataset, provider: str
) -> None:
    """This machine's clock runs a day ahead: the vendor's own says the session was not over."""
    session = next_session()
    opened, closed = CALENDAR.hours(session)
    served = vendor_at(opened + dt.timedelta(hours=1), provider)
    ahead = closed + dt.timedelta(hours=2)
    outcome = run(served.reload(**QUICK), dataset, session, session, at=ahead)
    assert set(outcome.counts) <= {PartitionState.PARTIAL, PartitionState.MISSING}
    with State.open(served.home) as state:
        (tried,) = state.tries(dataset).values()
    assert tried.providers[0].reason == "its answer was cut short"


def test_a_shorter_cut_answer_does_not_replace_a_longer_one(vendor_at: AtNow) -> None:
    """Of two answers that are not the whole session the one with more minutes is kept."""
    session = next_session()
    opened, closed = CALENDAR.hours(session)
    early, late = (vendor_at(opened + dt.timedelta(minutes=n), "alpaca") for n in (60, 180))
    ahead = closed + dt.timedelta(hours=2)
    for server in (late.server, early.server):
        home = early.reload(**QUICK, MDC__PROVIDERS__ALPACA__BASE_URL=f"{server.url}/alpaca")
        outcome = run(home, M1, session, session, at=ahead)
        assert outcome.counts == {PartitionState.PARTIAL: 1}
        assert minutes_of(home) == {("AAPL", session): 180}
    with closing(Lake.open(early.home.lake_dir)) as lake:
        assert lake.verify(deep=True) == []


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Wed, 03 Jul 2024 15:00:00 GMT", dt.datetime(2024, 7, 3, 15, tzinfo=dt.UTC)),
        ("Wed, 03 Jul 2024 11:00:00 -0400", dt.datetime(2024, 7, 3, 15, tzinfo=dt.UTC)),
        ("Wed, 03 Jul 2024 15:00:00 -0000", dt.datetime(2024, 7, 3, 15, tzinfo=dt.UTC)),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_the_vendors_time_is_read_from_its_header(header: str | None, expected: dt.datetime | None) -> None:
    """What cannot be read says nothing."""
    headers = {} if header is None else {"date": header}
    assert told_at_of(HttpResponse(200, headers, b"", now())) == expected
