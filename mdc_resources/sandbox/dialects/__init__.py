"""The vendors' dialects, one module each, written from their documents and recorded answers.

:data:`DIALECTS` is the one list of them: a new dialect is a module and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from mdc_resources.sandbox.answers import Dialect
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.tape import LiveTape

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


# Those whose history shows the live tape, once there is one.
LIVE = ("alpaca", "polygon", "finnhub", "binance", "coinbase", "kraken")


def all_dialects(
    market: Market,
    *,
    alpaca_keys: Mapping[str, str] | None = None,
    live: LiveTape | None = None,
    tape: LiveTape | None = None,
) -> dict[str, Dialect]:
    """Every dialect over ``market``, by the provider's name. Without ``alpaca_keys`` any pair will do.

    ``live`` is shown as history, where given; ``tape`` is what is streamed, in history or not.
    """
    options: dict[str, dict[str, object]] = {name: {"live": live} for name in LIVE}
    options["alpaca"]["keys"] = alpaca_keys
    options["binance"]["tape"] = tape
    return {name: _class(where)(market, **options.get(name, {})) for name, where in DIALECTS.items()}


def _class(where: str) -> Callable[..., Dialect]:
    module, _, name = where.partition(":")
    found: Callable[..., Dialect] = getattr(import_module(f"{__name__}.{module}"), name)
    return found
