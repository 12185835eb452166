"""The picture: it agrees with the ledger and with recovery, at every grain."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdc_resources.coverage.expectation import expect, ledger, summarise
from mdc_resources.coverage.gaps import open_sessions
from mdc_resources.coverage.painting import picture_of
from mdc_resources.coverage.picture import OPEN, Grain, Picture, Shade, covered, expected, percent
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import CommitBatch, Lake
from mdc_resources.state import State
from tests.coverage.ledgers import append, day, empty_home, fresh

DAILY = Dataset.BARS_1D
AT = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
SYMBOLS = [Symbol(name) for name in ("AAPL", "BRK.B", "IBM")]
STATES = [state for state in PartitionState if state is not PartitionState.PENDING]
LISTINGS = '["BRK.B"]\nfirst = 2024-01-08\n[IBM]\nlast = 2024-02-14\n'
KEYS = st.builds(PartitionKey, st.sampled_from(SYMBOLS), st.integers(0, 40).map(day))
COMMITS = st.lists(st.dictionaries(KEYS, st.sampled_from(STATES), max_size=12), max_size=4)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Three symbols, one listed late and one delisted."""
    found = empty_home(tmp_path_factory.mktemp("picture") / "home", us=SYMBOLS)
    (found.root / "listings.toml").write_text(LISTINGS)
    return found


def draw(home, lake, dataset=DAILY, symbols=SYMBOLS, **more) -> Picture:
    """The picture as of AT."""
    with State.open(home) as state:
        return picture_of(home, lake, state, dataset, symbols, **{"at": AT, **more})


def filled(symbol: str, first: int, last: int, state=PartitionState.PRESENT):
    """Rows for weekdays ``first``..``last`` of ``symbol``; those on holidays change nothing."""
    return {PartitionKey(Symbol(symbol), day(n)): state for n in range(first, last + 1)}


def cells_of(picture: Picture, symbol: str):
    """Cells of one symbol by their first date."""
    (row,) = [row for row in picture.rows if row.symbol == symbol]
    return {str(cell.first): cell for cell in row.cells}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=COMMITS)
def test_what_is_open_is_what_recovery_sees(home, commits):
    """Whatever the ledger holds: the open cells are open_sessions, and all the others are explained."""
    with fresh(home) as lake, State.open(home) as state:
        for rows in commits:
            append(lake, rows)
        picture = draw(home, lake)
        seen = open_sessions(home, lake, state, DAILY, SYMBOLS, at=AT)
        drawn = {
            (row.symbol, cell.first, str(cell.shade))
            for row in picture.rows
            for cell in row.cells
            if cell.shade in OPEN
        }
        told = {
            (symbol, found.calendar.session_at(ordinal), kind)
            for symbol, found in seen.items()
            for kind, ordinals in (("missing", found.missing), ("partial", found.partial))
            for ordinal in ordinals
        }
    assert drawn == told
    assert sum(gap.sessions for gap in picture.gaps) == len(told)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=COMMITS)
def test_the_counts_are_those_of_mdc_coverage(home, commits):
    """With a start both count the same sessions, state by state."""
    start, end = dt.date(2024, 1, 2), dt.date(2024, 2, 29)
    with fresh(home) as lake, State.open(home) as state:
        for rows in commits:
            append(lake, rows)
        picture = draw(home, lake, start=start, end=end)
        from mdc_resources.coverage.listings import listings_of

        wanted = expect(
            home, state, DAILY, SYMBOLS, start, end, at=AT, listings=listings_of(home, lake, SYMBOLS)
        )
        summary = summarise(wanted, ledger(lake, DAILY, SYMBOLS, start, end))
    for name in ("present", "partial", "empty", "missing", "quarantined", "expired"):
        assert picture.tally[Shade(name)] == getattr(summary, name), name
    assert picture.expected == summary.expected


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=COMMITS)
def test_months_and_years_count_what_days_count(home, commits):
    """The grain changes how it is drawn, never how much there is; cells neither overlap nor leave a hole."""
    with fresh(home) as lake:
        for rows in commits:
            append(lake, rows)
        days = draw(home, lake)
        for bound, grain in ((20, Grain.MONTH), (0, Grain.YEAR)):
            other = draw(home, lake, max_cells=bound)
            assert other.grain is grain or not days.rows or days.grain is not Grain.DAY
            for row in days.rows:
                (same,) = [each for each in other.rows if each.symbol == row.symbol]
                assert expected(same.tally) == expected(row.tally)
                assert covered(same.tally) == covered(row.tally)
                assert sum(cell.expected for cell in same.cells) == row.expected
                assert sum(cell.covered for cell in same.cells) == row.covered
                ordinal = row.calendar.ordinal
                for one, following in zip(same.cells, same.cells[1:], strict=False):
                    assert ordinal(following.first) == ordinal(one.last) + 1
                assert (same.cells[0].first, same.cells[-1].last) == (row.cells[0].first, row.cells[-1].last)


