"""The vendors' symbol searches over the synthetic market: assets, lookup, tickers.

Written from the vendors' documents. :func:`answer` is called by each vendor's dialect after it has
checked the key. Companies are those of :data:`COMPANIES`; any other ticker of the market is found by
its exact name. Not every vendor knows every company, and only Polygon tells FIGIs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import parse_symbol
from mdc_resources.sandbox.answers import Answer, Query
from mdc_resources.sandbox.market import Market

COMPANIES: dict[str, str] = {
    "AAPL": "Apple Inc.",
    "AAPB": "GraniteShares 2x Long AAPL Daily ETF",
    "APLE": "Apple Hospitality REIT, Inc.",
    "MSFT": "Microsoft Corporation",
    "NVDA": "NVIDIA Corporation",
    "GE": "GE Aerospace",
    "GEV": "GE Vernova Inc.",
    "KO": "Coca-Cola Company",
    "JNJ": "Johnson & Johnson",
    "META": "Meta Platforms, Inc. Class A Common Stock",
    "BRK.A": "Berkshire Hathaway Inc. Class A",
    "BRK.B": "Berkshire Hathaway Inc. Class B",
    "TRUE": "TrueCar, Inc.",
    "NEWN": "New Name Holdings",
    "GONE": "Gone Industries",
    "THIN": "Thinly Traded Apple Orchards",
}
_UNKNOWN_TO = {"finnhub": {"AAPB", "THIN"}, "polygon": {"BRK.A"}, "alpaca": {"GEV"}}
_TICKER = 4  # longer words are looked for in names only
_LETTERS = "0123456789BCDFGHJKLMNPQRSTVWXYZ"  # a FIGI has no vowels


def answer(provider: str, query: Query, market: Market) -> Answer | None:
    """The vendor's answer where ``query`` is one to its symbol search, else None."""
    if provider == "alpaca" and query.path == "/v2/assets":
        return _sent([_asset(s, name) for s, name in listed(market, without=_UNKNOWN_TO["alpaca"])])
    if provider == "finnhub" and query.path == "/api/v1/search":
        found = matching(market, query.params.get("q", ""), without=_UNKNOWN_TO["finnhub"])
        rows = [_lookup(symbol, name) for symbol, name in found]
        return _sent({"count": len(rows), "result": rows})
    if provider == "polygon" and query.path == "/v3/reference/tickers" and "search" in query.params:
        limit = query.params.get("limit", "100")
        if not limit.isdigit() or not 0 < int(limit) <= 1000:
            return _sent({"status": "ERROR", "request_id": "0", "error": "'limit' must be 1 to 1000"}, 400)
        found = matching(market, query.params["search"], without=_UNKNOWN_TO["polygon"])[: int(limit)]
        body: dict[str, object] = {"status": "OK", "request_id": "6a7e466379af0a71039d60cc78e72282"}
        if found:
            body |= {"results": [_ticker(symbol, name) for symbol, name in found], "count": len(found)}
        return _sent(body)
    return None


def listed(market: Market, *, without: Iterable[str] = ()) -> list[tuple[str, str]]:
    """(ticker, name) of companies that still trade."""
    hidden = set(without)
    return [(s, name) for s, name in COMPANIES.items() if s not in hidden and _trades(market, s)]


def matching(market: Market, text: str, *, without: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Those whose ticker begins with ``text``, or whose name holds it; and the ticker typed, if it trades."""
    typed, words = text.strip().upper(), text.strip().casefold()
    found = [
        (symbol, name)
        for symbol, name in listed(market, without=without)
        if words and (symbol.startswith(typed) or words in name.casefold())
    ]
    if len(typed) <= _TICKER and typed not in COMPANIES and _trades(market, typed):
        found.insert(0, (typed, f"{typed} Corp."))
    return found


def figi_of(text: str) -> str:
    """A FIGI made of ``text``: always the same, with the standard's check digit (OMG FIGI 1.2, §6.1.4)."""
    digest = hashlib.sha256(text.encode()).digest()
    body = "BBG00" + "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:6])
    total = 0
    for place, letter in enumerate(body):
        value = int(letter, 36) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return f"{body}{-total % 10}"


def _trades(market: Market, text: str) -> bool:
    try:
        instrument = market.instrument(parse_symbol(text))
    except UsageError:
        return False
    return instrument is not None and instrument.successor is None and instrument.last is None


def _asset(symbol: str, name: str) -> dict[str, object]:
    """https://docs.alpaca.markets/reference/get-v2-assets-1"""
    return {
        "id": hashlib.md5(symbol.encode(), usedforsecurity=False).hexdigest(),
        "class": "us_equity",
        "exchange": "NASDAQ" if len(symbol) > 3 else "NYSE",
        "symbol": symbol,
        "name": f"{name} Common Stock",
        "status": "active",
        "tradable": True,
        "marginable": True,
        "maintenance_margin_requirement": 30,
        "shortable": True,
        "easy_to_borrow": True,
        "fractionable": True,
        "attributes": [],
    }


def _lookup(symbol: str, name: str) -> dict[str, object]:
    """https://finnhub.io/docs/api/symbol-search"""
    return {
        "description": name.upper(),
        "displaySymbol": symbol,
        "symbol": symbol,
        "type": "Common Stock",
    }


def _ticker(symbol: str, name: str) -> dict[str, object]:
    """https://polygon.io/docs/rest/stocks/tickers/all-tickers"""
    return {
        "ticker": symbol,
        "name": name,
        "market": "stocks",
        "locale": "us",
        "primary_exchange": "XNAS" if len(symbol) > 3 else "XNYS",
        "type": "CS",
        "active": True,
        "currency_name": "usd",
        "cik": "0000320193",
        "composite_figi": figi_of(f"{symbol} US"),
        "share_class_figi": figi_of(f"{symbol} share"),
        "last_updated_utc": "2026-11-20T00:00:00Z",
    }


def _sent(document: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode())
