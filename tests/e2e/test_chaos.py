"""kill -9 of anything at any moment: the same drill ends with the same content, by itself.

Victims are the daemon, the web server, the code server (proxy and code), run workers, and whoever
holds the lake's commit lock at that moment. The first vendor is slow and drops every twentieth
request, the other two come and go. Runs are small, so that kills meet many of them.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field

import pytest

from mdc_assets.instance import open_instance
from tests.dagster.serving import up, wait_for
from tests.e2e import drill
from tests.e2e.killing import KINDS, SERVICES, busy, kill, watching
from tests.e2e.ticking import ticks_of
from tests.e2e.weather import flapping

SEED = int(os.environ.get("MDC_DRILL_SEED", "20261120"))
KILLS = int(os.environ.get("MDC_CHAOS_KILLS", "100"))
SLOW = (
    {"provider": "yahoo", "kind": "slow", "probability": 1.0, "params": {"seconds": 0.15}},
    {"provider": "yahoo", "kind": "status", "every": 20, "params": {"status": 503}},
)
STUCK_SECONDS = 60

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("served")]


@dataclass(slots=True)
class Havoc:
    """What a drill of kills did: victims by kind, losses, and the fewest requests they take."""

    killed: list[str] = field(default_factory=list)
    losses: list[drill.Loss] = field(default_factory=list)
    minimum: int = 0

    def lose(self, home, before, share):
        """Lose some more, so that there is something to disturb."""
        loss = drill.lose(home, before, seed=SEED + len(self.losses), share=share)
        self.losses.append(loss)
        self.minimum += loss.minimum(drill.calendar_of_drill(home))


def wreak(home, vendor, folder, before, kinds, *, share, pause):
    """Kill ``kinds`` in turn while the archive mends itself; returns what it came to once it has."""
    chance, havoc = random.Random(SEED), Havoc()
    since = drill.marks(home)
    began = time.monotonic()
    vendor.clear_requests()
    with (
        flapping(vendor, ["stooq", "alpaca"], seed=SEED, always=SLOW),
        up(home, folder) as served,
        open_instance(home) as instance,
        watching(instance) as watch,
    ):
        havoc.lose(home, before, share)
        for kind in kinds:
            time.sleep(chance.uniform(*pause))  # the moment is the point
            if not drill.unexplained(home):
                havoc.lose(home, before, share)
            if kind in (
                "code-server",
                "code",
            ):  # the hard case: its workers die with the one who watches them
                busy(instance)
            victim = kill(kind, served, instance)
            assert victim, f"there was no {kind} to kill: {served.text()}"
            havoc.killed.append(kind)
        wait_for(lambda: watch.is_quiet() and drill.unexplained(home) == 0, seconds=600, every=1.0)
        took, answers, ticks = time.monotonic() - began, drill.usable_answers(vendor), ticks_of(instance)
    final = drill.content(home)
    print(
        f"seed {SEED}: {len(havoc.killed)} kills ({', '.join(havoc.killed[:12])}), "
        f"{sum(loss.count for loss in havoc.losses)} partitions lost, whole again after {took:.0f} s; "
        f"{len(ticks.ticks)} ticks, {len(ticks.runs)} runs; {answers} usable answers of "
        f"{vendor.requests()['total']} requests, at least {havoc.minimum} "
        f"({answers / havoc.minimum:.2f} times); longest STARTED {watch.longest_started:.0f} s, without a "
        f"process {watch.longest_stuck:.1f} s; {watch.looks} looks"
    )
    return final, since, havoc, watch, answers


def same(final, before, told_by):
    """True content everywhere, and the very same wherever the same vendor gave it."""
    assert final.keys() == before.keys()
    assert drill.untrue(final, told_by) == []
    changed = [at for at in final if final[at] != before[at]]
    return all(final[at].vendor != before[at].vendor for at in changed)


@pytest.mark.timeout(900)
def test_one_kill_of_each_kind_and_two_in_mid_commit(home_of, vendor, told_by, tmp_path):
    """Seven kills while runs are under way: nothing lost, nothing doubled, nothing stuck."""
    home = home_of(size=100, batch=20)
    before = drill.content(home)
    kinds = [*KINDS, "commit"]
    random.Random(SEED).shuffle(kinds)
    final, _, havoc, watch, answers = wreak(
        home, vendor, tmp_path, before, kinds, share=0.02, pause=(0.5, 3.0)
    )
    assert sorted(havoc.killed) == sorted(kinds)
    assert same(final, before, told_by)
    assert watch.longest_stuck < STUCK_SECONDS
    assert answers <= 1.2 * havoc.minimum


@pytest.mark.chaos
@pytest.mark.timeout(3 * 3600)
def test_a_hundred_random_kills_change_nothing(home_of, vendor, told_by, tmp_path):
    """MDC_CHAOS_KILLS victims at random; what is mended is lost again for as long as kills are left."""
    home = home_of(size=100, batch=20)
    before = drill.content(home)
    kinds = random.Random(SEED).choices([*SERVICES, "code", "worker", "worker", "commit"], k=KILLS)
    final, _, havoc, watch, answers = wreak(
        home, vendor, tmp_path, before, kinds, share=0.04, pause=(0.5, 6.0)
    )
    assert len(havoc.killed) == KILLS
    assert same(final, before, told_by)
    assert watch.longest_stuck < STUCK_SECONDS
    assert answers <= 1.2 * havoc.minimum
