"""One provider under test: its vendor in the sandbox, the ground it is asked on, and fresh homes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from mdc_resources.calendars import Calendar, get_calendar
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    OutOfRange,
)
from mdc_resources.domain.requests import FetchRequest
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.spec import Provider
from mdc_resources.sandbox.market import Market
from mdc_resources.sandbox.server import SandboxServer
from tests.providers.talking import Said, Talk

NOW = dt.datetime(2024, 12, 2, 23, 0, tzinfo=dt.UTC)  # a Monday, two hours after New York's close
MIDDAY = dt.datetime(2024, 12, 2, 17, 0, tzinfo=dt.UTC)
PAIRS = {"binance": "BTC-USDT"}  # elsewhere BTC-USD


class NotApplicable(Exception):
    """The check has no bearing on this provider; the text says why."""


@dataclass(slots=True)
class Bench:
    """One provider under test."""

    provider: Provider
    server: SandboxServer
    folder: Path
    _homes: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.provider.spec.name

    @property
    def is_crypto(self) -> bool:
        """True if it serves a venue that never closes."""
        return bool(self.provider.spec.venue)

    @property
    def calendar(self) -> Calendar:
        """That of its symbols."""
        return get_calendar("24/7" if self.is_crypto else "XNYS")

    @property
    def symbol(self) -> str:
        """What it is asked for where nothing special is looked for."""
        return f"{self.provider.spec.venue}:{PAIRS.get(self.name, 'BTC-USD')}" if self.is_crypto else "AAPL"

    @property
    def year(self) -> int:
        """The newest one it has in full: history may have ended."""
        ends = [offer.history_end for offer in self.provider.spec.offers.values() if offer.history_end]
        return min((end.year - 1 for end in ends), default=NOW.year)

    @property
    def week(self) -> tuple[dt.date, dt.date]:
        """Monday to Friday of Thanksgiving."""
        thursdays = [dt.date(self.year, 11, day) for day in range(1, 31)]
        thanksgiving = [day for day in thursdays if day.weekday() == 3][3]
        return thanksgiving - dt.timedelta(days=3), thanksgiving + dt.timedelta(days=1)

    @property
    def market(self) -> Market:
        """The truth about stocks."""
        return self.server.sandbox.market

    def talk(self, **keys: str) -> Talk:
        """A fresh home, so that no check meets another one's breaker."""
        self.server.clear_faults()
        return Talk.open(self.provider, self.server, self.folder / str(next(self._homes)), keys=keys)

    def bars(self) -> Dataset:
        """The bars that faults are tried on."""
        for dataset in (Dataset.BARS_1D, Dataset.BARS_1M):
            if dataset in self.provider.spec.offers:
                return dataset
        raise NotApplicable("it has no bars")

    def ask(
        self,
        dataset: Dataset,
        symbol: str = "",
        span: tuple[dt.date, dt.date] | None = None,
        talk: Talk | None = None,
    ) -> Said:
        """Ask for the week, or another span of sessions."""
        return (talk or self.talk()).ask(self.request(dataset, symbol, span))

    def request(
        self, dataset: Dataset, symbol: str = "", span: tuple[dt.date, dt.date] | None = None
    ) -> FetchRequest:
        """A request as the planner makes it; events are asked for one session at a time."""
        first, last = span or self.week
        if dataset.is_events:
            first = last
        wanted = Symbol(symbol or self.symbol)
        return FetchRequest(
            self.name, dataset, (wanted,), first, last, self.calendar.name, NOW.date(), attempt=1
        )

    def good(self, dataset: Dataset, **more: Any) -> Said:
        """An answer that must be complete; NotApplicable where the history does not reach there."""
        said = self.ask(dataset, **more)
        if isinstance(said.error, OutOfRange):
            raise NotApplicable(f"its {dataset} do not reach there")
        assert said.error is None, f"{dataset}: {said.error!r}"
        assert said.rejected == [], dataset
        return said
