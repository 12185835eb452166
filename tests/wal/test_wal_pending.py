"""What is appended while a commit runs: nothing lost, nothing twice, the counts as they are."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from wal_logs import Home

from mdc_resources.wal import Kind, read_segment, sealed_segments, verify_segment
from mdc_resources.wal.format import RECORD_BYTES
from mdc_resources.wal.pending import Pending
from mdc_resources.wal.tally import FOREVER, Group, Tally


def test_frames_appended_during_commits_and_rolls_are_all_kept(tmp_path: Path) -> None:
    """One thread appends as fast as it can, another commits, rolls and seals: every frame once, in order."""
    home, total = Home(tmp_path), 20_000
    writer = home.open()
    rolled, done = threading.Event(), threading.Event()

    def receive() -> None:
        number = 0
        while number < total:
            if number > total // 2:  # the first half alone fills a segment: a slow disk still sees two
                rolled.wait(60)
            count = min(1 + number % 3, total - number)
            writer.append(Kind.FRAMES, number, 1, [b"%d" % at for at in range(number, number + count)])
            number += count
        done.set()

    thread = threading.Thread(target=receive)
    thread.start()
    counted = 0
    while not done.is_set() or writer.pending_bytes:
        counted += writer.commit().frames
        if writer.due_to_roll(0):
            counted += writer.roll().frames
            writer.seal_finished()
            rolled.set()
    thread.join()
    writer.close()
    assert counted == total
    assert [int(frame) for frame in home.frames()] == list(range(total))
    assert len(sealed_segments(home.segments)) > 1
    for path in home.files():
        assert verify_segment(path).sealed


def test_several_threads_may_append(tmp_path: Path) -> None:
    """Numbers have no holes; each thread's own frames keep their order."""
    home = Home(tmp_path)
    writer = home.open()

    def receive(connection: int) -> None:
        for number in range(500):
            writer.append(Kind.FRAMES, number, connection, [b"%d" % number])

    threads = [threading.Thread(target=receive, args=(at,)) for at in range(1, 5)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        writer.commit()
    writer.close()
    found = [record for path in home.files() for record in read_segment(path)]
    assert [record.number for record in found] == list(range(2_000))
    for connection in range(1, 5):
        own = [int(record.frames[0]) for record in found if record.connection == connection]
        assert own == list(range(500))


def test_connections_of_several_threads_are_all_different(tmp_path: Path) -> None:
    """Two connections never share a number."""
    with Home(tmp_path).open() as writer:
        numbers: list[int] = []
        threads = [
            threading.Thread(target=lambda: numbers.extend(writer.next_connection() for _ in range(200)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(numbers) == list(range(1, 801))


def test_what_was_taken_counts_until_it_is_durable() -> None:
    """Memory is bounded by what is not on disk, not by what is still in the queue."""
    pending = Pending(0, 0)
    pending.append(Kind.FRAMES, 5, 1, [b"abc"])
    size = RECORD_BYTES + 4 + 3
    group = pending.take(lambda _: True)
    assert group is not None
    assert (pending.size, pending.waiting, pending.last_ns) == (size, 0, 5)
    pending.append(Kind.FRAMES, 4, 1, [b"d"])
    assert (pending.size, pending.waiting, pending.last_ns) == (size + RECORD_BYTES + 5, RECORD_BYTES + 5, 5)
    pending.durable(group)
    assert pending.size == RECORD_BYTES + 5


def test_nothing_is_taken_that_does_not_fit() -> None:
    """It stays where it is, and more may be added to it."""
    pending = Pending(7, 0)
    pending.append(Kind.FRAMES, 5, 1, [b"abc"])
    assert pending.take(lambda size: size < 10) is None
    pending.append(Kind.FRAMES, 6, 1, [b"d"])
    group = pending.take(lambda _: True)
    assert group is not None
    assert (group.first, group.next_frame) == (7, 9)


def test_a_second_cut_changes_nothing() -> None:
    """What came after the first one belongs to the next segment, whoever cuts again."""
    pending = Pending(0, 0)
    pending.append(Kind.FRAMES, 1, 1, [b"old"])
    pending.cut()
    pending.append(Kind.FRAMES, 2, 1, [b"new"])
    pending.cut()
    assert pending.before_cut is not None
    assert pending.before_cut.next_frame == 1
    assert pending.waiting > 0


@pytest.mark.parametrize("kinds", [[0], [1], [0, 1, 2, 0], [2, 2], [1, 0, 0]], ids=str)
def test_a_group_counts_what_it_holds(kinds: list[int]) -> None:
    """Received frames and their bytes apart from marks and fetched books."""
    group = Group(100)
    for at, kind in enumerate(kinds):
        pending = Pending(0, 0)
        pending.append(kind, 10 + at, at, [b"x" * 5, b"y"])
        body = pending.take(lambda _: True).parts[2]
        group.add(kind, 10 + at, at, 2, body, 0)
    tally = group.tally()
    received = kinds.count(0)
    assert (tally.records, tally.frames, tally.frame_bytes) == (len(kinds), 2 * received, 6 * received)
    assert (tally.marks, tally.first_ns, tally.last_ns) == (kinds.count(1), 10, 9 + len(kinds))
    assert tally.next_connection == max(1, len(kinds))
    assert group.next_frame == 100 + 2 * len(kinds)


def test_counts_add_up() -> None:
    """The sum of two tallies; an empty one changes nothing but the least connection."""
    total = Tally()
    total.add(Tally(2, 3, 40, 1, 50, 60, 4))
    total.add(Tally())
    total.add(Tally(1, 1, 2, 0, 40, 55, 9))
    footer = total.footer(12, 99)
    assert (footer.records, footer.frames, footer.frame_bytes, footer.marks) == (3, 4, 42, 1)
    assert (footer.first_ns, footer.last_ns, footer.next_connection) == (40, 60, 9)
    assert Tally().first_ns == FOREVER
    assert Tally().footer(0, 0).first_ns == 0


def test_appending_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a sync hangs, frames are taken in; the commit covers those that came before it."""
    import os

    home = Home(tmp_path)
    writer = home.open()
    entered, leave, real = threading.Event(), threading.Event(), os.fdatasync

    def stuck(handle: int) -> None:
        entered.set()
        assert leave.wait(20)
        real(handle)

    monkeypatch.setattr(os, "fdatasync", stuck)
    writer.append(Kind.FRAMES, 1, 1, [b"before"])
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(writer.commit()))
    thread.start()
    assert entered.wait(20)
    began = time.monotonic()
    for number in range(2, 1_002):
        writer.append(Kind.FRAMES, number, 1, [b"during"])
    assert time.monotonic() - began < 5
    assert writer.durable_ns == 0
    leave.set()
    thread.join()
    monkeypatch.undo()
    assert results == [(1, 1, RECORD_BYTES + 10)]
    assert writer.durable_ns == 1
    writer.close()
    assert len(home.frames()) == 1_001
