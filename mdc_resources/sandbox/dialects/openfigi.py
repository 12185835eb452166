"""OpenFIGI's dialect: ``POST /v3/mapping`` and ``POST /v3/search`` over the synthetic market.

Ten jobs a request without a key and 100 with one (413 beyond), an array for an array in its order,
``warning`` and ``error`` per item under a status of 200, several rows per ticker: the composite and
two exchanges. Written from https://www.openfigi.com/api/documentation and recorded answers.
"""

from __future__ import annotations

import json
import re

from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import parse_symbol
from mdc_resources.sandbox.answers import TEXT, Answer, Query
from mdc_resources.sandbox.dialects.symbol_search import COMPANIES, figi_of, matching
from mdc_resources.sandbox.market import Market

_JOBS, _JOBS_WITH_KEY = 10, 100
_VALUE = re.compile(r"[A-Za-z0-9./*-]{1,20}")
_PAGE = 15


class OpenFigi:
    """Answers mapping jobs and searches; knows US equities only."""

    name = "openfigi"
    paged = False
    posts = True

    def __init__(self, market: Market) -> None:
        self._market = market

    def respond(self, query: Query) -> Answer:
        """The items of one request, or the error of all of it."""
        key = query.headers.get("x-openfigi-apikey", "")
        if key.startswith("bad"):
            return self.failure(401)
        if query.method != "POST":
            return Answer(405, b"", TEXT, {"allow": "POST"})
        if "json" not in query.headers.get("content-type", ""):
            return Answer(415, b"", TEXT)
        try:
            posted = json.loads(query.body)
        except ValueError:
            return Answer(400, b"Request body must be a valid JSON.", TEXT)
        if query.path == "/v3/mapping":
            return self._mapping(posted, _JOBS_WITH_KEY if key else _JOBS)
        if query.path == "/v3/search":
            return self._search(posted)
        return Answer(404, b"", TEXT)

    def failure(self, status: int) -> Answer:
        """A text; 429 says when there is room again."""
        if status == 429:
            headers = {"ratelimit-limit": "25", "ratelimit-remaining": "0", "ratelimit-reset": "6"}
            return Answer(429, b"Too Many Requests", TEXT, headers)
        texts = {401: b"Invalid API key.", 413: b"Payload Too Large"}
        return Answer(status, texts.get(status, b"Internal Server Error"), TEXT)

    def hidden_error(self) -> Answer:
        """A mapping item that is an error."""
        return _sent([{"error": "Invalid idValue format."}])

    def missing(self, _query: Query) -> Answer:
        """Nothing was found."""
        return _sent([{"warning": "No identifier found."}])

    def _mapping(self, posted: object, most: int) -> Answer:
        if not isinstance(posted, list):
            return Answer(400, b"Request body must be an array.", TEXT)
        if len(posted) > most:
            return self.failure(413)
        return _sent([self._job(job) for job in posted])

    def _job(self, job: object) -> dict[str, object]:
        if not isinstance(job, dict) or job.get("idType") != "TICKER":
            return {"error": "Invalid idType."}
        value = job.get("idValue")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            return {"error": "Invalid idValue format."}
        try:
            instrument = self._market.instrument(parse_symbol(value.replace("/", ".")))
        except UsageError:
            instrument = None
        if instrument is None or instrument.successor:
            return {"warning": "No identifier found."}
        symbol = str(instrument.symbol)
        name = COMPANIES.get(symbol, f"{symbol} Corp.")
        exchanges = ("UN", "US", "UW") if len(symbol) < 4 else ("US", "UN", "UW")
        return {"data": [_row(symbol, name, exchange) for exchange in exchanges]}

    def _search(self, posted: object) -> Answer:
        if not isinstance(posted, dict) or not isinstance(posted.get("query"), str):
            return Answer(400, b"query is required.", TEXT)
        found = matching(self._market, posted["query"].replace("/", "."))
        rows = [_row(symbol, name, "US") for symbol, name in found[:_PAGE]]
        return _sent({"data": rows, **({"next": "QW9Jd2NHOXBiblE="} if len(found) > _PAGE else {})})


def _row(symbol: str, name: str, exchange: str) -> dict[str, object]:
    composite = figi_of(f"{symbol} US")
    return {
        "figi": composite if exchange == "US" else figi_of(f"{symbol} {exchange}"),
        "name": name.upper().rstrip("."),
        "ticker": symbol.replace(".", "/"),
        "exchCode": exchange,
        "compositeFIGI": composite,
        "securityType": "Common Stock",
        "marketSector": "Equity",
        "shareClassFIGI": figi_of(f"{symbol} share"),
        "securityType2": "Common Stock",
        "securityDescription": symbol.replace(".", "/"),
    }


def _sent(document: object) -> Answer:
    headers = {"ratelimit-limit": "25", "ratelimit-remaining": "24", "ratelimit-reset": "60"}
    return Answer(200, json.dumps(document).encode(), headers=headers)
