"""``mdc reconcile``: what a person sees of it."""

from __future__ import annotations

import shutil

from mdc_resources.domain.errors import ExitCode
from mdc_resources.lake import Lake


def test_a_direct_backfill_is_reported(stocked_copy):
    """Counts first, then the assets that differed; nothing is asked of a vendor."""
    before = stocked_copy.requests()
    ran = stocked_copy("reconcile", "--json")
    assert ran.code == ExitCode.OK
    assert ran.json["unreported"] == ran.json["reported"] > 0
    bars = next(entry for entry in ran.json["assets"] if entry["asset"] == "bars_1d/us_00")
    assert (bars["known"], bars["unreported"]) == (0, 42)
    assert stocked_copy.requests() == before
    again = stocked_copy("reconcile", "--json").json
    assert (again["unreported"], again["reported"], again["assets"]) == (0, 0, [])


def test_a_dry_run_changes_nothing(stocked_copy):
    """The same counts, twice."""
    for _ in range(2):
        ran = stocked_copy("reconcile", "--dry-run")
        assert ran.code == ExitCode.OK
        assert "dry run: nothing" in ran.out
        assert "bars_1d/us_00" in ran.out


def test_the_text_says_what_was_done(stocked_copy):
    """Fields and a table for a person."""
    out = stocked_copy("reconcile").out
    assert "in the lake, not in the event log" in out
    assert "marked missing" in out
    assert "unreported" in out


def test_a_wrong_lake_is_refused_with_a_hint(stocked_copy):
    """Exit 5, one line that says what to do."""
    assert stocked_copy("reconcile").code == ExitCode.OK
    lake_dir = stocked_copy.root / "lake"
    shutil.rmtree(lake_dir)
    Lake.create(lake_dir, sandbox=True).close()
    ran = stocked_copy("reconcile")
    assert ran.code == ExitCode.LAKE
    assert "unknown to the lake" in ran.err
    assert "mdc lake rebuild" in ran.err


def test_symbols_of_no_universe_are_told(stocked_copy):
    """With the command that seats them."""
    shutil.rmtree(stocked_copy.root / "state")
    ran = stocked_copy("reconcile")
    assert ran.code == ExitCode.OK
    assert "AAPL, MSFT" in ran.err
    assert "mdc symbols add" in ran.err
