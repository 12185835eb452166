"""The job ``backfill``: any symbols, any range, launched from the Launchpad, GraphQL or ``mdc backfill``.

It belongs to no asset, so its range promises nothing to Dagster: it reports the exact partitions
that are settled, whichever shards they are of. Run by ``mdc backfill`` it finds the listener of that
process under its run id, which is how progress and outcome get back to the command line.

Exact partitions travel as ``holes``: per symbol the days and ranges of days, both ends inclusive. A
day that is no session means nothing, so a range may span a weekend; what the archive itself writes
has only the days meant, and so needs no calendar to be read.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from dagster import Config, Failure, Nothing, OpExecutionContext, Out, in_process_executor, job, op
from pydantic import Field, ValidationError

from mdc_assets.cancelling import canceled_by_interrupt
from mdc_assets.home import find_home
from mdc_assets.landing import Caller, land
from mdc_assets.priorities import FETCH_POOL
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import parse_dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol, parse_symbol, parse_symbols
from mdc_resources.domain.time import parse_session_range
from mdc_resources.ingest import Want

JOB = "backfill"
OP = "fetch"
SHOWN = 5
_TO = ".."
_LONGEST = dt.timedelta(days=366 * 100)  # a slip such as 0201-01-01 must not be counted out day by day


class BackfillConfig(Config):
    """What to fetch; session dates as 2024-07-03, both included."""

    dataset: str = Field(default="bars_1d", description="bars_1d, bars_1m, trades, quotes ...")
    symbols: list[str] = Field(description="canonical symbols, as in AAPL or BRK.B")
    start: str = Field(description="first session date")
    end: str = Field(description="last session date, included")
    provider: str = Field(default="", description="ask only this provider")
    refetch: bool = Field(default=False, description="ask again for what is already settled")
    holes: dict[str, list[str]] = Field(
        default={},
        description="only these partitions, per symbol: 2024-07-03, or 2024-07-01..2024-07-03 with both ends",
    )
    patient: bool = Field(default=False, description="leave a provider alone that failed a partition lately")

    def want(self) -> Want:
        """The same in the archive's words; raises UsageError for what a person typed wrongly."""
        start, end = parse_session_range(self.start, self.end)
        symbols = tuple(parse_symbols(self.symbols))
        if not symbols:
            raise UsageError("no symbols were given", hint='Write symbols: ["AAPL", "MSFT"]')
        return Want(
            dataset=parse_dataset(self.dataset),
            symbols=symbols,
            start=start,
            end=end,
            provider=self.provider or None,
            refetch=self.refetch,
            keys=keys_of(self.holes) or None,
            patient=self.patient,
        )


@dataclass(frozen=True, slots=True)
class Attached:
    """A command line that executes a run in its own process, with the home it was given."""

    home: Home
    caller: Caller


# Runs that this process executes for a command line of its own, by run id.
attached: dict[str, Attached] = {}


def tags_of(want: Want) -> dict[str, str]:
    """What the lists of runs show of ``want``."""
    shown = ", ".join(want.symbols[:SHOWN])
    more = f" and {len(want.symbols) - SHOWN} more" if len(want.symbols) > SHOWN else ""
    return {
        "mdc/dataset": str(want.dataset),
        "mdc/symbols": shown + more,
        "mdc/sessions": f"{want.start}..{want.end}",
    }


def config_of(want: Want) -> dict[str, object]:
    """``want`` as run config of the job.

    Raises:
        UsageError: ``want.keys`` is empty, which the config would read as "everything".
    """
    if want.keys is not None and not want.keys:
        raise UsageError("a backfill of no partitions was asked for")
    config = {
        "dataset": str(want.dataset),
        "symbols": [str(symbol) for symbol in want.symbols],
        "start": want.start.isoformat(),
        "end": want.end.isoformat(),
        "provider": want.provider or "",
        "refetch": want.refetch,
        "holes": holes_of(want.keys or ()),
        "patient": want.patient,
    }
    return {"ops": {OP: {"config": config}}}


def want_of(config: Mapping[str, Any]) -> Want:
    """Invert :func:`config_of`; raises UsageError for run config that is not the job's."""
    try:
        return BackfillConfig(**config["ops"][OP]["config"]).want()
    except (KeyError, TypeError, ValidationError) as error:
        raise UsageError(f"this is no config of the job {JOB}: {type(error).__name__}") from None


@op(
    name=OP,
    out=Out(Nothing),
    pool=FETCH_POOL,
    description="Fetch what the ledger lacks of a range and report its partitions.",
)
def fetch(context: OpExecutionContext, config: BackfillConfig) -> None:
    """Fetch, commit, report; the caller gets the outcome also where the run fails."""
    here = attached.get(context.run_id)
    home, caller = (here.home, here.caller) if here else (find_home(), Caller())
    try:
        want = config.want()
    except UsageError as error:
        raise Failure(description=str(error), allow_retries=False) from error
    with canceled_by_interrupt(context.instance, context.run_id) if here else nullcontext():
        land(context, home, want, promised=False, caller=caller)


@job(
    name=JOB,
    executor_def=in_process_executor,
    description="Fetch what the ledger lacks of any symbols and range; see the Launchpad for the config.",
)
def backfill_job() -> None:
    """One op, no outputs."""
    fetch()


def holes_of(keys: Collection[PartitionKey]) -> dict[str, list[str]]:
    """``keys`` as the config writes them: consecutive days joined, symbols and days in order."""
    days: dict[str, list[dt.date]] = {}
    for symbol, session in sorted(keys):
        days.setdefault(symbol, []).append(session)
    return {symbol: list(_joined(found)) for symbol, found in days.items()}


def keys_of(holes: Mapping[str, Sequence[str]]) -> frozenset[PartitionKey]:
    """Invert :func:`holes_of`; raises UsageError for what is no symbol, no day, or a reversed range."""
    return frozenset(
        PartitionKey(symbol, day)
        for text, ranges in holes.items()
        for symbol in (parse_symbol(text),)
        for written in ranges
        for day in _days(symbol, written)
    )


def _joined(days: Sequence[dt.date]) -> Iterator[str]:
    """Ascending ``days`` as single days and ranges of consecutive ones."""
    first = 0
    for at in range(1, len(days) + 1):
        if at == len(days) or days[at].toordinal() != days[at - 1].toordinal() + 1:
            start, end = days[first].isoformat(), days[at - 1].isoformat()
            yield start if start == end else f"{start}{_TO}{end}"
            first = at


def _days(symbol: Symbol, written: str) -> Iterator[dt.date]:
    start, _, end = written.partition(_TO)
    first, last = parse_session_range(start, end or start)
    if last - first > _LONGEST:
        raise UsageError(f"{written[:40]!a} of {symbol} is longer than a century", hint="Is a year mistyped?")
    return (dt.date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1))
