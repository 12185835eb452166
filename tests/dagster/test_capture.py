"""Live capture in Dagster: segments are landed, holes refilled, partitions and segments shown."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, DefaultSensorStatus, build_sensor_context

from mdc_assets import capture, metadata
from mdc_assets.captured import captured_datasets, segments_key, shards_of
from mdc_assets.definition_set import build
from mdc_assets.instance import open_instance
from mdc_assets.launch import REPORTER
from mdc_assets.services import services_of
from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.datasets import Dataset
from mdc_resources.lake import Lake
from mdc_resources.landing import deadletters, replaying
from mdc_resources.landing.deadletters import DeadLetters
from mdc_resources.wal import marks
from tests.dagster.conftest import QUIET
from tests.homes import KEYS, make_home
from tests.landing.captured import BTC, DEPTH, NOON, SECOND, TRADES, Log, match, snapshot

TRADES_KEY, DEPTH_KEY = AssetKey(["trades", "crypto_00"]), AssetKey(["depth", "crypto_00"])
PARTITION = "2026-03-10|COINBASE:BTC-USD"
STREAM = '[stream.coinbase]\nsymbols = ["COINBASE:BTC-USD"]\ndatasets = ["trades", "depth"]\nlevels = 3\n'
CRYPTO = '[universes.crypto]\ncalendar = "24/7"\nasset_class = "crypto"\nstart = 2015-01-01\n'


@pytest.fixture
def capturing(tmp_path: Path, vendor, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A sandbox home with one feed, which jobs find by its environment."""
    home = make_home(tmp_path / "home", vendor.url, providers=("coinbase",), extra=CRYPTO + STREAM)
    monkeypatch.setenv("MDC_CONFIG", str(home.config_file))
    return home


@pytest.fixture
def eye(capturing: Home):
    """Its Dagster instance."""
    with open_instance(capturing, silent=True) as instance:
        yield instance


def captured(home: Home, *, holes: int = 0, ends: bool = True) -> Log:
    """Ten seconds of trades and a book; each hole takes a trade out of the middle."""
    log = Log(home)
    log.start(NOON, TRADES, DEPTH)
    log.open(NOON, 1, TRADES, DEPTH)
    log.frames(NOON + SECOND, 1, snapshot([("99", "1"), ("98", "2")], [("101", "1")]))
    for second in range(2, 11):
        if second - 5 not in range(holes):
            log.frames(NOON + second * SECOND, 1, match(NOON + second * SECOND - 1000, second))
    if ends:
        log.mark(NOON + 11 * SECOND, marks.Stopped("drained"))
        log.end()
    return log


def tick(home: Home, instance: DagsterInstance, name: str):
    """What one look of a sensor comes to."""
    (found,) = (each for each in capture.sensors_of(home) if each.name == name)
    context = build_sensor_context(instance, sensor_name=name)
    return found.evaluate_tick(context)


def run(instance: DagsterInstance, job, **tags: str):
    """Execute one of the jobs as the daemon does."""
    return job.execute_in_process(instance=instance, tags=tags, run_config=QUIET, raise_on_error=False)


def test_a_home_without_feeds_has_nothing_of_it(home: Home) -> None:
    """No asset, no check, and the sensors are off."""
    assert captured_datasets(home) == ()
    assert shards_of(home) == []
    assert {each.default_status for each in capture.sensors_of(home)} == {DefaultSensorStatus.STOPPED}


def test_what_is_captured_has_assets_that_nothing_fetches(capturing: Home) -> None:
    """Depth, trades and the log itself; none of them can be launched."""
    graph = build(capturing).resolve_asset_graph()
    keys = set(graph.get_all_asset_keys())
    assert {TRADES_KEY, DEPTH_KEY, segments_key("coinbase-0")} <= keys
    assert not {TRADES_KEY, DEPTH_KEY} & set(graph.executable_asset_keys)
    names = {key.name for key in graph.asset_check_keys if key.asset_key == TRADES_KEY}
    assert names == {"holes", "order_of_capture", "captured_once"}
    assert {each.default_status for each in capture.sensors_of(capturing)} == {DefaultSensorStatus.RUNNING}


def test_a_named_dataset_can_be_fetched_as_well(tmp_path: Path, vendor) -> None:
    """History and capture meet in one asset."""
    text = CRYPTO + STREAM + "[datasets.trades]\n"
    home = make_home(tmp_path / "home", vendor.url, providers=("coinbase",), extra=text)
    graph = build(home).resolve_asset_graph()
    assert TRADES_KEY in set(graph.executable_asset_keys)
    assert DEPTH_KEY not in set(graph.executable_asset_keys)


