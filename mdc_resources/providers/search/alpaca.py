"""Alpaca's list of assets: ``GET /v2/assets`` of the *trading* host, searched here.

The vendor has no search: the whole list of active US stocks (some 11,000 rows, 4 MB) comes in one
answer. Live keys are for ``api.alpaca.markets``, paper keys for ``paper-api.alpaca.markets``
(``[search.urls] alpaca``). No FIGI. https://docs.alpaca.markets/reference/get-v2-assets-1
"""

from __future__ import annotations

from mdc_resources.config import Limits
from mdc_resources.domain.requests import HttpRequest, HttpResponse
from mdc_resources.providers.alpaca import PROVIDER
from mdc_resources.providers.search.found import Found, Source, canonical, rows_of, text_of


def plan(base_url: str, _text: str, _limit: int) -> HttpRequest:
    """The whole list; there is no other way."""
    params = (("status", "active"), ("asset_class", "us_equity"))
    return HttpRequest(f"{base_url}/v2/assets", params=params, auth=SOURCE.auth)


def decode(response: HttpResponse, text: str, _limit: int) -> list[Found]:
    """Assets whose ticker begins with ``text``, or whose name contains it, whatever the case."""
    ticker, name = text.upper().replace("/", "."), text.casefold()
    found: list[Found] = []
    for row in rows_of(response, provider="alpaca"):
        symbol, title = canonical(row.get("symbol")), text_of(row, "name")
        if symbol and (symbol.startswith(ticker) or name in title.casefold()):
            active = row.get("status") == "active"
            found.append(
                Found(symbol, "alpaca", title, text_of(row, "exchange"), text_of(row, "class"), active=active)
            )
    return found


SOURCE = Source(
    name="alpaca",
    base_url="https://api.alpaca.markets",
    limits=Limits(minute=200),
    plan=plan,
    decode=decode,
    classify=PROVIDER.classify,
    auth=(("APCA-API-KEY-ID", "ALPACA_KEY_ID"), ("APCA-API-SECRET-KEY", "ALPACA_SECRET_KEY")),
)
