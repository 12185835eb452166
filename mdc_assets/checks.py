"""Summary checks of each asset: reports, never gates. What must stop data runs inside ingest.

``coverage`` compares the calendar with the ledger, ``sane_prices`` and ``no_duplicates`` ask the
lake. They are evaluated at the end of every run that fetched, and on demand from the web UI. All
are non-blocking: a failing blocking check would fail a run whose data is already in.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

from collections.abc import Iterator, Sequence
from contextlib import closing

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    DagsterInvariantViolationError,
    multi_asset_check,
)
from duckdb import DuckDBPyConnection

from mdc_assets.partitions import (
    asset_key,
    session_datasets,
    shard_name,
    shard_names,
)
from mdc_resources.config import Home
from mdc_resources.coverage.standing import standing
from mdc_resources.dagster_resources import LakeResource, duplicates, insane_bars
from mdc_resources.domain.coverage import CoverageSummary
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.domain.time import now
from mdc_resources.lake import Lake
from mdc_resources.state import State

COVERAGE = "coverage"
SANE_PRICES = "sane_prices"
NO_DUPLICATES = "no_duplicates"
SHOWN = 20
"""Findings listed in a check's metadata."""


def checks_of(home: Home) -> list[AssetChecksDefinition]:
    """The checks of every asset that has sessions."""
    return [
        _checks(home, dataset, name, number)
        for name, universe in home.settings.universes.items()
        for number in range(len(shard_names(name, universe)))
        for dataset in session_datasets(home)
    ]


def evaluate(
    home: Home, lake: Lake, connection: DuckDBPyConnection, dataset: Dataset, universe: str, shard: int
) -> Iterator[AssetCheckResult]:
    """Ask every question about one asset; one result per check."""
    key = asset_key(dataset, shard_name(universe, shard))
    symbols = _symbols(home, universe, shard)
    found = coverage_of(home, lake, dataset, symbols)
    yield AssetCheckResult(
        check_name=COVERAGE,
        asset_key=key,
        passed=not found.gaps and not found.quarantined,
        severity=AssetCheckSeverity.WARN,
        metadata=_coverage_metadata(found),
    )
    questions = {NO_DUPLICATES: duplicates} if not dataset.is_events else {}
    if dataset.is_bars:
        questions[SANE_PRICES] = insane_bars
    for name, ask in questions.items():
        wrong = [f"{symbol} {session}" for symbol, session in ask(connection, dataset, symbols, limit=SHOWN)]
        yield AssetCheckResult(
            check_name=name, asset_key=key, passed=not wrong, metadata={"mdc/found": wrong}
        )


def as_event(result: AssetCheckResult) -> AssetCheckEvaluation:
    """The same as an event of a run that is not the check's own."""
    if result.asset_key is None or result.check_name is None:
        raise DagsterInvariantViolationError("a check result must name its asset and its check")
    return AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        description=result.description,
        metadata=result.metadata,
        severity=result.severity,
        blocking=False,
    )


def coverage_of(home: Home, lake: Lake, dataset: Dataset, symbols: Sequence[Symbol]) -> CoverageSummary:
    """Coverage of each symbol between its first and its last session in the ledger.

    What was never begun is no hole, and the newest sessions are the schedule's business.
    """
    with State.open(home) as state:
        return standing(home, lake, state, dataset, symbols, at=now())


def _checks(home: Home, dataset: Dataset, universe: str, number: int) -> AssetChecksDefinition:
    shard = shard_name(universe, number)
    key = asset_key(dataset, shard)
    specs = [
        AssetCheckSpec(
            COVERAGE,
            asset=key,
            description="No holes between a symbol's first and last session.",
            blocking=False,
        ),
    ]
    if not dataset.is_events:  # their order is their identity, and there are millions of them
        specs.append(
            AssetCheckSpec(NO_DUPLICATES, asset=key, description="No key has two rows.", blocking=False)
        )
    if dataset.is_bars:
        specs.append(
            AssetCheckSpec(SANE_PRICES, asset=key, description="low <= open, close <= high.", blocking=False)
        )

    @multi_asset_check(name=f"{dataset}_{shard}_checks", specs=specs)
    def check(lake: LakeResource) -> Iterator[AssetCheckResult]:
        with lake.get_lake() as opened, closing(opened.connect()) as connection:
            yield from evaluate(home, opened, connection, dataset, universe, number)

    return check


def _coverage_metadata(found: CoverageSummary) -> dict[str, int | list[str]]:
    return {
        "mdc/expected": found.expected,
        "mdc/present": found.present,
        "mdc/empty": found.empty,
        "mdc/partial": found.partial,
        "mdc/missing": found.missing,
        "mdc/quarantined": found.quarantined,
        "mdc/expired": found.expired,
        "mdc/gaps": [f"{gap.symbol} {gap.start}..{gap.end} ({gap.sessions})" for gap in found.gaps[:SHOWN]],
    }


def _symbols(home: Home, universe: str, shard: int) -> list[Symbol]:
    with State.open(home) as state:
        return [
            member.symbol for member in state.members(universe, active_only=False) if member.shard == shard
        ]
