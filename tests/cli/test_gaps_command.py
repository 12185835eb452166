"""``mdc gaps``: what recovery sees, exit codes, and asking again."""

from __future__ import annotations

import datetime as dt

import pytest

from mdc_resources import config
from mdc_resources.domain.coverage import CoverageRow, PartitionKey, PartitionState
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import CommitBatch, Lake
from mdc_resources.state import State

KEYS = [
    "dataset", "symbol", "start", "end", "sessions", "partial", "tries", "next_at", "given_up", "why",
    "followed", "state",
]  # fmt: skip
DAILY = Dataset.BARS_1D
PAUSES = {"first_pause": dt.timedelta(hours=1), "longest_pause": dt.timedelta(days=1)}


def january(mdc):
    """The gaps of January 2024, by symbol: what came later is a gap up to the present."""
    seen = mdc("gaps", "--dataset", "bars_1d", "--json").json["gaps"]
    return [gap for gap in seen if gap["start"] < "2024-02-01"]


def lose(mdc, symbol, *dates, state=PartitionState.MISSING):
    """Let the ledger say that these are gone."""
    home = config.load(mdc.toml, environ={})
    keys = [PartitionKey(Symbol(symbol), dt.date.fromisoformat(date)) for date in dates]
    lines = [CoverageRow(DAILY, key.symbol, key.session, state) for key in keys]
    lake = Lake.open(home.lake_dir)
    try:
        lake.commit(CommitBatch("lost", 1, {}, lines, replaces=frozenset((DAILY, key) for key in keys)))
    finally:
        lake.close()
    return home, keys


def fail(home, keys, *, times=1, cap=3):
    """Let these have been asked for in vain."""
    with State.open(home) as state:
        for _ in range(times):
            reasons = {key: {"yahoo": "HTTP 503"} for key in keys}
            state.note_failures(DAILY, reasons, at=dt.datetime.now(dt.UTC), cap=cap, **PAUSES)


def test_without_gaps_it_says_so_and_exits_0(mdc):
    """An empty home lacks nothing that anybody asked for."""
    ran = mdc("gaps")
    assert (ran.code, ran.out) == (0, "no gaps\n")
    assert mdc("gaps", "--json").json["gaps"] == []


def test_the_json_has_exactly_the_promised_keys(stocked):
    """Names and order are an interface; exit 1, since there are gaps."""
    ran = stocked("gaps", "--json")
    assert ran.code == 1
    assert list(ran.json) == ["at", "sessions", "gaps"]
    assert list(ran.json["gaps"][0]) == KEYS


def test_what_follows_the_last_fetch_is_a_gap(stocked):
    """January is there, so the gap of each symbol begins on 2024-02-01 and ends with the newest session."""
    seen = stocked("gaps", "--dataset", "bars_1d", "--json").json["gaps"]
    assert [(gap["symbol"], gap["start"], gap["state"]) for gap in seen] == [
        ("AAPL", "2024-02-01", "missing"),
        ("MSFT", "2024-02-01", "missing"),
    ]
    assert all(gap["followed"] and gap["next_at"] is None for gap in seen)


def test_consecutive_sessions_are_one_gap_over_a_weekend(stocked_copy):
    """Friday and Monday are neighbours."""
    lose(stocked_copy, "AAPL", "2024-01-05", "2024-01-08", "2024-01-10")
    assert [(gap["start"], gap["end"], gap["sessions"]) for gap in january(stocked_copy)] == [
        ("2024-01-05", "2024-01-08", 2),
        ("2024-01-10", "2024-01-10", 1),
    ]


def test_partial_sessions_are_told_from_missing_ones(stocked_copy):
    """In one gap, or alone."""
    lose(stocked_copy, "AAPL", "2024-01-05", "2024-01-22")
    lose(stocked_copy, "AAPL", "2024-01-08", "2024-01-17", state=PartitionState.PARTIAL)
    assert [(gap["start"], gap["partial"], gap["state"]) for gap in january(stocked_copy)] == [
        ("2024-01-05", 1, "missing, partial"),
        ("2024-01-17", 1, "partial"),
        ("2024-01-22", 0, "missing"),
    ]


