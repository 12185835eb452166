"""The vendors' dialects, one module each, written from their documents and recorded answers.

:data:`DIALECTS` is the one list of them: a new dialect is a module and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from mdc_resources.sandbox.answers import Dialect
from mdc_resources.sandbox.market import Market

# The provider's name, and where its dialect is: module:class, called with the market.
DIALECTS: Mapping[str, str] = {
    "yahoo": "yahoo:Yahoo",
    "stooq": "stooq:Stooq",
    "alpaca": "alpaca:Alpaca",
    "polygon": "polygon:Polygon",
    "tiingo": "tiingo:Tiingo",
    "nasdaq": "nasdaq:Nasdaq",
    "alphavantage": "alphavantage:AlphaVantage",
    "finnhub": "finnhub:Finnhub",
    "binance": "binance:Binance",
    "coinbase": "coinbase:Coinbase",
    "kraken": "kraken:Kraken",
    "openfigi": "openfigi:OpenFigi",
}


def all_dialects(market: Market, *, alpaca_keys: Mapping[str, str] | None = None) -> dict[str, Dialect]:
    """Every dialect over ``market``, by the provider's name. Without ``alpaca_keys`` any pair will do."""
    options = {"alpaca": {"keys": alpaca_keys}}
    return {name: _class(where)(market, **options.get(name, {})) for name, where in DIALECTS.items()}


def _class(where: str) -> Callable[..., Dialect]:
    module, _, name = where.partition(":")
    found: Callable[..., Dialect] = getattr(import_module(f"{__name__}.{module}"), name)
    return found
