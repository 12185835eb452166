"""Group commit in a real event loop on a real disk: what is acknowledged, when, and what stops it."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from wal_logs import Home, abandon

from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.errors import StorageFailed
from mdc_resources.wal import Kind, read_segment, sealed_segments
from mdc_streaming.log import GroupCommit


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """No log yet."""
    return Home(tmp_path)


def settings(**changes: float) -> SidecarSettings:
    """Small segments, no reserve."""
    return SidecarSettings(**{"segment_mb": 1, "reserve_mb": 0, "segment_seconds": 3600} | changes)


@asynccontextmanager
async def running(home: Home, given: SidecarSettings, **more: object) -> AsyncIterator[GroupCommit]:
    """A group commit at work; flushed and closed at the end."""
    writer = home.open(given)
    log = GroupCommit(writer, given, **more)
    task = asyncio.create_task(log.run())
    try:
        yield log
        await log.flush()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(writer.close)


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return once ``condition`` holds; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.002)


def test_frames_become_durable_by_themselves(home: Home) -> None:
    """Nobody flushes: a frame is acknowledged within the commit interval and a sync."""

    async def body() -> None:
        async with running(home, settings(commit_ms=5)) as log:
            log.append(Kind.FRAMES, 1_000, 1, [b"a", b"b"])
            assert log.durable_through == 0
            assert log.pending_bytes > 0
            await until(lambda: log.durable_through == 1_000)
            assert (log.pending_bytes, log.commits, log.frames) == (0, 1, 2)
            assert [r.frames for r in read_segment(home.files()[0])] == [(b"a", b"b")]

    asyncio.run(body())


def test_the_acknowledgement_is_never_ahead_of_the_disk(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ``durable_through`` says at any moment has been through fdatasync before."""
    written, synced, ahead = [0], [0], []
    real_write, real_sync = os.pwrite, os.fdatasync

    def write(handle: int, data: bytes, at: int) -> int:
        done = real_write(handle, data, at)
        written[0] = at + done
        return done

    def sync(handle: int) -> None:
        real_sync(handle)
        synced[0] = written[0]

    async def body() -> None:
        given = settings(commit_ms=1, segment_mb=64)
        async with running(home, given) as log:
            monkeypatch.setattr(os, "pwrite", write)
            monkeypatch.setattr(os, "fdatasync", sync)
            ends = {}
            at = log.writer.segment_used
            for number in range(1, 2_001):
                log.append(Kind.FRAMES, number, 1, [b"x" * (number % 50)])
                at += 40 + 4 + number % 50
                ends[number] = at
                if number % 20 == 0:
                    await asyncio.sleep(0)
                through = log.durable_through
                if through and ends[through] > synced[0]:
                    ahead.append(through)
            await log.flush()
            assert log.durable_through == 2_000
        monkeypatch.undo()

    asyncio.run(body())
    assert ahead == []


