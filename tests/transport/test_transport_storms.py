"""Long outages and several processes: how little is asked of a vendor that is down."""

from __future__ import annotations

import asyncio
import multiprocessing as mp
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from mdc_resources import config
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import (
    CircuitOpen,
    PayloadError,
    ProviderError,
    TransportError,
    UnknownSymbol,
)
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.state import State
from mdc_resources.transport.breaker import Guard


def _metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_an_hour_of_503(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wanted every five seconds for an hour, a dead vendor is asked about a dozen times."""
    at = [1_000_000.0]
    monkeypatch.setattr("mdc_resources.transport.breaker.time.time", lambda: at[0])
    sent = 0
    with State.open(desk.home) as state:
        guard = Guard(state, desk.home.settings.transport, "acme", Dataset.BARS_1D)
        for _ in range(720):
            at[0] += 5
            try:
                guard.refuse_if_open()
                guard.enter()
            except CircuitOpen:
                continue
            sent += 1
            guard.leave(TransportError("503"))
    assert 5 <= sent <= 16


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (TransportError("x"), True),
        (PayloadError("x"), True),
        (UnknownSymbol("x", symbol="A"), False),
        (None, False),
    ],
    ids=["silence", "nonsense", "unknown symbol", "success"],
)
def test_what_counts_as_a_failure(desk: Any, error: ProviderError | None, counts: bool) -> None:
    """A vendor that says "no such symbol" works; one that sends a login page does not."""
    with State.open(desk.home) as state:
        guard = Guard(state, desk.home.settings.transport, "acme", Dataset.BARS_1D)
        guard.leave(TransportError("before"))
        guard.leave(error)
        assert state.breaker("acme", Dataset.BARS_1D).failures == (2 if counts else 0)


def test_a_flapping_vendor(desk: Any, vendor: Any) -> None:
    """Half the connections die at random; every wish is met or fails typed, without a hot loop."""
    chance = random.Random(3)
    vendor.answer = lambda call: call.reset() if chance.random() < 0.5 else call.reply()

    async def many(transport: Any) -> list[object]:
        wires = [HttpRequest(f"{vendor.url}/{n}") for n in range(60)]
        return await asyncio.gather(*[desk.ask(transport, wire) for wire in wires], return_exceptions=True)

    outcomes = desk.run(many)
    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert {type(error) for error in failed} <= {TransportError, CircuitOpen}
    assert vendor.requests <= 60 * 4
    assert len(desk.attempts) == vendor.requests


def test_counters_tell_the_same_story(desks: Callable[..., Any], vendor: Any) -> None:
    """Requests by outcome, bytes, retries and openings are counted where they happen."""
    desk = desks(breaker_failures=3, max_attempts=4)
    names = {
        "mdc_http_requests_total": {"provider": "acme", "outcome": "TransportError"},
        "mdc_http_body_bytes_total": {"provider": "acme"},
        "mdc_http_retries_total": {"provider": "acme"},
        "mdc_breaker_opened_total": {"provider": "acme", "dataset": "bars_1d"},
    }
    before = {name: _metric(name, **labels) for name, labels in names.items()}
    vendor.answer = lambda call: call.reply(503, b"12345")
    with pytest.raises(TransportError):
        desk.fetch(f"{vendor.url}/x")
    grown = {name: _metric(name, **labels) - before[name] for name, labels in names.items()}
    assert list(grown.values()) == [3, 15, 2, 1]


def _ask(config_file: str, url: str, gate: Any, answers: Any) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    import conftest

    desk = conftest.Desk(config.load(Path(config_file), environ={}), run_id=f"run-{mp.current_process().pid}")

    async def many(transport: Any) -> list[object]:
        wires = [HttpRequest(f"{url}/{n}") for n in range(30)]
        return await asyncio.gather(*[desk.ask(transport, wire) for wire in wires], return_exceptions=True)

    gate.wait(60)
    answers.put([type(outcome).__name__ for outcome in desk.run(many)])


def test_processes_share_what_they_learn(desks: Callable[..., Any], vendor: Any) -> None:
    """Three processes with thirty wishes each find out together that a vendor is down."""
    desk = desks(breaker_failures=4, max_attempts=2, connections=4)
    vendor.answer = lambda call: call.reply(503)
    context = mp.get_context("spawn")
    gate, answers = context.Barrier(3), context.Queue()
    arguments = (str(desk.home.config_file), vendor.url, gate, answers)
    processes = [context.Process(target=_ask, args=arguments, daemon=True) for _ in range(3)]
    for process in processes:
        process.start()
    outcomes = [outcome for _ in processes for outcome in answers.get(timeout=60)]
    for process in processes:
        process.join(30)
    assert len(outcomes) == 90
    assert set(outcomes) <= {"TransportError", "CircuitOpen"}
    # 4 failures open it; what was on its way on 3 x 4 connections may still arrive.
    assert vendor.requests <= 4 + 3 * 4
