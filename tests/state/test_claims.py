"""Claims: disjoint, taken over from the dead at once, fenced against zombies."""

from __future__ import annotations

import datetime as dt
import multiprocessing as mp
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import FencedOut
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import Claim, Owner, State

Keys = Callable[..., list[PartitionKey]]

HOUR = dt.timedelta(hours=1)
LAPSED = dt.timedelta(seconds=-1)
ELSEWHERE = Owner("another-host/pid", "their-boot", 4711, "100")


def test_grants_what_is_free(state: State, keys: Keys) -> None:
    """A first claim gets every key, in the order given and once each."""
    wanted = keys(25)
    claim = state.claim(Dataset.BARS_1D, [*wanted, *wanted], ttl=HOUR)
    assert claim.granted == tuple(wanted)
    assert claim.busy == ()


def test_leaves_out_what_a_living_owner_holds(state: State, keys: Keys) -> None:
    """A second claim gets the rest and is told what is busy, also within one process."""
    wanted = keys(30)
    first = state.claim(Dataset.BARS_1D, wanted[:20], ttl=HOUR)
    second = state.claim(Dataset.BARS_1D, wanted, ttl=HOUR)
    assert second.busy == first.granted
    assert second.granted == tuple(wanted[20:])
    assert second.attempt > first.attempt


def test_datasets_do_not_meet(state: State, keys: Keys) -> None:
    """The same (symbol, session) of another dataset is another partition."""
    state.claim(Dataset.BARS_1D, keys(5), ttl=HOUR)
    assert state.claim(Dataset.BARS_1M, keys(5), ttl=HOUR).busy == ()


def test_an_empty_claim_holds_nothing(state: State) -> None:
    """Claiming nothing works, spends a token and passes its own fence."""
    claim = state.claim(Dataset.BARS_1D, [], ttl=HOUR)
    state.check_fence(claim)
    state.renew(claim, ttl=HOUR)
    assert claim.granted == ()
    assert state.claims() == []


def test_attempts_never_repeat(home: Home, keys: Keys) -> None:
    """The fencing token grows over releases and restarts."""
    seen = []
    for _ in range(3):
        with State.open(home) as opened:
            claim = opened.claim(Dataset.BARS_1D, keys(2), ttl=HOUR)
            opened.release(claim)
            seen.append(claim.attempt)
    assert seen == sorted(set(seen))


def test_release_frees_the_keys(state: State, keys: Keys) -> None:
    """Released keys are granted to the next who asks; releasing twice is harmless."""
    claim = state.claim(Dataset.BARS_1D, keys(3), ttl=HOUR)
    state.release(claim)
    state.release(claim)
    assert state.claim(Dataset.BARS_1D, keys(3), ttl=HOUR).busy == ()


def _dead_owners() -> dict[str, Callable[[Owner], Owner]]:
    return {
        "pid gone": lambda me: replace(me, pid=2**22 - 3, started="1"),
        "pid reused": lambda me: replace(me, started=str(int(me.started or 0) + 1)),
        "rebooted since": lambda me: replace(me, boot_id="00000000-0000-0000-0000-000000000000"),
    }


@pytest.mark.parametrize("changed", _dead_owners().values(), ids=_dead_owners().keys())
def test_a_dead_owners_claims_are_taken_over_at_once(
    state: State, keys: Keys, changed: Callable[[Owner], Owner]
) -> None:
    """A claim whose process is gone does not wait for its expiry."""
    me = Owner.current()
    if not me.started or not me.boot_id:
        pytest.skip("this system does not tell start times and boots")
    dead = state.claim(Dataset.BARS_1D, keys(10), owner=changed(me), ttl=HOUR)
    heir = state.claim(Dataset.BARS_1D, keys(10), ttl=HOUR)
    assert heir.granted == dead.granted
    with pytest.raises(FencedOut):
        state.check_fence(dead)


def test_an_owner_elsewhere_is_not_judged(state: State, keys: Keys) -> None:
    """A process on another host cannot be seen from here: only time ends its claim."""
    theirs = state.claim(Dataset.BARS_1D, keys(4), owner=ELSEWHERE, ttl=HOUR)
    assert state.claim(Dataset.BARS_1D, keys(4), ttl=HOUR).busy == theirs.granted


def test_an_expired_claim_is_taken_over_and_its_owner_fenced(state: State, keys: Keys) -> None:
    """A zombie that lost one key of many must not commit any."""
    zombie = state.claim(Dataset.BARS_1D, keys(10), ttl=LAPSED)
    state.claim(Dataset.BARS_1D, keys(1), ttl=HOUR)
    with pytest.raises(FencedOut, match=r"has lost \d+ of 10 partitions of bars_1d"):
        state.check_fence(zombie)
    with pytest.raises(FencedOut):
        state.renew(zombie, ttl=HOUR)


def test_an_expired_claim_nobody_wants_still_commits(state: State, keys: Keys) -> None:
    """Slowness alone costs nothing: the fence asks who holds the keys, not what time it is."""
    slow = state.claim(Dataset.BARS_1D, keys(10), ttl=LAPSED)
    state.claim(Dataset.BARS_1D, [PartitionKey(Symbol("OTHER"), dt.date(2015, 1, 1))], ttl=HOUR)
    state.check_fence(slow)


