"""The writer: numbers that are never used twice, rolling, sealing, room, and what ends it."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from wal_logs import SHARD, SMALL, Home, abandon, drain, fork

from mdc_resources.config.sections import SidecarSettings
from mdc_resources.domain.errors import StorageFailed, UsageError
from mdc_resources.wal import (
    Kind,
    LogTaken,
    LogWriter,
    NoSpace,
    read_header,
    read_segment,
    sealed_segments,
    verify_segment,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """No log yet."""
    return Home(tmp_path)


def fill(writer: LogWriter, name: str, count: int = 3) -> None:
    """``count`` committed frames that begin with ``name``."""
    for at in range(count):
        writer.append(Kind.FRAMES, 1_000 + at, 1, [b"%s %d" % (name.encode(), at)])
    writer.commit()


def test_a_commit_says_what_it_made_durable(home: Home) -> None:
    """Frames, bytes and the time of the last record; a commit of nothing changes none of it."""
    with home.open() as writer:
        writer.append(Kind.FRAMES, 50, 1, [b"ab", b"cde"])
        writer.append(Kind.MARK, 40, 0, [b"{}"])
        assert (writer.pending_bytes, writer.durable_ns) == (40 + 13 + 40 + 6, 0)
        assert writer.commit() == (40, 2, 99)
        assert (writer.pending_bytes, writer.durable_ns, writer.last_ns) == (0, 40, 50)
        assert writer.commit() == (40, 0, 0)


def test_more_than_64_frames_are_several_records(home: Home) -> None:
    """A record holds at most 64; order and numbers go on, and no frames are no record."""
    with home.open() as writer:
        writer.append(Kind.FRAMES, 1, 1, [b"%d" % at for at in range(130)])
        writer.append(Kind.FRAMES, 2, 1, [])
        writer.commit()
        found = list(read_segment(home.files()[0]))
    assert [(record.number, len(record.frames)) for record in found] == [(0, 64), (64, 64), (128, 2)]
    assert home.frames() == [b"%d" % at for at in range(130)]


def test_a_reader_meets_a_writer(home: Home) -> None:
    """What is appended behind a reader's back is no damage: it ends at the last record it saw."""
    with home.open() as writer:
        fill(writer, "before")
        reader = read_segment(home.files()[0])
        first = next(reader)  # with it everything that was there has been read
        fill(writer, "after")
        assert [record.frames[0] for record in (first, *reader)] == [b"before %d" % at for at in range(3)]
        assert len(home.frames()) == 6


def test_closing_seals_what_was_captured(home: Home) -> None:
    """The sealed segment has header and footer at its end; the live file is gone."""
    with home.open() as writer:
        writer.append(Kind.MARK, 5, 0, [b"{}"])
        writer.append(Kind.FRAMES, 9, writer.next_connection(), [b"x" * 10, b"y"])
    (segment,) = sealed_segments(home.segments)
    footer = segment.footer
    assert (segment.name, segment.header.feed, segment.header.decoder_version) == (
        "coinbase-0/000000000001",
        "coinbase",
        1,
    )
    assert (footer.records, footer.frames, footer.frame_bytes, footer.marks) == (2, 2, 11, 1)
    assert (footer.first_ns, footer.last_ns, footer.next_frame, footer.next_connection) == (5, 9, 3, 2)
    assert segment.bytes == segment.path.stat().st_size
    assert verify_segment(segment.path).footer == footer
    assert not list(home.shard.glob("*.wal"))


def test_any_zstd_reads_a_sealed_segment(home: Home) -> None:
    """The summary at its end is a frame that the format itself says to skip."""
    if not shutil.which("zstd"):
        pytest.skip("needs the zstd command")
    with home.open() as writer:
        fill(writer, "a")
    path = home.files()[0]
    done = subprocess.run(["zstd", "-dcq", str(path)], check=True, capture_output=True)
    plain = path.with_name("000000000001.wal")
    plain.write_bytes(done.stdout)
    assert verify_segment(plain).footer == verify_segment(path).footer


def test_numbers_go_on_over_segments_and_restarts(home: Home) -> None:
    """Frames, segments and connections are numbered in the shard, not in the file."""
    writer = home.open()
    first = writer.next_connection()
    fill(writer, "a")
    writer.roll()
    fill(writer, "b")
    writer.close()
    with home.open() as writer:
        assert writer.next_connection() > first
        fill(writer, "c")
    assert [segment.number for segment in sealed_segments(home.segments)] == [1, 2, 3]
    assert [segment.header.first_frame for segment in sealed_segments(home.segments)] == [0, 3, 6]
    assert len(home.frames()) == 9


