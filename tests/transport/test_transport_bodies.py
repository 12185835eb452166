"""The body reader: exact for honest bodies in any slicing, bounded for all others."""

from __future__ import annotations

import gzip
import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.domain.errors import PayloadError, TransportError
from mdc_resources.transport.bodies import BodyReader

PACKERS = {
    "": lambda body: body,
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "x-gzip": lambda body: gzip.compress(body[: len(body) // 2]) + gzip.compress(body[len(body) // 2 :]),
    "deflate": zlib.compress,
    "DEFLATE": lambda body: zlib.compress(body, wbits=-15),
}


@settings(max_examples=150, deadline=None)
@given(
    body=st.binary(max_size=5000),
    encoding=st.sampled_from(sorted(PACKERS)),
    cuts=st.lists(st.integers(min_value=1, max_value=700), min_size=1, max_size=20),
)
def test_any_slicing_gives_the_body(body: bytes, encoding: str, cuts: list[int]) -> None:
    """However the network cuts a packed body, the same bytes come out."""
    packed, reader, at, turn = PACKERS[encoding](body), BodyReader(encoding=encoding, limit=10_000), 0, 0
    while at < len(packed):
        step = cuts[turn % len(cuts)]
        reader.feed(packed[at : at + step])
        at, turn = at + step, turn + 1
    assert reader.finish() == body


@settings(max_examples=80, deadline=None)
@given(body=st.binary(min_size=1, max_size=3000), data=st.data())
def test_a_cut_stream_is_never_whole(body: bytes, data: st.DataObject) -> None:
    """Every proper, non-empty prefix of a packed body is an error, never a shorter body."""
    packed = gzip.compress(body)
    cut = data.draw(st.integers(min_value=1, max_value=len(packed) - 1))
    reader = BodyReader(encoding="gzip", limit=10_000)
    reader.feed(packed[:cut])
    with pytest.raises(TransportError, match=f"broke off after {cut} bytes"):
        reader.finish()


def test_the_limit_is_on_decoded_bytes() -> None:
    """One byte over is too much, the limit itself is not."""
    reader = BodyReader(encoding="gzip", limit=1000)
    reader.feed(gzip.compress(os.urandom(1000)))
    assert len(reader.finish()) == 1000
    with pytest.raises(PayloadError, match="larger than 1000 bytes"):
        BodyReader(encoding="gzip", limit=1000).feed(gzip.compress(os.urandom(1001)))


def test_damage_in_the_middle_is_found() -> None:
    """A flipped bit fails the checksum: the body is refused."""
    packed = bytearray(gzip.compress(os.urandom(5000)))
    packed[-6] ^= 1
    reader = BodyReader(encoding="gzip", limit=10_000)
    reader.feed(bytes(packed[:100]))
    with pytest.raises(PayloadError, match="is damaged"):
        reader.feed(bytes(packed[100:]))


def test_ordinary_compression_is_no_bomb() -> None:
    """Very regular market data (40x) pass, far beyond the size where ratios are looked at."""
    line = b'{"o":"187.1500","h":"188.4400","l":"183.8850","c":"%d","v":82488700},'
    body = b"".join(line % n for n in range(300_000))
    packed = gzip.compress(body)
    reader = BodyReader(encoding="gzip", limit=64 * 1024 * 1024)
    reader.feed(packed)
    assert reader.finish() == body


def test_what_came_can_be_kept() -> None:
    """A failing body leaves its beginning for the archive, cut to size."""
    reader = BodyReader(encoding="", limit=100)
    reader.feed(b"x" * 60)
    with pytest.raises(PayloadError):
        reader.feed(b"y" * 60)
    assert reader.so_far(70) == b"x" * 60 + b"y" * 10
