"""Offers under a home's settings: feed, market, basis, and what follows from them."""

from __future__ import annotations

import pytest

from mdc_resources.config import ProviderSettings
from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import ConfigError
from mdc_resources.providers.registry import load_providers, provider
from mdc_resources.providers.spec import DERIVED_BARS, offers_under
from tests.providers.asking import dialect_of

DAILY = Dataset.BARS_1D


@pytest.mark.parametrize("name", ["alpaca", "files", "stooq", "yahoo"])
def test_without_settings_the_offers_are_the_specs(name: str) -> None:
    """Defaults change nothing."""
    spec = provider(name).spec
    found = offers_under(spec, ProviderSettings())
    assert found.keys() == spec.offers.keys()
    assert all(found[dataset] == offer for dataset, offer in spec.offers.items())


@pytest.mark.parametrize("name", ["yahoo", "stooq"])
def test_a_basis_a_vendor_does_not_deliver_is_refused(name: str) -> None:
    """Settings cannot make adjusted prices raw."""
    with pytest.raises(ConfigError, match="delivers") as caught:
        dialect_of(name, basis="raw").offer(DAILY)
    assert caught.value.key == f"providers.{name}.basis"


def test_the_basis_a_vendor_delivers_may_be_named() -> None:
    """Stating the obvious is no error."""
    assert dialect_of("yahoo", basis="split").offer(DAILY).basis is Basis.SPLIT


def test_an_adjusted_basis_makes_prices_derived() -> None:
    """What the vendor computes may be rounded, what an exchange quoted may not."""
    assert dialect_of("alpaca").offer(DAILY).derived == frozenset()
    assert dialect_of("alpaca", basis="split").offer(DAILY).derived == DERIVED_BARS


def test_facts_keep_their_basis_whatever_prices_do() -> None:
    """Dividends are paid as they are paid."""
    assert dialect_of("alpaca", basis="split").offer(Dataset.CORPORATE_ACTIONS).basis is Basis.RAW


def test_a_market_may_be_declared() -> None:
    """The owner of a home knows what a feed measures."""
    assert dialect_of("files", market="mine").offer(DAILY).market == "mine"
    assert dialect_of("alpaca", feed="iex", market="mine").offer(DAILY).market == "mine"


def test_sources_name_provider_and_feed() -> None:
    """A row says where it came from."""
    assert dialect_of("yahoo").source == "yahoo"
    assert dialect_of("alpaca").source == "alpaca/sip"
    assert dialect_of("alpaca", feed="iex").source == "alpaca/iex"


def test_the_us_providers_can_stand_in_for_each_other() -> None:
    """Failover happens within one market, so theirs is the same."""
    markets = {provider(name).spec.offers[DAILY].market for name in ("alpaca", "yahoo", "stooq")}
    assert markets == {"us-consolidated"}


def test_ranks_and_limits_are_those_users_know() -> None:
    """Lower ranks are asked first."""
    specs = {name: found.spec for name, found in load_providers().items()}
    assert [specs[name].rank for name in ("files", "alpaca", "yahoo", "stooq")] == [1, 5, 10, 20]
    assert specs["alpaca"].limits.minute == 200
    assert specs["yahoo"].limits.hour == 2000
    assert specs["alpaca"].credentials == ("ALPACA_KEY_ID", "ALPACA_SECRET_KEY")


def test_events_that_come_with_bars_prove_their_absence() -> None:
    """A chart without events in a range says that nothing happened."""
    offers = provider("yahoo").spec.offers
    assert all(offers[dataset].empty_is_proof for dataset in offers[DAILY].carries)
    assert not offers[DAILY].empty_is_proof
