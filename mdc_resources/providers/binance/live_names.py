"""Binance's pairs on the wire: ``BTCUSDT`` is ``BINANCE:BTC-USDT``, though it does not say where to cut.

The symbols that a dialect names come first; everything else is cut before the longest quote asset
known here. A pair that this cuts elsewhere than its symbol does is refused unless the dialect names it.
"""

from __future__ import annotations

from collections.abc import Iterable

from mdc_resources.domain.errors import UnknownSymbol
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.binance import vendor_symbol

# Quote assets of GET /api/v3/exchangeInfo, past ones included, and of the US house.
_STABLE = ("USDT", "FDUSD", "USDC", "TUSD", "BUSD", "USDP", "USDS", "PAX", "DAI", "USD1", "USDE", "RLUSD")
_MORE_STABLE = ("XUSD", "BFUSD", "USTC", "UST", "EURI", "AEUR", "IDRT", "BIDR", "BKRW", "BVND", "VAI")
_MONEY = ("USD", "EUR", "GBP", "AUD", "BRL", "TRY", "RUB", "UAH", "NGN", "ZAR", "PLN", "RON", "CZK", "ARS")
_MORE_MONEY = ("MXN", "COP", "JPY", "KZT", "IDR")
_COINS = ("BTC", "ETH", "BNB", "TRX", "XRP", "DOGE", "DOT", "SOL", "ADA")
_QUOTES = sorted((*_STABLE, *_MORE_STABLE, *_MONEY, *_MORE_MONEY, *_COINS), key=len, reverse=True)


def named(symbols: Iterable[Symbol]) -> dict[str, Symbol]:
    """The vendor's names of ``symbols``, as far as it can spell them."""
    found: dict[str, Symbol] = {}
    for symbol in symbols:
        try:
            found[vendor_symbol(symbol)] = symbol
        except UnknownSymbol:
            continue
    return found


def cut(pair: str) -> str | None:
    """``BINANCE:BTC-USDT`` for ``BTCUSDT``; None where no known quote asset ends it."""
    quote = next((asset for asset in _QUOTES if pair.endswith(asset) and len(pair) > len(asset)), None)
    return None if quote is None else f"BINANCE:{pair.removesuffix(quote)}-{quote}"


def stream_pair(symbol: Symbol, named_symbols: Iterable[Symbol]) -> str:
    """``btcusdt`` for ``BINANCE:BTC-USDT``; raises UnknownSymbol for what its frames would be misread as."""
    pair = vendor_symbol(symbol)
    if cut(pair) != symbol and named(named_symbols).get(pair) != symbol:
        raise UnknownSymbol(
            f"frames of {pair} would be read as {cut(pair) or 'no symbol'}",
            symbol=symbol,
            provider="binance",
            hint="Name it among the feed's symbols",
        )
    return pair.lower()
