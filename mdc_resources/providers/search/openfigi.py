"""OpenFIGI: free text to listings (``POST /v3/search``), tickers to FIGIs (``POST /v3/mapping``).

Mapping takes an array of jobs and answers with an array of the same order and length: each item is
``data`` (often several rows: one per exchange), ``warning`` (nothing found) or ``error`` (the job was
wrong), all with status 200. Any other length is refused: a shifted answer would name other shares.
Ten jobs a request without a key, 100 with one; 413 says that there were more. A ticker of a class is
``BRK/B``. https://www.openfigi.com/api/documentation
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mdc_resources.config import Limits
from mdc_resources.domain.errors import PayloadError, ProviderError, RateLimited
from mdc_resources.domain.requests import HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bodies import classify_common, load_exact, refused, snippet
from mdc_resources.providers.search.found import Found, Source, canonical, figi_in, rows_of, text_of

CREDENTIAL = "OPENFIGI_API_KEY"
JOBS, JOBS_WITH_KEY = 10, 100
US = "US"  # the composite of all exchanges of the country
_JSON = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of one job: the listing, or why there is none. ``others`` counts further rows."""

    symbol: Symbol
    found: Found | None = None
    reason: str = ""
    others: int = 0


def plan(base_url: str, text: str, _limit: int) -> HttpRequest:
    """The first page of US equities that match ``text``."""
    body = {"query": text, "exchCode": US, "marketSecDes": "Equity"}
    return HttpRequest(
        f"{base_url}/v3/search", headers=_JSON, auth=SOURCE.auth, method="POST", body=_bytes(body)
    )


def decode(response: HttpResponse, _text: str, _limit: int) -> list[Found]:
    """Listings in the vendor's order; a ``warning`` or no ``data`` at all means none."""
    document = load_exact(response.body, provider="openfigi")
    if isinstance(document, dict) and "data" not in document and not document.get("error"):
        return []
    return [found for row in rows_of(response, "data", provider="openfigi") if (found := _found(row))]


def classify(response: HttpResponse) -> ProviderError | None:
    """429 carries ``ratelimit-reset``, the seconds until there is room; 413 is a batch too large."""
    if response.status == 429:
        reset = response.headers.get("ratelimit-reset", "")
        wait = float(reset) if reset.isascii() and reset.isdigit() and len(reset) < 6 else None
        return RateLimited(
            "openfigi allows no more requests now", provider="openfigi", status=429, retry_after=wait
        )
    if response.status == 413:
        return PayloadError(
            "openfigi takes fewer jobs in one request", provider="openfigi", status=413,
            hint=f"Without {CREDENTIAL} it takes {JOBS}",
        )  # fmt: skip
    if common := classify_common("openfigi", response):
        return common
    if response.status in (401, 403) or response.status >= 500:
        return None
    return refused("openfigi", response) if response.status >= 300 else None


def batches(symbols: Sequence[Symbol], *, has_key: bool) -> list[Sequence[Symbol]]:
    """``symbols`` in the sizes one request takes, in their order."""
    size = JOBS_WITH_KEY if has_key else JOBS
    return [symbols[at : at + size] for at in range(0, len(symbols), size)]


def plan_mapping(base_url: str, symbols: Sequence[Symbol], auth: tuple[tuple[str, str], ...]) -> HttpRequest:
    """One job a symbol, for its US composite."""
    jobs = [
        {"idType": "TICKER", "idValue": s.replace(".", "/"), "exchCode": US, "marketSecDes": "Equity"}
        for s in symbols
    ]
    return HttpRequest(f"{base_url}/v3/mapping", headers=_JSON, auth=auth, method="POST", body=_bytes(jobs))


def decode_mapping(response: HttpResponse, symbols: Sequence[Symbol]) -> list[Mapped]:
    """One result a symbol, in the order asked; PayloadError unless the answer has that length."""
    items = load_exact(response.body, provider="openfigi")
    if not isinstance(items, list) or len(items) != len(symbols):
        got = f"{len(items)} items" if isinstance(items, list) else snippet(response.body)
        raise PayloadError(f"openfigi answered {len(symbols)} jobs with {got}", provider="openfigi")
    return [_mapped(symbol, item) for symbol, item in zip(symbols, items, strict=True)]


def _mapped(symbol: Symbol, item: object) -> Mapped:
    if not isinstance(item, dict):
        return Mapped(symbol, reason="the answer cannot be read")
    data = item.get("data")
    if isinstance(data, list):
        rows = [found for row in data if isinstance(row, dict) and (found := _found(row))]
        mine = [found for found in rows if found.symbol == symbol]
        if mine:
            # The composite itself comes first where several listings carry the ticker.
            best = min(mine, key=lambda found: (found.figi != found.composite_figi, mine.index(found)))
            return Mapped(symbol, best, others=len(data) - 1)
        return Mapped(symbol, reason="it answered with other tickers")
    reason = text_of(item, "warning") or text_of(item, "error") or "the answer cannot be read"
    return Mapped(symbol, reason=reason)


def _found(row: dict[str, Any]) -> Found | None:
    symbol = canonical(row.get("ticker"))
    if symbol is None:
        return None
    return Found(
        symbol,
        "openfigi",
        text_of(row, "name"),
        text_of(row, "exchCode"),
        text_of(row, "securityType"),
        figi_in(row, "figi"),
        figi_in(row, "compositeFIGI"),
        figi_in(row, "shareClassFIGI"),
    )


def _bytes(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=True).encode("ascii")


SOURCE = Source(
    name="openfigi",
    base_url="https://api.openfigi.com",
    limits=Limits(minute=25),
    plan=plan,
    decode=decode,
    classify=classify,
    auth=(("X-OPENFIGI-APIKEY", CREDENTIAL),),
    key_optional=True,
    limits_with_key=Limits(minute=250),
)
