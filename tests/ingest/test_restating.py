"""A vendor says something else than before: a new version, the old one readable, the difference named."""

from __future__ import annotations

import contextlib
import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.config import Home
from mdc_resources.domain.coverage import CoverageRow, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol, parse_symbols
from mdc_resources.ingest import Outcome, Want, backfill
from mdc_resources.ingest.restating import MAX_INCIDENTS, Change, difference, incidents
from mdc_resources.lake import Lake
from mdc_resources.sandbox.server import SandboxServer
from tests.homes import Served, make_home
from tests.ingest.test_bad_input import query

D1, M1 = Dataset.BARS_1D, Dataset.BARS_1M
START, END = dt.date(2024, 3, 4), dt.date(2024, 3, 6)
AT = dt.datetime(2026, 11, 13, 6, tzinfo=dt.UTC)
TOLD = "SELECT kind, message, provider, symbol, session FROM incidents WHERE kind IN ('restated', 'conflict')"


def bar(at: dt.datetime | None = None, **values: str) -> dict[str, object]:
    """One row of bars; prices and sizes from texts."""
    base = {"open": "100.5", "high": "102", "low": "100", "close": "101.2", "volume": "1000"}
    numbers = {name: Decimal(text) for name, text in {**base, **values}.items()}
    return {"ts": at or dt.datetime(2026, 11, 12, 14, 30, tzinfo=dt.UTC), **numbers, "source": "yahoo"}


def minute(number: int, **values: str) -> dict[str, object]:
    """The bar of one minute after the open."""
    return bar(dt.datetime(2026, 11, 12, 14, 30 + number, tzinfo=dt.UTC), **values)


def line(session: dt.date, source: str = "yahoo", symbol: str = "AAPL") -> CoverageRow:
    """A ledger line of daily bars."""
    return CoverageRow(D1, Symbol(symbol), session, PartitionState.PRESENT, source=source)


def test_a_daily_bar_names_each_field_that_changed() -> None:
    """Old and new, without the digits that only fill the column; where it came from is no content."""
    new = bar(close="101.25", volume="1200.00000000") | {"source": "stooq", "basis_asof": "later"}
    assert difference(D1, [bar()], [new]) == "close 101.2 -> 101.25, volume 1000 -> 1200"


def test_a_field_that_appears_or_goes_is_named() -> None:
    """Null is "nothing"."""
    new = bar() | {"volume": None}
    assert difference(D1, [bar()], [new]) == "volume 1000 -> nothing"


def test_minutes_are_counted_and_the_first_is_shown() -> None:
    """How many differ, were added, are gone; the first difference by time."""
    old = [minute(n) for n in range(4)]
    new = [minute(0), minute(1, close="101.3"), minute(2, close="101.4"), minute(4), minute(5)]
    assert difference(M1, old, new) == (
        "2 minutes differ, 2 minutes added, 1 minutes gone, first 2026-11-12 14:31 UTC close 101.2 -> 101.3"
    )
    assert difference(M1, old, old[:2]) == "2 minutes gone, first 2026-11-12 14:32 UTC"


def test_rows_that_cannot_be_read_do_not_keep_the_new_ones_out() -> None:
    """The message says so."""
    assert difference(D1, [], [bar()]) == "its stored rows cannot be read"


def test_the_message_names_who_when_and_what() -> None:
    """Of its own source it is restated; of another one a conflict."""
    day = dt.date(2026, 11, 12)
    changes = [
        Change(line(day), line(day), "close 101.2 -> 101.25"),
        Change(line(day, symbol="IBM"), line(day, "stooq", symbol="IBM"), "close 5 -> 6"),
    ]
    restated, conflict = incidents(D1, changes, at=AT)
    assert restated.kind == "restated"
    assert restated.message == "AAPL 2026-11-12 bars_1d restated by yahoo: close 101.2 -> 101.25"
    assert (restated.provider, restated.symbol, restated.session) == ("yahoo", "AAPL", day)
    assert conflict.kind == "conflict"
    assert conflict.message == "IBM 2026-11-12 bars_1d told otherwise by stooq than by yahoo: close 5 -> 6"


