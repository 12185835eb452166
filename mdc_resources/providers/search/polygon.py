"""Polygon's reference of tickers: ``GET /v3/reference/tickers?search=``, with FIGIs.

``search`` looks in ticker and name; ``market=stocks`` keeps options and coins out. One page is read:
what ranks below a thousand hits is not what was meant. https://polygon.io/docs/rest/stocks/tickers/all-tickers
"""

from __future__ import annotations

from mdc_resources.config import Limits
from mdc_resources.domain.requests import HttpRequest, HttpResponse
from mdc_resources.providers.decoding.bodies import load_exact
from mdc_resources.providers.polygon import PROVIDER
from mdc_resources.providers.search.found import Found, Source, canonical, figi_in, rows_of, text_of

_PAGE = 1000


def plan(base_url: str, text: str, limit: int) -> HttpRequest:
    """One page of up to ``limit`` tickers; the ticker itself first where there is one."""
    rows = min(_PAGE, max(limit, 50))
    params = (("search", text), ("market", "stocks"), ("active", "true"), ("limit", str(rows)))
    return HttpRequest(f"{base_url}/v3/reference/tickers", params=params, auth=SOURCE.auth)


def decode(response: HttpResponse, _text: str, _limit: int) -> list[Found]:
    """Tickers in the vendor's order; ``results`` is absent where nothing was found."""
    document = load_exact(response.body, provider="polygon")
    if isinstance(document, dict) and "results" not in document:
        return []
    return [
        Found(
            symbol,
            "polygon",
            text_of(row, "name"),
            text_of(row, "primary_exchange"),
            text_of(row, "type"),
            composite_figi=figi_in(row, "composite_figi"),
            share_class_figi=figi_in(row, "share_class_figi"),
            active=row.get("active") is not False,
        )
        for row in rows_of(response, "results", provider="polygon")
        if (symbol := canonical(row.get("ticker")))
    ]


SOURCE = Source(
    name="polygon",
    base_url="https://api.polygon.io",
    limits=Limits(minute=5),
    plan=plan,
    decode=decode,
    classify=PROVIDER.classify,
    auth=(("Authorization: Bearer", "POLYGON_API_KEY"),),
)