def test_numbers_go_on_after_the_segments_were_moved_away(home: Home) -> None:
    """What has been archived elsewhere is not overwritten by a segment of the same name."""
    with home.open() as writer:
        connection = writer.next_connection()
        fill(writer, "a")
    shutil.rmtree(home.segments)
    with home.open() as writer:
        assert writer.recovery.last_ns == 1_002
        assert writer.next_connection() == connection + 1
        fill(writer, "b")
    (segment,) = sealed_segments(home.segments)
    assert (segment.number, segment.header.first_frame) == (2, 3)


def test_a_segment_without_records_leaves_nothing(home: Home) -> None:
    """Opening and closing costs no number and no file."""
    for _ in range(3):
        home.open().close()
    assert home.files() == []
    with home.open() as writer:
        assert writer.segment == 1


def test_what_is_appended_after_the_cut_begins_the_next_segment(home: Home) -> None:
    """The head of a segment can be written before the roll has happened."""
    writer = home.open()
    writer.append(Kind.FRAMES, 1, 1, [b"old"])
    writer.cut()
    writer.append(Kind.MARK, 2, 0, [b"head"])
    writer.append(Kind.FRAMES, 3, 1, [b"new"])
    writer.roll()
    writer.close()
    old, new = sealed_segments(home.segments)
    assert [record.frames for record in read_segment(old.path)] == [(b"old",)]
    assert [record.frames for record in read_segment(new.path)] == [(b"head",), (b"new",)]


def test_a_roll_is_due_by_size_and_by_age(home: Home) -> None:
    """Never for an empty segment; a clock that went back makes it due too."""
    now = 10**18
    with home.open(
        SidecarSettings(segment_mb=0.05, segment_seconds=2, reserve_mb=0), clock=lambda: now
    ) as log:
        assert not log.due_to_roll(now + 10**12)
        fill(log, "a")
        assert not log.due_to_roll(now + 10**9)
        assert log.due_to_roll(now + 2 * 10**9)
        assert log.due_to_roll(now - 1)
        log.append(Kind.FRAMES, 1, 1, [b"x" * 50_000])
        log.commit()
        assert log.due_to_roll(now)


def test_a_group_larger_than_a_segment_is_kept_whole(home: Home) -> None:
    """The reserved space grows with it."""
    with home.open() as writer:
        writer.append(Kind.FRAMES, 1, 1, [b"x" * 300_000])
        writer.append(Kind.FRAMES, 2, 1, [b"y"])
        writer.commit()
    assert list(map(len, home.frames())) == [300_000, 1]


def test_a_shard_has_one_writer(home: Home) -> None:
    """A second one is told so; once the first is gone it can take over."""
    writer = home.open()
    with pytest.raises(LogTaken, match="another process"):
        home.open()
    writer.close()
    home.open().close()


@pytest.mark.parametrize("shard", ["", "../x", "A-0", "a/b", "x" * 65])
def test_a_shard_is_a_plain_name(home: Home, shard: str) -> None:
    """It becomes a folder."""
    with pytest.raises(UsageError, match="is not a shard"):
        LogWriter.open(home.wal, home.segments, shard, "coinbase", 1, SMALL)


def test_a_closed_log_takes_nothing(home: Home) -> None:
    """Neither frames nor commits, and closing twice is once."""
    writer = home.open()
    writer.close()
    writer.close()
    for act in (lambda: writer.append(Kind.FRAMES, 1, 1, [b"x"]), writer.commit, writer.roll):
        with pytest.raises(StorageFailed, match="cannot be written any more"):
            act()


