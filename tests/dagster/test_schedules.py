"""Schedules: what each tick launches, with a real instance that remembers what was launched."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from dagster import DefaultScheduleStatus, build_schedule_context
from dagster._utils.schedules import schedule_execution_time_iterator

from mdc_assets import jobs, schedules
from mdc_assets.definition_set import build
from mdc_assets.priorities import PRIORITY
from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ClockJumped, LakeMarkerMissing
from mdc_resources.domain.time import UTC
from mdc_resources.ingest import Want, backfill
from mdc_resources.state import State
from tests.dagster.conftest import QUIET, follow
from tests.homes import KEYS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schedules.md"
BARS_ONLY = {"MDC__RECOVERY__DATASETS": '["bars_1d"]'}


@pytest.fixture
def bars_home(served) -> Home:
    """The home, looking after daily bars alone."""
    return served.reload(**BARS_ONLY)


def instant(text):
    """A UTC instant."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


def named(home, name):
    """The schedule called ``name``."""
    return next(found for found in schedules.schedules_of(home) if found.name == name)


def tick(home, instance, name, text):
    """Evaluate a schedule as the daemon does at an instant: (run requests, why there is none)."""
    with build_schedule_context(instance=instance, scheduled_execution_time=instant(text)) as context:
        data = named(home, name).evaluate_tick(context)
    return list(data.run_requests or ()), data.skip_message


def launch(instance, requests):
    """Make the runs a tick asked for, as the daemon does."""
    for request in requests:
        instance.create_run_for_job(
            jobs.backfill_job, run_config={**request.run_config, **QUIET}, tags=request.tags
        )


def sessions_of(request):
    """``2026-03-11..2026-03-12`` of a request."""
    return request.tags["mdc/sessions"]


def test_an_end_of_day_asks_for_every_active_member_with_high_priority(bars_home, instance):
    """One run a dataset, of the job backfill, whose config is the want."""
    (request,), _ = tick(bars_home, instance, "end_of_day_us", "2026-03-12T20:30")
    assert request.run_key == "eod:bars_1d:us:2026-03-12"
    assert request.tags[PRIORITY] == "high"
    assert int(request.tags["dagster/priority"]) == 100
    found = request.run_config["ops"][jobs.OP]["config"]
    assert (found["dataset"], found["symbols"]) == ("bars_1d", ["AAPL", "MSFT"])
    assert (found["start"], found["end"]) == ("2026-03-12", "2026-03-12")
    assert jobs.BackfillConfig(**found).want().refetch is False


def test_the_config_of_a_tick_is_one_the_job_takes(bars_home, instance):
    """The daemon would refuse a run whose config does not fit."""
    for name, at in (("end_of_day_us", "2026-03-12T20:30"),):
        requests, _ = tick(bars_home, instance, name, at)
        launch(instance, requests)
        assert len(instance.get_runs()) == len(requests)


def test_what_was_launched_is_not_launched_again(bars_home, instance):
    """The half day was due at 13:30; the tick at 16:30 says so."""
    requests, _ = tick(bars_home, instance, "end_of_day_us", "2026-11-27T18:30")
    assert [sessions_of(request) for request in requests] == ["2026-11-27..2026-11-27"]
    launch(instance, requests)
    again, why = tick(bars_home, instance, "end_of_day_us", "2026-11-27T21:30")
    assert again == []
    assert "a half day: bars_1d was due at 13:30" in why


def test_a_holiday_is_skipped_in_words(bars_home, instance):
    """Thanksgiving, after the day before was launched."""
    launch(instance, tick(bars_home, instance, "end_of_day_us", "2026-11-25T21:30")[0])
    requests, why = tick(bars_home, instance, "end_of_day_us", "2026-11-26T21:30")
    assert requests == []
    assert why == "2026-11-26 is no session of XNYS"


