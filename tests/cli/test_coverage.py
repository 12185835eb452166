"""``mdc coverage``: the exact JSON shape, and counts that add up."""

from __future__ import annotations

import re

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
        ["--html", "x.html", "--sla"],
        ["--html", "x.html", "--start", "2024-02-01", "--end", "2024-01-01"],
        ["--html", "."],
    ],
    ids=["reversed", "no-date", "no-dataset", "no-symbol", "both", "reversed-page", "a-folder"],
)
def test_bad_input_is_exit_2(stocked, words):
    """One line, no traceback."""
    ran = stocked("coverage", *words)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_the_dataset_is_daily_bars_unless_said_otherwise(stocked):
    """The everyday question needs no option."""
    assert stocked("coverage", *JANUARY, "--json").json["present"] == 42


def test_the_page_is_written_and_its_figures_are_told(stocked, tmp_path):
    """One file, with every session of the two symbols; the same figures as JSON."""
    page = tmp_path / "coverage.html"
    ran = stocked("coverage", "--html", str(page), *JANUARY, "--json")
    assert ran.code == 0
    told = ran.json
    assert (told["file"], told["symbols"], told["cell"]) == (str(page), 2, "day")
    assert (told["expected"], told["covered"], told["percent"], told["gaps"]) == (42, 42, 100.0, 0)
    text = page.read_text(encoding="utf-8")
    assert told["bytes"] == page.stat().st_size
    assert text.count('title="2024-01-03 present"') == 2
    assert "2024-01-15 closed: Dr. Martin Luther King Jr. Day" in text


def test_without_a_start_the_page_shows_each_symbol_from_its_first_session(stocked, tmp_path):
    """Nothing before 2024 was asked for, so nothing of it is missing."""
    page = tmp_path / "coverage.html"
    told = stocked("coverage", "--html", str(page), "--json").json
    assert told["gaps"] == 2
    assert "2010-01-04" not in page.read_text(encoding="utf-8")
    assert "2024-02-01 missing" in page.read_text(encoding="utf-8")


def test_a_page_of_some_symbols(stocked, tmp_path):
    """--symbols narrows it; one that nobody asked for is named."""
    page = tmp_path / "coverage.html"
    ran = stocked("coverage", "--symbols", "AAPL,KO", "--html", str(page), *JANUARY[2:])
    assert ran.code == 0
    assert "1 symbols, 100 % covered" in ran.out
    assert "Never asked for" in page.read_text(encoding="utf-8")


def test_a_file_of_another_kind_is_not_overwritten(stocked_copy):
    """--html mdc.toml is a mistake."""
    before = stocked_copy.toml.read_text()
    assert stocked_copy("coverage", "--html", str(stocked_copy.toml)).code == 2
    assert stocked_copy.toml.read_text() == before


def test_promises_are_judged_with_exit_1_where_one_is_broken(stocked_copy):
    """The newest sessions are missing: incomplete, with who lacks what."""
    stocked_copy.append('\n[sla.mine]\ndataset = "bars_1d"\nwithin = "2h"\nsessions = 2\n')
    ran = stocked_copy("coverage", "--sla")
    assert ran.code == 1
    assert "incomplete" in ran.out
    assert "AAPL missing" in ran.out
    told = {each["name"]: each for each in stocked_copy("coverage", "--sla", "--json").json}
    assert (told["mine"]["met"], len(told["mine"]["sessions"])) == (False, 2)


def test_without_promises_there_is_nothing_to_break(stocked_copy):
    """A hint, exit 0."""
    text = stocked_copy.toml.read_text()
    stocked_copy.toml.write_text(re.sub(r"(?m)^\[sla\.[^\[]*", "", text))
    ran = stocked_copy("coverage", "--sla")
    assert ran.code == 0
    assert "[sla.daily]" in ran.err
