"""Listings: what the lake's rows say, what bars say against it, and the home's file over all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from mdc_resources.config import Home
from mdc_resources.coverage.expectation import coverage_summary, expect
from mdc_resources.coverage.listings import listings_of, outside_listing
from mdc_resources.domain.coverage import CoverageRow, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ConfigError
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import CommitBatch, Lake
from mdc_resources.schema.arrow import INSTRUMENTS
from mdc_resources.state import State
from mdc_resources.symbology import LISTINGS_FILE
from tests.coverage.ledgers import UTC, append, empty_home
from tests.coverage.test_gaps import held
from tests.lake.lake_rows import action, actions, explain

D = dt.date
OLDN, NEWN, GONE = Symbol("OLDN"), Symbol("NEWN"), Symbol("GONE")
RENAME = action("OLDN", D(2025, 8, 18), "rename", successor="NEWN")
REMOVAL = action("GONE", D(2025, 11, 17), "delisting")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose universe follows the three."""
    return empty_home(tmp_path / "home", us=["OLDN", "NEWN", "GONE", "META"])


@pytest.fixture
def lake(home: Home) -> Iterator[Lake]:
    """Its lake."""
    opened = Lake.open(home.lake_dir)
    yield opened
    opened.close()


def store(lake: Lake, dataset: Dataset, table: pa.Table) -> None:
    """Commit rows as ingest does."""
    lake.commit(CommitBatch("run", 1, {dataset: table}, explain(dataset, table)))


def tell(lake: Lake, *rows: dict[str, object]) -> None:
    """Commit corporate actions."""
    store(lake, Dataset.CORPORATE_ACTIONS, actions(*rows))


def trade_first(lake: Lake, symbol: str, *first: dt.date) -> None:
    """Commit instruments, one a day, that tell these first trades."""
    rows = [
        {"symbol": symbol, "session": D(2025, 9, 1 + n), "first_trade": day, "source": "yahoo"}
        for n, day in enumerate(first)
    ]
    store(lake, Dataset.INSTRUMENTS, pa.Table.from_pylist(rows, schema=INSTRUMENTS))


def test_a_rename_ends_one_name_and_begins_the_other(home: Home, lake: Lake) -> None:
    """The day before its date is the old name's last, its date the new name's first."""
    tell(lake, RENAME)
    old = Listing(OLDN, last=D(2025, 8, 17), successor=NEWN, origin="corporate_actions")
    new = Listing(NEWN, first=D(2025, 8, 18), predecessor=OLDN, origin="corporate_actions")
    assert listings_of(home, lake) == {OLDN: old, NEWN: new}
    assert listings_of(home, lake, [NEWN, GONE]) == {NEWN: new}
    assert listings_of(home, lake, [OLDN]) == {OLDN: old}


def test_a_delisting_ends_a_name(home: Home, lake: Lake) -> None:
    """Nobody goes on."""
    tell(lake, REMOVAL)
    assert listings_of(home, lake) == {GONE: Listing(GONE, last=D(2025, 11, 16), origin="corporate_actions")}


@pytest.mark.parametrize(
    ("stored", "last"),
    [
        pytest.param("2025-11-14", D(2025, 11, 16), id="none since"),
        pytest.param("2025-11-17", D(2025, 11, 17), id="on the day itself"),
        pytest.param("2025-11-18", None, id="after it"),
    ],
)
def test_bars_may_contradict_an_end(home: Home, lake: Lake, stored: str, last: dt.date | None) -> None:
    """A name that went on trading is followed on: a gap is seen, silence is not."""
    append(lake, held("GONE", "2025-11-13", stored), dataset=Dataset.BARS_1M)
    tell(lake, REMOVAL)
    found = listings_of(home, lake)
    assert (found[GONE].last if GONE in found else None) == last


