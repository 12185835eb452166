"""``mdc providers check``: every provider is asked for something it has, and what it says is told apart."""

from __future__ import annotations

import pytest

from mdc_resources.cli.provider_probe import symbol_for
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.registry import load_providers

KEYED = ("alpaca", "polygon", "tiingo", "finnhub", "alphavantage", "nasdaq")
VENUES = ("binance", "coinbase", "kraken")


@pytest.fixture
def full(mdc):
    """A home that asks every provider of the sandbox."""
    for name in (*KEYED[1:], *VENUES):
        mdc.append(f'\n[providers.{name}]\nbase_url = "{mdc.server.url}/{name}"\nlimits = {{}}\n')
    mdc.append("\n[transport]\nmax_attempts = 1\n")
    set_keys(mdc)
    return mdc


def set_keys(mdc, **other):
    """Every credential of every provider, some of them another one."""
    names = [name for provider in load_providers().values() for name in provider.spec.credentials]
    lines = [f"{name}={other.get(name, 'good-key-123')}" for name in names]
    (mdc.root / ".env").write_text("\n".join([f"DAGSTER_HOME={mdc.root}/dagster_home", *lines, ""]))


def probes(ran):
    """By provider."""
    return {probe["provider"]: probe for probe in ran.json}


def test_every_provider_answers_for_something_it_has(full):
    """Stocks for a stock, exchanges of coins for their BTC pair, what has ended for its last days."""
    ran = full("providers", "check", "--json")
    found = probes(ran)
    assert set(found) == {"yahoo", "stooq", *KEYED, *VENUES}
    assert {name: probe["message"] for name, probe in found.items() if not probe["ok"]} == {}
    assert ran.code == 0
    assert all(probe["rows"] > 0 and probe["milliseconds"] > 0 for probe in found.values())
    assert "BINANCE:BTC-USDT" in found["binance"]["message"]
    assert "KRAKEN:BTC-USD" in found["kraken"]["message"]
    assert "2018-03-27" in found["nasdaq"]["message"]


def test_each_provider_costs_one_request(full):
    """But for pages the vendor cuts its answer into."""
    full.server.clear_requests()
    full("providers", "check")
    assert full.server.requests()["providers"] == dict.fromkeys(("yahoo", "stooq", *KEYED, *VENUES), 1)


def test_a_plan_that_does_not_include_bars_is_told_from_a_bad_key(full):
    """The next dataset is tried, and what is excluded is named."""
    set_keys(full, FINNHUB_API_KEY="free-key-123", TIINGO_API_TOKEN="bad-key-1234")
    ran = full("providers", "check", "finnhub", "tiingo", "--json")
    assert ran.code == 3
    finnhub, tiingo = probes(ran)["finnhub"], probes(ran)["tiingo"]
    assert (finnhub["ok"], finnhub["verdict"]) == (True, "works")
    assert finnhub["entitled"]["bars_1d"] is False
    assert finnhub["entitled"][finnhub["dataset"]] is True
    assert "does not include bars_1d" in finnhub["message"]
    assert (tiingo["ok"], tiingo["verdict"], tiingo["entitled"]) == (False, "bad credentials", {})


def test_all_asks_for_each_dataset(full):
    """Bars, minutes, facts, instruments; ticks are too many for a probe."""
    found = probes(full("providers", "check", "yahoo", "alpaca", "--all", "--json"))
    for name in ("yahoo", "alpaca"):
        assert found[name]["ok"], found[name]["message"]
        offered = {str(dataset) for dataset in load_providers()[name].spec.offers}
        assert set(found[name]["entitled"]) == offered - {"trades", "quotes"}


@pytest.mark.parametrize(
    ("kind", "params", "verdict"),
    [
        ("status", {"status": 429, "retry_after": "9999"}, "out of budget"),
        ("status", {"status": 500}, "failed"),
        ("html200", {}, "failed"),
        ("reset", {}, "failed"),
    ],
    ids=["limit", "outage", "html", "reset"],
)
def test_other_troubles_say_nothing_about_the_key(full, kind, params, verdict):
    """Each in its own word."""
    full.server.add_fault("polygon", kind, every=1, params=params)
    probe = probes(full("providers", "check", "polygon", "--json"))["polygon"]
    assert (probe["ok"], probe["verdict"]) == (False, verdict)


def test_a_symbol_goes_to_those_that_have_such_symbols(full):
    """The others are asked for their own."""
    found = probes(full("providers", "check", "yahoo", "kraken", "--symbol", "MSFT", "--json"))
    assert "MSFT" in found["yahoo"]["message"]
    assert "KRAKEN:BTC-USD" in found["kraken"]["message"]


@pytest.mark.parametrize("name", load_providers())
def test_there_is_a_symbol_for_every_provider(name):
    """Of its venue, or of none."""
    spec = load_providers()[name].spec
    symbol = symbol_for(spec)
    assert symbol.rpartition(":")[0] == (spec.venue if spec.venue != "*" else "")
    assert symbol_for(spec, symbol) == symbol
    if not spec.venue:
        assert symbol_for(spec, Symbol("MSFT")) == "MSFT"
