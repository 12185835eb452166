"""Kraken's pairs on the wire: ``BTC/USD`` in version 2, ``XBT/USD`` in version 1, and back.

Only the canonical name is taken (``KRAKEN:BTC-USD``, not ``KRAKEN:XBT-USD``): events of one market must
not come under two names.
"""

from __future__ import annotations

from mdc_resources.domain.errors import UnknownSymbol
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.kraken.pairs import pair_of

_OWN = {"BTC": "XBT", "DOGE": "XDG"}
_COMMON = {own: common for common, own in _OWN.items()}


def v2_pair(symbol: Symbol) -> str:
    """``BTC/USD`` for ``KRAKEN:BTC-USD``; raises UnknownSymbol."""
    pair_of(symbol)
    base, _, quote = symbol.removeprefix("KRAKEN:").partition("-")
    if base in _COMMON or quote in _COMMON:
        common = f"KRAKEN:{_COMMON.get(base, base)}-{_COMMON.get(quote, quote)}"
        raise UnknownSymbol(
            f"{symbol} is called otherwise here", symbol=symbol, provider="kraken", hint=f"Write {common}"
        )
    return f"{base}/{quote}"


def v1_pair(symbol: Symbol) -> str:
    """``XBT/USD`` for ``KRAKEN:BTC-USD``; raises UnknownSymbol."""
    base, _, quote = v2_pair(symbol).partition("/")
    return f"{_OWN.get(base, base)}/{_OWN.get(quote, quote)}"


def name_of(pair: str) -> str | None:
    """``KRAKEN:BTC-USD`` for either spelling; None for what is no pair."""
    base, slash, quote = pair.partition("/")
    if not slash or "-" in pair:
        return None
    return f"KRAKEN:{_COMMON.get(base, base)}-{_COMMON.get(quote, quote)}"
