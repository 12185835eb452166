"""``mdc providers``: who offers what, and a probe that stores nothing."""

from __future__ import annotations

import pytest


def by_name(mdc):
    """Rows of `providers list`."""
    return {row["provider"]: row for row in mdc("providers", "list", "--json").json}


def test_list_shows_every_installed_provider_in_the_order_of_asking(mdc):
    """Enabled ones first, by rank."""
    rows = mdc("providers", "list", "--json").json
    assert [row["provider"] for row in rows][:3] == ["yahoo", "stooq", "alpaca"]
    assert {row["provider"] for row in rows} == {"yahoo", "stooq", "alpaca", "files"}
    assert by_name(mdc)["files"]["enabled"] is False
    assert "bars_1d" in mdc("providers", "list").out


def test_list_tells_whether_credentials_are_set_and_never_what(mdc):
    """True or false per variable."""
    (mdc.root / ".env").write_text("ALPACA_KEY_ID=SEKRET_1234567\n")
    assert by_name(mdc)["alpaca"]["credentials"] == {"ALPACA_KEY_ID": True, "ALPACA_SECRET_KEY": False}
    text = mdc("providers", "list")
    assert "ALPACA_SECRET_KEY MISSING" in text.out
    assert "SEKRET" not in text.out + text.err


def test_list_tells_what_is_used_of_the_limits(mdc):
    """The budget all processes share."""
    mdc("backfill", "AAPL", "--start", "2024-01-02", "--end", "2024-01-03", "--direct")
    assert by_name(mdc)["yahoo"]["budget"]["minute"] == [1, 6000]


def test_check_asks_every_enabled_provider_and_stores_nothing(mdc):
    """Five bars each; no commit, no coverage."""
    before = mdc("lake", "snapshots", "--json").out
    ran = mdc("providers", "check", "--json")
    assert ran.code == 0
    assert [(probe["provider"], probe["ok"], probe["rows"]) for probe in ran.json] == [
        ("yahoo", True, 5), ("stooq", True, 5), ("alpaca", True, 5),
    ]  # fmt: skip
    assert mdc("lake", "snapshots", "--json").out == before


def test_check_of_a_failing_provider_is_exit_3_and_says_why(mdc):
    """The others are still asked."""
    mdc.append("\n[transport]\nmax_attempts = 1\n")
    mdc.server.add_fault("stooq", "status", probability=1.0, params={"status": 503})
    ran = mdc("providers", "check", "--json")
    assert ran.code == 3
    assert {probe["provider"]: probe["ok"] for probe in ran.json} == {
        "yahoo": True,
        "stooq": False,
        "alpaca": True,
    }
    assert "503" in next(probe["message"] for probe in ran.json if not probe["ok"])


def test_check_without_credentials_names_them_and_sends_nothing(mdc):
    """For that one provider."""
    (mdc.root / ".env").write_text("")
    before = mdc.requests()
    ran = mdc("providers", "check", "alpaca")
    assert ran.code == 3
    assert "ALPACA_KEY_ID" in ran.out
    assert mdc.requests() == before


@pytest.mark.parametrize("words", [["nope"], ["files"], ["--symbol", "../x"]], ids=" ".join)
def test_check_refuses_bad_input(mdc, words):
    """Exit 2."""
    assert mdc("providers", "check", *words).code == 2


def test_an_unknown_symbol_is_no_success(mdc):
    """A provider that answers without bars has not shown that it works."""
    ran = mdc("providers", "check", "yahoo", "--symbol", "NOPE.UNKNOWN")
    assert ran.code in (0, 3)
    assert "Traceback" not in ran.err
