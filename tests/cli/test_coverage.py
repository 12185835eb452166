"""``mdc coverage``: the exact JSON shape, and counts that add up."""

from __future__ import annotations

import pytest

JANUARY = ("--start", "2024-01-02", "--end", "2024-01-31")
COUNTS = ["expected", "present", "partial", "empty", "missing", "quarantined", "expired", "pending"]


def coverage(mdc, *words):
    """The JSON document."""
    return mdc("coverage", "--dataset", "bars_1d", *words, "--json").json


def test_the_json_has_exactly_the_promised_keys(stocked):
    """Names and order are an interface."""
    assert list(coverage(stocked, *JANUARY)) == [*COUNTS, "gaps"]


def test_a_filled_range_has_no_gaps(stocked):
    """21 sessions of two symbols."""
    seen = coverage(stocked, *JANUARY)
    assert seen["expected"] == seen["present"] == 42
    assert seen["gaps"] == []


def test_a_gap_has_symbol_inclusive_ends_and_its_sessions(stocked):
    """February is not there; weekends and Presidents' Day do not split the gap or count in it."""
    seen = coverage(stocked, "--symbols", "AAPL", "--start", "2024-01-30", "--end", "2024-02-29")
    assert seen["gaps"] == [{"symbol": "AAPL", "start": "2024-02-01", "end": "2024-02-29", "sessions": 20}]


def test_the_states_add_up_to_expected(stocked):
    """expected = present + partial + empty + missing + quarantined + expired."""
    seen = coverage(stocked, "--start", "2023-12-01", "--end", "2024-03-31")
    assert seen["expected"] == sum(seen[name] for name in COUNTS[1:-1])
    assert sum(gap["sessions"] for gap in seen["gaps"]) == seen["missing"] + seen["partial"]


def test_the_default_range_starts_with_the_universe(stocked):
    """2010-01-04 is the first session expected of each symbol."""
    gaps = coverage(stocked)["gaps"]
    assert next(gap["start"] for gap in gaps if gap["symbol"] == "AAPL") == "2010-01-04"


def test_without_symbols_everything_is_zero(mdc):
    """An empty home is not an error."""
    assert coverage(mdc, *JANUARY) == {**dict.fromkeys(COUNTS, 0), "gaps": []}


def test_a_stranger_is_all_missing(stocked):
    """A symbol of no universe is judged by the default one's calendar."""
    assert coverage(stocked, "--symbols", "KO", *JANUARY)["missing"] == 21


def test_a_holiday_is_not_expected(stocked):
    """2024-01-15 was Martin Luther King's Day."""
    assert coverage(stocked, "--start", "2024-01-13", "--end", "2024-01-15")["expected"] == 0


def test_universes_with_their_own_start_and_calendar_are_summed(stocked_copy):
    """London trades on 2024-01-15 and New York on 2024-05-06, each by its own rule."""
    stocked_copy.append('\n[universes.uk]\ncalendar = "XLON"\nstart = 2024-01-29\n')
    stocked_copy("symbols", "add", "--universe", "uk", "VOD")
    seen = coverage(stocked_copy, "--end", "2024-01-31")
    vod = [gap for gap in seen["gaps"] if gap["symbol"] == "VOD"]
    assert vod == [{"symbol": "VOD", "start": "2024-01-29", "end": "2024-01-31", "sessions": 3}]


def test_a_person_gets_a_table(stocked):
    """Counts and gaps, exit 0."""
    ran = stocked(
        "coverage",
        "--dataset",
        "bars_1d",
        "--symbols",
        "AAPL",
        "--start",
        "2024-01-30",
        "--end",
        "2024-02-05",
    )
    assert ran.code == 0
    assert "expected" in ran.out
    assert "2024-02-01" in ran.out


def test_reading_changes_nothing(stocked_copy):
    """No commit, no file."""
    before = stocked_copy("lake", "snapshots", "--json").out
    coverage(stocked_copy, *JANUARY)
    assert stocked_copy("lake", "snapshots", "--json").out == before


@pytest.mark.parametrize(
    "words",
    [
        ["--dataset", "bars_1d", "--start", "2024-02-01", "--end", "2024-01-01"],
        ["--dataset", "bars_1d", "--start", "yesterday"],
        ["--dataset", "nope"],
        ["--dataset", "bars_1d", "--symbols", "../x"],
        [],
    ],
    ids=["reversed", "no-date", "no-dataset", "no-symbol", "nothing"],
)
def test_bad_input_is_exit_2(stocked, words):
    """One line, no traceback."""
    ran = stocked("coverage", *words)
    assert ran.code == 2
    assert "Traceback" not in ran.err
