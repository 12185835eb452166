"""The bytes of a segment are those of docs/reference/wal.md, taken apart here by that page alone."""

from __future__ import annotations

import json
import re
import struct
import zlib
from pathlib import Path

import pytest

from mdc_resources.wal import (
    Kind,
    SegmentFooter,
    SegmentHeader,
    marks,
    read_header,
    read_segment,
    verify_segment,
)
from mdc_resources.wal.format import encode_footer, encode_header, encode_record, split_frames

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "wal.md"
AT = 1_767_225_600_123_456_789


def example() -> bytes:
    """The segment of the page's example."""
    header = SegmentHeader("coinbase-0", "coinbase", 1, 1_767_225_600_000_000_000, "", "0.1.0", 1, 0)
    start = encode_header(header) + b"".join(encode_record(Kind.FRAMES, AT, 1, 0, (b'{"a":1}', b"hi")))
    return start + encode_footer(SegmentFooter(1, 2, 9, 0, AT, AT, 2, zlib.crc32(start), 2), AT)


EXAMPLE = example()


def dump(data: bytes) -> str:
    """As ``hexdump -C`` prints it."""
    rows = []
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        rows.append(f"{at:08x}  {part[:8].hex(' '):<23}  {part[8:].hex(' '):<23}  |{text}|")
    return "\n".join(rows)


def printed() -> bytes:
    """The bytes the page shows."""
    block = re.search(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    return bytes.fromhex("".join(line[10:59].replace(" ", "") for line in block[1].splitlines()))


def test_the_page_shows_what_is_written() -> None:
    """The worked example is byte for byte what the code makes of it."""
    assert printed() == EXAMPLE
    assert dump(EXAMPLE) in PAGE.read_text(encoding="utf-8")


def test_the_example_can_be_read(tmp_path: Path) -> None:
    """By the reader: a finished segment with one record."""
    path = tmp_path / "000000000001.wal"
    path.write_bytes(printed())
    (record,) = read_segment(path)
    assert record == (0xC0, Kind.FRAMES, AT, 1, 0, (b'{"a":1}', b"hi"))
    verdict = verify_segment(path)
    assert (verdict.sealed, verdict.records, verdict.frames, verdict.valid_bytes) == (
        True,
        1,
        2,
        len(EXAMPLE),
    )
    assert read_header(path).feed == "coinbase"


def test_the_tables_of_the_page_take_it_apart() -> None:
    """Offsets, widths, checksums and JSON as the page says, with nothing of the code under test."""
    data = printed()
    assert data[:8] == b"\x89MDCWAL\n"
    version, zero, length, crc = struct.unpack("<HHII", data[8:20])
    text = data[20 : 20 + length]
    assert (version, zero, crc) == (1, 0, zlib.crc32(data[:16] + text))
    names = re.search(r"JSON: (`shard`.*?) \|", PAGE.read_text(encoding="utf-8"))
    assert names
    assert [f"`{name}`" for name in json.loads(text)] == names[1].split(", ")
    at, found = 20 + length, []
    while at < len(data):
        mark, kind, count, size, body_crc, recv_ns, connection, since, number, head_crc = struct.unpack(
            "<2sBBIIqIIQI", data[at : at + 40]
        )
        body = data[at + 40 : at + 40 + size]
        assert (mark, body_crc, head_crc) == (b"\xfe\xc7", zlib.crc32(body), zlib.crc32(data[at : at + 36]))
        lengths = struct.unpack(f"<{count}I", body[: 4 * count])
        assert sum(lengths) + 4 * count == size
        found.append((kind, recv_ns, connection, since, number, lengths, body[4 * count :], at))
        at += 40 + size
    first, footer = found
    assert first == (0, AT, 1, 0, 0, (7, 2), b'{"a":1}hi', 0xC0)
    assert (footer[0], footer[4]) == (3, 2)
    assert json.loads(footer[6])["crc"] == zlib.crc32(data[: footer[7]])


@pytest.mark.parametrize(
    "frames", [(b"",), (b"", b""), (b"a", b"", b"ccc"), tuple(b"x" * n for n in range(64))]
)
def test_frames_are_taken_apart_as_they_were(frames: tuple[bytes, ...]) -> None:
    """Empty ones too, from one to sixty-four."""
    _, body = encode_record(Kind.FRAMES, 1, 1, 0, frames)
    assert split_frames(body, len(frames)) == frames


@pytest.mark.parametrize(
    ("body", "count"), [(b"\5\0\0\0abcd", 1), (b"\1\0\0\0", 1), (b"\0", 2), (b"\1\0\0\0\1\0\0\0a", 2)]
)
def test_lengths_that_do_not_add_up_are_refused(body: bytes, count: int) -> None:
    """Even where a checksum were right."""
    assert split_frames(body, count) is None


@pytest.mark.parametrize(
    "mark",
    [
        marks.Started(7, "0.1.0", 5),
        marks.Wanted((("trades", "COINBASE:BTC-USD"),)),
        marks.Opened("coinbase", "wss://h/x"),
        marks.Confirmed((("trades", "A"), ("depth", "B"))),
        marks.Refused((("quotes", "A"),), "no such product"),
        marks.Ended((("quotes", "A"),)),
        marks.Closed(9, "reset", 1006),
        marks.Carried("coinbase", (("trades", "A"),), 3),
        marks.ClockStepped(-5_000_000_000),
        marks.Stopped("drained"),
    ],
    ids=lambda mark: type(mark).__name__,
)
def test_marks_survive_the_log(mark: marks.AnyMark) -> None:
    """One line of JSON, and back."""
    line = marks.encode(mark)
    assert b"\n" not in line
    assert marks.decode(line) == mark