def test_short_writes_are_completed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes three bytes at a time gets all of them."""
    real = os.pwrite
    with home.open() as writer:
        monkeypatch.setattr(os, "pwrite", lambda handle, data, at: real(handle, bytes(data[:3]), at))
        fill(writer, "short")
        monkeypatch.undo()
    assert home.frames() == [b"short 0", b"short 1", b"short 2"]


@pytest.mark.parametrize(
    ("call", "code"), [("pwrite", errno.ENOSPC), ("pwrite", errno.EIO), ("fdatasync", errno.EIO)]
)
def test_a_failed_write_or_sync_is_final(
    home: Home, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """It is never tried again: the writer refuses from then on; the next one finds what was acknowledged."""
    writer = home.open()
    fill(writer, "kept")
    writer.append(Kind.FRAMES, 9, 1, [b"lost?"])

    def fails(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(StorageFailed) as caught:
        writer.commit()
    assert not isinstance(caught.value, NoSpace)
    monkeypatch.undo()
    for act in (writer.commit, writer.roll, lambda: writer.append(Kind.FRAMES, 1, 1, [b"x"])):
        with pytest.raises(StorageFailed, match="any more"):
            act()
    writer.close()
    with home.open():
        assert home.frames()[:3] == [b"kept 0", b"kept 1", b"kept 2"]


def test_a_file_size_limit_is_a_failure_that_loses_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: the process is told, not killed, and what was acknowledged is there."""
    home = Home(tmp_path)

    def limited(writing: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        writer = home.open()
        for number in range(1000):
            try:
                writer.append(Kind.FRAMES, number, 1, [b"%05d" % number + b"." * 1000])
                writer.commit()
            except StorageFailed as error:
                os.write(writing, b"%s\n" % type(error).__name__.encode())
                return
            os.write(writing, b"%d\n" % number)

    pid, reading = fork(limited)
    said = drain(reading).split()
    assert os.waitpid(pid, 0)[1] == 0
    assert said[-1] == b"StorageFailed"
    with home.open():
        assert [int(frame[:5]) for frame in home.frames()] == list(range(len(said) - 1))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 400 kB; skips where it cannot be mounted."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(mount)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=False)


def write_until_full(writer: LogWriter) -> None:
    """Numbered frames of 3 kB, until there is no room."""
    for number in range(1_000):
        writer.append(Kind.FRAMES, number, 1, [b"%05d" % number + os.urandom(3_000)])
        writer.commit()
        if writer.due_to_roll(0):
            writer.roll()


def test_a_full_disk_stops_at_a_roll_and_goes_on_with_room(small_disk: Path) -> None:
    """NoSpace loses nothing: frames wait in memory and are committed once something was deleted."""
    home = Home(small_disk)
    writer = home.open()
    ballast = small_disk / "others"
    ballast.write_bytes(bytes(200_000))
    with pytest.raises(NoSpace, match=r"room|free"):
        write_until_full(writer)
    number = int(home.frames()[-1][:5])
    acknowledged = writer.durable_ns
    for _ in range(3):
        if writer.last_ns > number:  # the one that did not fit
            number = writer.last_ns
        writer.append(Kind.FRAMES, number + 1, 1, [b"%05d" % (number + 1)])
        number += 1
        with pytest.raises(NoSpace):
            writer.commit()
    assert writer.durable_ns == acknowledged
    ballast.unlink()
    assert writer.commit().through_ns == number
    assert [int(frame[:5]) for frame in home.frames()] == list(range(number + 1))
    writer.close(seal=False)


def test_a_sealed_copy_that_does_not_fit_waits(small_disk: Path) -> None:
    """The finished segment stays as it is, and is sealed when there is room."""
    home = Home(small_disk)
    writer = home.open()
    writer.append(Kind.FRAMES, 1, 1, [os.urandom(45_000)])
    writer.roll()
    ballast = small_disk / "others"
    free = os.statvfs(small_disk)
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 8_192))
    with pytest.raises(NoSpace):
        writer.seal_finished()
    assert not list(home.segments.glob("*/*"))
    writer.append(Kind.FRAMES, 2, 1, [b"goes on"])
    writer.commit()
    ballast.unlink()
    assert [path.name for path in writer.seal_finished()] == ["000000000001.wal.zst"]
    assert len(home.frames()) == 2
    writer.close()


def test_the_reserve_is_kept_free(home: Home) -> None:
    """No segment is begun where it would leave less than ``reserve_mb``."""
    free = os.statvfs(home.root)
    too_much = free.f_bavail * free.f_frsize / 1e6 + 1_000
    with pytest.raises(NoSpace, match="bytes free"):
        home.open(SidecarSettings(segment_mb=0.05, reserve_mb=too_much))
    home.open().close()


def test_a_finished_segment_that_went_bad_is_set_aside_when_sealed(home: Home) -> None:
    """It is not compressed as if it were good, and it does not stop the others."""
    writer = home.open()
    for name in ("a", "b"):
        fill(writer, name)
        writer.roll()
    first = home.shard / "000000000001.wal"
    data = bytearray(first.read_bytes())
    data[300] ^= 1
    first.write_bytes(data)
    assert [path.name for path in writer.seal_finished()] == ["000000000002.wal.zst"]
    assert [path.name for path in (home.shard / "damaged").iterdir()] == ["000000000001.wal"]
    writer.close()


def test_the_header_says_who_wrote_it(home: Home) -> None:
    """Shard, feed, boot and version, readable from the live file."""
    writer = home.open(clock=lambda: 77)
    header = read_header(home.files()[0])
    assert (header.shard, header.feed, header.number, header.created_ns) == (SHARD, "coinbase", 1, 77)
    assert header.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    abandon(writer)