def test_an_idle_feed_is_a_skip(capturing: Home, eye: DagsterInstance) -> None:
    """Nothing sealed, nothing to land, no hole."""
    assert tick(capturing, eye, capture.SEGMENT_SENSOR).skip_message == "no segment waits"
    assert tick(capturing, eye, capture.HOLE_SENSOR).skip_message == "no hole waits"


def test_sealed_segments_are_one_run(capturing: Home, eye: DagsterInstance) -> None:
    """The same segments always ask under the same key, others under another."""
    captured(capturing)
    first, again = (tick(capturing, eye, capture.SEGMENT_SENSOR).run_requests for _ in range(2))
    assert [each.run_key for each in first] == [each.run_key for each in again]
    assert len(first) == 1
    mark = capture.mark_of(capture.LAND, ["coinbase-0/000000000001"])
    assert first[0].run_key == f"{mark}:0"
    assert capture.mark_of("land", ["a", "b"]) == capture.mark_of("land", ["b", "a"])
    assert capture.mark_of("land", ["a", "b"]) != capture.mark_of("land", ["ab"])


def test_landing_reports_partitions_segments_and_checks(capturing: Home, eye: DagsterInstance) -> None:
    """Rows, source and holes are metadata; the log is observed; the checks pass."""
    captured(capturing)
    result = run(eye, capture.land_job)
    assert result.success
    assert eye.get_materialized_partitions(TRADES_KEY) == {PARTITION}
    assert eye.get_materialized_partitions(DEPTH_KEY) == {PARTITION}
    event = eye.get_latest_materialization_event(TRADES_KEY).asset_materialization
    assert event.metadata[metadata.ROW_COUNT].value == 9
    assert event.metadata[metadata.SOURCE].value == "sandbox:coinbase/live"
    assert event.metadata[metadata.STATE].value == "partial"
    assert event.metadata[metadata.HOLES].value == 0
    observed = _observed(result, segments_key("coinbase-0"))
    assert observed["mdc/segments"].value == 1
    assert observed["mdc/frames"].value >= 10  # marks are counted too
    assert observed["mdc/bytes"].value > 0
    assert observed["mdc/first"].value < observed["mdc/last"].value
    assert {name for name, passed in _checks(result) if not passed} == set()
    assert tick(capturing, eye, capture.SEGMENT_SENSOR).skip_message == "no segment waits"


def _observed(result, key: AssetKey):
    (found,) = (
        event.event_specific_data.asset_observation
        for event in result.all_events
        if event.event_type_value == "ASSET_OBSERVATION" and event.asset_key == key
    )
    return found.metadata


def _checks(result) -> list[tuple[str, bool]]:
    return [
        (event.asset_check_evaluation_data.check_name, event.asset_check_evaluation_data.passed)
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]


def test_a_second_landing_changes_nothing(capturing: Home, eye: DagsterInstance) -> None:
    """A late or repeated run finds the ledger complete."""
    captured(capturing)
    run(eye, capture.land_job)
    before = _rows(capturing)
    again = run(eye, capture.land_job)
    assert again.success
    assert _rows(capturing) == before
    assert _checks(again) == []


def _rows(home: Home) -> list[tuple[object, ...]]:
    with contextlib.closing(Lake.open(home.lake_dir)) as lake, contextlib.closing(lake.connect()) as reader:
        return reader.execute("SELECT trade_id, ordinal FROM trades ORDER BY ordinal").fetchall()