def test_a_split_is_one_incident_a_symbol() -> None:
    """All of history changes at once: the range, the count and the first difference."""
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=n) for n in range(MAX_INCIDENTS + 1)]
    few = incidents(D1, [Change(line(d), line(d), "x") for d in days[1:]], at=AT)
    assert [each.session for each in few] == days[1:]
    (one,) = incidents(D1, [Change(line(d), line(d), "close 4 -> 2") for d in reversed(days)], at=AT)
    assert (one.symbol, one.session) == ("AAPL", None)
    assert one.message == (
        "AAPL 2026-01-01..2026-01-21 bars_1d restated by yahoo in 21 sessions, the first: close 4 -> 2"
    )


@pytest.fixture
def pair(tmp_path: Path, vendor: SandboxServer) -> Served:
    """A home that asks yahoo first and stooq next."""
    found = Served(make_home(tmp_path / "home", vendor.url, providers=("yahoo", "stooq")), vendor)
    found.calm()
    return found


def run(home: Home, run_id: str, symbols: str = "AAPL", **more: Any) -> Outcome:
    """Three days of daily bars."""
    return backfill(home, Want(D1, tuple(parse_symbols([symbols])), START, END, **more), run_id=run_id)


def test_restated_bars_are_a_new_snapshot_with_an_incident(pair: Served) -> None:
    """One incident a session names old and new close; the old bars stay readable as of their snapshot."""
    before = run(pair.home, "before", "AAPL,IBM")
    closes = "SELECT session, close FROM bars_1d_stored WHERE symbol = 'AAPL' ORDER BY session"
    old = query(pair.home, closes)
    pair.fault("yahoo", "restated", probability=1.0, match="AAPL")
    after = run(pair.home, "after", "AAPL,IBM", refetch=True)
    new = query(pair.home, closes)
    told = query(pair.home, f"{TOLD} ORDER BY session")
    assert [(kind, provider, symbol) for kind, _, provider, symbol, _ in told] == [
        ("restated", "yahoo", "AAPL")
    ] * 3
    for (_, message, _, _, session), (_, was), (_, now) in zip(told, old, new, strict=True):
        assert message.startswith(f"AAPL {session} bars_1d restated by yahoo: open ")
        assert f"close {was.normalize():f} -> {now.normalize():f}" in message
        assert "volume" not in message
    assert {row.state for row in after.states.values()} == {PartitionState.PRESENT}
    with contextlib.ExitStack() as stack:
        lake = stack.enter_context(contextlib.closing(Lake.open(pair.home.lake_dir)))
        then = stack.enter_context(contextlib.closing(lake.connect(as_of=before.snapshots[-1])))
        assert then.execute(closes).fetchall() == old
        assert lake.verify(deep=True) == []


def test_equal_content_is_confirmed_without_a_word(pair: Served) -> None:
    """A second look that sees the same writes no row and no incident."""
    run(pair.home, "before")
    again = run(pair.home, "again", refetch=True)
    assert again.rows == 0
    assert query(pair.home, TOLD) == []


def test_another_source_is_a_conflict(pair: Served) -> None:
    """What somebody fetches from elsewhere replaces what is stored, and the difference is on record."""
    run(pair.home, "before", provider="yahoo")
    run(pair.home, "after", provider="stooq", refetch=True)
    told = query(pair.home, TOLD)
    assert {row[0] for row in told} == {"conflict"}
    assert all("told otherwise by stooq than by yahoo" in row[1] for row in told)
    assert len(told) == 3


def test_restated_minutes_are_counted(tmp_path: Path, vendor: SandboxServer) -> None:
    """Of 390 minutes those that changed, and the first of them."""
    served = Served(make_home(tmp_path / "home", vendor.url, providers=("alpaca",)), vendor)
    served.calm()
    want = Want(M1, (Symbol("AAPL"),), START, START)
    backfill(served.home, want, run_id="before")
    served.fault("alpaca", "missing_rows", match="stocks/bars", params={"rows": 7})
    again = Want(M1, (Symbol("AAPL"),), START, START, refetch=True)
    backfill(served.home, again, run_id="after")
    ((kind, message, *_),) = query(served.home, TOLD)
    assert kind == "restated"
    assert message.startswith(
        "AAPL 2024-03-04 bars_1m restated by alpaca/sip: 7 minutes gone, first 2024-03-04 "
    )
