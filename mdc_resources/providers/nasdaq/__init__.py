"""Nasdaq Data Link (formerly Quandl): daily time-series of US stocks, one symbol per request.

Coverage    database ``WIKI`` (feed, the default): some 3,000 US stocks, community-maintained and free;
            it **ended on 2018-03-27**. ``EOD``: all US stocks, still continued, needs a subscription.
Basis       raw: the columns as traded are read even where adjusted ones (``Adj. Close``) stand beside
            them. A series with adjusted columns only is refused.
Timestamps  a bare session date.
Numbers     JSON numbers; prices and volumes as traded are quoted, a digit too many is an error of its
            row. Columns are found by their names, and a row is as wide as ``column_names``. ``Ex-Dividend``
            and ``Split Ratio`` of a day come along as corporate actions: 0 and 1 say that there was none.
Page        the whole range in one body; newest first unless ``order=asc`` is asked for.
Symbols     ``BRK.B`` is ``BRK_B``; an unknown one is a 404 (QECx02).
Limits      50,000 requests a day, 2,000 in ten minutes and 300 in ten seconds with a free key, one at a
            time: https://help.data.nasdaq.com/article/490. Key in a header, as the vendor's own client does.
Terms       https://data.nasdaq.com/terms; per database
Checked     2026-11-20, against recorded bodies, the vendor's client and its table of error codes, not live.
"""

from __future__ import annotations

import datetime as dt

from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    TransportError,
    UnknownSymbol,
)
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bodies import classify_common, load_small, refused
from mdc_resources.providers.decoding.quoting import quoted
from mdc_resources.providers.nasdaq import series as nasdaq_series
from mdc_resources.providers.spec import Dialect, Offer, Page, ProviderSpec

WIKI_ENDED = dt.date(2018, 3, 27)
_MARKET = "us-consolidated"
_DECIMAL = NumberEncoding.DECIMAL
SPEC = ProviderSpec(
    name="nasdaq",
    title="Nasdaq Data Link (time-series)",
    base_url="https://data.nasdaq.com",
    rank=30,
    limits=Limits(second=30, minute=200, day=50_000),
    offers={
        Dataset.BARS_1D: Offer(
            market=_MARKET,
            basis=Basis.RAW,
            encoding=_DECIMAL,
            carries=(Dataset.CORPORATE_ACTIONS,),
            history_end=WIKI_ENDED,
        ),
        # Each row says of its own day whether something happened; days without a row are left open.
        Dataset.CORPORATE_ACTIONS: Offer(
            market=_MARKET,
            basis=Basis.RAW,
            encoding=_DECIMAL,
            history_end=WIKI_ENDED,
            empty_is_proof=True,
            carries_prices=False,
        ),
        Dataset.INSTRUMENTS: Offer(
            market=_MARKET, basis=Basis.RAW, encoding=_DECIMAL, history_end=WIKI_ENDED, carries_prices=False
        ),
    },
    credentials=("NASDAQ_API_KEY",),
    feeds={"WIKI": _MARKET, "EOD": _MARKET},
    default_feed="WIKI",
    checked_on=dt.date(2026, 11, 20),
)
_DAILY_LIMITS = ("QELx01", "QELx02", "QELx03")


class Nasdaq:
    """The dialect of ``/api/v3/datasets``."""

    spec = SPEC

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """One series; raises UnknownSymbol for a symbol of a named venue."""
        series = (
            f"{dialect.base_url}/api/v3/datasets/{database_of(dialect)}/{vendor_symbol(request.symbols[0])}"
        )
        auth = (("X-Api-Token", dialect.settings.key_env or SPEC.credentials[0]),)
        if request.dataset is Dataset.INSTRUMENTS:
            return HttpRequest(f"{series}/metadata.json", auth=auth)
        params = (
            ("start_date", request.start.isoformat()),
            ("end_date", request.end.isoformat()),
            ("order", "asc"),
        )
        return HttpRequest(f"{series}.json", params=params, auth=auth)

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """Errors are ``{"quandl_error": {"code": "QExxNN", "message": ..}}``; the code decides."""
        document = load_small(response.body)
        error = document.get("quandl_error") if isinstance(document, dict) else None
        if isinstance(error, dict):
            code = str(error.get("code") or "")
            return _meaning(
                code, f"nasdaq says {quoted(code)} {quoted(error.get('message'))}", response.status
            )
        if common := classify_common("nasdaq", response):
            return common
        if response.status in (401, 403, 429) or response.status >= 500:
            return None
        return refused("nasdaq", response) if response.status >= 300 else None

    def decode(
        self,
        request: FetchRequest,
        dialect: Dialect,
        sent: HttpRequest,  # noqa: ARG002 - the protocol names it
        response: HttpResponse,
    ) -> Page:
        """Decode one series; raises PayloadError where it is no such series, or another one."""
        symbol = request.symbols[0]
        error = self.classify(response)
        if isinstance(error, UnknownSymbol):
            raise UnknownSymbol(
                f"{symbol}: {error.message}", symbol=symbol, provider="nasdaq", status=error.status
            )
        if error:
            raise error
        wanted = (database_of(dialect), vendor_symbol(symbol))
        return nasdaq_series.decode(response, wanted, request=request, dialect=dialect)


def database_of(dialect: Dialect) -> str:
    """The database that is asked: ``settings.feed``."""
    return dialect.settings.feed or SPEC.default_feed


def vendor_symbol(symbol: Symbol) -> str:
    """Nasdaq's spelling: a share class takes an underscore (``BRK_B``)."""
    if ":" in symbol or "_" in symbol:
        raise UnknownSymbol(f"nasdaq cannot spell {symbol}", symbol=symbol, provider="nasdaq")
    return symbol.replace(".", "_")


def _meaning(code: str, said: str, status: int) -> ProviderError:
    """The error class of a code; see https://docs.data.nasdaq.com/docs/error-codes."""
    kind = code[:3]
    if code in _DAILY_LIMITS:
        return QuotaExhausted(said, provider="nasdaq", status=status, hint="The day's calls are used up")
    if code in ("QELx04", "QELx05"):
        return RateLimited(said, provider="nasdaq", status=status)
    if kind == "QEA":
        return BadCredentials(said, provider="nasdaq", status=status, hint="Check NASDAQ_API_KEY")
    if kind == "QEP":
        return NotEntitled(said, provider="nasdaq", status=status, hint="Subscribe to it, or use feed WIKI")
    if kind == "QEC":
        return UnknownSymbol(said, symbol="", provider="nasdaq", status=status)
    if kind in ("QEM", "QEX"):
        return TransportError(said, provider="nasdaq", status=status)
    if status == 429:
        return RateLimited(said, provider="nasdaq", status=status)
    return PayloadError(said, provider="nasdaq", status=status)


PROVIDER = Nasdaq()
