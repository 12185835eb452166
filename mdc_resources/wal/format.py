"""The bytes of a segment: what a header, a record and a footer look like (docs/reference/wal.md).

Everything is little-endian, every checksum is zlib's CRC-32. A record's body is the lengths of its
frames, then the frames, so that one pass builds it and one pass takes it apart. Nothing here touches
a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import msgspec

MAGIC = b"\x89MDCWAL\n"
VERSION = 1
PREAMBLE = Struct("<8sHHI")  # magic, version, reserved, length of the JSON after the checksum
CRC = Struct("<I")
RECORD_MARK = b"\xfe\xc7"  # in no UTF-8 text, so that a search for records in text finds only records
# mark, kind, frames, body length, body crc, receive time, connection, frames since the last sync, number
HEAD = Struct("<2sBBIIqIIQ")
HEAD_WITH_CRC = Struct("<2sBBIIqIIQI")
HEAD_BYTES = HEAD.size
RECORD_BYTES = HEAD_WITH_CRC.size
MAX_FRAMES = 64
LENGTHS = tuple(Struct(f"<{count}I") for count in range(MAX_FRAMES + 1))


class Kind(IntEnum):
    """What a record holds."""

    FRAMES = 0
    MARK = 1
    FETCHED = 2
    FOOTER = 3


KINDS = tuple(Kind)
# Plain numbers for loops that run a million times a second: an enum's attribute is slow.
MARK, FOOTER = int(Kind.MARK), int(Kind.FOOTER)


class Record(NamedTuple):
    """One record: up to 64 frames of one connection, received in one read.

    ``recv_ns`` is UTC, ``number`` the running number of the first frame in its shard.
    """

    offset: int
    kind: Kind
    recv_ns: int
    connection: int
    number: int
    frames: tuple[bytes, ...]


class SegmentHeader(msgspec.Struct, frozen=True):
    """Who began a segment, when, and where its numbers start."""

    shard: str
    feed: str
    number: int
    created_ns: int
    boot_id: str
    version: str
    decoder_version: int
    first_frame: int
    first_connection: int = 1


class SegmentFooter(msgspec.Struct, frozen=True):
    """What a finished segment holds. ``frames`` and ``frame_bytes`` count what was received, not marks.

    ``first_ns`` and ``last_ns`` are the least and the greatest receive time (0 where there is none),
    ``next_frame`` the number after the last, ``crc`` the checksum of all bytes before the footer.
    """

    records: int
    frames: int
    frame_bytes: int
    marks: int
    first_ns: int
    last_ns: int
    next_frame: int
    crc: int
    next_connection: int = 1


_ENCODER = msgspec.json.Encoder()
decode_header_json = msgspec.json.Decoder(SegmentHeader).decode
decode_footer_json = msgspec.json.Decoder(SegmentFooter).decode


def encode_header(header: SegmentHeader, *, version: int = VERSION) -> bytes:
    """The segment's first bytes: preamble, checksum of preamble and JSON, JSON."""
    text = _ENCODER.encode(header)
    preamble = PREAMBLE.pack(MAGIC, version, 0, len(text))
    return preamble + CRC.pack(crc32(text, crc32(preamble))) + text


def encode_record(
    kind: int, recv_ns: int, connection: int, number: int, frames: Sequence[bytes], *, since_sync: int = 0
) -> tuple[bytes, bytes]:
    """A record's head and body; at most 64 ``frames``. ``since_sync``: frames of its group before it."""
    count = len(frames)
    body = b"".join((LENGTHS[count].pack(*map(len, frames)), *frames))
    head = HEAD.pack(
        RECORD_MARK, kind, count, len(body), crc32(body), recv_ns, connection, since_sync, number
    )
    return head + CRC.pack(crc32(head)), body


def encode_footer(footer: SegmentFooter, recv_ns: int) -> bytes:
    """The record that seals a segment."""
    return b"".join(encode_record(Kind.FOOTER, recv_ns, 0, footer.next_frame, (_ENCODER.encode(footer),)))


def split_frames(body: bytes, count: int) -> tuple[bytes, ...] | None:
    """The frames of a body, or None where its lengths do not add up."""
    at = 4 * count
    if count == 1:
        return (body[4:],) if int.from_bytes(body[:4], "little") + 4 == len(body) else None
    if len(body) < at:
        return None
    frames = []
    for length in LENGTHS[count].unpack_from(body):
        frames.append(body[at : at + length])
        at += length
    return tuple(frames) if at == len(body) else None
