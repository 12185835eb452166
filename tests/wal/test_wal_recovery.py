"""Taking over a log that was left behind: torn, damaged, half rolled or half sealed, once or ten times."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from wal_logs import (
    HEADER,
    Home,
    abandon,
    drain,
    fork,
    kill,
    last_acknowledged,
    records,
    write_for_ever,
    write_log,
)

from mdc_resources.wal import Kind, NewerLog, WalDamaged, read_segment, sealed_segments, verify_segment
from mdc_resources.wal.format import encode_header
from mdc_resources.wal.recovery import BEYOND_FRAMES

# Everything by which a writer changes the disk, bar the writing of a file that is renamed afterwards.
CALLS = ("pwrite", "fsync", "fdatasync", "ftruncate", "posix_fallocate", "rename", "unlink", "mkdir")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """No log yet."""
    return Home(tmp_path)


def leave(home: Home, *names: bytes) -> Path:
    """A log with these committed frames, left as by a kill; its file."""
    writer = home.open()
    for at, name in enumerate(names):
        writer.append(Kind.FRAMES, 100 + at, writer.next_connection(), [name])
        writer.commit()
    abandon(writer)
    return home.files()[-1]


def test_what_a_killed_writer_left_is_kept_and_sealed(home: Home) -> None:
    """The segment gets its footer, the next one begins with the next numbers."""
    leave(home, b"one", b"two")
    writer = home.open()
    found = writer.recovery
    assert (found.records, found.frames, found.torn_bytes, found.last_ns) == (2, 2, 0, 101)
    assert writer.next_connection() == 3
    assert [path.name for path in writer.seal_finished()] == ["000000000001.wal.zst"]
    writer.append(Kind.FRAMES, 200, 3, [b"three"])
    writer.close()
    assert home.frames() == [b"one", b"two", b"three"]
    assert [segment.header.first_frame for segment in sealed_segments(home.segments)] == [0, 2]


def test_a_torn_tail_is_cut_off_kept_aside_and_counted(home: Home) -> None:
    """What was being written is no record; its bytes are there to be looked at."""
    path = leave(home, b"one", b"two")
    end = verify_segment(path).valid_bytes
    with path.open("r+b") as file:
        file.seek(end)
        file.write(b"half a record")
    with home.open() as writer:
        assert (writer.recovery.records, writer.recovery.torn_bytes) == (2, 13)
        (kept,) = (home.shard / "torn").iterdir()
        assert (kept.name, kept.read_bytes()) == (f"000000000001-{end}.torn", b"half a record")
    assert home.frames() == [b"one", b"two"]


def test_a_damaged_log_does_not_stop_capture(home: Home) -> None:
    """It is set aside whole and reported with its offset; numbers go on beyond all it may have held."""
    path = leave(home, b"one", b"two", b"three")
    data = bytearray(path.read_bytes())
    at = data.index(b"two")
    data[at] ^= 1
    path.write_bytes(data)
    writer = home.open()
    (error,) = writer.recovery.damaged
    assert (error.offset < at, error.following is not None) == (True, True)
    (aside,) = (home.shard / "damaged").iterdir()
    assert aside.read_bytes() == data
    assert (writer.segment, writer.recovery.frames) == (2, 0)
    assert writer.next_connection() > 3
    writer.append(Kind.FRAMES, 300, 9, [b"four"])
    writer.close()
    (segment,) = sealed_segments(home.segments)
    assert segment.header.first_frame == BEYOND_FRAMES
    assert home.frames() == [b"four"]


@pytest.mark.parametrize("content", [b"", b"\x89MDC", bytes(4096), b"text" * 1000], ids=repr)
def test_a_file_that_is_no_log_is_set_aside(home: Home, content: bytes) -> None:
    """Empty, a part of a header, blank or something else: never an obstacle."""
    home.shard.mkdir(parents=True)
    (home.shard / "000000000005.wal").write_bytes(content)
    with home.open() as writer:
        assert (writer.segment, len(writer.recovery.damaged)) == (6, 1)
    assert (home.shard / "damaged" / "000000000005.wal").read_bytes() == content


def test_a_newer_log_is_not_touched(home: Home) -> None:
    """The writer refuses to start: an older release must not guess."""
    home.shard.mkdir(parents=True)
    path = home.shard / "000000000001.wal"
    path.write_bytes(encode_header(HEADER, version=9))
    before = path.read_bytes()
    with pytest.raises(NewerLog, match="format version 9"):
        home.open()
    assert path.read_bytes() == before
    path.unlink()
    home.open().close()


def test_numbers_step_over_a_sealed_segment_that_cannot_be_read(home: Home) -> None:
    """Nobody knows how many frames it held, so the next ones are numbered beyond any it could have."""
    with home.open() as writer:
        writer.append(Kind.FRAMES, 1, 1, [b"one"])
    path = home.files()[0]
    path.write_bytes(path.read_bytes()[:-20])
    with home.open() as writer:
        writer.append(Kind.FRAMES, 2, 1, [b"two"])
    second = sealed_segments(home.segments)[1]
    assert second.header.first_frame >= BEYOND_FRAMES


def test_every_prefix_of_a_live_log_recovers(tmp_path: Path) -> None:
    """Cut anywhere in its last record: all whole records, and a log that can be written on."""
    pieces = records(2, size=0)
    for length in range(len(pieces[1]) + 1):
        home = Home(tmp_path / str(length))
        path = home.shard / "000000000007.wal"
        cut = write_log(path, pieces)[1] + length
        path.write_bytes(path.read_bytes()[:cut])
        writer = home.open()
        kept = writer.recovery.frames
        assert kept == (2 if length == len(pieces[1]) else 1)
        assert (writer.recovery.torn_bytes > 0) == (0 < length < len(pieces[1]))
        writer.append(Kind.FRAMES, 5, 1, [b"on"])
        writer.close(seal=False)
        frames = home.frames()
        assert (len(frames), frames[-1]) == (kept + 1, b"on")
        shutil.rmtree(home.root)


def scenario(home: Home, say: Callable[[bytes], object]) -> None:
    """Open, two groups, a roll, a group, sealing, closing; says each number that is acknowledged."""
    writer = home.open()
    for number in range(3):
        writer.append(Kind.FRAMES, number, writer.next_connection(), [b"%d" % number])
        writer.commit()
        say(b"%d\n" % number)
        if number == 1:
            writer.roll()
            writer.seal_finished()
    writer.close()


def dying(act: Callable[[int], object], nth: int, *, after: bool) -> Callable[[int], None]:
    """``act``, killed at its ``nth`` change to the disk, before or after it took place."""

    def body(writing: int) -> None:
        left = [nth]

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **more: object) -> object:
                left[0] -= 1
                if left[0] == 0 and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                done = real(*args, **more)
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return done

            return call

        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        act(writing)

    return body


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_change_of_the_disk(tmp_path: Path, after: bool) -> None:
    """n = 1, 2, ... until a run ends by itself: what was said to be durable is there, once, in order."""
    for nth in range(1, 200):
        home = Home(tmp_path / str(nth))
        home.root.mkdir()
        pid, reading = fork(
            dying(lambda pipe, at=home: scenario(at, partial(os.write, pipe)), nth, after=after)
        )
        said = drain(reading)
        status = os.waitpid(pid, 0)[1]
        acknowledged = last_acknowledged(said, -1)
        home.open().close()
        kept = [int(frame) for frame in home.frames()]
        assert kept == list(range(len(kept))), nth
        assert len(kept) > acknowledged, nth
        assert not list(home.root.rglob("*.tmp")), nth
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert status == 0
    assert nth > 30


def test_ten_crashes_in_a_row_while_recovering(home: Home) -> None:
    """Each gets one change of the disk further; the one that gets through finds the same records."""
    path = leave(home, b"0", b"1", b"2")
    with path.open("r+b") as file:
        file.seek(verify_segment(path).valid_bytes)
        file.write(b"torn")
    for _ in range(10):
        pid, reading = fork(dying(lambda _: home.open(), 3, after=True))
        assert drain(reading) == b""
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    home.open().close()
    assert home.frames() == [b"0", b"1", b"2"]
    assert [kept.read_bytes() for kept in (home.shard / "torn").iterdir()] == [b"torn"]


def drill(home: Home, cycles: int, chance: random.Random) -> int:
    """Kill a writer that rolls and seals all the time, again and again; frames acknowledged in the end."""
    kept: list[int] = []
    done: set[str] = set()
    acknowledged = -1
    for cycle in range(cycles):
        start = kept[-1] + 1 if kept else 0
        pid, reading = fork(lambda writing, start=start: write_for_ever(home, start, writing))
        time.sleep(chance.uniform(0.0, 0.12))
        kill(pid)
        acknowledged = last_acknowledged(drain(reading), acknowledged)
        abandon(home.open())  # recovery alone, as the next process would begin
        for path in home.files():
            name = path.name.partition(".")[0]
            if name not in done:
                found = [int(frame.split()[0]) for record in read_segment(path) for frame in record.frames]
                kept += found
                done |= {name} if found else set()
        assert kept == list(range(len(kept))), f"cycle {cycle}"
        assert len(kept) > acknowledged, f"cycle {cycle}"
    return acknowledged


def seeded() -> random.Random:
    """Chance that can be repeated: the seed is printed."""
    seed = int(os.environ.get("MDC_SEED", time.time_ns() % 2**32))
    print(f"MDC_SEED={seed}")
    return random.Random(seed)


def test_kill_9_loses_nothing_acknowledged(home: Home) -> None:
    """15 kills at random moments: acknowledged and lost 0, nothing twice, order kept."""
    assert drill(home, 15, seeded()) > 0


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_200_kills_lose_nothing_acknowledged(home: Home) -> None:
    """The same, for longer."""
    assert drill(home, int(os.environ.get("MDC_WAL_KILLS", "200")), seeded()) > 0


_PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from wal_logs import Home
from test_wal_recovery import scenario
from mdc_resources.domain.errors import StorageFailed
def say(said):
    sys.stdout.buffer.write(said)
    sys.stdout.flush()
try:
    scenario(Home(Path(sys.argv[1])), say)
except StorageFailed:
    sys.exit(5)
"""


