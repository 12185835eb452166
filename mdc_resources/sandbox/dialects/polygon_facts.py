"""Polygon's ``/v3/reference``: ``splits``, ``dividends`` and ``tickers/{T}``.

Lists are filtered by ticker and date, newest first unless ``order=asc``, ten a page unless ``limit``
says more (at most 1,000). A ticker nobody knows has no splits, and no page of its own: 404.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mdc_resources.sandbox import noise
from mdc_resources.sandbox.answers import Answer, Query
from mdc_resources.sandbox.dialects.polygon_request import (
    BadRequest,
    continued,
    next_url,
    read_limit,
    reply,
    request_id,
)
from mdc_resources.sandbox.instruments import NAMED
from mdc_resources.sandbox.market import Market

_TICKER = re.compile(r"/v3/reference/tickers/([^/]+)")
_DATED = {"/v3/reference/splits": "execution_date", "/v3/reference/dividends": "ex_dividend_date"}
_PAID_AFTER = dt.timedelta(days=14)
_MISSING = {"status": "NOT_FOUND", "request_id": request_id("ticker"), "message": "Ticker not found."}
NOT_FOUND = reply(_MISSING, 404)
Fact = dict[str, Any]


def respond(market: Market, query: Query) -> Answer | None:
    """The answer to a path below ``/v3/reference``, None where there is no such path; raises BadRequest."""
    if query.path in _DATED:
        return _list(market, query, _DATED[query.path])
    found = _TICKER.fullmatch(query.path)
    return _ticker(market, found[1], query.params) if found else None


def _list(market: Market, query: Query, key: str) -> Answer:
    params = continued(query)
    limit = read_limit(params, default=10, most=1000)
    tickers = [params["ticker"]] if "ticker" in params else sorted(NAMED)
    facts = [fact for ticker in tickers for fact in _facts(market, ticker, key) if _within(fact, key, params)]
    facts.sort(key=lambda fact: (fact[key], fact["ticker"]), reverse=params.get("order", "desc") != "asc")
    skip = int(params["ap"]) if params.get("ap", "").isdecimal() else 0
    document: Fact = {
        "results": facts[skip : skip + limit],
        "status": "OK",
        "request_id": request_id(query.target),
    }
    if len(facts) > skip + limit:
        document["next_url"] = next_url(query, query.path, {**params, "ap": str(skip + limit)})
    return reply(document)


def _facts(market: Market, ticker: str, key: str) -> Iterator[Fact]:
    instrument = market.instrument(ticker)
    if instrument is None:
        return
    if key == "execution_date":
        for split in instrument.splits:
            if split.ex_date <= market.today():
                yield {
                    "execution_date": split.ex_date.isoformat(),
                    "id": _id(ticker, "split", split.ex_date),
                    "split_from": split.old,
                    "split_to": split.to,
                    "ticker": ticker,
                }
        return
    for paid in market.known_dividends(ticker):
        yield {
            "cash_amount": float(paid.amount),
            "currency": "USD",
            "declaration_date": (paid.ex_date - _PAID_AFTER).isoformat(),
            "dividend_type": "CD",
            "ex_dividend_date": paid.ex_date.isoformat(),
            "frequency": 4,
            "id": _id(ticker, "dividend", paid.ex_date),
            "pay_date": (paid.ex_date + _PAID_AFTER).isoformat(),
            "record_date": paid.ex_date.isoformat(),
            "ticker": ticker,
        }


def _within(fact: Fact, key: str, params: Mapping[str, str]) -> bool:
    day = fact[key]
    wanted = [
        ("", day.__eq__),
        (".gte", day.__ge__),
        (".gt", day.__gt__),
        (".lte", day.__le__),
        (".lt", day.__lt__),
    ]
    return all(holds(params[key + suffix]) for suffix, holds in wanted if key + suffix in params)


def _ticker(market: Market, ticker: str, params: Mapping[str, str]) -> Answer:
    instrument = market.instrument(ticker)
    try:
        day = dt.date.fromisoformat(params["date"]) if "date" in params else market.today()
    except ValueError:
        raise BadRequest(f"Could not parse the time parameter: '{params['date'][:40]}'") from None
    former = market.instrument(instrument.former) if instrument and instrument.former else None
    begun = former.last if former and former.last else dt.date.min
    if instrument is None or not max(instrument.listed, begun) <= day <= (instrument.last or day):
        return NOT_FOUND
    name = f"{ticker} Synthetic Inc."
    figi = f"BBG{noise.key('figi', instrument.entity) % 10**9:09d}"
    results = {
        "ticker": ticker,
        "name": name,
        "market": "stocks",
        "locale": "us",
        "primary_exchange": "XNYS",
        "type": "CS",
        "active": True,
        "currency_name": "usd",
        "cik": f"{noise.key('cik', instrument.entity) % 10**7:010d}",
        "composite_figi": figi,
        "share_class_figi": figi[::-1],
        "description": f"{name} makes nothing.",
        "ticker_root": ticker.partition(".")[0],
        "list_date": instrument.listed.isoformat(),
    }
    return reply({"results": results, "status": "OK", "request_id": request_id(ticker)})


def _id(*parts: object) -> str:
    return "E" + "".join(f"{noise.key(n, *map(str, parts)) % 2**64:016x}" for n in range(4))
