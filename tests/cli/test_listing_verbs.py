"""``mdc symbols rename|delist|listings``: what is written, what is refused, and what it changes."""

from __future__ import annotations

import tomllib

import pytest

from tests.cli.running import Mdc


def written(mdc: Mdc) -> dict:
    """The home's listings; empty without a file."""
    path = mdc.root / "listings.toml"
    return tomllib.loads(path.read_text()) if path.exists() else {}


def text_dates(tables: dict) -> dict:
    """Dates as typed."""
    return {name: {key: str(value) for key, value in table.items()} for name, table in tables.items()}


def test_rename_writes_both_names(mdc: Mdc) -> None:
    """The old one ends the session before, over a weekend too."""
    ran = mdc("symbols", "rename", "oldn", "NEWN", "2025-08-18")
    assert ran.code == 0
    assert "OLDN" in ran.out
    assert "written to" in ran.err
    assert text_dates(written(mdc)) == {
        "OLDN": {"last": "2025-08-15", "successor": "NEWN"},
        "NEWN": {"first": "2025-08-18", "predecessor": "OLDN"},
    }
    assert (mdc.root / "listings.toml").stat().st_mode & 0o777 == 0o644


def test_delist_keeps_the_start(mdc: Mdc) -> None:
    """Only the end changes; a successor that was named is not one any more."""
    mdc("symbols", "rename", "OLDN", "NEWN", "2025-08-18")
    ran = mdc("symbols", "delist", "NEWN", "2026-03-06", "--json")
    assert ran.json == {
        "dry_run": False,
        "listings": [
            {
                "symbol": "NEWN",
                "first": "2025-08-18",
                "last": "2026-03-06",
                "predecessor": "OLDN",
                "successor": None,
                "origin": "listings.toml",
            }
        ],
    }
    assert text_dates(written(mdc))["NEWN"] == {
        "first": "2025-08-18",
        "last": "2026-03-06",
        "predecessor": "OLDN",
    }


@pytest.mark.parametrize(
    "words", [("rename", "OLDN", "NEWN", "2025-08-18"), ("delist", "GONE", "2025-11-14")]
)
def test_a_dry_run_writes_nothing(mdc: Mdc, words: tuple[str, ...]) -> None:
    """It shows what it would write."""
    ran = mdc("symbols", *words, "--dry-run")
    assert ran.code == 0
    assert words[1] in ran.out
    assert "nothing was changed" in ran.err
    assert not (mdc.root / "listings.toml").exists()
    assert mdc("symbols", *words, "--dry-run", "--json").json["dry_run"] is True


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(("rename", "FB", "FB", "2022-06-09"), "renamed to itself", id="itself"),
        pytest.param(("rename", "FB", "../x", "2022-06-09"), "is not a symbol", id="no symbol"),
        pytest.param(("rename", "FB", "META", "June"), "is not a date", id="no date"),
        pytest.param(("rename", "FB", "META", "2025-08-16"), "2025-08-15 and 2025-08-18", id="Saturday"),
        pytest.param(("delist", "GONE", "2025-12-25"), "2025-12-24 and 2025-12-26", id="Christmas"),
        pytest.param(("delist", "GONE", "1980-01-02"), "known from 1990-01-01", id="too early"),
        pytest.param(("delist", "GONE", "2199-01-02"), "known from 1990-01-01", id="too late"),
        pytest.param(
            ("rename", "FB", "META", "1990-01-02"), "first session that XNYS knows", id="no day before"
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(mdc: Mdc, words: tuple[str, ...], says: str) -> None:
    """With exit code 2, a hint, and no file."""
    ran = mdc("symbols", *words)
    assert ran.code == 2
    assert says in ran.err
    assert not (mdc.root / "listings.toml").exists()


def test_an_end_before_the_start_is_refused(mdc: Mdc) -> None:
    """The file stays as it is."""
    mdc("symbols", "rename", "OLDN", "NEWN", "2025-08-18")
    before = (mdc.root / "listings.toml").read_bytes()
    ran = mdc("symbols", "delist", "NEWN", "2025-08-15")
    assert ran.code == 2
    assert "would begin 2025-08-18, after its end 2025-08-15" in ran.err
    assert (mdc.root / "listings.toml").read_bytes() == before


def test_a_file_with_a_mistake_is_not_written_over(mdc: Mdc) -> None:
    """It is named instead."""
    (mdc.root / "listings.toml").write_text("[FB]\nlats = 2022-06-08\n")
    ran = mdc("symbols", "delist", "GONE", "2025-11-14")
    assert ran.code == 2
    assert "Did you mean 'last'" in ran.err
    assert (mdc.root / "listings.toml").read_text() == "[FB]\nlats = 2022-06-08\n"


def test_listings_of_a_new_home_are_none(mdc: Mdc) -> None:
    """A line to a person, an empty list to a program."""
    assert "listed all along" in mdc("symbols", "listings").err
    assert mdc("symbols", "listings", "--json").json == []


def test_listings_name_who_says_so(mdc: Mdc) -> None:
    """What vendors told shows beside what was typed."""
    days = ("--start", "2025-08-11", "--end", "2025-08-22", "--direct")
    assert mdc("backfill", "OLDN", "NEWN", "--dataset", "corporate_actions", *days).code in (0, 3)
    mdc("symbols", "delist", "GONE", "2025-11-14")
    told = {row["symbol"]: row for row in mdc("symbols", "listings", "--json").json}
    assert (told["OLDN"]["last"], told["OLDN"]["origin"]) == ("2025-08-17", "corporate_actions")
    assert told["NEWN"]["first"] == "2025-08-18"
    assert (told["GONE"]["last"], told["GONE"]["origin"]) == ("2025-11-14", "listings.toml")
    assert "2025-11-14" in mdc("symbols", "listings").out


def test_sessions_of_the_other_name_are_not_asked_for(mdc: Mdc) -> None:
    """A backfill over the rename fetches each name's own sessions, and coverage is complete."""
    mdc("symbols", "rename", "OLDN", "NEWN", "2025-08-18")
    days = ("--start", "2025-08-11", "--end", "2025-08-22")
    ran = mdc("backfill", "OLDN", "NEWN", *days, "--provider", "alpaca", "--direct", "--json")
    assert ran.code == 0
    assert (ran.json["expected"], ran.json["present"]) == (10, 10)
    seen = mdc("coverage", "--dataset", "bars_1d", "--symbols", "OLDN,NEWN", *days, "--json").json
    assert (seen["expected"], seen["present"], seen["gaps"]) == (10, 10, [])
