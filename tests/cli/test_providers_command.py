"""``mdc providers``: who offers what, and a probe that stores nothing."""

from __future__ import annotations

import asyncio
import time

import pytest

from mdc_resources import config
from mdc_resources.domain.datasets import Dataset
from mdc_resources.providers.registry import provider_names
from mdc_resources.state import Sample, State
from mdc_resources.transport.budget import Budgets


def by_name(mdc):
    """Rows of `providers list`."""
    return {row["provider"]: row for row in mdc("providers", "list", "--json").json}


def spend(home, name, count):
    """Take ``count`` permits of provider ``name``."""

    async def take():
        with Budgets.open(home.state_dir) as budgets:
            for _ in range(count):
                await budgets.acquire(name, home.settings.providers[name].limits)

    asyncio.run(take())


def test_list_shows_every_installed_provider_in_the_order_of_asking(mdc):
    """Enabled ones first, by rank; the others by rank too."""
    rows = mdc("providers", "list", "--json").json
    assert [row["provider"] for row in rows][:3] == ["yahoo", "stooq", "alpaca"]
    assert {row["provider"] for row in rows} == set(provider_names())
    assert [row["rank"] for row in rows[3:]] == sorted(row["rank"] for row in rows[3:])
    assert by_name(mdc)["files"]["state"] == "disabled"


def test_the_table_fits_a_terminal(mdc):
    """100 columns, with everything said that can be said at once."""
    mdc.append("\n[providers.polygon]\n[providers.tiingo]\nlimits = { hour = 50, day = 1000 }\n")
    (mdc.root / ".env").write_text("POLYGON_API_KEY=x\nTIINGO_API_TOKEN=y\n")
    with State.open(config.load(mdc.toml)) as state:
        state.note_answers([Sample("tiingo", time.time(), 12_345.0, True)] * 9)
        state.request_failed(
            "polygon", Dataset.TRADES, reason="503", threshold=1, open_seconds=800, hold_seconds=800
        )
    told = mdc("providers", "list").out
    assert max(map(len, told.splitlines())) <= 100, told
    assert "breaker open 800 s" in told or "breaker open 799 s" in told
    assert "12345/12345/12345" in told


def test_list_tells_whether_credentials_are_set_and_never_what(mdc):
    """True or false per variable, and the command that asks for it."""
    (mdc.root / ".env").write_text("ALPACA_KEY_ID=SEKRET_1234567\n")
    assert by_name(mdc)["alpaca"]["credentials"] == {"ALPACA_KEY_ID": True, "ALPACA_SECRET_KEY": False}
    assert by_name(mdc)["alpaca"]["state"] == "no credentials"
    text = mdc("providers", "list")
    assert "ALPACA_SECRET_KEY MISSING; mdc providers setup alpaca" in text.out
    assert "SEKRET" not in text.out + text.err


def test_list_tells_what_is_used_of_the_limits_and_how_quick_it_was(mdc):
    """The budget and the memory all processes share."""
    mdc("backfill", "AAPL", "--start", "2024-01-02", "--end", "2024-01-03", "--direct")
    yahoo = by_name(mdc)["yahoo"]
    assert (yahoo["budget"]["minute"], yahoo["budget_left"]["minute"]) == ([1, 6000], 5999)
    assert yahoo["recent"] == {"requests": 1, "failures": 0}
    assert 0 < yahoo["latency_ms"]["p50"] == yahoo["latency_ms"]["p99"] < 30_000
    assert (yahoo["state"], yahoo["cost"], yahoo["breakers"]) == ("ready", "0", [])


@pytest.mark.parametrize(
    ("limits", "used", "state"),
    [
        ("minute = 10", 8, "ready"),
        ("minute = 10", 9, "yielding"),
        ("minute = 10", 10, "yielding"),
        ("hour = 10", 10, "budget exhausted"),
        ("second = 1, day = 100", 1, "ready"),
    ],
    ids=str,
)
def test_list_names_where_a_budget_stands(mdc, limits, used, state):
    """Above 80 % it yields, a spent hour or day cannot be waited out."""
    mdc.edit(
        "limits = { minute = 6000 }\n\n[providers.stooq]", f"limits = {{ {limits} }}\n\n[providers.stooq]"
    )
    home = config.load(mdc.toml)
    spend(home, "yahoo", used)
    assert by_name(mdc)["yahoo"]["state"] == state


def test_list_shows_an_open_breaker_and_why(mdc):
    """Per dataset, with the seconds it stays open; a probe's time is half-open."""
    with State.open(config.load(mdc.toml)) as state:
        state.request_failed("yahoo", Dataset.BARS_1M, reason="503", threshold=1, open_seconds=500)
        state.request_failed("stooq", Dataset.BARS_1D, reason="cut", threshold=1, open_seconds=0)
    found = by_name(mdc)
    assert found["yahoo"]["state"] == "breaker open"
    (breaker,) = found["yahoo"]["breakers"]
    assert 490 < breaker.pop("open_seconds") <= 500
    assert breaker == {"dataset": "bars_1m", "state": "open", "failures": 1, "reason": "503"}
    assert (found["stooq"]["state"], found["stooq"]["breakers"][0]["state"]) == ("ready", "half-open")


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