def test_missed_ticks_are_made_up_for(bars_home, instance):
    """The daemon was down for two evenings: the next tick asks for three sessions at once."""
    launch(instance, tick(bars_home, instance, "end_of_day_us", "2026-03-09T20:30")[0])
    requests, _ = tick(bars_home, instance, "end_of_day_us", "2026-03-12T20:30")
    assert [sessions_of(request) for request in requests] == ["2026-03-10..2026-03-12"]


def test_a_tick_that_died_halfway_asks_for_the_same_again(served, instance):
    """Dagster launches what is lacking of it: the run keys are the same."""
    home = served.reload(**{**BARS_ONLY, "MDC__DATASETS__BARS_1D__MAX_PARTITIONS_PER_RUN": "1"})
    first, _ = tick(home, instance, "end_of_day_us", "2026-03-12T20:30")
    assert [request.run_key for request in first] == [
        "eod:bars_1d:us:2026-03-12",
        "eod:bars_1d:us:2026-03-12:2",
    ]
    launch(instance, first[:1])
    second, _ = tick(home, instance, "end_of_day_us", "2026-03-12T20:30")
    assert [request.run_key for request in second] == [request.run_key for request in first]


def test_a_month_of_real_ticks_gives_every_session_once(bars_home, instance):
    """Instants from Dagster's own cron, November 2026: clocks change, a holiday, a half day."""
    schedule = named(bars_home, "end_of_day_us")
    launch(instance, tick(bars_home, instance, "end_of_day_us", "2026-10-30T20:30")[0])
    start, end = instant("2026-10-30T23:00"), instant("2026-12-01T00:00")
    found = []
    for at in schedule_execution_time_iterator(
        start.timestamp(), schedule.cron_schedule, schedule.execution_timezone
    ):
        if at > end:
            break
        requests, why = tick(bars_home, instance, "end_of_day_us", f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}")
        assert requests or why
        launch(instance, requests)
        found += [(f"{at:%m-%d %H:%M}", sessions_of(request)) for request in requests]
    trading = [2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 23, 24, 25, 27, 30]
    expected = [f"2026-11-{day:02d}" for day in trading]
    assert [range_.partition("..")[2] for _, range_ in found] == expected
    assert ("11-27 13:30", "2026-11-27..2026-11-27") in found
    assert ("11-30 16:30", "2026-11-30..2026-11-30") in found


def test_each_exchange_has_times_of_its_own(served):
    """London's schedule runs on London's clock, a market without an end on UTC."""
    text = served.home.config_file.read_text() + (
        '[universes.us]\n[universes.uk]\ncalendar = "XLON"\n'
        '[universes.coins]\ncalendar = "24/7"\nasset_class = "crypto"\n'
    )
    served.home.config_file.write_text(text)
    home = served.reload(**BARS_ONLY)
    us, uk = named(home, "end_of_day_us"), named(home, "end_of_day_uk")
    assert (us.cron_schedule, us.execution_timezone) == (
        ["30 13 * * *", "30 16 * * *"],
        "America/New_York",
    )
    assert (uk.cron_schedule, uk.execution_timezone) == (["0 13 * * *", "0 17 * * *"], "Europe/London")
    assert named(home, "end_of_day_coins").execution_timezone == "UTC"


def test_the_presets_of_the_config_decide_what_is_on(served):
    """All on by default; each switch turns one kind off."""
    names = {s.name: s.default_status for s in schedules.schedules_of(served.home)}
    assert set(names) >= {"end_of_day_us", "recheck_us", "verify", "reconcile"}
    assert set(names.values()) == {DefaultScheduleStatus.RUNNING}
    switches = ("END_OF_DAY", "RECHECK", "VERIFY", "RECONCILE")
    off = served.reload(**{f"MDC__SCHEDULE__{name}": "false" for name in switches})
    stopped = {
        s.name for s in schedules.schedules_of(off) if s.default_status is DefaultScheduleStatus.STOPPED
    }
    assert stopped >= {"end_of_day_us", "recheck_us", "verify", "reconcile"}


