"""Ticks of the gap sensor against a real instance, a real ledger and the sandbox."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from contextlib import closing

import pytest
from dagster import DagsterRunStatus, DefaultSensorStatus
from dagster._utils.error import serializable_error_info_from_exc_info

from mdc_assets import jobs
from mdc_assets.definition_set import build
from mdc_assets.gap_sensor import SENSOR
from mdc_assets.priorities import tags_of
from mdc_assets.repair_runs import REPAIR
from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionState
from mdc_resources.domain.errors import ClockJumped, LakeMarkerMissing, MdcError
from mdc_resources.domain.priorities import Priority
from mdc_resources.domain.symbols import Symbol
from mdc_resources.lake import Lake
from mdc_resources.state import Reading, State
from tests.dagster.conftest import BARS as ASSET
from tests.dagster.repairing import BARS, Watched, asked, watched
from tests.dagster.serving import wait_for
from tests.homes import KEYS
from tests.recovery.ledgers import write

HOUR = dt.timedelta(hours=1)


def reload(home: Home, **environ: str) -> Home:
    """The same home with other settings from the environment."""
    return config.load(home.config_file, environ={**KEYS, **environ})


@pytest.fixture
def watch(home, instance) -> Watched:
    """A home without holes."""
    return watched(home, instance)


def test_a_complete_ledger_is_a_skip(watch):
    """In words a person reads in the list of ticks."""
    tick = watch.tick()
    assert tick.run_requests == []
    assert tick.skip_message == "nothing is open"


def test_a_tick_asks_for_exactly_what_is_missing(watch):
    """Few runs with exact partitions, the newest of normal priority and the old of low."""
    new, old = watch.open_up(("AAPL", -1)), watch.open_up(("AAPL", -20), ("MSFT", -20), ("MSFT", -30))
    requests = watch.tick().run_requests
    assert [asked([request]) for request in requests] == [new, old]
    for request, priority in zip(requests, (Priority.NORMAL, Priority.LOW), strict=True):
        mark = request.tags[REPAIR]
        assert request.run_key == f"bars_1d:{mark}:0"
        assert tags_of(priority).items() <= request.tags.items()
        assert jobs.tags_of(jobs.want_of(request.run_config)).items() <= request.tags.items()
        assert jobs.want_of(request.run_config).patient


def test_the_config_is_readable(watch):
    """What the Launchpad shows of a repair: per symbol its days and ranges of days."""
    keys = watch.open_up(("AAPL", -20), ("MSFT", -30))
    config = watch.tick().run_requests[0].run_config["ops"][jobs.OP]["config"]
    assert config["holes"] == {key.symbol: [key.session.isoformat()] for key in sorted(keys)}


def test_while_its_runs_are_queued_nothing_is_planned_again(watch):
    """The second tick sees what the first one holds, and says so."""
    watch.open_up(("AAPL", -1), ("MSFT", -20))
    for request in watch.tick().run_requests:
        watch.create(request, DagsterRunStatus.QUEUED)
    tick = watch.tick()
    assert tick.run_requests == []
    assert tick.skip_message == "2 partitions open: 2 being fetched or queued"
    new = watch.open_up(("MSFT", -2))
    assert asked(watch.tick().run_requests) == new


def test_after_the_runs_the_hole_is_filled_and_the_next_tick_skips(watch, served):
    """Fetched once, by the fewest requests, and reported to the event log: no other partition is."""
    keys = watch.open_up(("AAPL", -1), ("AAPL", -2), ("MSFT", -20))
    served.calm()
    watch.repair()
    assert served.requests() == 2
    assert watch.instance.get_materialized_partitions(ASSET) == {f"{k.session}|{k.symbol}" for k in keys}
    assert watch.tick().skip_message == "nothing is open"
    assert {run.status for run in watch.instance.get_runs()} == {DagsterRunStatus.SUCCESS}


def test_a_gap_that_opens_again_gets_a_new_run_key(watch):
    """The holes are the same and so is the fingerprint: Dagster would drop the same key for ever."""
    keys = []
    for _ in range(3):
        watch.open_up(("AAPL", -20))
        keys += [request.run_key for request in watch.repair()]
        assert watch.tick().skip_message == "nothing is open"
    mark = keys[0].split(":")[1]
    assert keys == [f"bars_1d:{mark}:{epoch}" for epoch in range(3)]


def test_a_deleted_run_does_not_bring_back_a_used_key(watch):
    """The next epoch is one above the highest the instance has, not the number of runs."""
    for _ in range(3):
        watch.open_up(("AAPL", -20))
        watch.repair()
    oldest = watch.instance.get_runs()[-1]
    watch.instance.delete_run(oldest.run_id)
    watch.open_up(("AAPL", -20))
    assert [request.run_key.rpartition(":")[2] for request in watch.tick().run_requests] == ["3"]


def test_claimed_partitions_are_not_planned(watch):
    """Somebody fetches them at this moment, by whatever way."""
    watch.open_up(("AAPL", -20))
    other = watch.open_up(("MSFT", -20))
    with State.open(watch.home) as state:
        state.claim(BARS, [watch.key("AAPL", -20)], ttl=HOUR)
        assert asked(watch.tick().run_requests) == other


def test_what_retention_dropped_is_never_refilled(watch):
    """Expired is a settled state."""
    write(watch.home, BARS, {watch.key("AAPL", -20)}, PartitionState.EXPIRED)
    assert watch.tick().skip_message == "nothing is open"


def test_inactive_members_are_left_alone(watch):
    """Whatever they lack."""
    watch.open_up(("MSFT", -20))
    with State.open(watch.home) as state:
        state.remove_members("us", [Symbol("MSFT")])
    assert watch.tick().skip_message == "nothing is open"


def test_a_thousand_holes_are_few_runs(home, instance):
    """Scattered over two symbols, in a tick of a second."""
    watch = watched(home, instance, held=1_500)
    cells = random.Random(7).sample([(s, n) for s in ("AAPL", "MSFT") for n in range(-1_500, 0)], 1_000)
    keys = watch.open_up(*cells)
    requests = watch.tick().run_requests
    assert asked(requests) == keys
    assert len(requests) == 2


def test_at_most_so_many_runs_a_tick(tmp_path, home, instance):
    """The rest waits for the next; so the queue stays readable."""
    environ = {"MDC__RECOVERY__MAX_RUNS_PER_TICK": "2", "MDC__DATASETS__BARS_1D__MAX_PARTITIONS_PER_RUN": "5"}
    watch = watched(reload(home, **environ), instance)
    watch.open_up(*(("AAPL", n) for n in range(-39, -9, 2)))
    first = watch.tick().run_requests
    assert [len(asked([request])) for request in first] == [5, 5]
    for request in first:
        watch.create(request, DagsterRunStatus.QUEUED)
    assert watch.tick().skip_message == (
        "15 partitions open: 10 being fetched or queued, 5 for later (2 repairs are under way)"
    )


def test_a_vendor_that_never_answers_sensibly_ends_the_loop(home, instance, served, monkeypatch):
    """A few attempts with pauses between them, then an incident, and no run any more."""
    environ = {
        "MDC__RECOVERY__MAX_ATTEMPTS": "2",
        "MDC__RECOVERY__FIRST_PAUSE": "1s",
        "MDC__RECOVERY__LONGEST_PAUSE": "1s",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)  # the runs find their home by themselves
    watch = watched(reload(home, **environ), instance)
    watch.open_up(("AAPL", -20))
    served.fault("*", "html200", probability=1.0)
    runs = []

    def given_up() -> bool:
        look = watch.tick()  # one: between two of them a pause may have ended
        runs.extend(requests := look.run_requests or [])
        watch.carry_out(*map(watch.create, requests))
        return not requests and "waiting" not in str(look.skip_message)

    wait_for(given_up)
    assert len(runs) == 2
    assert watch.tick().skip_message == "1 partition open: 1 given up (mdc gaps)"
    with closing(Lake.open(home.lake_dir)) as lake, closing(lake.connect()) as connection:
        found = connection.execute("SELECT symbol, session FROM incidents WHERE symbol = 'AAPL'").fetchall()
    assert (watch.key("AAPL", -20)) in found
    served.calm()
    assert watch.tick().run_requests == []


def test_without_its_marker_the_lake_is_not_taken_for_empty(watch):
    """The tick fails with the archive's own words, and launches nothing."""
    watch.open_up(("AAPL", -20))
    (watch.home.lake_dir / "MARKER").unlink()
    with pytest.raises(LakeMarkerMissing):
        watch.tick()
    assert watch.instance.get_runs() == []


