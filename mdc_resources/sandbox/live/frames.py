"""Frames as a server writes them (RFC 6455): unmasked, whole, of any content, also of a forbidden one.

The server's own library refuses what a fault must send, and costs more per frame than the dialects.
"""

from __future__ import annotations

import struct

TEXT, BINARY, PING = 0x1, 0x2, 0x9
_FINAL = 0x80
_SHORT, _MEDIUM = 126, 1 << 16


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One final frame."""
    length = len(payload)
    if length < _SHORT:
        return bytes((_FINAL | opcode, length)) + payload
    if length < _MEDIUM:
        return struct.pack("!BBH", _FINAL | opcode, 126, length) + payload
    return struct.pack("!BBQ", _FINAL | opcode, 127, length) + payload