def test_a_gap_tells_what_was_tried_and_when_it_is_asked_for_again(stocked_copy):
    """Tried twice: the reason, the number, the next look."""
    home, keys = lose(stocked_copy, "AAPL", "2024-01-05")
    fail(home, keys, times=2)
    (gap,) = january(stocked_copy)
    assert (gap["tries"], gap["given_up"], gap["why"]) == (2, 0, "yahoo: HTTP 503")
    assert dt.datetime.fromisoformat(gap["next_at"]) > dt.datetime.now(dt.UTC)
    assert "HTTP 503" in stocked_copy("gaps", "AAPL").out


def test_all_counts_from_the_universes_start_and_says_what_is_never_looked_at(stocked):
    """2010 to 2023 was never asked for: no gap of recovery's."""
    seen = stocked("gaps", "AAPL", "--all", "--dataset", "bars_1d", "--json").json["gaps"]
    assert [(gap["start"], gap["followed"]) for gap in seen] == [("2010-01-04", False), ("2024-02-01", True)]
    assert "never: not begun" in stocked("gaps", "AAPL", "--all", "--dataset", "bars_1d").out


def test_a_named_symbol_alone_is_looked_at(stocked):
    """In any case and order."""
    seen = stocked("gaps", "msft", "--json").json["gaps"]
    assert {gap["symbol"] for gap in seen} == {"MSFT"}


def test_the_datasets_are_those_that_recovery_looks_after(stocked_copy):
    """[recovery] datasets, unless one is named."""
    stocked_copy.append('\n[recovery]\ndatasets = ["corporate_actions"]\n')
    assert {gap["dataset"] for gap in stocked_copy("gaps", "--json").json["gaps"]} <= {"corporate_actions"}
    assert {g["dataset"] for g in stocked_copy("gaps", "--dataset", "bars_1d", "--json").json["gaps"]} == {
        "bars_1d"
    }


def test_retry_forgets_what_was_given_up_and_what_waits(stocked_copy):
    """Then both are asked for at the next look."""
    home, keys = lose(stocked_copy, "AAPL", "2024-01-05", "2024-01-10")
    fail(home, keys[:1], times=3)
    fail(home, keys[1:])
    assert "given up" in stocked_copy("gaps", "AAPL").out
    ran = stocked_copy("gaps", "--retry", "AAPL", "--json")
    assert ran.code == 0
    assert [(each["session"], each["gave_up"]) for each in ran.json["partitions"]] == [
        ("2024-01-05", True),
        ("2024-01-10", False),
    ]
    assert [(gap["tries"], gap["given_up"], gap["next_at"]) for gap in january(stocked_copy)] == [
        (0, 0, None)
    ] * 2


def test_a_dry_retry_changes_nothing(stocked_copy):
    """It says for which."""
    home, keys = lose(stocked_copy, "AAPL", "2024-01-05")
    fail(home, keys, times=3)
    ran = stocked_copy("gaps", "AAPL", "--retry", "--dry-run")
    assert ran.out.startswith("1 partitions are asked for again")
    assert "nothing was changed" in ran.err
    assert january(stocked_copy)[0]["given_up"] == 1


def test_retry_of_one_symbol_leaves_the_others(stocked_copy):
    """Only those that were named."""
    home, keys = lose(stocked_copy, "AAPL", "2024-01-05")
    _, others = lose(stocked_copy, "MSFT", "2024-01-05")
    fail(home, [*keys, *others], times=3)
    stocked_copy("gaps", "--retry", "AAPL")
    assert {gap["symbol"]: gap["given_up"] for gap in january(stocked_copy)} == {"AAPL": 0, "MSFT": 1}


@pytest.mark.parametrize("words", [["../x"], ["--dataset", "nope"]], ids=["no-symbol", "no-dataset"])
def test_bad_input_is_exit_2(stocked, words):
    """One line, no traceback."""
    ran = stocked("gaps", *words)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_a_missing_lake_is_exit_5_and_no_gap(stocked_copy):
    """An unmounted disk never means that everything is missing."""
    (stocked_copy.root / "lake" / "MARKER").unlink()
    assert stocked_copy("gaps").code == 5