@pytest.mark.parametrize("jump", [-7, 400], ids=["seven days back", "four hundred days ahead"])
def test_when_the_clock_jumped_nothing_is_due(watch, jump):
    """Until a person says that it is right."""
    watch.open_up(("AAPL", -20))
    watch.tick()
    seen = Reading.now()
    before = dataclasses.replace(seen, wall=seen.wall - jump * 86_400)
    with State.open(watch.home) as state:
        state.accept_clock(reading=before)
    with pytest.raises(ClockJumped):
        watch.tick()
    with State.open(watch.home) as state:
        state.accept_clock()
    assert len(watch.tick().run_requests) == 1


def test_no_secret_is_in_what_a_failed_tick_says(home, instance):
    """A catalog that cannot be reached, its password in the URL."""
    canary = "SEKRET-8b1e77"
    url = f"postgresql+psycopg2://mdc:{canary}@127.0.0.1:9/nowhere"
    watch = Watched(home, instance, build(reload(home, MDC__LAKE__CATALOG_URL=url)), ())
    with pytest.raises(MdcError) as failed:
        watch.tick()
    told = serializable_error_info_from_exc_info((failed.type, failed.value, failed.tb)).to_string()
    assert canary not in told
    assert "127.0.0.1" in told


def test_the_settings_say_whether_it_is_on_and_how_often(home):
    """The web UI has the last word."""
    off = {"MDC__SCHEDULE__GAPS": "false", "MDC__RECOVERY__INTERVAL_SECONDS": "7"}
    found = [build(each).resolve_sensor_def(SENSOR) for each in (home, reload(home, **off))]
    assert [s.default_status for s in found] == [DefaultSensorStatus.RUNNING, DefaultSensorStatus.STOPPED]
    assert [s.minimum_interval_seconds for s in found] == [60, 7]
