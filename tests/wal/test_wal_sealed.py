"""Sealed segments: listed without being read, published whole, never at the cost of the live file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import zstandard
from wal_logs import SMALL, Home, records, write_log

from mdc_resources.domain.errors import StorageFailed
from mdc_resources.wal import Kind, LogWriter, WalDamaged, read_header, read_segment, sealed_segments
from mdc_resources.wal.format import MAGIC
from mdc_resources.wal.sealed import seal, segment_name, segment_number


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """No log yet."""
    return Home(tmp_path)


def finished(home: Home, *frames: bytes) -> Path:
    """A finished segment that is not compressed yet."""
    writer = home.open()
    for at, frame in enumerate(frames):
        writer.append(Kind.FRAMES, at, 1, [frame])
    writer.close(seal=False)
    return next(home.shard.glob("*.wal"))


def test_all_shards_are_listed_in_order(home: Home) -> None:
    """By shard, then by number; other files are not segments."""
    for shard in ("kraken-0", "coinbase-1", "coinbase-0"):
        with LogWriter.open(home.wal, home.segments, shard, shard[:-2], 3, SMALL) as writer:
            for name in (b"a", b"b"):
                writer.append(Kind.FRAMES, 1, 1, [name])
                writer.roll()
    for stray in ("notes.txt", "12.wal.zst", "000000000009.wal", "000000000009.wal.zst.tmp"):
        (home.segments / "kraken-0" / stray).write_bytes(b"stray")
    found = sealed_segments(home.segments)
    assert [segment.name for segment in found] == [
        f"{shard}/{number:012d}" for shard in ("coinbase-0", "coinbase-1", "kraken-0") for number in (1, 2)
    ]
    assert {segment.header.decoder_version for segment in found} == {3}
    assert [segment.header.feed for segment in found[-2:]] == ["kraken", "kraken"]


def test_where_nothing_was_captured_nothing_is_listed(tmp_path: Path) -> None:
    """A folder that does not exist is no error."""
    assert sealed_segments(tmp_path / "segments") == []


def test_listing_decompresses_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Header and footer stand at the end of the file."""
    seal(finished(home, b"a"), home.segments / "coinbase-0")
    monkeypatch.setattr(zstandard, "ZstdDecompressor", None)
    (segment,) = sealed_segments(home.segments)
    assert (segment.footer.frames, segment.header.number) == (1, 1)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("000000000012.wal", 12),
        ("000000000012.wal.zst", 12),
        ("12.wal", None),
        ("000000000012.wal.zst.tmp", None),
        ("00000000001x.wal", None),
        ("000000000012.torn", None),
        ("lock", None),
    ],
)
def test_a_segment_is_known_by_its_name(name: str, number: int | None) -> None:
    """Twelve digits and one of two endings."""
    assert segment_number(Path("x") / name) == number
    if number is not None:
        assert name.startswith(segment_name(number))


def test_what_is_sealed_is_the_segment_to_the_byte(home: Home) -> None:
    """Header, records and footer; any zstd gives them back."""
    path = finished(home, b"a", b"b" * 5_000)
    before = path.read_bytes()
    sealed = seal(path, home.segments / "coinbase-0")
    with sealed.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        assert reader.read() == before
    assert before.startswith(MAGIC)
    assert not path.exists()
    assert read_header(sealed).number == 1
    assert len(before) > sealed.stat().st_size


def test_an_unfinished_segment_is_not_sealed(home: Home) -> None:
    """Only what has its footer; the file stays."""
    path = home.shard / "000000000007.wal"
    write_log(path, records(3))
    with pytest.raises(WalDamaged, match="without a footer"):
        seal(path, home.segments / "coinbase-0")
    assert path.exists()
    assert list((home.segments / "coinbase-0").iterdir()) == []


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failure_while_sealing_keeps_the_live_file(
    home: Home, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """Whatever fails, one whole copy is there, and the next try seals it."""
    path = finished(home, b"a", b"b")

    def fails(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    (home.segments / "coinbase-0").mkdir(parents=True, exist_ok=True)
    real = getattr(os, call)
    passed: list[object] = []

    def once_the_copy_is_written(*args: object, **more: object) -> object:
        passed.append(args)
        return fails() if len(passed) > (1 if call == "fsync" else 0) else real(*args, **more)

    monkeypatch.setattr(os, call, once_the_copy_is_written)
    with pytest.raises(StorageFailed):
        seal(path, home.segments / "coinbase-0")
    monkeypatch.undo()
    assert home.frames() == [b"a", b"b"]
    assert path.exists()
    sealed = seal(path, home.segments / "coinbase-0")
    assert [record.frames for record in read_segment(sealed)] == [(b"a",), (b"b",)]


def test_a_copy_that_reads_back_differently_is_not_published(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compressor, memory or disk that changes a byte is noticed before the original goes."""
    path = finished(home, b"some frame", b"another one")
    real = zstandard.ZstdCompressor

    class Wrong:
        """Compresses, but not what it was given."""

        def __init__(self, **settings: object) -> None:
            self._real = real(**settings)

        def stream_writer(self, out: object, **settings: object) -> object:
            writer = self._real.stream_writer(out, **settings)

            class Changed:
                def __enter__(self) -> Changed:
                    writer.__enter__()
                    return self

                def __exit__(self, *ended: object) -> None:
                    writer.__exit__(*ended)

                def write(self, data: bytes) -> int:
                    return writer.write(data.replace(b"some", b"same"))

            return Changed()

    monkeypatch.setattr(zstandard, "ZstdCompressor", Wrong)
    with pytest.raises(WalDamaged):
        seal(path, home.segments / "coinbase-0")
    monkeypatch.undo()
    assert path.exists()
    assert list((home.segments / "coinbase-0").iterdir()) == []
    assert home.frames() == [b"some frame", b"another one"]


def test_sealing_again_after_a_crash_ends_the_same(home: Home) -> None:
    """Published, but the process died before the original went: both are the same, one of them goes."""
    path = finished(home, b"a")
    kept = path.read_bytes()
    first = seal(path, home.segments / "coinbase-0").read_bytes()
    path.write_bytes(kept)
    home.open().close()
    assert not path.exists()
    (segment,) = sealed_segments(home.segments)
    assert segment.path.read_bytes() == first
    assert home.frames() == [b"a"]
