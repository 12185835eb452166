"""Asking providers for something small that each of them has, through the real transport.

A stock vendor is asked for the last few daily bars of one stock, an exchange of coins for its
BTC pair, one whose history has ended for the last sessions of it. Where the plan behind the key does
not include that, the next dataset it offers is tried. The answer is archived like any other (budgets
and breakers count it too) and never committed: a probe shows exactly what a backfill would meet.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mdc_resources.cli.selection import nearest
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    BadCredentials,
    MdcError,
    NotEntitled,
    OutOfRange,
    QuotaExhausted,
    RateLimited,
    UsageError,
)
from mdc_resources.domain.symbols import Symbol, parse_symbol, venue_of

if TYPE_CHECKING:
    from mdc_resources.calendars import Calendar
    from mdc_resources.config import Home
    from mdc_resources.ingest.candidates import Candidate
    from mdc_resources.providers.spec import Offer, ProviderSpec
    from mdc_resources.transport.http import HttpTransport

# Cheapest first. Ticks are not asked for: a session of them is many pages.
ASKED = {Dataset.BARS_1D: 5, Dataset.BARS_1M: 1, Dataset.CORPORATE_ACTIONS: 5, Dataset.INSTRUMENTS: 1}
STOCK = "AAPL"
_BTC = {"BINANCE": "BTC-USDT"}


class Verdict(StrEnum):
    """What a probe says about a key and its plan."""

    WORKS = "works"
    NO_DATA = "no data"
    NOT_ENTITLED = "not entitled"
    BAD_CREDENTIALS = "bad credentials"
    OUT_OF_BUDGET = "out of budget"
    FAILED = "failed"

    @property
    def key_is_good(self) -> bool:
        """True if the vendor knows the key, whatever its plan includes."""
        return self in (Verdict.WORKS, Verdict.NO_DATA, Verdict.NOT_ENTITLED)


@dataclass(frozen=True, slots=True)
class Probe:
    """What one provider answered. ``entitled`` says of each dataset asked for if the plan includes it."""

    provider: str
    ok: bool
    rows: int
    milliseconds: float
    message: str
    verdict: Verdict = Verdict.FAILED
    dataset: str = ""
    entitled: dict[str, bool] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """The JSON form."""
        return asdict(self)


def probe_all(home: Home, names: Sequence[str], symbol: str = "", *, every: bool = False) -> list[Probe]:
    """Ask every enabled provider, or those named, one after the other.

    ``symbol`` is for the providers that have symbols of its venue; empty is the one each has anyway.
    With ``every``, each dataset is asked for that can be probed with one request.

    Raises:
        UsageError: a name is unknown or not enabled, or the symbol is none.
    """
    from mdc_resources.cli.config_checks import require_sound

    require_sound(home)
    enabled = [name for name, settings in home.settings.providers.items() if settings.enabled]
    for name in names:
        if name not in enabled:
            raise UsageError(f"{name[:40]!a} is not an enabled provider", hint=nearest(name, enabled))
    wanted = parse_symbol(symbol) if symbol else None
    return asyncio.run(_probe_all(home, names or enabled, wanted, every=every))


def probe_source(home: Home) -> Probe:
    """Ask OpenFIGI, which knows symbols and nothing else, for one of them."""
    from mdc_resources.ingest.searching import identify

    started = time.monotonic()
    try:
        (mapped,) = identify(home, [Symbol(STOCK)])
    except MdcError as error:
        return Probe("openfigi", False, 0, 0.0, str(error), _verdict(error))
    elapsed = (time.monotonic() - started) * 1000
    message = f"the FIGI of {STOCK}" if mapped.found else f"no FIGI of {STOCK}: {mapped.reason}"
    verdict = Verdict.WORKS if mapped.found else Verdict.NO_DATA
    return Probe(
        "openfigi", mapped.found is not None, int(mapped.found is not None), elapsed, message, verdict
    )


def symbol_for(spec: ProviderSpec, wanted: Symbol | None = None) -> Symbol:
    """``wanted`` if the provider has symbols of its venue, else the one it surely has."""
    from mdc_resources.providers.spec import ANY_VENUE

    if wanted is not None and spec.venue in (venue_of(wanted), ANY_VENUE):
        return wanted
    if spec.venue in ("", ANY_VENUE):
        return Symbol(STOCK)
    return Symbol(f"{spec.venue}:{_BTC.get(spec.venue, 'BTC-USD')}")


async def _probe_all(home: Home, names: Sequence[str], symbol: Symbol | None, *, every: bool) -> list[Probe]:
    from mdc_resources.state import State
    from mdc_resources.transport.archive import RawArchive
    from mdc_resources.transport.budget import Budgets
    from mdc_resources.transport.http import HttpTransport

    archive = RawArchive.open(home.raw_dir, f"check-{uuid.uuid4()}")
    try:
        with State.open(home) as state, Budgets.open(home.state_dir) as budgets:
            async with HttpTransport(
                settings=home.settings.transport,
                state=state,
                budgets=budgets,
                archive=archive,
                secrets=home.secrets,
            ) as transport:
                return [await _provider(home, transport, name, symbol, every=every) for name in names]
    finally:
        archive.close()


async def _provider(
    home: Home, transport: HttpTransport, name: str, wanted: Symbol | None, *, every: bool
) -> Probe:
    """The first dataset that the plan includes, or the last one that it does not."""
    from mdc_resources.ingest.candidates import candidates
    from mdc_resources.providers.registry import provider

    try:
        spec = provider(name).spec
        offered = [dataset for dataset in ASKED if dataset in spec.offers]
        if not offered:
            raise UsageError(f"{name} offers nothing that can be asked for with one request")
        symbol = symbol_for(spec, wanted)
        calendar, asset_class = _calendar(home, spec)
        probes: list[Probe] = []
        for dataset in offered:
            found, _ = candidates(home, dataset, asset_class=asset_class, venue=venue_of(symbol), only=name)
            probes.append(await _dataset(home, transport, found[0], dataset, symbol, calendar))
            if probes[-1].verdict is not Verdict.NOT_ENTITLED and not every:
                break
    except MdcError as error:
        return Probe(name, False, 0, 0.0, str(error), _verdict(error))
    entitled = {
        probe.dataset: probe.verdict is not Verdict.NOT_ENTITLED
        for probe in probes
        if probe.verdict.key_is_good
    }
    best = next((probe for probe in probes if probe.ok), probes[-1])
    excluded = [dataset for dataset, included in entitled.items() if not included]
    message = best.message
    if excluded and best.verdict is not Verdict.NOT_ENTITLED:
        message += f"; the plan does not include {', '.join(excluded)}"
    bad = every and any(not probe.ok and probe.verdict is not Verdict.NOT_ENTITLED for probe in probes)
    if bad:
        best = next(probe for probe in probes if not probe.ok)
        message = f"{best.dataset}: {best.message}"
    return Probe(name, best.ok, best.rows, best.milliseconds, message, best.verdict, best.dataset, entitled)


def _calendar(home: Home, spec: ProviderSpec) -> tuple[Calendar, str]:
    """The calendar and asset class to ask in: those of the default universe where they fit."""
    from mdc_resources.calendars import get_calendar

    universe = home.settings.universes.get(home.settings.ingest.default_universe)
    if universe and universe.asset_class in spec.asset_classes:
        return get_calendar(universe.calendar, home.root), universe.asset_class
    asset_class = min(spec.asset_classes)
    return get_calendar("24/7" if asset_class == "crypto" else "XNYS", home.root), asset_class


async def _dataset(
    home: Home,
    transport: HttpTransport,
    candidate: Candidate,
    dataset: Dataset,
    symbol: Symbol,
    calendar: Calendar,
) -> Probe:
    from mdc_resources.domain.requests import FetchRequest
    from mdc_resources.domain.time import now
    from mdc_resources.ingest.asking import Answer, ask

    past = _sessions(candidate.offer, calendar, now())[-ASKED[dataset] :]
    request = FetchRequest(
        provider=candidate.name,
        dataset=dataset,
        symbols=(symbol,),
        start=past[0],
        end=past[-1],
        calendar=calendar.name,
        asof=now().date(),
    )
    answer = Answer(request, candidate, calendar, synthetic_allowed=home.settings.lake.sandbox)
    started = time.monotonic()
    await ask(transport, answer, [])
    elapsed = (time.monotonic() - started) * 1000
    table = answer.table(dataset)
    rows = table.num_rows if table is not None else 0
    if answer.error is not None:
        return Probe(
            candidate.name, False, rows, elapsed, str(answer.error), _verdict(answer.error), dataset.value
        )
    ok = rows > 0 or not dataset.is_bars  # no fact in a week is the rule
    span = f"{symbol} {past[0]} to {past[-1]}"
    message = f"{dataset} of {span}" if ok else f"no {dataset} of {span}"
    verdict = Verdict.WORKS if ok else Verdict.NO_DATA
    return Probe(candidate.name, ok, rows, elapsed, message, verdict, dataset.value)


def _sessions(offer: Offer, calendar: Calendar, at: dt.datetime) -> Sequence[dt.date]:
    """The last sessions that are over and within the provider's history."""
    last = min(at.date(), offer.history_end or at.date())
    return calendar.final_sessions(last - dt.timedelta(days=30), last, at=at, settle=dt.timedelta(hours=1))


def _verdict(error: MdcError) -> Verdict:
    if isinstance(error, BadCredentials):
        return Verdict.BAD_CREDENTIALS
    if isinstance(error, NotEntitled | OutOfRange):
        return Verdict.NOT_ENTITLED
    return Verdict.OUT_OF_BUDGET if isinstance(error, QuotaExhausted | RateLimited) else Verdict.FAILED
