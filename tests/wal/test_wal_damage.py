"""Every byte prefix and every single-bit flip of a small log: found, named with its offset, never skipped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from wal_logs import HEADER, Home, abandon, records, write_log

from mdc_resources.wal import (
    Kind,
    NewerLog,
    WalDamaged,
    read_header,
    read_segment,
    sealed_segments,
    verify_segment,
)
from mdc_resources.wal.format import encode_header, encode_record


def flipped(path: Path, bit: int) -> None:
    """Turn one bit of the file; again turns it back."""
    with path.open("r+b", buffering=0) as file:
        byte = os.pread(file.fileno(), 1, bit // 8)[0]
        os.pwrite(file.fileno(), bytes([byte ^ 1 << bit % 8]), bit // 8)


@pytest.fixture
def live(tmp_path: Path) -> tuple[Path, list[int]]:
    """A live log of six records in groups of two, with reserved space; and where each begins."""
    path = tmp_path / "coinbase-0" / "000000000007.wal"
    return path, write_log(path, records(6, group=2), zeros=64)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A sealed segment of frames, a mark and a fetched book."""
    home = Home(tmp_path)
    writer = home.open()
    for at in range(5):
        writer.append(Kind.FRAMES, 1000 + at, 1, [b"frame %d" % at, b"second"])
    writer.append(Kind.MARK, 1005, 0, [b'{"mark":"stopped","reason":"drained"}'])
    writer.append(Kind.FETCHED, 1006, 1, [b'{"symbol":"A","url":"u"}', b"{}"])
    writer.close()
    return sealed_segments(home.segments)[0].path


