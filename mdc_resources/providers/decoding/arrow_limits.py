"""Bodies that Arrow's reader of decimals must not meet.

A number like ``1e-9999999`` ends the process inside it, and one of more digits than a decimal has
wraps around to another number (seen with pyarrow 26, in ``read_json`` and in ``cast`` alike). No
vendor means such a number; a body that holds one is read row by row, where it is its row's error.
"""

from __future__ import annotations

# Digits and points become 0, exponents e, signs +: what is looked for is then a plain substring.
_PLAIN = bytes.maketrans(b"123456789.E-", b"0000000000e+")
_TOO_LONG = b"0" * 39  # a decimal has 38
_EXPONENT = b"0e"  # few bodies have any, and looking for a short text is cheap
_TOO_FAR = (b"0e0000", b"0e+0000")


def beyond_arrow(body: bytes) -> bool:
    """True if ``body`` may hold a number that Arrow reads wrongly; about 1 ms for a megabyte."""
    plain = body.translate(_PLAIN)
    return _TOO_LONG in plain or (_EXPONENT in plain and any(sign in plain for sign in _TOO_FAR))
