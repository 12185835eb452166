"""Coins from the command line: which universe they join, what is refused, and the new home's sections."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdc_resources.cli.main import app
from mdc_resources.sandbox.server import SandboxServer
from tests.cli.running import Mdc

CRYPTO = '[universes.crypto]\ncalendar = "24/7"\nasset_class = "crypto"\n'
COINS = ("KRAKEN:BTC-USD", "COINBASE:BTC-USD", "BINANCE:BTC-USDT")
SPAN = ("--start", "2026-03-06", "--end", "2026-03-08", "--direct", "--json")


@pytest.fixture
def fresh(tmp_path: Path, vendor: SandboxServer) -> Mdc:
    """A home straight from ``mdc init --sandbox``."""
    root = tmp_path / "home"
    port = vendor.url.rpartition(":")[2]
    ran = CliRunner().invoke(app, ["init", str(root), "--sandbox", "--port", port])
    assert ran.exit_code == 0, ran.output
    vendor.clear_faults()
    return Mdc(root, vendor)


@pytest.fixture
def coins(fresh: Mdc) -> Mdc:
    """The same with its sections for coins switched on."""
    text = fresh.toml.read_text()
    first, last = text.index("# [universes.crypto]"), text.index("[datasets.bars_1d]")
    switched = re.sub(r"^# ?", "", text[first:last], flags=re.MULTILINE)
    fresh.toml.write_text(text[:first] + switched + text[last:])
    return fresh


def test_the_commented_sections_are_a_sound_home(coins: Mdc) -> None:
    """Uncommented as they are, they load and pass the check, and three exchanges are there."""
    assert coins("config", "check").code == 0
    listed = {row["provider"]: row for row in coins("providers", "list", "--json").json}
    assert all(listed[name]["enabled"] for name in ("kraken", "coinbase", "binance"))
    (crypto,) = [row for row in coins("universe", "list", "--json").json if row["universe"] == "crypto"]
    assert (crypto["calendar"], crypto["asset_class"]) == ("24/7", "crypto")


@pytest.mark.parametrize("dataset", ["bars_1d", "trades"])
def test_backfill_of_coins(coins: Mdc, dataset: str) -> None:
    """They join the universe of coins, and every day of the weekend is there."""
    symbols = [name.replace("BTC", "THIN") for name in COINS]
    ran = coins("backfill", *symbols, "--dataset", dataset, *SPAN)
    assert ran.code == 0, ran.err
    assert "joined universe 'crypto'" in ran.err
    assert "'us'" not in ran.err
    assert (ran.json["expected"], ran.json["present"]) == (9, 9)
    members = {row["symbol"]: row["universe"] for row in coins("symbols", "list", "--json").json}
    assert {members[symbol] for symbol in symbols} == {"crypto"}


def test_backfill_of_minutes(coins: Mdc) -> None:
    """From the two that keep them."""
    day = ("--start", "2026-03-07", "--end", "2026-03-07")
    ran = coins("backfill", *COINS[1:], "--dataset", "bars_1m", *day, "--direct", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["present"], ran.json["rows"]) == (2, 2880)


def test_shares_and_coins_join_their_own(coins: Mdc) -> None:
    """In one command, and each is told."""
    ran = coins("backfill", "AAPL", COINS[0], *SPAN)
    assert ran.code == 0, ran.err
    assert "AAPL joined universe 'us'" in ran.err
    assert "KRAKEN:BTC-USD joined universe 'crypto'" in ran.err
    assert ran.json["present"] == 4


def test_a_dry_run_joins_nothing(coins: Mdc) -> None:
    """It only says what would be."""
    ran = coins("backfill", COINS[0], "--start", "2026-03-06", "--end", "2026-03-08", "--dry-run")
    assert ran.code == 0, ran.err
    assert "would join universe 'crypto'" in ran.err
    assert coins("symbols", "list", "--json").json == []


@pytest.mark.parametrize("dataset", ["bars_1d", "bars_1m", "trades"])
def test_without_a_universe_for_coins_they_are_refused(fresh: Mdc, dataset: str) -> None:
    """With the lines to write; nothing is asked, and no universe of shares takes them in."""
    before = fresh.requests()
    ran = fresh("backfill", "AAPL", COINS[0], "--dataset", dataset, *SPAN)
    assert ran.code == 2
    assert "[universes.crypto]" in ran.err
    assert 'calendar = "24/7"' in ran.err
    assert 'asset_class = "crypto"' in ran.err
    assert fresh.requests() == before
    assert fresh("symbols", "list", "--json").json == []


def test_a_universe_without_its_exchange_says_what_to_enable(fresh: Mdc) -> None:
    """A coin of an exchange that has no section."""
    fresh.append(CRYPTO)
    ran = fresh("backfill", COINS[0], *SPAN)
    assert ran.code == 2
    assert "no provider can be asked" in ran.err