def test_a_clock_that_jumped_stops_the_schedules(bars_home, instance):
    """An error in the list of ticks, not a plan made from a wrong time."""
    with State.open(bars_home) as state:
        state.check_clock(dt.datetime.now(UTC) + dt.timedelta(days=30))
    for name in ("end_of_day_us", "recheck_us"):
        with pytest.raises(Exception, match="clock") as caught:
            tick(bars_home, instance, name, "2026-03-12T20:30")
        causes = [caught.value, caught.value.__cause__]
        assert any(isinstance(cause, ClockJumped) for cause in causes)


def test_a_recheck_without_a_marker_is_an_error(bars_home, instance):
    """A missing lake has nothing to be asked for again."""
    (bars_home.lake_dir / "MARKER").unlink()
    with pytest.raises(LakeMarkerMissing):
        tick(bars_home, instance, "recheck_us", "2026-03-14T11:00")


def test_a_recheck_asks_the_provider_that_stored_the_rows(bars_home, instance):
    """Deferred, refetched, exact partitions, one run a provider."""
    first, last = dt.date(2026, 2, 2), dt.date(2026, 3, 13)
    for name, symbol in (("yahoo", "AAPL"), ("stooq", "MSFT")):
        backfill(bars_home, Want(Dataset.BARS_1D, (symbol,), first, last, provider=name), run_id=name)
    requests, _ = tick(bars_home, instance, "recheck_us", "2026-03-14T10:00")
    found = {request.tags[schedules.RECHECK]: request for request in requests}
    assert set(found) == {"yahoo", "stooq"}
    for name, symbol in (("yahoo", "AAPL"), ("stooq", "MSFT")):
        want = jobs.BackfillConfig(**found[name].run_config["ops"][jobs.OP]["config"]).want()
        assert (want.symbols, want.provider, want.refetch) == ((symbol,), name, True)
        assert len(want.keys) == bars_home.settings.schedule.recheck_sessions
        assert max(key.session for key in want.keys) == last
        assert found[name].tags[PRIORITY] == "deferred"


def test_nothing_stored_is_nothing_to_recheck(bars_home, instance):
    """Said in words."""
    requests, why = tick(bars_home, instance, "recheck_us", "2026-03-14T10:00")
    assert requests == []
    assert "nothing of the last sessions" in why


def test_a_universe_without_symbols_is_skipped(served, instance):
    """A fresh home has schedules that do no harm."""
    served.home.config_file.write_text(
        served.home.config_file.read_text() + '[universes.us]\n[universes.uk]\ncalendar = "XLON"\n'
    )
    home = config.load(served.home.config_file, environ=KEYS)
    for name in ("end_of_day_uk", "recheck_uk"):
        requests, why = tick(home, instance, name, "2026-03-12T17:00")
        assert requests == []
        assert "no symbols" in why


def test_a_removed_symbol_is_not_asked_for(bars_home, instance):
    """Inactive members keep their history and get no more of it."""
    with State.open(bars_home) as state:
        state.remove_members("us", ["MSFT"])
    follow(bars_home, "NVDA")
    (request,), _ = tick(bars_home, instance, "end_of_day_us", "2026-03-12T20:30")
    assert request.run_config["ops"][jobs.OP]["config"]["symbols"] == ["AAPL", "NVDA"]


def test_all_schedules_and_sensors_are_defined_and_documented(home):
    """The page names every one of them, and the switch that turns it on or off."""
    found = build(home)
    names = {schedule.name for schedule in found.schedules} | {sensor.name for sensor in found.sensors}
    assert {"end_of_day_us", "recheck_us", "verify", "reconcile", "coverage_map", "freshness"} <= names
    page = PAGE.read_text(encoding="utf-8")
    for name in names:
        assert f"`{name.replace('_us', '_<universe>')}`" in page, name
    for switch in type(home.settings.schedule).model_fields:
        assert f"`{switch}`" in page, switch
