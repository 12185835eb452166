"""Sealed segments: the whole log compressed, and what it holds readable without decompressing.

A ``.wal.zst`` is one zstd frame with the segment's bytes, then a skippable frame with header and
footer as JSON and the checksum of the compressed bytes. Any zstd reads it; readers skip the second.
A segment is published (temporary file, fsync, rename, fsync of the folder) only after what was
compressed was read back and found to match the footer; only then the uncompressed one goes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import IO, NamedTuple, cast
from zlib import crc32

import msgspec
import zstandard

from mdc_resources.domain.errors import StorageFailed
from mdc_resources.wal.errors import WalDamaged
from mdc_resources.wal.files import make_dirs, move, remove, space, storage
from mdc_resources.wal.format import SegmentFooter, SegmentHeader
from mdc_resources.wal.scan import CHUNK, Scan, Source
from mdc_resources.wal.tail import judge_tail, opened

LIVE = ".wal"
SEALED = ".wal.zst"
SKIPPABLE = Struct("<II")  # zstd's own: magic 0x184D2A50, length of the content
SKIPPABLE_MAGIC = 0x184D2A50
# At the very end: length of the JSON, checksum of the compressed frame, of JSON and these two, magic.
TRAILER = Struct("<III8s")
TRAILER_MAGIC = b"MDCSEAL\n"
LEVEL = 3
_STEP = 1 << 15  # small, to get as near to a broken place as possible


class _Summary(msgspec.Struct, frozen=True):
    header: SegmentHeader
    footer: SegmentFooter


class SealedSegment(NamedTuple):
    """A raw partition. ``bytes`` is its size on disk.

    Where its summary cannot be read, ``damage`` says so, header and footer are blank, and reading it
    raises the same.
    """

    path: Path
    shard: str
    number: int
    header: SegmentHeader
    footer: SegmentFooter
    bytes: int
    damage: str = ""

    @property
    def name(self) -> str:
        """``coinbase-0/000000000012``: what ledgers call it."""
        return f"{self.shard}/{self.number:012d}"


def segment_name(number: int, suffix: str = LIVE) -> str:
    """``000000000012.wal``."""
    return f"{number:012d}{suffix}"


def segment_number(path: Path) -> int | None:
    """The number in a segment's file name, None for another file."""
    stem = path.name.partition(".")[0]
    is_one = path.name in {stem + LIVE, stem + SEALED} and len(stem) == 12 and stem.isdigit()
    return int(stem) if is_one else None


def sealed_segments(segments_dir: Path) -> list[SealedSegment]:
    """All sealed segments in the order of (shard, number); reads a few bytes at the end of each."""
    found = []
    for path in segments_dir.glob(f"*/*{SEALED}"):
        number = segment_number(path)
        if number is not None:
            found.append(sealed_segment(path, number))
    return sorted(found, key=lambda segment: (segment.shard, segment.number))


def sealed_segment(path: Path, number: int) -> SealedSegment:
    """What the end of the sealed segment at ``path`` says of it."""
    shard, size = path.parent.name, path.stat().st_size
    try:
        summary = _summary(path)[0]
    except WalDamaged as error:
        blank = SegmentHeader(shard, "", number, 0, "", "", 0, 0)
        return SealedSegment(
            path, shard, number, blank, SegmentFooter(0, 0, 0, 0, 0, 0, 0, 0), size, error.reason
        )
    return SealedSegment(path, shard, number, summary.header, summary.footer, size)


def check_sealed(path: Path) -> None:
    """Check the compressed bytes of ``path``; raises WalDamaged with the offset in the segment."""
    try:
        _, length, stored = _summary(path)
    except WalDamaged as error:
        raise WalDamaged(path, _valid_until(path), error.reason) from None
    with path.open("rb") as file:
        if _crc_of(file, length) != stored:
            raise WalDamaged(
                path, _valid_until(path), "the compressed bytes do not match their checksum"
            ) from None


@contextmanager
def decompressed(path: Path, *, most: int = CHUNK) -> Iterator[Source]:
    """The segment's bytes, ``most`` at once; a broken compressed frame raises WalDamaged where it is read."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        yield _Guarded(path, reader, most)


class _Guarded:
    """Turns the decompressor's error into ours, at the offset reached."""

    def __init__(self, path: Path, reader: zstandard.ZstdDecompressionReader, most: int) -> None:
        self._path = path
        self._reader = reader
        self._most = most
        self._offset = 0

    def read(self, size: int, /) -> bytes:
        try:
            data = self._reader.read(min(size, self._most))
        except zstandard.ZstdError as error:
            raise WalDamaged(self._path, self._offset, f"it cannot be decompressed: {error}") from None
        self._offset += len(data)
        return data


