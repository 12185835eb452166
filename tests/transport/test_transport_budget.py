"""Rate budgets: exact windows, shared by processes, kept over restarts."""

from __future__ import annotations

import asyncio
import multiprocessing as mp
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.config import Limits
from mdc_resources.domain.errors import QuotaExhausted, RateLimited, StorageFailed, UsageError
from mdc_resources.transport import budget as module
from mdc_resources.transport.budget import Budgets


def _take(budgets: Budgets, limits: Limits, times: int = 1, *, seconds: float | None = None) -> int:
    """Permits had, of ``times`` wanted, before the first refusal."""

    async def main() -> int:
        for had in range(times):
            deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
            try:
                await budgets.acquire("acme", limits, deadline=deadline)
            except (RateLimited, QuotaExhausted):
                return had
        return times

    return asyncio.run(main())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the budgets' wall clock, forward or back."""
    shift = [0.0]
    real = time.time_ns

    def move(seconds: float) -> None:
        shift[0] += seconds

    monkeypatch.setattr(module, "_now_ms", lambda: real() // 1_000_000 + int(shift[0] * 1000))
    return move


@pytest.mark.parametrize(("window", "seconds"), [("minute", 60), ("hour", 3600), ("day", 86400)])
def test_a_window_holds_exactly_its_limit(
    tmp_path: Path, clock: Callable[[float], None], window: str, seconds: int
) -> None:
    """Seven permits, no eighth, also a moment before the window's end; then seven again."""
    limits = Limits(**{window: 7})
    with Budgets.open(tmp_path) as budgets:
        assert _take(budgets, limits, 9, seconds=0.2) == 7
        clock(seconds - 2)
        assert _take(budgets, limits, seconds=0.2) == 0
        clock(3)
        assert _take(budgets, limits, 9, seconds=0.2) == 7


def test_a_second_is_a_window_too(tmp_path: Path, clock: Callable[[float], None]) -> None:
    """Two a second: a third within it is refused where it cannot wait, and waits where it can."""
    limits = Limits(second=2, minute=100)
    with Budgets.open(tmp_path) as budgets:
        assert _take(budgets, limits, 5, seconds=0.05) == 2
        assert budgets.used("acme", limits)["second"] == (2, 2)
        clock(1.1)
        assert _take(budgets, limits, 5, seconds=0.05) == 2
        started = time.monotonic()
        assert _take(budgets, limits, 2) == 2
        assert time.monotonic() - started > 0.5


def test_every_window_binds(tmp_path: Path, clock: Callable[[float], None]) -> None:
    """Three a minute and five an hour: the fourth waits a minute, the sixth an hour."""
    limits = Limits(minute=3, hour=5)
    with Budgets.open(tmp_path) as budgets:
        assert _take(budgets, limits, 9, seconds=0.2) == 3
        clock(61)
        assert _take(budgets, limits, 9, seconds=0.2) == 2
        clock(61)
        assert _take(budgets, limits, 9, seconds=0.2) == 0
        clock(3600)
        assert _take(budgets, limits, 9, seconds=0.2) == 3


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        (Limits(minute=500, hour=4), 4),
        (Limits(minute=4, hour=100_000), 4),
        (Limits(second=50, minute=50, hour=4, day=4), 4),
        (Limits(minute=4, day=4), 4),
    ],
    ids=["hour binds", "minute binds", "equal limits", "day binds"],
)
def test_windows_that_never_bind_are_no_error(tmp_path: Path, limits: Limits, allowed: int) -> None:
    """Any combination a person may write works, and the tightest holds."""
    with Budgets.open(tmp_path) as budgets:
        assert _take(budgets, limits, 9, seconds=0.2) == allowed


def test_no_limits_cost_nothing(tmp_path: Path) -> None:
    """A provider without limits does not even make a file."""
    with Budgets.open(tmp_path) as budgets:
        assert _take(budgets, Limits(), 1000) == 1000
        assert budgets.used("acme", Limits()) == {}
    assert list(tmp_path.iterdir()) == []


def test_use_survives_a_restart(tmp_path: Path) -> None:
    """What yesterday's process used is used."""
    limits = Limits(day=5)
    for expected in (3, 2, 0):
        with Budgets.open(tmp_path) as budgets:
            assert _take(budgets, limits, 3) == expected


def test_use_is_told_by_window(tmp_path: Path, clock: Callable[[float], None]) -> None:
    """``used`` counts per window, for ranking providers and for status."""
    limits = Limits(minute=10, day=1000)
    with Budgets.open(tmp_path) as budgets:
        _take(budgets, limits, 4)
        clock(120)
        _take(budgets, limits, 3)
        assert budgets.used("acme", limits) == {"minute": (3, 10), "day": (7, 1000)}


