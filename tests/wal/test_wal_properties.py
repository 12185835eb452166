"""Properties of the log over any records, cuts and flips that hypothesis can think of."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wal_logs import Home, abandon

from mdc_resources.wal import Kind, WalDamaged, read_segment, sealed_segments, verify_segment
from mdc_resources.wal.tail import SECTOR

RECORDS = st.lists(
    st.tuples(
        st.sampled_from([Kind.FRAMES, Kind.MARK]),
        st.integers(0, 2**62),
        st.integers(0, 2**32 - 2),
        st.lists(st.binary(max_size=40), min_size=1, max_size=5),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


def written(home: Home, records: list) -> list[tuple]:
    """Write ``records``, committing where they say so and at the end; what must be read."""
    writer, expected, number = home.open(), [], 0
    for kind, recv_ns, connection, frames, commit in records:
        writer.append(kind, recv_ns, connection, frames)
        expected.append((kind, recv_ns, connection, number, tuple(frames)))
        number += len(frames)
        if commit:
            writer.commit()
    writer.commit()
    abandon(writer)
    return expected


def read(path: Path) -> list[tuple]:
    """The records without their offsets."""
    return [tuple(record)[1:] for record in read_segment(path)]


@settings(max_examples=60, deadline=None)
@given(RECORDS)
def test_what_is_written_is_read(records: list) -> None:
    """Live, recovered and sealed: the same records, the same counts."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        expected = written(home, records)
        assert read(home.files()[0]) == expected
        home.open().close()
        (segment,) = sealed_segments(home.segments)
        assert read(segment.path) == expected
        footer, received = segment.footer, [r for r in expected if r[0] is Kind.FRAMES]
        assert (footer.records, footer.marks) == (len(expected), len(expected) - len(received))
        assert footer.frames == sum(len(r[4]) for r in received)
        assert footer.frame_bytes == sum(len(frame) for r in received for frame in r[4])
        assert (footer.first_ns, footer.last_ns) == (min(r[1] for r in expected), max(r[1] for r in expected))


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.data())
def test_any_cut_leaves_the_longest_prefix_of_records(records: list, data: st.DataObject) -> None:
    """Recovery finds exactly the records that lie before the cut, and the log goes on after them."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        expected = written(home, records)
        path = home.files()[0]
        ends = [*[record.offset for record in read_segment(path)][1:], verify_segment(path).valid_bytes]
        first = next(iter(read_segment(path))).offset
        cut = data.draw(st.integers(first, ends[-1]))
        with path.open("r+b") as file:
            file.truncate(cut)
        kept = sum(end <= cut for end in ends)
        with home.open() as writer:
            assert writer.recovery.records == kept
            writer.append(Kind.MARK, 1, 0, [b"on"])
        found = [record for path in home.files() for record in read(path)]
        assert found[:-1] == expected[:kept]
        assert found[-1][4] == (b"on",)


@settings(max_examples=100, deadline=None)
@given(RECORDS, st.data())
def test_any_flip_is_seen(records: list, data: st.DataObject) -> None:
    """One bit anywhere in what was written: damage, or a torn tail where nothing valid follows."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        expected = written(home, records)
        path = home.files()[0]
        whole = verify_segment(path).valid_bytes
        last = max(record.offset for record in read_segment(path))
        bit = data.draw(st.integers(0, whole * 8 - 1))
        content = bytearray(path.read_bytes())
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        if bit // 8 < last:
            with pytest.raises(WalDamaged) as caught:
                verify_segment(path)
            assert caught.value.offset <= bit // 8
        else:
            assert verify_segment(path).torn_bytes
            assert read(path) == expected[:-1]


@settings(max_examples=30, deadline=None)
@given(RECORDS, st.integers(1, 12))
def test_where_a_log_is_rolled_does_not_matter(records: list, every: int) -> None:
    """The records of all segments together are those that were appended, numbered in one row."""
    with tempfile.TemporaryDirectory() as folder:
        home, number, expected = Home(Path(folder)), 0, []
        writer = home.open()
        for at, (kind, recv_ns, connection, frames, _) in enumerate(records, 1):
            writer.append(kind, recv_ns, connection, frames)
            expected.append((kind, recv_ns, connection, number, tuple(frames)))
            number += len(frames)
            if at % every == 0:
                writer.roll()
        writer.close()
        assert [record for path in home.files() for record in read(path)] == expected
        shutil.rmtree(home.wal)


@st.composite
def logs_with_lost_sectors(draw: st.DrawFn) -> tuple[list[list[int]], int, set[int]]:
    """Frame sizes by group, the group that lost sectors, and which of its sectors it lost."""
    groups = draw(st.lists(st.lists(st.integers(0, 900), min_size=1, max_size=4), min_size=2, max_size=4))
    group = draw(st.integers(0, len(groups) - 1))
    length = sum(groups[group]) + 44 * len(groups[group])
    lost = draw(st.sets(st.integers(0, length // SECTOR), min_size=1))
    return groups, group, lost


@settings(max_examples=150, deadline=None)
@given(logs_with_lost_sectors())
def test_lost_sectors_are_torn_in_the_last_group_and_damage_before(
    case: tuple[list[list[int]], int, set[int]],
) -> None:
    """A disk writes a group's sectors in any order; what an earlier group lost was acknowledged."""
    groups, chosen, lost = case
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        writer, bounds = home.open(), []
        for sizes in groups:
            start = writer.segment_used
            for size in sizes:
                writer.append(Kind.FRAMES, 1, 1, [b"x" * size])
            writer.commit()
            bounds.append((start, writer.segment_used))
        abandon(writer)
        path, (start, end) = home.files()[0], bounds[chosen]
        content = bytearray(path.read_bytes())
        before = bytes(content)
        for sector in lost:
            low = max(start, (start // SECTOR + sector) * SECTOR)
            high = min(end, (start // SECTOR + sector + 1) * SECTOR)
            content[low:high] = bytes(max(0, high - low))
        path.write_bytes(content)
        if content == before:
            return
        if chosen < len(groups) - 1:
            with pytest.raises(WalDamaged) as caught:
                verify_segment(path)
            assert start <= caught.value.offset < end
        else:
            found = verify_segment(path)
            assert start <= found.valid_bytes < end
            assert found.records >= sum(map(len, groups[:-1]))
