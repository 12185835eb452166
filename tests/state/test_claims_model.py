"""Claims against a model: random histories, and processes that are killed in the middle of them."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing as mp
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import FencedOut
from mdc_resources.domain.symbols import Symbol
from mdc_resources.state import Claim, State

D = Dataset.BARS_1D
HOUR = dt.timedelta(hours=1)
LAPSED = dt.timedelta(seconds=-1)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "claim lapsed", "release", "fence"]),
        st.sets(st.integers(min_value=0, max_value=11), min_size=1),
        st.integers(min_value=0, max_value=30),
    ),
    max_size=25,
)


def _key(number: int) -> PartitionKey:
    return PartitionKey(Symbol(f"S{number % 3}"), dt.date(2024, 1, 1) + dt.timedelta(days=number // 3))


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_any_history_agrees_with_the_model(steps: list[tuple[str, set[int], int]]) -> None:
    """A dictionary of holders predicts every grant, every refusal and every fence."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "mdc.toml").touch()
        with State.open(config.load(Path(folder) / "mdc.toml", environ={})) as state:
            _play(state, steps)


def _play(state: State, steps: list[tuple[str, set[int], int]]) -> None:
    holder: dict[PartitionKey, int] = {}
    lapsed: set[int] = set()
    made: list[Claim] = []
    for action, numbers, which in steps:
        if action.startswith("claim"):
            wanted = [_key(n) for n in sorted(numbers)]
            gone = {holder[k] for k in wanted if holder.get(k) in lapsed}
            holder = {k: a for k, a in holder.items() if a not in gone}
            busy = [k for k in wanted if k in holder]
            claim = state.claim(D, wanted, ttl=LAPSED if "lapsed" in action else HOUR)
            assert list(claim.busy) == busy
            assert list(claim.granted) == [k for k in wanted if k not in busy]
            holder.update(dict.fromkeys(claim.granted, claim.attempt))
            if "lapsed" in action:
                lapsed.add(claim.attempt)
            made.append(claim)
        elif made:
            claim = made[which % len(made)]
            if action == "release":
                state.release(claim)
                holder = {k: a for k, a in holder.items() if a != claim.attempt}
            else:
                holds = all(holder.get(k) == claim.attempt for k in claim.granted)
                assert _passes(state, claim) is holds
                if holds:
                    lapsed.discard(claim.attempt)  # a passed fence keeps it for the commit


def _passes(state: State, claim: Claim) -> bool:
    try:
        state.check_fence(claim)
    except FencedOut:
        return False
    return True


def _churn(config_file: str, seed: int, log_file: str) -> None:
    """Claim, fence and release for ever, noting each in one write: a kill leaves whole lines."""
    chance = random.Random(seed)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with State.open(config.load(Path(config_file), environ={})) as state:
        while True:
            numbers = chance.sample(range(60), 25)
            claim = state.claim(D, [_key(n) for n in numbers], ttl=HOUR)
            held = [n for n in numbers if _key(n) in claim.granted]
            os.write(log, f"{json.dumps([claim.attempt, time.monotonic_ns(), held])}\n".encode())
            state.check_fence(claim)
            os.write(log, f"{json.dumps([claim.attempt, time.monotonic_ns(), None])}\n".encode())
            state.release(claim)


def _held(log: Path, *, killed_at: int) -> dict[int, tuple[int, int, set[int]]]:
    """Attempt -> (from, until, numbers), as one process saw it."""
    found: dict[int, tuple[int, int, set[int]]] = {}
    for line in log.read_text().splitlines():
        attempt, at, numbers = json.loads(line)
        begun = found.get(attempt)
        found[attempt] = (at, killed_at, set(numbers)) if begun is None else (begun[0], at, begun[2])
    return found


def test_kill_nine_at_random_never_shares_a_key(
    home: Home, tmp_path: Path, spawn: Callable[..., mp.Process]
) -> None:
    """Two processes claim, fence and release until killed, one early: no key ever had two holders."""
    logs = [tmp_path / "0.log", tmp_path / "1.log"]
    victims = [spawn(_churn, str(home.config_file), n, str(log)) for n, log in enumerate(logs)]
    ends = []
    for victim, log, lines in zip(victims, logs, (60, 160), strict=True):
        deadline = time.monotonic() + 60
        while not log.exists() or len(log.read_bytes().splitlines()) < lines:
            assert time.monotonic() < deadline
            assert victim.is_alive()
            time.sleep(0.01)
        victim.kill()
        ends.append(time.monotonic_ns())
        victim.join(20)
    first, second = (_held(log, killed_at=end) for log, end in zip(logs, ends, strict=True))
    assert not first.keys() & second.keys()
    for one in first.values():
        for other in second.values():
            if one[0] < other[1] and other[0] < one[1]:
                assert not one[2] & other[2]
    everything = [_key(n) for n in range(60)]
    with State.open(home) as state:
        assert set(state.claim(D, everything, ttl=HOUR).granted) == set(everything)
