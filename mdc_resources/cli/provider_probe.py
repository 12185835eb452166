"""Asking a provider for the last few daily bars of one symbol, through the real transport.

The answer is archived like any other (budgets and breakers count it too) and never committed, so a
probe shows exactly what a backfill would meet.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mdc_resources.cli.selection import nearest
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import MdcError, UsageError
from mdc_resources.domain.symbols import Symbol, parse_symbol

if TYPE_CHECKING:
    from mdc_resources.calendars import Calendar
    from mdc_resources.config import Home
    from mdc_resources.ingest.candidates import Candidate
    from mdc_resources.transport.http import HttpTransport

SESSIONS = 5


@dataclass(frozen=True, slots=True)
class Probe:
    """What one provider answered."""

    provider: str
    ok: bool
    rows: int
    milliseconds: float
    message: str

    def as_dict(self) -> dict[str, object]:
        """The JSON form."""
        return asdict(self)


def probe_all(home: Home, names: Sequence[str], symbol: str) -> list[Probe]:
    """Ask every enabled provider, or those named, one after the other.

    Raises:
        UsageError: a name is unknown or not enabled, or nothing is enabled.
    """
    from mdc_resources.calendars import get_calendar
    from mdc_resources.cli.config_checks import require_sound

    require_sound(home)
    enabled = [name for name, settings in home.settings.providers.items() if settings.enabled]
    for name in names:
        if name not in enabled:
            raise UsageError(f"{name[:40]!a} is not an enabled provider", hint=nearest(name, enabled))
    wanted = parse_symbol(symbol)
    universe = home.settings.universes[home.settings.ingest.default_universe]
    calendar = get_calendar(universe.calendar, home.root)
    return asyncio.run(_probe_all(home, names or enabled, wanted, calendar, universe.asset_class))


async def _probe_all(
    home: Home, names: Sequence[str], symbol: Symbol, calendar: Calendar, asset_class: str
) -> list[Probe]:
    from mdc_resources.ingest.candidates import candidates
    from mdc_resources.state import State
    from mdc_resources.transport.archive import RawArchive
    from mdc_resources.transport.budget import Budgets
    from mdc_resources.transport.http import HttpTransport

    archive = RawArchive.open(home.raw_dir, f"check-{uuid.uuid4()}")
    results = []
    try:
        with State.open(home) as state, Budgets.open(home.state_dir) as budgets:
            async with HttpTransport(
                settings=home.settings.transport,
                state=state,
                budgets=budgets,
                archive=archive,
                secrets=home.secrets,
            ) as transport:
                for name in names:
                    try:
                        found, _ = candidates(home, Dataset.BARS_1D, asset_class=asset_class, only=name)
                    except MdcError as error:
                        results.append(Probe(name, False, 0, 0.0, str(error)))
                        continue
                    results.append(
                        await _probe(transport, found[0], symbol, calendar, home.settings.lake.sandbox)
                    )
    finally:
        archive.close()
    return results


async def _probe(
    transport: HttpTransport, candidate: Candidate, symbol: Symbol, calendar: Calendar, sandbox: bool
) -> Probe:
    from mdc_resources.domain.requests import FetchRequest
    from mdc_resources.domain.time import now
    from mdc_resources.ingest.asking import Answer, ask

    today = now().date()
    past = calendar.final_sessions(
        today - dt.timedelta(days=30), today, at=now(), settle=dt.timedelta(hours=1)
    )[-SESSIONS:]
    request = FetchRequest(
        provider=candidate.name,
        dataset=Dataset.BARS_1D,
        symbols=(symbol,),
        start=past[0],
        end=past[-1],
        calendar=calendar.name,
        asof=today,
    )
    answer = Answer(request, candidate, calendar, synthetic_allowed=sandbox)
    started = time.monotonic()
    await ask(transport, answer, [])
    elapsed = (time.monotonic() - started) * 1000
    table = answer.table(Dataset.BARS_1D)
    rows = table.num_rows if table is not None else 0
    if answer.error is not None:
        return Probe(candidate.name, False, rows, elapsed, str(answer.error))
    message = (
        f"{symbol} {past[0]} to {past[-1]}" if rows else f"no bars of {symbol} from {past[0]} to {past[-1]}"
    )
    return Probe(candidate.name, rows > 0, rows, elapsed, message)
