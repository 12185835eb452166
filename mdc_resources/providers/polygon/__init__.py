"""Polygon (Massive): bars, trades, quotes, corporate actions and instruments of US stocks.

Coverage    US equities since 2003-09-10. Free plans see the last two years of bars and no ticks: what a
            plan does not include is a 403 ``NOT_AUTHORIZED``, here :class:`NotEntitled`.
Basis       raw (``adjusted=false``), or ``basis = "split"`` (the vendor's default): never dividends. A body
            whose ``adjusted`` is not what was asked for is refused. Cash dividends are as paid.
Timestamps  an aggregate's ``t`` is its start in ms; a daily one is midnight in New York, and a day that
            starts at another moment is rejected: the *grouped daily* endpoint, which is not used, stamps
            the end. Ticks are ns, integers; ``ts_event`` is ``sip_timestamp``, by which the vendor filters
            and sorts (``participant_timestamp`` may be earlier). Minutes of extended hours come along.
Numbers     JSON numbers, also ``6.3896155e+07``. Quote sizes are round lots of 100 before 2025-11-03 and
            shares from that day on; stored are shares. The vendor's OpenAPI document still says lots, its
            notice of 2025-10-27 (blog, change-stocks-quotes-round-lots-to-shares) says when they ended.
            A price of 0, or none, is a side that is not there.
Identity    a trade id is unique per ticker, exchange and TRF, within a session: ``venue`` is the exchange's
            number, with ``/TRF`` where there is one. ``correction`` other than 0 names a trade that was
            corrected or canceled, or the record that says so: none of them counts. The words are the
            tapes' convention; of the vendor's numbers 1, 8, 10 and 12 were seen by its users.
Restated    a day gains the volume of extended hours until 20:00 in New York, and may be corrected for days
            (github.com/polygon-io/issues/issues/151).
Absent      ``results`` may be missing where ``resultsCount`` is 0; an unknown ticker looks the same, so an
            empty answer proves nothing. Only the reference endpoint knows tickers: 404 ``NOT_FOUND``.
Page        ``limit`` is 50,000 *base* aggregates, ticks, or 1,000 facts. A page is the last one where
            ``next_url`` is absent, however short it is; it carries a cursor and no key, and is followed on
            the configured host whatever host it names. Corporate actions are two lists: splits, then
            dividends; the answer is complete at the end of both.
Symbols     as listed (``BRK.B``); FB's history stays FB's.
Limits      5 requests a minute on the free plan; 429, without headers that would say how long.
Terms       https://massive.com/terms
Checked     2026-11-20, against the vendor's OpenAPI description and its clients' test bodies, not live.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.providers.decoding.bodies import classify_common, load_small, refused
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.polygon import bars, facts, ticks
from mdc_resources.providers.polygon.rows import FINE
from mdc_resources.providers.spec import Dialect, Offer, Page, ProviderSpec

_HISTORY = dt.date(2003, 9, 10)
_BARS = Offer(
    market="us-consolidated",
    basis=Basis.RAW,
    encoding=NumberEncoding.DECIMAL,
    page_rows=bars.PAGE_ROWS,
    history_start=_HISTORY,
)
# One session a request: trade ids begin anew each day, and a broken chain costs no more than that.
_TICKS = replace(_BARS, max_sessions=1, carries_prices=False)
_FACTS = replace(_BARS, page_rows=facts.PAGE_ROWS, carries_prices=False)
SPEC = ProviderSpec(
    name="polygon",
    title="Polygon (Massive)",
    base_url="https://api.polygon.io",
    rank=12,
    limits=Limits(minute=5),
    offers={
        Dataset.BARS_1D: _BARS,
        Dataset.BARS_1M: replace(_BARS, max_sessions=250),
        Dataset.TRADES: _TICKS,
        Dataset.QUOTES: _TICKS,
        Dataset.CORPORATE_ACTIONS: _FACTS,
        Dataset.INSTRUMENTS: replace(_FACTS, page_rows=1),
    },
    credentials=("POLYGON_API_KEY",),
    bases=frozenset({Basis.SPLIT}),
    checked_on=dt.date(2026, 11, 20),
)
_US_CALENDARS = frozenset({"XNYS", "XNAS", "XASE", "ARCX", "BATS", "NYSE", "NASDAQ"})
_SPELLED = re.compile(r"[A-Z0-9.]+")


class Polygon:
    """The dialect of ``/v2/aggs``, ``/v3/trades``, ``/v3/quotes`` and ``/v3/reference``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The first page; raises UnknownSymbol for what is no US ticker."""
        symbol = request.symbols[0]
        if dialect.calendar.name not in _US_CALENDARS or not _SPELLED.fullmatch(symbol):
            raise UnknownSymbol(
                f"polygon has no {symbol} on calendar {dialect.calendar.name}",
                symbol=symbol,
                provider="polygon",
            )
        if request.dataset.is_bars:
            path, params = bars.question(request, dialect)
        elif request.dataset.is_events:
            path, params = ticks.question(request, dialect)
        elif request.dataset is Dataset.CORPORATE_ACTIONS:
            path, params = facts.splits_of(request)
        else:
            path, params = facts.instrument_of(request)
        return _authorised(path, params, dialect)

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """Polygon's errors are ``{"status": ..., "error" | "message": ...}``, also with status 200."""
        document = load_small(response.body)
        told = document if isinstance(document, dict) else {}
        status, said = str(told.get("status") or ""), str(told.get("error") or told.get("message") or "")
        if status == "NOT_AUTHORIZED":
            return NotEntitled(
                f"polygon says {quoted(said)}",
                provider="polygon",
                status=response.status,
                hint="Ask for newer data, or upgrade the plan",
            )
        if response.status in (401, 403, 429) or response.status >= 500:
            return None
        if status == "NOT_FOUND" or (response.status == 404 and "not found" in said.lower()):
            return UnknownSymbol(
                f"polygon says {quoted(said)}", symbol="", provider="polygon", status=response.status
            )
        if said and status not in FINE:
            return _named(said, response.status)
        if common := classify_common("polygon", response):
            return common
        return refused("polygon", response) if response.status >= 300 else None

    def decode(
        self, request: FetchRequest, dialect: Dialect, sent: HttpRequest, response: HttpResponse
    ) -> Page:
        """Decode one page; raises PayloadError, also for another ticker or another adjustment."""
        if error := self.classify(response):
            raise _about(error, request)
        if request.dataset.is_bars:
            page, following = bars.decode(response, request=request, dialect=dialect)
        elif request.dataset.is_events:
            page, following = ticks.decode(response, request=request, dialect=dialect)
        elif request.dataset is Dataset.CORPORATE_ACTIONS:
            page, following = facts.actions(response, sent, request=request, dialect=dialect)
        else:
            return facts.instrument(response, request=request, dialect=dialect)
        if following:
            return replace(page, next=_following(following, sent, dialect))
        if request.dataset is Dataset.CORPORATE_ACTIONS and facts.is_splits(sent):
            return replace(page, next=_authorised(*facts.dividends_of(request), dialect))
        return page


