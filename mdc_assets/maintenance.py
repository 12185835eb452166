"""The job ``verify``: every file and every row of the lake against its catalog and its ledger.

Findings are metadata of the run, incidents in the lake (once each, not at every run), and a failed
run. ``repair: true`` gives up what is damaged: its partitions become ``missing``, so that they are
fetched again. It is off unless a person asks for it.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

from dagster import Config, Failure, Nothing, OpExecutionContext, Out, in_process_executor, job, op
from pydantic import Field

from mdc_assets import metadata
from mdc_assets.home import find_home
from mdc_resources.domain.errors import MdcError
from mdc_resources.recovery.damage import verify_lake

JOB = "verify"
OP = "examine"


class VerifyConfig(Config):
    """Per launch, in the Launchpad."""

    repair: bool = Field(
        default=False, description="mark damaged partitions as missing, so that they are fetched again"
    )


@op(name=OP, out=Out(Nothing), description="Read every file and row; findings fail the run.")
def examine(context: OpExecutionContext, config: VerifyConfig) -> None:
    """Verify, tell, and repair where that was asked for."""
    try:
        found = verify_lake(find_home(), run_id=context.run_id, repair=config.repair)
    except MdcError as error:
        raise Failure(description=str(error), allow_retries=False) from error
    if found.errors:
        raise Failure(
            description=found.in_words(), metadata=metadata.of_verification(found), allow_retries=False
        )
    context.add_output_metadata(metadata.of_verification(found))
    context.log.info(found.in_words())


@job(
    name=JOB,
    executor_def=in_process_executor,
    description="Deep verification: every file and every row against the catalog and the ledger.",
)
def verify_job() -> None:
    """One op, no outputs."""
    examine()