def test_the_fence_keeps_the_claim_for_the_commit(state: State, keys: Keys) -> None:
    """Between a passed check and the commit it guards, a lapsed claim cannot be taken."""
    slow = state.claim(Dataset.BARS_1D, keys(3), ttl=LAPSED)
    state.check_fence(slow)
    assert state.claim(Dataset.BARS_1D, keys(3), ttl=HOUR).busy == slow.granted


def test_renewing_keeps_a_claim(state: State, keys: Keys) -> None:
    """A renewed claim does not lapse, and renewing never shortens one."""
    claim = state.claim(Dataset.BARS_1D, keys(3), ttl=LAPSED)
    state.renew(claim, ttl=2 * HOUR)
    state.renew(claim, ttl=dt.timedelta(seconds=1))
    (row,) = state.claims()
    assert row.expires_at - dt.datetime.now(dt.UTC) > HOUR
    assert state.claim(Dataset.BARS_1D, keys(3), ttl=HOUR).granted == ()


def test_status_lists_claims_in_force(state: State, keys: Keys) -> None:
    """Owner, dataset, count and times of each claim, oldest first."""
    first = state.claim(Dataset.BARS_1D, keys(7), ttl=HOUR)
    state.claim(Dataset.BARS_1M, keys(2), owner=ELSEWHERE, ttl=HOUR)
    one, two = state.claims()
    assert (one.attempt, one.dataset, one.keys, one.owner) == (first.attempt, "bars_1d", 7, Owner.current())
    assert two.owner == ELSEWHERE
    assert one.expires_at - one.claimed_at == HOUR


def test_ten_thousand_keys_are_quick(state: State, keys: Keys) -> None:
    """Claiming and refusing 10,000 keys cost well under a second of our time each."""
    many = keys(10_000, symbols=40)
    took = []
    for _ in range(2):
        began = time.process_time()
        state.claim(Dataset.BARS_1D, many, ttl=HOUR)
        took.append(time.process_time() - began)
    assert max(took) < 1.0, took
    assert sum(row.keys for row in state.claims()) == 10_000


def _claim_and_report(
    config_file: str, wanted: list[PartitionKey], gate: Any, answers: Any, hold: Any
) -> None:
    with State.open(config.load(Path(config_file), environ={})) as opened:
        gate.wait(60)
        claim = opened.claim(Dataset.BARS_1D, wanted, ttl=HOUR)
        answers.put((os.getpid(), claim.granted))
        hold.wait(60)


def test_processes_claiming_at_once_get_disjoint_keys(
    home: Home, keys: Keys, spawn: Callable[..., mp.Process]
) -> None:
    """Three processes that want the same 2,500 partitions at the same moment never share one."""
    context = mp.get_context("spawn")
    gate, hold, answers = context.Barrier(3), context.Event(), context.Queue()
    wanted = keys(2500)
    for shift in (0, 500, 1000):
        mine = wanted[shift:] + wanted[:shift]
        spawn(_claim_and_report, str(home.config_file), mine, gate, answers, hold)
    granted = [answers.get(timeout=60)[1] for _ in range(3)]
    hold.set()
    together = [key for keys_of_one in granted for key in keys_of_one]
    assert len(together) == 2500
    assert set(together) == set(wanted)


def test_kill_nine_frees_the_claims(home: Home, keys: Keys, spawn: Callable[..., mp.Process]) -> None:
    """What a killed process held is granted to the next one, long before it would expire."""
    context = mp.get_context("spawn")
    gate, hold, answers = context.Barrier(1), context.Event(), context.Queue()
    process = spawn(_claim_and_report, str(home.config_file), keys(100), gate, answers, hold)
    answers.get(timeout=60)
    with State.open(home) as opened:
        assert len(opened.claim(Dataset.BARS_1D, keys(100), ttl=HOUR).busy) == 100
        process.kill()
        process.join(20)
        assert len(opened.claim(Dataset.BARS_1D, keys(100), ttl=HOUR).granted) == 100


def test_a_killed_owner_that_nobody_reaped_is_dead(
    sqlite_home: Home, keys: Keys, spawn: Callable[..., mp.Process]
) -> None:
    """A zombie entry in the process table keeps its pid and start time, but holds no claim."""
    context = mp.get_context("spawn")
    gate, hold, answers = context.Barrier(1), context.Event(), context.Queue()
    process = spawn(_claim_and_report, str(sqlite_home.config_file), keys(5), gate, answers, hold)
    pid, _ = answers.get(timeout=60)
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        pytest.skip("no /proc here")
    os.kill(pid, 9)
    for _ in range(500):
        if stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            break
        time.sleep(0.01)
    with State.open(sqlite_home) as opened:
        assert len(opened.claim(Dataset.BARS_1D, keys(5), ttl=HOUR).granted) == 5
    process.join(20)


def test_a_claim_is_a_value(keys: Keys) -> None:
    """Claims compare by content, so a subset of one can be fenced on its own."""
    assert Claim(1, Dataset.BARS_1D, tuple(keys(2)), ()) == Claim(1, Dataset.BARS_1D, tuple(keys(2)), ())


def test_a_part_of_a_claim_can_be_fenced(state: State, keys: Keys) -> None:
    """A batch that commits some of the granted keys passes the fence for those."""
    whole = state.claim(Dataset.BARS_1D, keys(20), ttl=HOUR)
    state.check_fence(replace(whole, granted=whole.granted[:5]))
    with pytest.raises(FencedOut):
        state.check_fence(replace(whole, granted=(PartitionKey(Symbol("NOTMINE"), dt.date(2015, 1, 1)),)))