def test_sessions_without_bars_contradict_nothing(home: Home, lake: Lake) -> None:
    """That somebody looked and found nothing is no sign of life."""
    append(lake, held("GONE", "2025-11-17", "2025-11-19", state=PartitionState.EMPTY))
    append(lake, held("GONE", "2025-11-17", "2025-11-19"), dataset=Dataset.CORPORATE_ACTIONS)
    tell(lake, REMOVAL)
    assert listings_of(home, lake)[GONE].last == D(2025, 11, 16)


def test_the_successor_s_start_holds_against_bars(home: Home, lake: Lake) -> None:
    """Vendors serve the former name's history under the new one; it is not the new name's."""
    append(lake, held("NEWN", "2025-08-11", "2025-08-22"))
    tell(lake, RENAME)
    assert listings_of(home, lake)[NEWN].first == D(2025, 8, 18)


def test_a_name_that_was_taken_back_begins_anew(home: Home, lake: Lake) -> None:
    """A to B, later B to A: of each name the later life counts."""
    there, back = RENAME, action("NEWN", D(2025, 10, 6), "rename", successor="OLDN")
    tell(lake, there, back)
    found = listings_of(home, lake)
    assert (found[OLDN].first, found[OLDN].last, found[OLDN].predecessor) == (D(2025, 10, 6), None, NEWN)
    assert (found[NEWN].first, found[NEWN].last) == (D(2025, 8, 18), D(2025, 10, 5))


@pytest.mark.parametrize(
    ("told", "stored", "first"),
    [
        pytest.param([D(2024, 2, 1)], None, D(2024, 2, 1), id="alone"),
        pytest.param([D(2024, 2, 1), D(2023, 6, 1)], None, D(2023, 6, 1), id="the earliest of two"),
        pytest.param([D(2024, 2, 1)], "2024-02-01", D(2024, 2, 1), id="bars agree"),
        pytest.param([D(2024, 2, 1)], "2024-01-31", None, id="bars before it"),
    ],
)
def test_a_first_trade_narrows_the_start(
    home: Home, lake: Lake, told: Sequence[dt.date], stored: str | None, first: dt.date | None
) -> None:
    """Unless bars are stored from before it."""
    if stored:
        append(lake, held("META", stored, "2024-03-01"))
    trade_first(lake, "META", *told)
    found = listings_of(home, lake)
    assert (found[Symbol("META")].first if found else None) == first


def test_a_first_trade_never_widens(home: Home, lake: Lake) -> None:
    """The vendor knows the company, which is older than its name."""
    trade_first(lake, "NEWN", D(2012, 5, 18))
    tell(lake, RENAME)
    assert listings_of(home, lake)[NEWN].first == D(2025, 8, 18)


def test_the_file_wins_as_a_whole(home: Home, lake: Lake) -> None:
    """A symbol's table is all that counts for it; others keep what is known."""
    tell(lake, RENAME, REMOVAL)
    (home.root / LISTINGS_FILE).write_text("[OLDN]\nfirst = 2020-01-02\n")
    found = listings_of(home, lake)
    assert found[OLDN] == Listing(OLDN, first=D(2020, 1, 2), origin=LISTINGS_FILE)
    assert found[NEWN].first == D(2025, 8, 18)
    assert found[GONE].last == D(2025, 11, 16)


def test_a_file_that_cannot_be_used_stops_the_work(home: Home, lake: Lake) -> None:
    """It is never passed over: what it says would be counted as gaps, or not at all."""
    (home.root / LISTINGS_FILE).write_text("[OLDN]\nlst = 2020-01-02\n")
    with pytest.raises(ConfigError, match="Did you mean 'last'"):
        listings_of(home, lake)
    with pytest.raises(ConfigError, match="Did you mean 'last'"):
        coverage_summary(home, Dataset.BARS_1D, [GONE], D(2025, 8, 1), D(2025, 8, 29))