def test_the_wait_is_bounded_by_the_interval_and_the_sync(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a slow disk a frame waits at most for the sync under way, the interval and its own sync."""
    real = os.fdatasync
    took: list[float] = []

    def slow(handle: int) -> None:
        began = time.monotonic()
        time.sleep(0.04)
        real(handle)
        took.append(time.monotonic() - began)

    async def body() -> GroupCommit:
        async with running(home, settings(commit_ms=20)) as log:
            monkeypatch.setattr(os, "fdatasync", slow)
            deadline = time.monotonic() + 1
            number = 0
            while time.monotonic() < deadline:
                number += 1
                log.append(Kind.FRAMES, number, 1, [b"x"])
                await asyncio.sleep(0.001)
            return log

    log = asyncio.run(body())
    monkeypatch.undo()
    assert 5 <= log.commits <= 60
    # Each wait is at most one interval, the commit before it and its own; 100 ms for a busy machine.
    assert log.longest_exposure_seconds < 0.02 + 2 * max(took) + 0.1
    assert len(home.frames()) > log.commits


def test_flush_returns_when_it_is_on_disk(home: Home) -> None:
    """At once where nothing waits; otherwise without waiting for the interval."""

    async def body() -> None:
        async with running(home, settings(commit_ms=1000)) as log:
            await log.flush()
            log.append(Kind.FRAMES, 1, 1, [b"a"])
            began = time.monotonic()
            await asyncio.gather(log.flush(), log.flush())
            assert time.monotonic() - began < 0.9
            assert (log.durable_through, log.pending_bytes) == (1, 0)

    asyncio.run(body())


def test_reading_is_paused_while_too_much_waits(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond ``queue_mb`` reading pauses, and resumes once half of it is durable; nothing is lost."""
    calls: list[str] = []
    gate = asyncio.Event()

    async def body() -> None:
        given = settings(commit_ms=1, queue_mb=0.1)
        pair = (lambda: calls.append("pause"), lambda: calls.append("resume"))
        async with running(home, given, on_pressure=pair) as log:
            loop = asyncio.get_running_loop()
            real = os.fdatasync

            def stuck(handle: int) -> None:
                asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
                real(handle)

            monkeypatch.setattr(os, "fdatasync", stuck)
            for number in range(1, 151):
                log.append(Kind.FRAMES, number, 1, [b"x" * 1_000])
                await asyncio.sleep(0)
            assert (calls, log.paused) == (["pause"], True)
            gate.set()
            await until(lambda: calls == ["pause", "resume"])
            assert not log.paused

    asyncio.run(body())
    assert len(home.frames()) == 150


def test_segments_roll_with_their_head_first(home: Home) -> None:
    """What ``on_roll`` appends stands first in every further segment; all are sealed in the background."""

    async def body() -> None:
        given = settings(commit_ms=1, segment_mb=0.05)
        async with running(home, given) as log:
            log.on_roll = lambda: log.append(Kind.MARK, 7, 0, [b"head"])
            for number in range(400):
                log.append(Kind.FRAMES, number, 1, [b"%d" % number + b"." * 1_000])
                await asyncio.sleep(0.0005)
            await until(lambda: len(sealed_segments(home.segments)) >= 3)

    asyncio.run(body())
    first, *others = sealed_segments(home.segments)
    assert len(others) >= 2
    assert next(read_segment(first.path)).kind is Kind.FRAMES
    for segment in others:
        assert next(read_segment(segment.path)).frames == (b"head",)
    assert [int(frame.split(b".")[0]) for frame in home.frames()] == list(range(400))


def test_a_segment_rolls_by_age_though_nothing_arrives(home: Home) -> None:
    """Landing does not wait for a market to wake up."""

    async def body() -> None:
        async with running(home, settings(commit_ms=1, segment_seconds=0.5)) as log:
            log.append(Kind.FRAMES, 1, 1, [b"a"])
            await until(lambda: len(sealed_segments(home.segments)) == 1)

    asyncio.run(body())


def test_what_a_crash_left_is_sealed_at_the_start(home: Home) -> None:
    """The segments of the process before become raw partitions without waiting for a roll."""
    writer = home.open()
    writer.append(Kind.FRAMES, 1, 1, [b"a"])
    writer.commit()
    abandon(writer)

    async def body() -> None:
        async with running(home, settings()):
            await until(lambda: len(sealed_segments(home.segments)) == 1)

    asyncio.run(body())


def test_a_failed_sync_ends_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """``run`` raises, ``flush`` raises, ``append`` refuses, and nothing of it was acknowledged."""
    writer = home.open()

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async def body() -> None:
        log = GroupCommit(writer, settings(commit_ms=1))
        monkeypatch.setattr(os, "fdatasync", fails)
        task = asyncio.create_task(log.run())
        log.append(Kind.FRAMES, 1, 1, [b"a"])
        flushing = asyncio.create_task(log.flush())
        with pytest.raises(StorageFailed, match="fdatasync"):
            await task
        with pytest.raises(StorageFailed):
            await flushing
        with pytest.raises(StorageFailed):
            await log.flush()
        with pytest.raises(StorageFailed, match="any more"):
            log.append(Kind.FRAMES, 2, 1, [b"b"])
        assert log.durable_through == 0

    asyncio.run(body())
    writer.close()


def test_a_failure_of_sealing_ends_it_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot be trusted with the compressed copy is not trusted with frames."""
    writer = home.open()
    for _ in range(2):
        writer.append(Kind.FRAMES, 1, 1, [b"a"])
        writer.roll()
    real = os.fsync

    def fails(handle: int) -> None:
        if str(Path(f"/proc/self/fd/{handle}").readlink()).endswith(".zst.tmp"):
            raise OSError(errno.EIO, "Input/output error")
        real(handle)

    async def body() -> None:
        log = GroupCommit(writer, settings(commit_ms=1))
        monkeypatch.setattr(os, "fsync", fails)
        with pytest.raises(StorageFailed, match="Input/output error"):
            await asyncio.wait_for(log.run(), 20)

    asyncio.run(body())
    monkeypatch.undo()
    writer.close()
    assert home.frames() == [b"a", b"a"]


def test_a_damaged_finished_segment_does_not_end_it(home: Home) -> None:
    """It is set aside when it would be sealed; capture goes on and the others are sealed."""
    writer = home.open()
    for _ in range(2):
        writer.append(Kind.FRAMES, 1, 1, [b"some frame"])
        writer.roll()
    path = home.files()[0]
    path.write_bytes(path.read_bytes().replace(b"some frame", b"same frame"))

    async def body() -> None:
        log = GroupCommit(writer, settings(commit_ms=1))
        task = asyncio.create_task(log.run())
        await until(lambda: len(sealed_segments(home.segments)) == 1)
        log.append(Kind.FRAMES, 2, 1, [b"on"])
        await log.flush()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(body())
    writer.close()
    assert home.frames() == [b"some frame", b"on"]
    assert len(list((home.shard / "damaged").iterdir())) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 600 kB; skips where it cannot be mounted."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(mount)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=False)


def test_a_full_disk_stalls_and_goes_on_by_itself(small_disk: Path) -> None:
    """It says why, acknowledges nothing meanwhile, and loses nothing once there is room."""
    home = Home(small_disk)

    async def body() -> None:
        given = settings(commit_ms=1, segment_mb=0.1, queue_mb=1)
        async with running(home, given) as log:
            ballast = small_disk / "others"
            ballast.write_bytes(bytes(350_000))
            number = 0
            while not log.stalled:
                number += 1
                log.append(Kind.FRAMES, number, 1, [b"%05d" % number + os.urandom(2_000)])
                await asyncio.sleep(0.002)
                assert number < 5_000
            assert "room" in log.stalled or "free" in log.stalled
            acknowledged = log.durable_through
            log.append(Kind.FRAMES, number + 1, 1, [b"%05d" % (number + 1)])
            await asyncio.sleep(0.05)
            assert log.durable_through == acknowledged < number + 1
            ballast.unlink()
            await until(lambda: log.durable_through == number + 1)
            assert log.stalled == ""
            assert [int(frame[:5]) for frame in home.frames()] == list(range(1, number + 2))

    asyncio.run(body())


def test_cancelling_lets_the_commit_under_way_end(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing afterwards finds a quiet writer and commits what was left."""
    real = os.fdatasync

    def slow(handle: int) -> None:
        time.sleep(0.1)
        real(handle)

    async def body() -> None:
        writer = home.open(settings())
        log = GroupCommit(writer, settings(commit_ms=1))
        monkeypatch.setattr(os, "fdatasync", slow)
        task = asyncio.create_task(log.run())
        log.append(Kind.FRAMES, 1, 1, [b"a"])
        await asyncio.sleep(0.03)
        log.append(Kind.FRAMES, 2, 1, [b"b"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log.durable_through == 1
        writer.close()

    asyncio.run(body())
    assert home.frames() == [b"a", b"b"]
