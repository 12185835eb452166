"""An hour in which every vendor answers 503: what is sent stays within what the breakers allow.

The hour is simulated: sensor ticks are evaluated in this process at instants a minute apart, by a
clock that is the real one plus an offset; what a tick asks for is run at once by the real ingest,
against the real sandbox, with the settings a new home has (rate limits, breakers, pauses). Waits
inside a run pass for real.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing

import pytest

from mdc_resources import config
from mdc_resources.domain import time as instants
from mdc_resources.ingest import backfill
from mdc_resources.lake import Lake
from mdc_resources.recovery.repairs import plan_repairs
from mdc_resources.state import State
from tests.e2e import drill
from tests.homes import KEYS

LANES = 5  # (yahoo, stooq, alpaca) x bars, (yahoo, alpaca) x corporate actions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("served")]


class Clock:
    """The real clock plus an offset, for everything in this process."""

    def __init__(self, monkeypatch):
        self.offset = 0.0
        real, real_ns, told = time.time, time.time_ns, instants.now
        monkeypatch.setattr(time, "time", lambda: real() + self.offset)
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(self.offset * 1e9))

        def now():
            return told() + instants.dt.timedelta(seconds=self.offset)

        for name, module in list(sys.modules.items()):
            if name.startswith(("mdc_", "tests.e2e")) and getattr(module, "now", None) is told:
                monkeypatch.setattr(module, "now", now)

    def reach(self, instant):
        """Move on to ``instant`` (POSIX seconds), if it is not past."""
        self.offset += max(0.0, instant - time.time())


def most_sent(settings, minutes):
    """Requests that breakers alone let through in ``minutes`` of failures, whatever is asked.

    A lane is one (provider, dataset). Its breaker opens at the ``breaker_failures``-th failure in a
    row; by then ``connections`` requests may have left. From then on one probe passes at the end of
    each opening, and every failed probe doubles the next one: 30 s, 60, 120 ... up to 32 times.
    """
    at, pause, probes = 0.0, settings.breaker_open_seconds, 0
    while (at := at + pause) <= minutes * 60:
        probes += 1
        pause = min(pause * 2, settings.breaker_open_seconds * 32)
    return LANES * (settings.breaker_failures - 1 + settings.connections + probes)


@pytest.mark.parametrize("minutes", [20, pytest.param(60, marks=pytest.mark.chaos)])
def test_a_storm_of_503s_stays_within_the_budget(home_of, vendor, monkeypatch, minutes):
    """Hundreds of holes, a tick a minute, three vendors that are down; then they are back, and it mends."""
    home = home_of()
    text = (home.root / config.FILE_NAME).read_text(encoding="utf-8")
    kept = text.split("[recovery]")[0].replace("deadline_seconds = 10\nbreaker_open_seconds = 0.5\n", "")
    sections = text[text.index("\n[datasets.") :]
    home = _with(home, kept + sections.replace("limits = {}\n", ""))
    loss = drill.lose(home, drill.content(home), seed=1, share=0.01)
    clock = Clock(monkeypatch)
    vendor.add_fault("*", "status", probability=1.0, params={"status": 503})
    began = time.time()
    runs = sum(_tick(home, clock, began + 60 * minute) for minute in range(minutes))
    clock.reach(began + 60 * minutes)
    sent = vendor.requests()["total"]
    bound = most_sent(home.settings.transport, minutes)
    naive = loss.minimum(drill.calendar_of_drill(home)) * home.settings.transport.max_attempts * minutes
    print(
        f"{loss.count} partitions lost, {minutes} ticks, {runs} runs: {sent} requests sent, "
        f"at most {bound} allowed; asking at every tick would have sent {naive}"
    )
    assert sent <= bound < naive / 10
    vendor.clear_faults()
    vendor.clear_requests()
    home = _with(home, kept + sections)  # the vendors' rate limits are real time, and not the point here
    for minute in range(minutes, minutes + 180, 10):
        _tick(home, clock, began + 60 * minute)
        if drill.unexplained(home) == 0:
            break
    assert drill.unexplained(home) == 0
    print(f"whole again {minute - minutes} minutes after the vendors came back")


def _with(home, text):
    """``home`` with another configuration."""
    (home.root / config.FILE_NAME).write_text(text, encoding="utf-8")
    return config.load(home.config_file, environ=KEYS)


def _tick(home, clock, instant):
    """One look of the sensor, and what it asks for; returns how many runs that were."""
    clock.reach(instant)
    with closing(Lake.open(home.lake_dir)) as lake, State.open(home) as state:
        limit = home.settings.recovery.max_runs_per_tick
        found = plan_repairs(home, lake, state, at=instants.now(), in_flight={}, limit=limit)
    for repair in found.repairs:
        backfill(home, repair.want, run_id=f"storm-{int(instant)}-{repair.fingerprint}")
    return len(found.repairs)
