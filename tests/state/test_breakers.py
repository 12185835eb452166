"""Breakers as stored: counted, opened, probed by one request at a time, kept over a restart."""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdc_resources import config
from mdc_resources.config import Home
from mdc_resources.domain.datasets import Dataset
from mdc_resources.state import State, Verdict

D = Dataset.BARS_1D


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the breakers' time forward."""
    at = [1_000_000.0]
    monkeypatch.setattr("mdc_resources.state.breakers.time.time", lambda: at[0])

    def forward(seconds: float) -> None:
        at[0] += seconds

    return forward


def _fail(state: State, times: int = 1, **more: Any) -> bool:
    """True if the last of these failures is what opened the breaker."""
    opened = False
    for _ in range(times):
        after = state.request_failed("yahoo", D, reason="503", threshold=3, open_seconds=30.0, **more)
        opened = after.just_opened
        assert after.is_open or not opened
    return opened


def _admit(state: State) -> Verdict:
    return state.admit("yahoo", D, probe_seconds=60.0)


def test_opens_after_failures_in_a_row(state: State, clock: Callable[[float], None]) -> None:
    """Two failures pass, the third opens; then nothing passes."""
    assert not _fail(state, 2)
    assert _admit(state) is Verdict.ADMIT
    assert _fail(state)
    assert _admit(state) is Verdict.REFUSE


def test_a_success_forgets_failures(state: State, clock: Callable[[float], None]) -> None:
    """Only failures in a row count."""
    _fail(state, 2)
    state.request_succeeded("yahoo", D)
    assert not _fail(state, 2)
    assert state.breaker("yahoo", D).failures == 2


def test_is_per_provider_and_dataset(state: State, clock: Callable[[float], None]) -> None:
    """Another dataset of the same provider, or another provider, is not touched."""
    _fail(state, 3)
    assert state.admit("yahoo", Dataset.BARS_1M, probe_seconds=60.0) is Verdict.ADMIT
    assert state.admit("stooq", D, probe_seconds=60.0) is Verdict.ADMIT
    assert [b.provider for b in state.breakers()] == ["yahoo"]


def test_half_open_lets_one_probe_pass(state: State, clock: Callable[[float], None]) -> None:
    """After the pause exactly one request goes out; the next waits for its outcome."""
    _fail(state, 3)
    clock(31)
    assert [_admit(state) for _ in range(3)] == [Verdict.PROBE, Verdict.REFUSE, Verdict.REFUSE]
    state.request_succeeded("yahoo", D)
    assert _admit(state) is Verdict.ADMIT


def test_a_failed_probe_doubles_the_pause(state: State, clock: Callable[[float], None]) -> None:
    """30 s, then 60, then 120: a dead vendor is asked ever more rarely."""
    _fail(state, 3)
    for pause in (30.0, 60.0, 120.0):
        clock(pause - 1)
        assert _admit(state) is Verdict.REFUSE
        clock(2)
        assert _admit(state) is Verdict.PROBE
        assert _fail(state)


def test_a_lost_probe_is_replaced(state: State, clock: Callable[[float], None]) -> None:
    """If the probing process dies, another may probe once the probe's time is over."""
    _fail(state, 3)
    clock(31)
    assert _admit(state) is Verdict.PROBE
    clock(59)
    assert _admit(state) is Verdict.REFUSE
    clock(2)
    assert _admit(state) is Verdict.PROBE


def test_late_failures_do_not_prolong_the_pause(state: State, clock: Callable[[float], None]) -> None:
    """Requests already on their way when it opened do not count against the vendor twice."""
    _fail(state, 3)
    until = state.breaker("yahoo", D).open_until
    clock(10)
    _fail(state, 5)
    assert state.breaker("yahoo", D).open_until == until


def test_a_wait_the_vendor_asked_for_opens_at_once(state: State, clock: Callable[[float], None]) -> None:
    """Retry-After holds every process back, at the first answer that carries it."""
    assert _fail(state, 1, hold_seconds=120.0)
    clock(119)
    assert _admit(state) is Verdict.REFUSE
    clock(2)
    assert _admit(state) is Verdict.PROBE


def test_reasons_are_cut(state: State) -> None:
    """A vendor's long message does not break the table."""
    state.request_failed("yahoo", D, reason="x" * 10_000, threshold=3, open_seconds=1.0)
    assert len(state.breaker("yahoo", D).reason) == 300


ROUNDS = 20


def _probe(config_file: str, gate: Any, answers: Any) -> None:
    verdicts = []
    with State.open(config.load(Path(config_file), environ={})) as opened:
        for n in range(ROUNDS):
            gate.wait(60)
            verdicts.append(opened.admit(f"vendor{n}", D, probe_seconds=60.0).value)
    answers.put(verdicts)


def test_one_probe_over_all_processes(home: Home, spawn: Callable[..., mp.Process]) -> None:
    """Three processes that ask at the same moment send one probe between them, every time."""
    with State.open(home) as opened:
        for n in range(ROUNDS):
            opened.request_failed(f"vendor{n}", D, reason="503", threshold=1, open_seconds=0.001)
    context = mp.get_context("spawn")
    gate, answers = context.Barrier(3), context.Queue()
    for _ in range(3):
        spawn(_probe, str(home.config_file), gate, answers)
    by_process = [answers.get(timeout=60) for _ in range(3)]
    for verdicts in zip(*by_process, strict=True):
        assert sorted(verdicts) == ["probe", "refuse", "refuse"]