def test_outside_its_listing_nothing_is_expected(home: Home, lake: Lake) -> None:
    """Neither due nor pending, under the old name nor under the new one."""
    tell(lake, RENAME)
    at = dt.datetime(2025, 8, 21, 12, tzinfo=UTC)
    with State.open(home) as state:
        found = expect(
            home,
            state,
            Dataset.BARS_1D,
            [OLDN, NEWN, GONE],
            D(2025, 8, 13),
            D(2025, 8, 22),
            at=at,
            listings=listings_of(home, lake),
        )
    days = {symbol: [day.day for day in found[symbol].sessions()] for symbol in found}
    assert days == {OLDN: [13, 14, 15], NEWN: [18, 19, 20], GONE: [13, 14, 15, 18, 19, 20]}
    assert {symbol: found[symbol].pending for symbol in found} == {OLDN: 0, NEWN: 2, GONE: 2}


def test_coverage_of_a_rename_is_complete(home: Home, lake: Lake) -> None:
    """Both halves of one series: no session is missing and none is counted twice."""
    append(lake, held("OLDN", "2025-08-13", "2025-08-15") | held("NEWN", "2025-08-18", "2025-08-20"))
    at, span = dt.datetime(2025, 8, 21, 12, tzinfo=UTC), (D(2025, 8, 13), D(2025, 8, 20))
    before = coverage_summary(home, Dataset.BARS_1D, [OLDN, NEWN], *span, at=at)
    assert (before.expected, before.present, before.missing) == (12, 6, 6)
    tell(lake, RENAME)
    after = coverage_summary(home, Dataset.BARS_1D, [OLDN, NEWN], *span, at=at)
    assert (after.expected, after.present, after.missing, after.gaps) == (6, 6, 0, ())


def test_instruments_are_expected_on_the_last_listed_session(home: Home, lake: Lake) -> None:
    """The last due session of a range is not due for a name that ended before it."""
    tell(lake, RENAME)
    span = (D(2025, 8, 1), D(2025, 8, 29))
    with State.open(home) as state:
        found = expect(
            home,
            state,
            Dataset.INSTRUMENTS,
            [OLDN, NEWN],
            *span,
            at=dt.datetime(2025, 9, 9, tzinfo=UTC),
            listings=listings_of(home, lake),
        )
    assert {symbol: list(found[symbol].sessions()) for symbol in found} == {
        OLDN: [D(2025, 8, 15)],
        NEWN: [D(2025, 8, 29)],
    }


def test_what_is_left_out_is_said(home: Home, lake: Lake) -> None:
    """A sentence per symbol and side, with how many sessions and whose they are."""
    tell(lake, RENAME, REMOVAL)
    trade_first(lake, "META", D(2012, 5, 18))
    symbols = [OLDN, NEWN, GONE, Symbol("META"), Symbol("IBM")]
    assert outside_listing(home, lake, symbols, D(2025, 8, 11), D(2025, 11, 17)) == [
        "OLDN: 65 sessions after 2025-08-17 are of NEWN",
        "NEWN: 5 sessions before 2025-08-18 are of OLDN",
        "GONE: 1 session after 2025-11-16 left out, it was delisted",
    ]
    assert outside_listing(home, lake, symbols[3:], D(2012, 5, 16), D(2012, 5, 21)) == [
        "META: 2 sessions before 2012-05-18 left out, it was not listed yet"
    ]
    assert outside_listing(home, lake, [OLDN], D(2026, 1, 2), D(2026, 1, 5)) == [
        "OLDN: 2 sessions after 2025-08-17 are of NEWN"
    ]
    assert outside_listing(home, lake, symbols, D(2025, 8, 16), D(2025, 8, 17)) == []


def test_facts_of_replaced_rows_are_gone(home: Home, lake: Lake) -> None:
    """A rename that a vendor took back no longer counts."""
    tell(lake, RENAME)
    key = (Dataset.CORPORATE_ACTIONS, explain(Dataset.CORPORATE_ACTIONS, actions(RENAME))[0].key)
    line = CoverageRow(Dataset.CORPORATE_ACTIONS, OLDN, D(2025, 8, 18), PartitionState.EMPTY)
    lake.commit(CommitBatch("run", 2, {}, [line], replaces=frozenset([key])))
    assert listings_of(home, lake) == {}