def test_a_year_is_shown_whole_and_counts_from_the_first_line(home):
    """Before the first session that was asked for nothing is missing."""
    with fresh(home) as lake:
        append(lake, filled("AAPL", 20, 30))
        picture = draw(home, lake)
    cells = cells_of(picture, "AAPL")
    assert cells["2024-01-02"].shade is Shade.UNASKED
    assert cells[str(day(20))].shade is Shade.PRESENT
    assert cells["2024-02-29"].shade is Shade.MISSING
    assert picture.start == dt.date(2024, 1, 2)
    assert picture.tally[Shade.UNASKED] == 19  # 2024-01-15 was a holiday


def test_with_a_start_everything_from_there_counts(home):
    """Asked for or not."""
    with fresh(home) as lake:
        append(lake, filled("AAPL", 20, 30))
        picture = draw(home, lake, start=dt.date(2024, 1, 22))
    cells = cells_of(picture, "AAPL")
    assert min(cells) == "2024-01-22"
    assert cells["2024-01-22"].shade is Shade.MISSING
    assert picture.untouched == ()


def test_today_is_pending_until_it_is_due(home):
    """AT is noon UTC of 2024-03-01."""
    with fresh(home) as lake:
        append(lake, filled("AAPL", 0, 42))
        assert cells_of(draw(home, lake), "AAPL")["2024-03-01"].shade is Shade.PENDING
        later = dt.datetime(2024, 3, 1, 21, 30, tzinfo=dt.UTC)
        assert cells_of(draw(home, lake, at=later), "AAPL")["2024-03-01"].shade is Shade.MISSING


def test_a_listing_bounds_what_is_expected(home):
    """BRK.B begins on 2024-01-08, IBM ends on 2024-02-14 and its year is shown to the end."""
    with fresh(home) as lake:
        append(lake, {**filled("BRK.B", 0, 42), **filled("IBM", 0, 31)})
        picture = draw(home, lake)
    assert cells_of(picture, "BRK.B")["2024-01-05"].shade is Shade.UNLISTED
    assert cells_of(picture, "BRK.B")["2024-01-08"].shade is Shade.PRESENT
    ibm = cells_of(picture, "IBM")
    assert (ibm["2024-02-14"].shade, ibm["2024-02-15"].shade) == (Shade.PRESENT, Shade.UNLISTED)
    assert picture.percent == 100


def test_symbols_that_lack_most_come_first(home):
    """By share covered, then by how many lack, then by name."""
    with fresh(home) as lake:
        append(lake, {**filled("AAPL", 0, 42), **filled("BRK.B", 0, 10), **filled("IBM", 0, 28)})
        picture = draw(home, lake)
    assert [row.symbol for row in picture.rows] == ["BRK.B", "IBM", "AAPL"]


def test_symbols_never_asked_for_are_named_and_not_drawn(home):
    """They are nobody's gap."""
    with fresh(home) as lake:
        append(lake, filled("AAPL", 0, 42))
        picture = draw(home, lake)
    assert picture.untouched == ("BRK.B", "IBM")
    assert [row.symbol for row in picture.rows] == ["AAPL"]
    assert {gap.symbol for gap in picture.gaps} <= {"AAPL"}


def test_an_empty_lake_gives_an_empty_picture(home):
    """Nothing expected, no share, no division by zero."""
    with fresh(home) as lake:
        picture = draw(home, lake)
    assert (picture.rows, picture.gaps, picture.percent, picture.expected) == ((), (), None, 0)


def test_cells_say_why(home):
    """The ledger's reason, and what was tried of a gap."""
    key = PartitionKey(SYMBOLS[0], day(5))
    lines = [
        CoverageRow(DAILY, SYMBOLS[0], day(2), PartitionState.EMPTY, "halted"),
        CoverageRow(DAILY, SYMBOLS[0], day(3), PartitionState.QUARANTINED, "high is below low"),
    ]
    with fresh(home) as lake, State.open(home) as state:
        append(lake, filled("AAPL", 0, 1))
        lake.commit(CommitBatch("run", 1, {}, lines))
        pauses = {"first_pause": dt.timedelta(hours=1), "longest_pause": dt.timedelta(days=1)}
        state.note_failures(DAILY, {key: {"yahoo": "HTTP 503"}}, at=AT, cap=1, **pauses)
        cells = cells_of(draw(home, lake), "AAPL")
        state.forget_failures(DAILY, [key])
    assert cells[str(day(2))].note == "halted"
    assert cells[str(day(3))].note == "high is below low"
    assert cells[str(day(5))].note == "tried 1 time, given up"


