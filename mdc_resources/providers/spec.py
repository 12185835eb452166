"""What every provider declares and implements: a cheap spec and two pure functions.

A provider does no I/O, reads no clock and holds no state. ``plan`` turns a wish into the first
HTTP request; ``classify`` names the error hidden in an answer (HTTP 200 included); ``decode``
turns one page into canonical tables and, where the answer continues, the next request.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from mdc_resources.calendars import Calendar
from mdc_resources.config import Limits, ProviderSettings
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.errors import ProviderError
from mdc_resources.domain.requests import FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol


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
    empty_is_proof: bool = False


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """The declared facts of a provider; the planner and the docs read nothing else."""

    name: str
    title: str
    base_url: str
    rank: int
    limits: Limits
    offers: Mapping[Dataset, Offer]
    asset_classes: frozenset[str] = frozenset({"equity"})
    credentials: tuple[str, ...] = ()
    decoder_version: int = 1
    checked_on: dt.date = dt.date(2026, 11, 1)


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
        return f"{self.spec.name}/{self.settings.feed}" if self.settings.feed else self.spec.name


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

    def decode(self, request: FetchRequest, dialect: Dialect, sent: HttpRequest, response: HttpResponse) -> Page:
        """Decode one page; raises PayloadError if the body is not what the dialect promises."""
        ...