def test_a_dead_letter_that_is_due_is_tried_by_a_run(
    capturing: Home, eye: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that nobody can read: asked for under another mark after each try, and counted."""
    monkeypatch.setattr(deadletters, "FIRST_PAUSE", dt.timedelta(0))
    log = captured(capturing, ends=False)
    log.frames(NOON + 12 * SECOND, 1, b'{"type": "surprise"}')
    log.end()
    (first,) = tick(capturing, eye, capture.SEGMENT_SENSOR).run_requests
    run(eye, capture.land_job)
    (letter,) = DeadLetters.of(capturing).letters()
    assert letter.attempts == 1, "the landing itself tries what is due"
    monkeypatch.setattr(capture, "now", lambda: letter.next_at)
    monkeypatch.setattr(replaying, "now", lambda: letter.next_at)
    (again,) = tick(capturing, eye, capture.SEGMENT_SENSOR).run_requests
    assert again.run_key != first.run_key
    eye.create_run_for_job(job_def=capture.land_job)
    assert "1 dead letters wait" in tick(capturing, eye, capture.SEGMENT_SENSOR).skip_message
    done = run(eye, capture.land_job)
    assert done.success
    assert DeadLetters.of(capturing).get(letter.id).attempts == 2


def test_nothing_is_asked_while_a_run_is_under_way(capturing: Home, eye: DagsterInstance) -> None:
    """Two landings of the same segments would wait for each other."""
    captured(capturing)
    eye.create_run_for_job(job_def=capture.land_job)
    told = tick(capturing, eye, capture.SEGMENT_SENSOR)
    assert told.run_requests == []
    assert "under way" in told.skip_message


def test_what_a_run_left_is_asked_for_again_after_a_rest(
    capturing: Home, eye: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the next number, so that no segment is skipped for ever, and not in a hot loop."""
    captured(capturing)
    (request,) = tick(capturing, eye, capture.SEGMENT_SENSOR).run_requests
    with monkeypatch.context() as patch:
        patch.setenv("MDC_CONFIG", str(capturing.root / "nowhere.toml"))
        failed = run(eye, capture.land_job, **{**request.tags, "dagster/run_key": request.run_key})
    assert not failed.success
    assert "more" in tick(capturing, eye, capture.SEGMENT_SENSOR).skip_message
    monkeypatch.setattr(capture, "FIRST_REST", 0.0)
    (later,) = tick(capturing, eye, capture.SEGMENT_SENSOR).run_requests
    assert later.run_key == request.run_key.replace(":0", ":1")


def test_a_sequence_hole_is_seen_counted_and_asked_for(capturing: Home, eye: DagsterInstance) -> None:
    """The check of the asset names it, and the hole sensor wants one run."""
    captured(capturing, holes=2)
    result = run(eye, capture.land_job)
    assert ("holes", False) in _checks(result)
    event = eye.get_latest_materialization_event(TRADES_KEY).asset_materialization
    assert event.metadata[metadata.HOLES].value == 1
    requests = tick(capturing, eye, capture.HOLE_SENSOR).run_requests
    assert len(requests) == 1


def test_a_hole_that_history_denies_stays_open_and_rests(capturing: Home, eye: DagsterInstance) -> None:
    """The vendor's trades of that day are others; the run succeeds and says why nothing was repaired."""
    captured(capturing, holes=1)
    run(eye, capture.land_job)
    result = run(eye, capture.refill_job)
    assert result.success
    found = [e for e in result.all_events if e.event_type_value == "STEP_OUTPUT"]
    assert found[0].event_specific_data.metadata["mdc/repaired"].value in (0, 1)


def test_the_command_line_runs_the_same_jobs(capturing: Home) -> None:
    """As runs of its own process, which the web UI shows."""
    captured(capturing)
    landed = REPORTER.land(capturing)
    assert landed.rows[Dataset.TRADES] == 9
    assert REPORTER.refill(capturing).failed == ()
    with open_instance(capturing, silent=True) as instance:
        assert {record.job_name for record in instance.get_runs()} == {capture.LAND, capture.REFILL}


def test_mdc_up_keeps_the_sidecar_running(capturing: Home) -> None:
    """As a process of its own, probed where its port is known; without feeds there is none."""
    with open_instance(capturing, silent=True) as instance:
        found = {service.name: service for service in services_of(capturing, instance, code_port=1)}
        words = found["sidecar"].command
        assert words[-2:] == ("stream", "run")
        assert str(capturing.config_file) in words
        assert found["sidecar"].probe is not None
        assert found["sidecar"].probe() is False
        off = config.load(capturing.config_file, environ={**KEYS, "MDC__STREAM__COINBASE__ENABLED": "false"})
        names = {service.name for service in services_of(off, instance, code_port=1)}
    assert "sidecar" not in names


def test_rests_double(eye: DagsterInstance) -> None:
    """A run that changes nothing is repeated ever more seldom."""
    from mdc_assets.repair_runs import History

    assert History.of(eye, "nothing").rest(at=dt.datetime.now(dt.UTC), first=30.0, longest=900.0) == 0.0


def test_the_symbol_is_seated_where_coins_are(capturing: Home, eye: DagsterInstance) -> None:
    """It joins the universe for crypto, not that of shares, and becomes a key of its shard."""
    captured(capturing)
    run(eye, capture.land_job)
    assert eye.get_dynamic_partitions("crypto_00") == [BTC]