def test_a_second_is_waited_out_in_order(tmp_path: Path) -> None:
    """Waiters of one process are served first come, first served."""
    served: list[int] = []

    async def one(budgets: Budgets, number: int) -> None:
        await budgets.acquire("acme", Limits(second=3))
        served.append(number)

    async def main(budgets: Budgets) -> None:
        await asyncio.gather(*[one(budgets, number) for number in range(8)])

    with Budgets.open(tmp_path) as budgets:
        asyncio.run(main(budgets))
    assert served == list(range(8))


def test_one_object_serves_several_event_loops(tmp_path: Path) -> None:
    """Each command runs a loop of its own; the queues of an ended one do not get in the way."""

    async def crowd(budgets: Budgets) -> None:
        await asyncio.gather(*[budgets.acquire("acme", Limits(second=50)) for _ in range(5)])

    with Budgets.open(tmp_path) as budgets:
        for _ in range(3):
            asyncio.run(crowd(budgets))
        assert budgets.used("acme", Limits(minute=100)) == {"minute": (15, 100)}


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    """An hour's refusal carries the wait, a day's is another error; both name the setting."""
    with Budgets.open(tmp_path) as budgets:

        async def hour() -> None:
            for _ in range(2):
                await budgets.acquire("acme", Limits(hour=1))

        with pytest.raises(RateLimited, match=r"budget of 1 requests a hour.*acme\.limits\.hour") as caught:
            asyncio.run(hour())
        assert caught.value.retry_after == pytest.approx(3600, abs=5)

        async def day() -> None:
            await budgets.acquire("acme", Limits(day=1))

        with pytest.raises(QuotaExhausted, match=r"acme\.limits\.day"):
            asyncio.run(day())


def test_a_clock_set_back_does_not_lock_the_budget(tmp_path: Path, clock: Callable[[float], None]) -> None:
    """Entries from a future that never was count from now on, not until that future."""
    limits = Limits(hour=3)
    clock(7 * 86400)
    with Budgets.open(tmp_path) as budgets:
        assert _take(budgets, limits, 9) == 3
    clock(-7 * 86400)
    with Budgets.open(tmp_path) as budgets:
        assert _take(budgets, limits) == 0
        clock(3601)
        assert _take(budgets, limits, 9) == 3


def test_old_entries_are_forgotten(tmp_path: Path, clock: Callable[[float], None]) -> None:
    """The file does not grow for ever."""
    with Budgets.open(tmp_path) as budgets:
        _take(budgets, Limits(day=10_000), 50)
    clock(86_500)
    with Budgets.open(tmp_path) as budgets:
        _take(budgets, Limits(day=10_000))
    with sqlite3.connect(tmp_path / "budgets.sqlite") as database:
        (count,) = database.execute("SELECT count(*) FROM used_acme").fetchone()
    database.close()
    assert count == 1


@pytest.mark.parametrize("name", ["", "Acme", "a b", "a;drop table x", "ä", "x" * 41], ids=ascii)
def test_a_provider_is_a_plain_name(tmp_path: Path, name: str) -> None:
    """The name becomes a table's name: anything but a-z, 0-9, _ and - is refused."""

    async def ask(budgets: Budgets) -> None:
        await budgets.acquire(name, Limits(minute=1))

    with Budgets.open(tmp_path) as budgets, pytest.raises(UsageError):
        asyncio.run(ask(budgets))


def test_a_broken_file_is_a_storage_error(tmp_path: Path) -> None:
    """Without a budget nothing is sent: better no data than a banned key."""
    (tmp_path / "budgets.sqlite").write_bytes(b"x" * 5000)
    with Budgets.open(tmp_path) as budgets, pytest.raises(StorageFailed, match="not a database"):
        _take(budgets, Limits(minute=5))


def _greedy(folder: str, gate: Any, answers: Any) -> None:
    async def main(budgets: Budgets) -> int:
        end = asyncio.get_running_loop().time() + 5
        for had in range(1000):
            try:
                await budgets.acquire("acme", Limits(second=20, minute=45), deadline=end)
            except RateLimited:
                return had
        return 1000

    gate.wait(60)
    with Budgets.open(Path(folder)) as budgets:
        answers.put(asyncio.run(main(budgets)))


def test_three_processes_stay_within_the_limit(tmp_path: Path) -> None:
    """Asking as fast as they can, three processes get 45 permits between them, 20 in any second."""
    context = mp.get_context("spawn")
    gate, answers = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_greedy, args=(str(tmp_path), gate, answers), daemon=True) for _ in range(3)
    ]
    for process in processes:
        process.start()
    by_process = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
    assert sum(by_process) == 45
    with sqlite3.connect(tmp_path / "budgets.sqlite") as database:
        stamps = sorted(at for (at,) in database.execute("SELECT item_timestamp FROM used_acme"))
    database.close()
    assert len(stamps) == 45
    assert max(sum(start <= at <= start + 1000 for at in stamps) for start in stamps) == 20
