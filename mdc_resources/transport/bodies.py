"""Reading a body of unknown honesty: decoded piece by piece, never beyond a fixed size.

Decompression is bounded per step, so a small bomb cannot grow in one piece; a compressed body
must reach its own end mark, or it was cut. Only gzip and deflate are asked for and accepted.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from mdc_resources.domain.errors import PayloadError, TransportError

ACCEPT_ENCODING = "gzip, deflate"

_STEP = 256 * 1024
_AUTO_HEADER = 32 + zlib.MAX_WBITS  # gzip or zlib, whichever the body begins with
_RAW = -zlib.MAX_WBITS
_BOMB_BYTES = 8 * 1024 * 1024
_BOMB_RATIO = 200  # market data compress 5-40x


class BodyReader:
    """Collects one body. ``feed`` raw chunks, then ``finish``; ``so_far`` is what was decoded."""

    def __init__(self, *, encoding: str, limit: int) -> None:
        self._limit = limit
        self._raw_bytes = 0
        self._size = 0
        self._pieces: list[bytes] = []
        self._inflate = _inflater(encoding)
        self._held = b""
        self._begun = False

    def feed(self, chunk: bytes) -> None:
        """Take what came from the socket; PayloadError if it is too much or cannot be decoded."""
        self._raw_bytes += len(chunk)
        for piece in self._decoded(chunk):
            self._size += len(piece)
            self._pieces.append(piece)
            self._check_size()

    def finish(self) -> bytes:
        """The whole body; TransportError if its compressed form broke off."""
        if self._inflate is not None and self._raw_bytes and not self._inflate.eof:
            raise TransportError(f"the compressed body broke off after {self._raw_bytes} bytes")
        return b"".join(self._pieces)

    def so_far(self, limit: int) -> bytes:
        """At most ``limit`` bytes of what was decoded, for the archive of failures."""
        kept = bytearray()
        for piece in self._pieces:
            kept += piece[: limit - len(kept)]
            if len(kept) == limit:
                break
        return bytes(kept)

    def _decoded(self, chunk: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            yield chunk
            return
        if not self._begun:  # two bytes tell gzip, zlib and raw deflate apart
            chunk, self._held = self._held + chunk, b""
            if len(chunk) < 2:
                self._held = chunk
                return
        while chunk:
            if self._inflate.eof:  # gzip may be several members one after another
                self._inflate = zlib.decompressobj(_AUTO_HEADER)
            piece, chunk = self._inflated(chunk)
            if piece:
                yield piece

    def _inflated(self, chunk: bytes) -> tuple[bytes, bytes]:
        assert self._inflate is not None
        first, self._begun = not self._begun, True
        try:
            piece = self._inflate.decompress(chunk, _STEP)
        except zlib.error as error:
            if not first:
                raise PayloadError(f"the compressed body is damaged: {error}") from None
            self._inflate = zlib.decompressobj(_RAW)  # "deflate" without its header, as some send it
            try:
                piece = self._inflate.decompress(chunk, _STEP)
            except zlib.error:
                raise PayloadError(f"the body is not compressed as its header says: {error}") from None
        return piece, self._inflate.unconsumed_tail or self._inflate.unused_data

    def _check_size(self) -> None:
        if self._size > self._limit:
            raise PayloadError(
                f"the body is larger than {self._limit} bytes",
                hint="transport.max_body_mb in mdc.toml sets the bound",
            )
        if self._size > _BOMB_BYTES and self._size > _BOMB_RATIO * self._raw_bytes:
            raise PayloadError(f"{self._raw_bytes} bytes unpacked to over {self._size}: a decompression bomb")


def _inflater(encoding: str) -> zlib._Decompress | None:
    names = [
        name.strip().lower() for name in encoding.split(",") if name.strip().lower() not in ("", "identity")
    ]
    if not names:
        return None
    if len(names) > 1 or names[0] not in ("gzip", "x-gzip", "deflate"):
        raise PayloadError(f"the body is encoded as {encoding[:60]!a}, which was not asked for")
    return zlib.decompressobj(_AUTO_HEADER)
