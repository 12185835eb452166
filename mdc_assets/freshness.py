"""Freshness in the web UI: the check ``fresh`` of every asset that an ``[sla.*]`` is about.

The sensor ``freshness`` evaluates it every two minutes without starting a run, and writes an
evaluation when a verdict changed, or once an hour so that the UI shows it is looked after. The
button on the check evaluates it at once. What is not due yet breaks no promise.
"""

# No `from __future__ import annotations`: Dagster reads the types of bodies at run time.

import datetime as dt
import json
from collections.abc import Iterator

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    asset_check,
    sensor,
)

from mdc_assets import metadata
from mdc_assets.checks import as_event
from mdc_assets.partitions import asset_key, shard_name
from mdc_resources.config import Home
from mdc_resources.coverage.freshness import SlaStatus, check_sla, sla_report
from mdc_resources.dagster_resources import LakeResource, lake_of
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.time import now
from mdc_resources.lake import Lake
from mdc_resources.state import State

FRESH = "fresh"
SENSOR = "freshness"
INTERVAL_SECONDS = 120
AGAIN = dt.timedelta(hours=1)
Place = tuple[Dataset, str, int]


def promised_places(home: Home) -> list[Place]:
    """(dataset, universe, shard) of every asset that a promise is about, once each.

    Raises:
        ConfigError: a promise names an unknown dataset or universe.
    """
    found: dict[Place, None] = {}
    for name, sla in home.settings.sla.items():
        dataset = check_sla(home, name, sla)
        for number in range(home.settings.universes[sla.universe].shards):
            found[dataset, sla.universe, number] = None
    return list(found)


def freshness_checks_of(home: Home) -> list[AssetChecksDefinition]:
    """The check ``fresh`` of each asset that a promise is about."""
    return [_check(home, place) for place in promised_places(home)]


def freshness_sensor_of(home: Home) -> SensorDefinition:
    """Evaluates every ``fresh`` without a run."""
    status = DefaultSensorStatus.RUNNING if home.settings.schedule.freshness else DefaultSensorStatus.STOPPED

    @sensor(
        name=SENSOR,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=status,
        description="Evaluates the promises of [sla.*]: is each dataset complete so long after the close?",
    )
    def look(context: SensorEvaluationContext) -> SensorResult:
        if not home.settings.sla:
            return SensorResult(skip_reason=SkipReason("mdc.toml has no [sla.NAME]"))
        at = now()
        with State.open(home) as state, lake_of(home).get_lake() as lake:
            results = evaluate(home, lake, state, at=at)
        due, cursor = told(results, context.cursor, at=at)
        wrong = sum(not result.passed for result in results)
        said = SkipReason(f"{len(results)} promises looked at, {wrong} broken, {len(due)} told")
        return SensorResult(asset_events=due, cursor=cursor, skip_reason=said)

    return look


def evaluate(home: Home, lake: Lake, state: State, *, at: dt.datetime) -> list[AssetCheckResult]:
    """One result per asset that a promise is about."""
    results = []
    for dataset, universe, number in promised_places(home):
        statuses = sla_report(home, lake, state, at=at, shard=(universe, number))
        key = asset_key(dataset, shard_name(universe, number))
        results.append(result_of(key, [status for status in statuses if status.dataset is dataset]))
    return results


def result_of(key: AssetKey, statuses: list[SlaStatus]) -> AssetCheckResult:
    """The verdict of all promises about one asset; it passes if nothing due is incomplete."""
    return AssetCheckResult(
        asset_key=key,
        check_name=FRESH,
        passed=all(status.fresh for status in statuses),
        severity=AssetCheckSeverity.WARN,
        description="; ".join(f"{status.name}: {_in_words(status)}" for status in statuses),
        metadata=metadata.of_promises(statuses),
    )


def told(
    results: list[AssetCheckResult], cursor: str | None, *, at: dt.datetime
) -> tuple[list[AssetCheckEvaluation], str]:
    """Those of ``results`` that are news, or an hour old; and the sensor's next cursor."""
    before: dict[str, list[str]] = json.loads(cursor) if cursor else {}
    after: dict[str, list[str]] = {}
    news = []
    for result in results:
        assert result.asset_key is not None
        name = result.asset_key.to_user_string()
        verdict, since = before.get(name, ["", ""])
        if verdict == str(result.passed) and at - dt.datetime.fromisoformat(since) < AGAIN:
            after[name] = [verdict, since]
        else:
            news.append(as_event(result))
            after[name] = [str(result.passed), at.isoformat()]
    return news, json.dumps(after)


def _check(home: Home, place: Place) -> AssetChecksDefinition:
    dataset, universe, number = place
    key = asset_key(dataset, shard_name(universe, number))

    @asset_check(
        asset=key, name=FRESH, blocking=False, description="Complete in time, as [sla.*] promises it."
    )
    def check(lake: LakeResource) -> AssetCheckResult:
        with lake.get_lake() as opened, State.open(home) as state:
            statuses = sla_report(home, opened, state, at=now(), shard=(universe, number))
        return result_of(key, [status for status in statuses if status.dataset is dataset])

    return check


def _in_words(status: SlaStatus) -> str:
    """``complete``, or the sessions that are not."""
    if status.fresh:
        newest = f" up to {status.sessions[0].session}" if status.sessions else ", nothing is due"
        return f"complete{newest}"
    return ", ".join(_lacks(status))


def _lacks(status: SlaStatus) -> Iterator[str]:
    for session in status.sessions:
        if session.settled < session.expected:
            lacking = session.expected - session.settled
            names = ", ".join(symbol for symbol, _ in session.worst[:5])
            yield f"{session.session} lacks {lacking} of {session.expected} ({names})"