def seal(path: Path, segments_dir: Path) -> Path:
    """Compress the finished segment at ``path`` into ``segments_dir`` and remove it; returns the new path.

    Raises:
        NoSpace: nothing changed; try again later.
        WalDamaged: the segment at ``path`` is not what was written.
    """
    final = segments_dir / f"{path.name}.zst"
    make_dirs(segments_dir)
    temporary = final.with_name(f"{final.name}.tmp")
    try:
        with storage("write", final), space(final), temporary.open("wb") as out:
            scan = _compress(path, out)
            out.flush()
            os.fsync(out.fileno())
        _verify(temporary, scan)
    except (StorageFailed, WalDamaged):
        with suppress(OSError):
            temporary.unlink()
        raise
    move(temporary, final)
    remove(path)
    return final


def _compress(path: Path, out: io.BufferedWriter) -> Scan:
    with opened(path) as scan:
        scan.run()
        judge_tail(scan)
    if scan.footer is None:
        raise WalDamaged(path, scan.end, "a segment without a footer cannot be sealed")
    counted, left = _Counted(out), scan.end
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    with (
        path.open("rb", buffering=0) as source,
        compressor.stream_writer(cast(IO[bytes], counted), size=left, closefd=False) as writer,
    ):
        while chunk := source.read(min(CHUNK, left)):
            left -= len(chunk)
            writer.write(chunk)
    out.write(_trailer(scan.header, scan.footer, counted.crc))
    return scan


class _Counted:
    """Passes writes on and sums them up."""

    def __init__(self, out: io.BufferedWriter) -> None:
        self._out = out
        self.crc = 0

    def write(self, data: bytes) -> int:
        self.crc = crc32(data, self.crc)
        return self._out.write(data)


def _trailer(header: SegmentHeader, footer: SegmentFooter, compressed_crc: int) -> bytes:
    text = msgspec.json.encode(_Summary(header, footer))
    front = SKIPPABLE.pack(SKIPPABLE_MAGIC, len(text) + TRAILER.size)
    ends = Struct("<II").pack(len(text), compressed_crc)
    return front + text + TRAILER.pack(len(text), compressed_crc, crc32(text + ends), TRAILER_MAGIC)


def _summary(path: Path) -> tuple[_Summary, int, int]:
    """The summary, the length of the compressed frame and its checksum; raises WalDamaged."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 2048))
        end = file.read()
    bad = WalDamaged(path, 0, "the summary at its end does not match its checksum")
    if len(end) < TRAILER.size:
        raise bad
    length, compressed_crc, stored, magic = TRAILER.unpack(end[-TRAILER.size :])
    start = len(end) - TRAILER.size - length
    front = start - SKIPPABLE.size
    if magic != TRAILER_MAGIC or front < 0:
        raise bad
    text = end[start : start + length]
    ends = end[-TRAILER.size : -TRAILER.size + 8]
    if crc32(text + ends) != stored:
        raise bad
    if end[front:start] != SKIPPABLE.pack(SKIPPABLE_MAGIC, length + TRAILER.size):
        raise bad
    try:
        summary = msgspec.json.decode(text, type=_Summary)
    except msgspec.DecodeError as error:
        raise WalDamaged(path, 0, f"the summary at its end cannot be read: {error}") from None
    return summary, size - (len(end) - front), compressed_crc


def _crc_of(file: io.BufferedReader, length: int) -> int:
    crc = 0
    while length and (chunk := file.read(min(CHUNK, length))):
        crc, length = crc32(chunk, crc), length - len(chunk)
    return crc


def _valid_until(path: Path) -> int:
    """How far a broken sealed segment can be read: the offset where its first unreadable record begins."""
    try:
        with decompressed(path, most=_STEP) as source:
            scan = Scan(path, source)
            with suppress(WalDamaged):
                scan.run()
            return scan.end
    except WalDamaged as error:
        return error.offset


def _verify(temporary: Path, scan: Scan) -> None:
    """Read back what was compressed: the same bytes, to the footer's own checksum."""
    assert scan.footer is not None
    with decompressed(temporary) as source:
        copy = Scan(temporary, source)
        copy.run()
    if copy.footer != scan.footer or copy.end != scan.end:
        raise WalDamaged(temporary, copy.end, "what was compressed does not read back the same")
