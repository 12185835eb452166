"""What every provider declares and implements: a cheap spec and two pure functions.

A provider does no I/O, reads no clock and holds no state. ``plan`` turns a wish into the first
HTTP request; ``classify`` names the error hidden in an answer (HTTP 200 included); ``decode``
turns one page into canonical tables and, where the answer continues, the next request.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

import pyarrow as pa

from mdc_resources.calendars import Calendar
from mdc_resources.config import Limits, ProviderSettings
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import ConfigError, ProviderError
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol

ANY_VENUE = "*"
DERIVED_BARS = frozenset({"open", "high", "low", "close", "volume"})


@dataclass(frozen=True, slots=True)
class Offer:
    """How a provider serves one dataset.

    ``carries`` are datasets that come with the same answer. ``derived`` are fields the vendor
    computes (adjusted prices): rounded half-even when they do not fit, and flagged. ``max_sessions``
    bounds one request's range, ``page_rows`` one page of it. ``empty_is_proof`` says that the
    vendor's contract makes an empty answer for a listed symbol mean "nothing happened".
    """

    market: str
    basis: Basis
    encoding: NumberEncoding
    derived: frozenset[str] = frozenset()
    carries: tuple[Dataset, ...] = ()
    max_symbols: int = 1
    max_sessions: int | None = None
    page_rows: int | None = None
    history_days: int | None = None
    history_start: dt.date | None = None
    history_end: dt.date | None = None  # inclusive; set where a database is no longer continued
    empty_is_proof: bool = False
    carries_prices: bool = True  # false where ``settings.basis`` has no bearing (facts, not bars)


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """The declared facts of a provider; the planner and the docs read nothing else.

    ``venue`` is the prefix of the symbols it serves (``KRAKEN`` for ``KRAKEN:BTC-USD``), empty for
    symbols that name no venue, ``*`` for any. ``feeds`` maps each feed that ``settings.feed`` may
    name to the market it measures; ``bases`` are the adjustments that ``settings.basis`` may ask
    for besides the offer's own.
    """

    name: str
    title: str
    base_url: str
    rank: int
    limits: Limits
    offers: Mapping[Dataset, Offer]
    asset_classes: frozenset[str] = frozenset({"equity"})
    venue: str = ""
    credentials: tuple[str, ...] = ()
    decoder_version: int = 1
    cost_per_request: Decimal = Decimal(0)
    checked_on: dt.date = dt.date(2026, 11, 1)
    feeds: Mapping[str, str] = field(default_factory=dict)
    default_feed: str = ""
    bases: frozenset[Basis] = frozenset()


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a provider may know while planning and decoding, all of it passed in."""

    spec: ProviderSpec
    settings: ProviderSettings
    calendar: Calendar

    @property
    def base_url(self) -> str:
        """The configured base URL without a trailing slash, else the spec's."""
        return (self.settings.base_url or self.spec.base_url).rstrip("/")

    @property
    def source(self) -> str:
        """What rows carry as ``source``: provider or provider/feed."""
        feed = self.settings.feed or self.spec.default_feed
        return f"{self.spec.name}/{feed}" if feed else self.spec.name

    def offer(self, dataset: Dataset) -> Offer:
        """The offer for ``dataset`` under these settings; raises KeyError where there is none."""
        return offers_under(self.spec, self.settings)[dataset]


def offers_under(spec: ProviderSpec, settings: ProviderSettings) -> Mapping[Dataset, Offer]:
    """``spec.offers`` with the market of the configured feed and the configured basis.

    Raises:
        ConfigError: the provider has no such feed, or cannot deliver such a basis.
    """
    feed = settings.feed or spec.default_feed
    if feed and spec.feeds and feed not in spec.feeds:
        raise ConfigError(
            f"{spec.name} has no feed {ascii(feed)[:40]}",
            key=f"providers.{spec.name}.feed",
            hint=f"Known: {', '.join(spec.feeds)}",
        )
    market = settings.market or spec.feeds.get(feed, "")
    return {dataset: _under(spec, offer, settings, market) for dataset, offer in spec.offers.items()}


def _under(spec: ProviderSpec, offer: Offer, settings: ProviderSettings, market: str) -> Offer:
    if settings.feed and settings.feed != spec.default_feed:
        offer = replace(offer, history_end=None)  # the default feed has ended, another goes on
    basis = Basis(settings.basis) if settings.basis else offer.basis
    if basis is not offer.basis and offer.carries_prices and basis not in spec.bases:
        raise ConfigError(
            f"{spec.name} delivers {offer.basis}, not {basis}",
            key=f"providers.{spec.name}.basis",
            hint="Leave basis out",
        )
    if not offer.carries_prices:
        return replace(offer, market=market or offer.market)
    derived = (
        offer.derived if basis is offer.basis else DERIVED_BARS if basis is not Basis.RAW else frozenset()
    )
    return replace(offer, market=market or offer.market, basis=basis, derived=derived)


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row that cannot be stored, as received. ``raw`` is at most 2,000 characters of it."""

    symbol: Symbol | None
    session: dt.date | None
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Page:
    """One decoded page.

    ``tables`` hold canonical rows inside the requested range only. ``next`` is None on the last
    page. ``unknown`` are symbols the vendor says it does not know; ``dropped`` counts rows outside
    the requested range (left out on purpose, nothing wrong with them); ``rounded`` counts derived
    numbers that had to be rounded. ``incomplete`` are partitions whose answer was cut short.
    """

    tables: Mapping[Dataset, pa.Table]
    rejected: tuple[Rejected, ...] = ()
    next: HttpRequest | None = None
    unknown: tuple[Symbol, ...] = ()
    incomplete: tuple[tuple[Symbol, dt.date], ...] = ()
    dropped: int = 0
    rounded: int = 0
    warnings: tuple[str, ...] = field(default=())


class Provider(Protocol):
    """A vendor's dialect. Implementations are stateless; the module's ``PROVIDER`` is the instance."""

    spec: ProviderSpec

    def plan(self, request: FetchRequest, dialect: Dialect) -> HttpRequest:
        """The first request for ``request``; raises UnknownSymbol for one it cannot spell."""
        ...

    def classify(self, response: HttpResponse) -> ProviderError | None:
        """The error in ``response``, also behind a status of 200; None if it can be decoded."""
        ...

    def decode(
        self, request: FetchRequest, dialect: Dialect, sent: HttpRequest, response: HttpResponse
    ) -> Page:
        """Decode one page; raises PayloadError if the body is not what the dialect promises."""
        ...