def test_every_prefix_reads_as_the_whole_records_in_it(live: tuple[Path, list[int]]) -> None:
    """A log cut anywhere is the records before the cut; what is left over is torn, never damage."""
    path, offsets = live
    whole = path.read_bytes()
    for length in range(offsets[0], len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = sum(end <= length for end in offsets[1:])
        numbers = [record.number for record in read_segment(path)]
        assert numbers == [HEADER.first_frame + at for at in range(kept)], length
        end = min(length, offsets[-1])
        found = verify_segment(path)
        assert (found.valid_bytes, found.sealed) == (offsets[kept], False)
        assert found.torn_bytes == len(whole[offsets[kept] : end].rstrip(b"\0")), length


def test_a_prefix_of_the_header_is_refused(live: tuple[Path, list[int]]) -> None:
    """A header appears whole or not at all, so a part of one is damage."""
    path, offsets = live
    whole = path.read_bytes()
    for length in range(offsets[0]):
        path.write_bytes(whole[:length])
        with pytest.raises(WalDamaged) as caught:
            list(read_segment(path))
        assert (caught.value.offset, caught.value.following) == (0, None)


def test_every_flip_before_the_last_record_is_named(live: tuple[Path, list[int]]) -> None:
    """The offset is that of the broken record, ``following`` that of the next one; nothing is skipped."""
    path, offsets = live
    for bit in range(offsets[-2] * 8):
        flipped(path, bit)
        broken = max([at for at, start in enumerate(offsets) if start * 8 <= bit], default=-1)
        with pytest.raises(WalDamaged) as caught:
            verify_segment(path)
        assert caught.value.offset == (offsets[broken] if broken >= 0 else 0), bit
        assert caught.value.following == offsets[broken + 1], bit
        flipped(path, bit)
    assert verify_segment(path).records == 6


def test_every_flip_in_the_last_record_makes_a_torn_tail(live: tuple[Path, list[int]]) -> None:
    """With nothing valid after it, it cannot be told from a write that was cut short."""
    path, offsets = live
    for bit in range(offsets[-2] * 8, offsets[-1] * 8):
        flipped(path, bit)
        found = verify_segment(path)
        assert (found.records, found.valid_bytes) == (5, offsets[-2]), bit
        assert found.torn_bytes > 0, bit
        flipped(path, bit)


def test_every_flip_in_reserved_space_is_seen(live: tuple[Path, list[int]]) -> None:
    """Zeros are a clean end; anything else there is counted as torn, and costs no record."""
    path, offsets = live
    for bit in range(offsets[-1] * 8, path.stat().st_size * 8):
        flipped(path, bit)
        found = verify_segment(path)
        assert (found.records, found.torn_bytes) == (6, bit // 8 - offsets[-1] + 1)
        flipped(path, bit)


def test_every_flip_of_a_sealed_segment_is_damage(sealed: Path) -> None:
    """Compressed bytes, summary, checksums: each bit is covered, and known before a record is given out."""
    for bit in range(sealed.stat().st_size * 8):
        flipped(sealed, bit)
        with pytest.raises(WalDamaged):
            next(read_segment(sealed))
        flipped(sealed, bit)
    assert verify_segment(sealed).frames == 10


def test_every_prefix_of_a_sealed_segment_is_damage(sealed: Path) -> None:
    """A sealed segment is whole or it is not one."""
    whole = sealed.read_bytes()
    for length in range(len(whole)):
        sealed.write_bytes(whole[:length])
        with pytest.raises(WalDamaged):
            list(read_segment(sealed))
    sealed.write_bytes(whole + b"\0")
    with pytest.raises(WalDamaged):
        verify_segment(sealed)


def test_damage_of_a_sealed_segment_says_how_far_it_can_be_read(tmp_path: Path) -> None:
    """A flip in the middle of the compressed bytes: the offset is one in the uncompressed segment."""
    home = Home(tmp_path)
    writer = home.open(home_settings())
    for at in range(400):
        writer.append(Kind.FRAMES, at, 1, [os.urandom(2_000)])
    writer.close()
    path = home.files()[0]
    flipped(path, path.stat().st_size * 4)
    with pytest.raises(WalDamaged, match="do not match their checksum") as caught:
        verify_segment(path)
    assert 0 < caught.value.offset < 810_000


def home_settings():
    """Segments that hold all of a test."""
    from mdc_resources.config.sections import SidecarSettings

    return SidecarSettings(segment_mb=2, reserve_mb=0)


def test_a_summary_that_cannot_be_read_is_listed_as_damaged(sealed: Path) -> None:
    """Listing goes on, with the reason in the row; reading that one raises it."""
    second = Path(shutil.copy(sealed, sealed.with_name("000000000002.wal.zst")))
    flipped(second, second.stat().st_size * 8 - 200)
    first, broken = sealed_segments(sealed.parent.parent)
    assert (first.name, first.damage, first.footer.frames) == ("coinbase-0/000000000001", "", 10)
    assert (broken.name, broken.number) == ("coinbase-0/000000000002", 2)
    assert "checksum" in broken.damage
    with pytest.raises(WalDamaged):
        next(read_segment(broken.path))


def test_a_group_the_disk_wrote_out_of_order_is_torn(tmp_path: Path) -> None:
    """A blank sector inside the last group, valid records of it behind: never acknowledged, so no damage."""
    path = tmp_path / "coinbase-0" / "000000000007.wal"
    pieces = records(4, group=4, size=1200)
    offsets = write_log(path, pieces)
    blank(path, offsets[1], offsets[2])
    found = verify_segment(path)
    assert (found.records, found.torn_bytes) == (1, offsets[4] - offsets[1])


def test_a_group_whose_first_sector_was_lost_is_torn(tmp_path: Path) -> None:
    """It shares that sector with the group before it, of which nothing is lost."""
    path = tmp_path / "coinbase-0" / "000000000007.wal"
    pieces = records(4, group=4, size=450)
    offsets = write_log(path, [records(1, size=60)[0], *renumbered(pieces)])
    blank(path, offsets[1], 512)
    found = verify_segment(path)
    assert (found.records, found.torn_bytes) == (1, offsets[5] - offsets[1])


def renumbered(pieces: list[bytes]) -> list[bytes]:
    """The same records one frame later, as a second group."""
    made = []
    for at, piece in enumerate(pieces):
        number = HEADER.first_frame + 1 + at
        made.append(b"".join(encode_record(Kind.FRAMES, 1, 3, number, (piece[44:],), since_sync=at)))
    return made


def test_a_blank_sector_before_a_later_group_is_damage(tmp_path: Path) -> None:
    """The later group was only written once the earlier one was durable: it proves the loss."""
    path = tmp_path / "coinbase-0" / "000000000007.wal"
    offsets = write_log(path, records(4, group=2, size=1200))
    blank(path, offsets[1], offsets[2])
    with pytest.raises(WalDamaged) as caught:
        verify_segment(path)
    assert (caught.value.offset, caught.value.following) == (offsets[1], offsets[2])


def blank(path: Path, start: int, end: int) -> None:
    """Zeros from ``start`` to ``end``."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(end - start))


def test_a_torn_record_that_holds_a_record_is_torn(tmp_path: Path) -> None:
    """What a vendor sends may look like a record; inside a frame it is none."""
    path = tmp_path / "coinbase-0" / "000000000007.wal"
    pieces = records(2)
    forged = records(9)[-1]
    head, body = encode_record(Kind.FRAMES, 5, 3, HEADER.first_frame + 2, (forged + b"cut off here",))
    write_log(path, [*pieces, (head + body)[:-5]])
    assert verify_segment(path).records == 2


def test_a_record_of_another_place_is_damage(tmp_path: Path) -> None:
    """Valid by itself but with a number that cannot be next: lost, repeated or moved records are seen."""
    path = tmp_path / "coinbase-0" / "000000000007.wal"
    one, two, three = records(3)
    for pieces, broken in (([one, three], 1), ([one, one, two], 1), ([two, one], 0)):
        offsets = write_log(path, pieces)
        with pytest.raises(WalDamaged, match="cannot be next") as caught:
            verify_segment(path)
        assert caught.value.offset == offsets[broken]


def test_bytes_after_the_footer_are_damage(tmp_path: Path) -> None:
    """A finished segment ends with its footer."""
    home = Home(tmp_path)
    writer = home.open()
    writer.append(Kind.FRAMES, 1, 1, [b"one"])
    writer.close(seal=False)
    path = home.files()[0]
    assert verify_segment(path).sealed
    with path.open("ab") as file:
        file.write(b"\0\0x")
    with pytest.raises(WalDamaged, match="after the footer"):
        verify_segment(path)


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    """Not guessed at, and not called damage."""
    path = tmp_path / "coinbase-0" / "000000000007.wal"
    path.parent.mkdir()
    path.write_bytes(encode_header(HEADER, version=2) + records(1)[0])
    with pytest.raises(NewerLog, match="format version 2") as caught:
        read_header(path)
    assert caught.value.version == 2


def test_a_log_that_is_written_can_be_read(tmp_path: Path) -> None:
    """A reader beside the writer sees what was committed, with every kind and number."""
    home = Home(tmp_path)
    writer = home.open()
    writer.append(Kind.MARK, 10, 0, [b"{}"])
    writer.append(Kind.FRAMES, 11, 4, [b"a\0\0", b"", b"ccc"])
    writer.append(Kind.FETCHED, 12, 4, [b"{}", b"body"])
    assert list(read_segment(home.files()[0])) == []
    writer.commit()
    found = list(read_segment(home.files()[0]))
    assert [record[1:] for record in found] == [
        (Kind.MARK, 10, 0, 0, (b"{}",)),
        (Kind.FRAMES, 11, 4, 1, (b"a\0\0", b"", b"ccc")),
        (Kind.FETCHED, 12, 4, 4, (b"{}", b"body")),
    ]
    abandon(writer)