def _authorised(path: str, params: tuple[tuple[str, str], ...], dialect: Dialect) -> HttpRequest:
    name = dialect.settings.key_env or SPEC.credentials[0]
    return HttpRequest(f"{dialect.base_url}{path}", params=params, auth=(("Authorization: Bearer", name),))


def _following(next_url: str, sent: HttpRequest, dialect: Dialect) -> HttpRequest:
    """The request for ``next_url``, on the configured host: no body decides where a key is sent."""
    try:
        parts = urlsplit(next_url)
        query = parse_qsl(parts.query, strict_parsing=True)
    except ValueError:
        parts, query = urlsplit(""), []
    endpoint = "/".join(sent.url.removeprefix(dialect.base_url).split("/")[:8])
    _, found, rest = parts.path.partition(endpoint)
    params = tuple(pair for pair in query if pair[0].lower() != "apikey")
    if not found or rest[:1] not in ("", "/") or ".." in rest or not params:
        raise PayloadError(
            f"polygon's next_url {next_url[:120]!a} does not continue {endpoint}", provider="polygon"
        )
    following = replace(sent, url=f"{dialect.base_url}{endpoint}{rest}", params=params)
    if following == sent:
        raise PayloadError("polygon answers with the cursor it was asked for: a loop", provider="polygon")
    return following


def _named(said: str, status: int) -> ProviderError:
    """The error that a sentence under an unsuspicious HTTP status stands for."""
    lower = said.lower()
    if "exceeded the maximum requests" in lower:
        return RateLimited(f"polygon says {quoted(said)}", provider="polygon", status=status)
    if "api key" in lower:
        return BadCredentials(f"polygon says {quoted(said)}", provider="polygon", status=status)
    return PayloadError(f"polygon says {quoted(said)}", provider="polygon", status=status)


def _about(error: ProviderError, request: FetchRequest) -> ProviderError:
    """``error`` with the symbol that ``classify`` could not know."""
    if not isinstance(error, UnknownSymbol):
        return error
    symbol = request.symbols[0]
    return UnknownSymbol(f"{symbol}: {error.message}", symbol=symbol, provider="polygon", status=error.status)


PROVIDER = Polygon()
