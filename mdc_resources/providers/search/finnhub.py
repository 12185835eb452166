"""Finnhub's symbol lookup: ``GET /api/v1/search?q=``, best match first.

``exchange=US`` keeps listings elsewhere out (``AAPL.SW``). Names come in capitals, without FIGI and
without an exchange. https://finnhub.io/docs/api/symbol-search
"""

from __future__ import annotations

from mdc_resources.config import Limits
from mdc_resources.domain.requests import HttpRequest, HttpResponse
from mdc_resources.providers.finnhub import PROVIDER
from mdc_resources.providers.search.found import Found, Source, canonical, rows_of, text_of


def plan(base_url: str, text: str, _limit: int) -> HttpRequest:
    """One answer; it takes neither a limit nor a page."""
    params = (("q", text), ("exchange", "US"))
    return HttpRequest(f"{base_url}/api/v1/search", params=params, auth=SOURCE.auth)


def decode(response: HttpResponse, _text: str, _limit: int) -> list[Found]:
    """Listings in the vendor's order; ``result`` may be empty."""
    return [
        Found(symbol, "finnhub", text_of(row, "description"), kind=text_of(row, "type"))
        for row in rows_of(response, "result", provider="finnhub")
        if (symbol := canonical(row.get("symbol")))
    ]


SOURCE = Source(
    name="finnhub",
    base_url="https://finnhub.io",
    limits=Limits(minute=60),
    plan=plan,
    decode=decode,
    classify=PROVIDER.classify,
    auth=(("X-Finnhub-Token", "FINNHUB_API_KEY"),),
)
