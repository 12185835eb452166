"""Canonical symbols and their path encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.errors import UsageError
from mdc_resources.domain.symbols import Symbol, decode_path, encode_path, parse_symbol, parse_symbols

ALLOWED = st.from_regex(r"[A-Z0-9][A-Z0-9._:\-]{0,31}", fullmatch=True).filter(lambda s: ".." not in s)
HOSTILE = [
    "",
    ".",
    "..",
    "../../etc",
    "/etc/passwd",
    "C:\\x",
    "A/B",
    "aux.txt\n",
    "A%2FB",
    "%2e%2e%2f",
    "ＡＡＰＬ",
    "ß",
    "é",
    "A\x00B",
    "A B",
    "A" * 33,
    "-rf",
    "=1+1",
    "A|B",
    "A..B",
    "BTC/USD",
    "A\r\nB",
    "\x1b[31mRED",
    "' OR 1=1--",
    "A,B",
    "ſ",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_is_refused(text: str) -> None:
    """Whatever could escape a path, a key or a query never becomes a symbol."""
    with pytest.raises(UsageError) as caught:
        parse_symbol(text)
    assert not any(c in str(caught.value) for c in "\n\r\x1b\x00"), "the message must not forge log lines"


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("aapl", "AAPL"),
        ("brk.b", "BRK.B"),
        ("coinbase:btc-usd", "COINBASE:BTC-USD"),
        ("007", "007"),
        ("TRUE", "TRUE"),
        ("null", "NULL"),
        ("1E5", "1E5"),
        ("CON", "CON"),
        ("nul", "NUL"),
        ("__HIVE_DEFAULT_PARTITION__".strip("_"), "HIVE_DEFAULT_PARTITION"),
    ],
)
def test_symbols_become_canonical(text: str, symbol: str) -> None:
    """Case is folded; names that other formats mistake for values stay text."""
    assert parse_symbol(text) == symbol


@given(ALLOWED)
def test_encoding_is_reversible_and_safe(text: str) -> None:
    """decode(encode(s)) == s, and the segment is no reserved name and holds no separator."""
    segment = encode_path(parse_symbol(text))
    assert decode_path(segment) == text
    assert segment.startswith("=")
    assert not set(segment) & set("/\\:.\x00 ")


@given(ALLOWED, ALLOWED)
def test_encoding_is_injective_without_case(a: str, b: str) -> None:
    """Two symbols never collide, on a case-insensitive file system either."""
    if a != b:
        assert encode_path(Symbol(a)).casefold() != encode_path(Symbol(b)).casefold()


@pytest.mark.parametrize("segment", ["AAPL", "=aapl", "=A%2fB", "=%41", "=..", "="], ids=ascii)
def test_foreign_segments_are_refused(segment: str) -> None:
    """Only what encode_path wrote is read back."""
    with pytest.raises(UsageError):
        decode_path(segment)


def test_lists_keep_order_and_drop_repeats() -> None:
    """A comma list and separate words mean the same."""
    assert parse_symbols(["msft,aapl", " AAPL ", "nvda,"]) == ["MSFT", "AAPL", "NVDA"]
