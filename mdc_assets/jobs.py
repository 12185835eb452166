"""The job ``backfill``: any symbols, any range, launched from the Launchpad, GraphQL or ``mdc backfill``.

It belongs to no asset, so its range promises nothing to Dagster: it reports the exact partitions
that are settled, whichever shards they are of. Run by ``mdc backfill`` it finds the listener of that
process under its run id, which is how progress and outcome get back to the command line.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

from dataclasses import dataclass

from dagster import Config, Failure, Nothing, OpExecutionContext, Out, in_process_executor, job, op
from pydantic import Field

from mdc_assets.home import find_home
from mdc_assets.landing import Caller, land
from mdc_assets.partitions import from_dagster
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import parse_dataset
from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import parse_symbols
from mdc_resources.domain.time import parse_session_range
from mdc_resources.ingest import Want

JOB = "backfill"
OP = "fetch"
SHOWN = 5


class BackfillConfig(Config):
    """What to fetch; session dates as 2024-07-03, both included."""

    dataset: str = Field(default="bars_1d", description="bars_1d, bars_1m, corporate_actions or instruments")
    symbols: list[str] = Field(description="canonical symbols, as in AAPL or BRK.B")
    start: str = Field(description="first session date")
    end: str = Field(description="last session date, included")
    provider: str = Field(default="", description="ask only this provider")
    refetch: bool = Field(default=False, description="ask again for what is already settled")
    keys: list[str] = Field(default=[], description="only these partitions of the range, as 2024-07-03|AAPL")

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
            keys=frozenset(from_dagster(key) for key in self.keys) or None,
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
    """``want`` as run config of the job."""
    config = {
        "dataset": str(want.dataset),
        "symbols": [str(symbol) for symbol in want.symbols],
        "start": want.start.isoformat(),
        "end": want.end.isoformat(),
        "provider": want.provider or "",
        "refetch": want.refetch,
        "keys": [_text(key) for key in sorted(want.keys or ())],
    }
    return {"ops": {OP: {"config": config}}}


@op(
    name=OP, out=Out(Nothing), description="Fetch what the ledger lacks of a range and report its partitions."
)
def fetch(context: OpExecutionContext, config: BackfillConfig) -> None:
    """Fetch, commit, report; the caller gets the outcome also where the run fails."""
    here = attached.get(context.run_id)
    home, caller = (here.home, here.caller) if here else (find_home(), Caller())
    try:
        want = config.want()
    except UsageError as error:
        raise Failure(description=str(error), allow_retries=False) from error
    land(context, home, want, promised=False, caller=caller)


@job(
    name=JOB,
    executor_def=in_process_executor,
    description="Fetch what the ledger lacks of any symbols and range; see the Launchpad for the config.",
)
def backfill_job() -> None:
    """One op, no outputs."""
    fetch()


def _text(key: PartitionKey) -> str:
    return f"{key.session.isoformat()}|{key.symbol}"
