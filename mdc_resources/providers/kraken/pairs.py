"""Kraken's names: ``KRAKEN:BTC-USD`` is asked for as ``XBTUSD`` and answered as ``XXBTZUSD``.

Old assets carry a class letter (X for coins, Z for money) in the key of an answer, and not in the
short name; newer ones never do. Bitcoin and Dogecoin have codes of their own.
"""

from __future__ import annotations

import re
from typing import Any

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError, UnknownSymbol
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.actions import instrument_row
from mdc_resources.providers.spec import Dialect, Page

_PAIR = re.compile(r"KRAKEN:([A-Z0-9.]+)-([A-Z0-9.]+)")
_OWN = {"BTC": "XBT", "DOGE": "XDG"}
_COMMON = {own: common for common, own in _OWN.items()}


def pair_of(symbol: Symbol) -> str:
    """The short name to ask for; raises UnknownSymbol for what is no pair of this venue."""
    base, quote = _assets(symbol)
    return _OWN.get(base, base) + _OWN.get(quote, quote)


def means(name: str, symbol: Symbol) -> bool:
    """True if ``name``, the key of an answer, is a spelling of ``symbol``."""
    bases, quotes = (_spellings(asset) for asset in _assets(symbol))
    return name.replace("/", "") in {base + quote for base in bases for quote in quotes}


def decode(result: dict[str, Any], *, request: FetchRequest, dialect: Dialect) -> Page:
    """What the pair is; PayloadError where the answer is about another one."""
    symbol = request.symbols[0]
    found = [facts for name, facts in result.items() if means(name, symbol)]
    if len(found) != 1 or not isinstance(found[0], dict):
        raise PayloadError(
            f"kraken answered for {', '.join(result)[:60]!a} when asked for {symbol}", provider="kraken"
        )
    facts = found[0]
    base = facts.get("base")
    if not isinstance(base, str) or base not in _spellings(_assets(symbol)[0]):
        raise PayloadError(f"kraken sent a pair of another asset for {symbol}", provider="kraken")
    kind, name = facts.get("aclass_base"), facts.get("wsname")
    row: dict[str, object] = {
        "name": name if isinstance(name, str) else None,
        "instrument_type": "spot" if kind == "currency" else str(kind) if isinstance(kind, str) else None,
        "currency": _assets(symbol)[1],
        "venue": "kraken",
        "timezone": "UTC",
        "first_trade": None,
    }
    return Page({Dataset.INSTRUMENTS: instrument_row(symbol, request=request, dialect=dialect, facts=row)})


def _assets(symbol: Symbol) -> tuple[str, str]:
    pair = _PAIR.fullmatch(symbol)
    if not pair:
        raise UnknownSymbol(
            f"kraken cannot spell {symbol}",
            symbol=symbol,
            provider="kraken",
            hint="Its pairs look like KRAKEN:BTC-USD",
        )
    return _COMMON.get(pair[1], pair[1]), _COMMON.get(pair[2], pair[2])


def _spellings(asset: str) -> set[str]:
    own = _OWN.get(asset, asset)
    return {asset, own, f"X{own}", f"Z{own}"}
