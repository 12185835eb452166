"""What a range should hold: due, pending, listed, on the calendar of the symbol's universe."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home
from mdc_resources.coverage import calendar_of, coverage_summary
from mdc_resources.coverage.expectation import Expectation, expect
from mdc_resources.domain.coverage import PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.state import State
from tests.coverage.ledgers import UTC, append, empty_home

D = dt.date
IBM, VOD, BTC, NOBODY = (Symbol(name) for name in ("IBM", "VOD", "COINBASE:BTC-USD", "NOBODY"))
MARKETS = """
[universes.us]
[universes.london]
calendar = "XLON"
[universes.coins]
calendar = "24/7"
asset_class = "crypto"
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A symbol on each of three calendars."""
    return empty_home(tmp_path / "home", toml=MARKETS, us=[IBM], london=[VOD], coins=[BTC])


@pytest.fixture
def state(home: Home) -> Iterator[State]:
    """Its machine state."""
    with State.open(home) as opened:
        yield opened


def days(expectation: Expectation) -> list[int]:
    """Days of the month that are due."""
    return [session.day for session in expectation.sessions()]


def test_each_symbol_has_its_universe_s_calendar(home: Home, state: State) -> None:
    """New York closes for Thanksgiving, London does not, coins never; who is in none trades in New York."""
    at = dt.datetime(2024, 12, 2, 9, tzinfo=UTC)
    found = expect(
        home, state, Dataset.BARS_1D, [IBM, VOD, BTC, NOBODY], D(2024, 11, 27), D(2024, 12, 2), at=at
    )
    assert {symbol: days(found[symbol]) for symbol in found} == {
        IBM: [27, 29],
        VOD: [27, 28, 29],
        BTC: [27, 28, 29, 30, 1],
        NOBODY: [27, 29],
    }
    assert {symbol: found[symbol].pending for symbol in found} == {IBM: 1, VOD: 1, BTC: 1, NOBODY: 1}
    assert calendar_of(home, state, VOD).name == "XLON"
    assert calendar_of(home, state, NOBODY).name == "XNYS"


@pytest.mark.parametrize(
    ("at", "due"),
    [
        pytest.param("2026-11-27T18:29:59+00:00", [25], id="half day, settling"),
        pytest.param("2026-11-27T18:30:00+00:00", [25, 27], id="half day, settled"),
        pytest.param("2026-11-24T12:00:00+00:00", [], id="all ahead"),
    ],
)
def test_due_is_a_matter_of_the_close(home: Home, state: State, at: str, due: list[int]) -> None:
    """The half day after Thanksgiving is due at 18:30 UTC; what is not due is pending."""
    found = expect(
        home,
        state,
        Dataset.BARS_1D,
        [IBM],
        D(2026, 11, 25),
        D(2026, 11, 27),
        at=dt.datetime.fromisoformat(at),
    )[IBM]
    assert days(found) == due
    assert found.pending == 2 - len(due)


@pytest.mark.parametrize(
    ("listing", "due", "pending"),
    [
        pytest.param(Listing(IBM), [5, 6, 7, 8], 2, id="no bounds"),
        pytest.param(Listing(IBM, first=D(2024, 8, 7)), [7, 8], 2, id="listed late"),
        pytest.param(Listing(IBM, last=D(2024, 8, 6)), [5, 6], 0, id="delisted"),
        pytest.param(Listing(IBM, last=D(2024, 8, 11)), [5, 6, 7, 8], 1, id="ends on a Sunday"),
        pytest.param(Listing(IBM, D(2024, 8, 6), D(2024, 8, 6)), [6], 0, id="a day"),
        pytest.param(Listing(IBM, D(2024, 9, 2), D(2024, 9, 30)), [], 0, id="elsewhere"),
        pytest.param(Listing(IBM, first=D(2024, 8, 9)), [], 2, id="tomorrow"),
    ],
)
def test_a_listing_bounds_due_and_pending(
    home: Home, state: State, listing: Listing, due: list[int], pending: int
) -> None:
    """Outside it nothing is expected, neither now nor later."""
    at = dt.datetime(2024, 8, 9, 12, tzinfo=UTC)
    span = (D(2024, 8, 5), D(2024, 8, 12))
    found = expect(home, state, Dataset.BARS_1D, [IBM], *span, at=at, listings={IBM: listing})[IBM]
    assert (days(found), found.pending) == (due, pending)
    last = expect(home, state, Dataset.INSTRUMENTS, [IBM], *span, at=at, listings={IBM: listing})[IBM]
    assert days(last) == due[-1:]


def test_a_year_that_is_not_known_is_an_error(home: Home, state: State) -> None:
    """Not an empty expectation: nobody said that the exchange is closed there."""
    known = get_calendar("XNYS").last_known
    with pytest.raises(UsageError, match=f"known from 1990-01-01 to {known}"):
        expect(
            home,
            state,
            Dataset.BARS_1D,
            [IBM],
            D(2024, 1, 2),
            known + dt.timedelta(days=1),
            at=dt.datetime(2024, 2, 1, tzinfo=UTC),
        )


def test_every_due_session_is_in_one_state(home: Home) -> None:
    """expected = present + partial + empty + missing + quarantined + expired; gaps are two of them."""
    kinds = ["present", "partial", "empty", "missing", "quarantined", "expired"]
    sessions = get_calendar("XNYS").sessions(D(2024, 8, 5), D(2024, 8, 14))
    rows = {PartitionKey(IBM, day): PartitionState(kind) for day, kind in zip(sessions, kinds, strict=False)}
    lake = Lake.open(home.lake_dir)
    append(lake, rows)
    lake.close()
    at = dt.datetime(2024, 8, 14, 12, tzinfo=UTC)
    seen = coverage_summary(home, Dataset.BARS_1D, [IBM], sessions[0], sessions[-1], at=at)
    assert seen.expected == 7
    assert [getattr(seen, kind) for kind in kinds] == [1, 1, 1, 2, 1, 1]
    assert seen.pending == 1
    assert [(gap.start.day, gap.end.day, gap.sessions) for gap in seen.gaps] == [
        (6, 6, 1),
        (8, 8, 1),
        (13, 13, 1),
    ]
