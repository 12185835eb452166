"""Asking one provider's dialect in the sandbox through the real transport, without a lake.

A :class:`Talk` is a home with one provider, every credential set. ``ask`` goes from plan to the
last page as a backfill does: budgets, breaker, retries, archive; what it came to is a :class:`Said`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from mdc_resources import config
from mdc_resources.calendars import get_calendar
from mdc_resources.config import Home, Limits, ProviderSettings
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError, ProviderError
from mdc_resources.domain.requests import Attempt, FetchRequest, HttpRequest, HttpResponse
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.spec import Dialect, Page, Provider
from mdc_resources.sandbox.server import SandboxServer
from mdc_resources.schema.arrow import empty
from mdc_resources.state import State
from mdc_resources.transport.archive import RawArchive
from mdc_resources.transport.budget import Budgets
from mdc_resources.transport.http import HttpTransport

KEY = "key-of-the-test"
MOST_PAGES = 200


@dataclass(slots=True)
class Said:
    """All pages of one answer, and the error that ended it, if one did."""

    pages: list[Page] = field(default_factory=list)
    error: ProviderError | None = None
    attempts: list[Attempt] = field(default_factory=list)

    def table(self, dataset: Dataset) -> pa.Table:
        """Rows of ``dataset`` over all pages."""
        return pa.concat_tables(
            [empty(dataset), *(p.tables[dataset] for p in self.pages if dataset in p.tables)]
        )

    @property
    def rejected(self) -> list[str]:
        """Why rows were refused."""
        return [row.reason for page in self.pages for row in page.rejected]

    @property
    def incomplete(self) -> set[tuple[str, dt.date]]:
        """Partitions whose answer was cut short."""
        return {key for page in self.pages for key in page.incomplete}

    @property
    def unknown(self) -> set[str]:
        """Symbols the vendor says it does not know."""
        return {symbol for page in self.pages for symbol in page.unknown}


@dataclass(slots=True)
class Talk:
    """One provider, its vendor in the sandbox, and a home of its own."""

    provider: Provider
    server: SandboxServer
    home: Home

    @classmethod
    def open(
        cls, provider: Provider, server: SandboxServer, root: Path, *, keys: Mapping[str, str] | None = None
    ) -> Talk:
        """A fresh home below ``root``; ``keys`` replace the good ones."""
        name = provider.spec.name
        root.mkdir(parents=True, exist_ok=True)
        text = (
            "[lake]\nsandbox = true\n[transport]\ndeadline_seconds = 6\nmax_retry_after_seconds = 2\n"
            f'[providers.{name}]\nbase_url = "{server.url}/{name}"\nlimits = {{}}\n'
        )
        (root / "mdc.toml").write_text(text, encoding="utf-8")
        good = dict.fromkeys(provider.spec.credentials, KEY)
        return cls(provider, server, config.load(root / "mdc.toml", environ={**good, **(keys or {})}))

    @property
    def settings(self) -> ProviderSettings:
        """The provider's section of the home."""
        return self.home.settings.providers[self.provider.spec.name]

    def fault(self, kind: str, **more: Any) -> None:
        """Make the vendor misbehave."""
        body = {"provider": self.provider.spec.name, "kind": kind, **more}
        httpx.post(f"{self.server.url}/_sandbox/faults", json=body).raise_for_status()

    def request(
        self, dataset: Dataset, symbol: str, start: dt.date, end: dt.date, *, calendar: str, asof: dt.date
    ) -> FetchRequest:
        """One symbol's sessions ``start``..``end``, both inclusive."""
        name = self.provider.spec.name
        return FetchRequest(name, dataset, (Symbol(symbol),), start, end, calendar, asof, attempt=1)

    def ask(self, request: FetchRequest) -> Said:
        """Plan, fetch and decode page after page; a provider's error is kept, any other raises."""
        return asyncio.run(self._ask(request))

    async def _ask(self, request: FetchRequest) -> Said:
        said = Said()
        dialect = Dialect(self.provider.spec, self.settings, get_calendar(request.calendar))
        archive = RawArchive.open(self.home.raw_dir, "talk")
        try:
            with State.open(self.home) as state, Budgets.open(self.home.state_dir) as budgets:
                async with HttpTransport(
                    settings=self.home.settings.transport,
                    state=state,
                    budgets=budgets,
                    archive=archive,
                    secrets=self.home.secrets,
                ) as transport:
                    await self._pages(transport, request, dialect, said)
        finally:
            archive.close()
        return said

    async def _pages(
        self, transport: HttpTransport, request: FetchRequest, dialect: Dialect, said: Said
    ) -> None:
        try:
            wire: HttpRequest | None = self.provider.plan(request, dialect)
            seen: set[HttpRequest] = set()
            while wire is not None:
                if wire in seen or len(seen) >= MOST_PAGES:
                    raise PayloadError("a page token repeats", provider=self.provider.spec.name)
                seen.add(wire)
                page = await self._page(transport, request, dialect, wire, len(seen), said)
                said.pages.append(page)
                wire = page.next
        except ProviderError as error:
            said.error = error

    async def _page(
        self,
        transport: HttpTransport,
        request: FetchRequest,
        dialect: Dialect,
        wire: HttpRequest,
        number: int,
        said: Said,
    ) -> Page:
        decoded: list[Page] = []

        def classify(response: HttpResponse) -> ProviderError | None:
            error = self.provider.classify(response)
            if error is not None or response.status != 200:
                return error
            try:
                decoded.append(self.provider.decode(request, dialect, wire, response))
            except ProviderError as refused:
                return refused
            return None

        await transport.fetch(
            request,
            wire,
            limits=Limits(),
            classify=classify,
            page=number,
            decoder_version=self.provider.spec.decoder_version,
            attempts=said.attempts,
        )
        return decoded[-1]