def test_the_newest_line_of_a_partition_counts(home):
    """Expired after present, present after quarantined."""
    with fresh(home) as lake:
        append(lake, {**filled("AAPL", 0, 0), **filled("AAPL", 1, 1, PartitionState.QUARANTINED)})
        append(lake, {**filled("AAPL", 0, 0, PartitionState.EXPIRED), **filled("AAPL", 1, 1)})
        cells = cells_of(draw(home, lake), "AAPL")
    assert (cells[str(day(0))].shade, cells[str(day(1))].shade) == (Shade.EXPIRED, Shade.PRESENT)


def test_months_that_have_nothing_to_tell_are_one_cell(home):
    """Complete January and February in one, a hole in March in another."""
    at = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    rows = filled("AAPL", 0, 90)
    del rows[PartitionKey(SYMBOLS[0], dt.date(2024, 3, 12))]
    with fresh(home) as lake:
        append(lake, rows)
        (row,) = draw(home, lake, at=at, max_cells=10).rows
    assert [(str(cell.first), str(cell.last), cell.covered, cell.expected) for cell in row.cells[:-1]] == [
        ("2024-01-02", "2024-02-29", 41, 41),
        ("2024-03-01", "2024-03-28", 19, 20),
        ("2024-04-01", "2024-04-30", 22, 22),
    ]
    assert row.cells[1].note == "1 missing, 19 present"
    assert row.cells[-1].shade is Shade.PENDING  # the day of the picture


def test_a_line_of_a_day_that_is_no_session_counts_nowhere(home):
    """2024-01-15 was a holiday; a row of it is in no month either."""
    with fresh(home) as lake:
        append(lake, {**filled("AAPL", 0, 8), **filled("AAPL", 9, 9, PartitionState.EMPTY)})
        assert day(9) == dt.date(2024, 1, 15)
        days, months = draw(home, lake), draw(home, lake, max_cells=5)
    assert (days.grain, months.grain) == (Grain.DAY, Grain.MONTH)
    assert days.tally[Shade.EMPTY] == months.tally[Shade.EMPTY] == 0
    assert days.expected == months.expected


def test_the_grain_follows_the_bound(home):
    """A cell a session as long as there are not more than asked for."""
    with fresh(home) as lake:
        append(lake, filled("AAPL", 0, 42))
        sessions = len(draw(home, lake).rows[0].cells)
        assert draw(home, lake, max_cells=sessions).grain is Grain.DAY
        assert draw(home, lake, max_cells=sessions - 1).grain is Grain.MONTH
        assert draw(home, lake, max_cells=0).grain is Grain.YEAR


def test_another_dataset_is_another_picture(home):
    """Lines of bars explain nothing of the actions."""
    with fresh(home) as lake:
        append(lake, filled("AAPL", 0, 42))
        append(lake, filled("AAPL", 0, 5, PartitionState.EMPTY), dataset=Dataset.CORPORATE_ACTIONS)
        found = draw(home, lake, Dataset.CORPORATE_ACTIONS)
    assert found.tally[Shade.EMPTY] == 6
    assert found.tally[Shade.PRESENT] == 0


def test_a_range_beyond_the_calendar_is_an_error(home):
    """Unknown years are never closed."""
    with fresh(home) as lake, pytest.raises(UsageError):
        draw(home, lake, start=dt.date(1980, 1, 1))


def test_calendars_are_each_their_own(tmp_path):
    """Bitcoin has weekends, Apple has none."""
    toml = '[universes.us]\n[universes.coins]\ncalendar = "24/7"\nasset_class = "crypto"\n'
    home = empty_home(tmp_path / "home", toml=toml, us=["AAPL"], coins=["COINBASE:BTC-USD"])
    symbols = [Symbol("AAPL"), Symbol("COINBASE:BTC-USD")]
    with closing(Lake.open(home.lake_dir)) as lake:
        append(lake, {PartitionKey(symbol, day(0)): PartitionState.PRESENT for symbol in symbols})
        picture = draw(home, lake, symbols=symbols)
    assert "2024-01-06" not in cells_of(picture, "AAPL")
    assert cells_of(picture, "COINBASE:BTC-USD")["2024-01-06"].shade is Shade.MISSING


@pytest.mark.parametrize(
    ("part", "whole", "share"), [(0, 0, None), (0, 5, 0), (1999, 2000, 99.9), (2000, 2000, 100), (1, 3, 33.3)]
)
def test_a_share_is_rounded_down(part, whole, share):
    """100 % means all."""
    assert percent(part, whole) == share


def test_a_tally_counts_as_covered_what_is_settled():
    """Present, empty and expired; quarantined is expected and not covered, pending neither."""
    tally = Counter(dict.fromkeys(Shade, 1))
    assert (expected(tally), covered(tally)) == (6, 3)
