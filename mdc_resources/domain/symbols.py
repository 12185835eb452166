"""Canonical symbols: upper case, allow-listed, safe in a path, a partition key and SQL.

Promises: ``decode_path(encode_path(s)) == s``, distinct symbols have distinct encodings on
case-insensitive file systems too, and no encoding is a reserved device name, ``.`` or ``..``.
Refuses everything else here, before it reaches Dagster, a path or a query.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NewType
from urllib.parse import unquote

from mdc_resources.domain.errors import UsageError

Symbol = NewType("Symbol", str)

_ALLOWED = re.compile(r"[A-Z0-9][A-Z0-9._:-]{0,31}")
_PLAIN = re.compile(r"[A-Z0-9-]")


def parse_symbol(text: str) -> Symbol:
    """Return the canonical symbol for ``text`` (``brk.b`` -> ``BRK.B``).

    Raises:
        UsageError: the text is not an allowed symbol after NFKC and upper-casing. Full-width
            letters and the like are refused rather than folded: they are never meant.
    """
    candidate = unicodedata.normalize("NFKC", text).upper()
    if not text.isascii() or not _ALLOWED.fullmatch(candidate) or ".." in candidate:
        raise UsageError(
            f"{_shown(text)} is not a symbol",
            hint="Use 1-32 of A-Z 0-9 . _ : - and start with a letter or digit: BRK.B, COINBASE:BTC-USD",
        )
    return Symbol(candidate)


def parse_symbols(texts: list[str]) -> list[Symbol]:
    """Parse ``["AAPL,msft", "BRK.B"]`` into distinct symbols, in the order given."""
    parts = [part.strip() for text in texts for part in text.split(",")]
    return list(dict.fromkeys(parse_symbol(part) for part in parts if part))


def venue_of(symbol: str) -> str:
    """The venue a symbol names (``KRAKEN`` of ``KRAKEN:BTC-USD``); empty where it names none."""
    return symbol.rpartition(":")[0]


def encode_path(symbol: Symbol) -> str:
    """One path segment for ``symbol``: prefixed with ``=`` so that no name is reserved (CON, NUL)."""
    return "=" + "".join(c if _PLAIN.match(c) else f"%{ord(c):02X}" for c in symbol)


def decode_path(segment: str) -> Symbol:
    """Invert :func:`encode_path`; raises UsageError on a segment it never produces."""
    symbol = parse_symbol(unquote(segment.removeprefix("=")))
    if encode_path(symbol) != segment:
        raise UsageError(f"{_shown(segment)} is not an encoded symbol")
    return symbol


def _shown(text: str) -> str:
    """``text`` for a message: escaped and cut, so that it cannot forge log lines."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")