@pytest.mark.parametrize("call", ["fsync", "fdatasync"])
def test_a_failing_sync_ends_the_writer(tmp_path: Path, call: str) -> None:
    """EIO from the kernel at each of the first syncs: a typed end, nothing acknowledged is lost."""
    if not shutil.which("strace") or subprocess.run(["strace", "-qq", "true"], check=False).returncode:
        pytest.skip("fault injection needs strace and the right to trace")
    for nth in (1, 2, 3):
        home = Home(tmp_path / str(nth))
        home.root.mkdir()
        inject = f"inject={call}:error=EIO:when={nth}"
        program = _PROGRAM.format(folder=str(Path(__file__).parent))
        command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", inject]
        done = subprocess.run(
            [*command, sys.executable, "-c", program, str(home.root)], check=False, capture_output=True
        )
        assert done.returncode == 5, done.stderr.decode()
        acknowledged = last_acknowledged(done.stdout, -1)
        home.open().close()
        kept = [int(frame) for frame in home.frames()]
        assert kept == list(range(len(kept)))
        assert len(kept) > acknowledged


def test_a_damaged_log_can_be_looked_into_again(home: Home) -> None:
    """Setting aside overwrites nothing, also when it happens twice to the same number."""
    for _ in range(2):
        home.shard.mkdir(parents=True, exist_ok=True)
        (home.shard / "000000000001.wal").write_bytes(b"not a log")
        home.open().close()
    names = sorted(path.name for path in (home.shard / "damaged").iterdir())
    assert names == ["000000000001-1.wal", "000000000001.wal"]
    with pytest.raises(WalDamaged):
        verify_segment(home.shard / "damaged" / names[0])
