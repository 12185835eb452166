"""What equity decoders share: numbers as text, units of time, round lots, spellings."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.symbols import Symbol
from mdc_resources.providers.decoding.bodies import NumberText
from mdc_resources.providers.decoding.frames import (
    MALFORMED,
    Flaw,
    Symbols,
    decoder_of,
    hundredfold,
    nanos,
    number,
    parts,
    spelled_as_listed,
)
from mdc_resources.providers.live import Subscription, feed

ANYTHING = decoder_of(object)


@pytest.mark.parametrize(
    "text", ["0", "1", "1.10", "123456789.123456789", "1e-8", "6.38e+07", "9" * 30, "0.1" + "0" * 40]
)
def test_numbers_keep_their_characters(text: str) -> None:
    """Fractions, exponents and whole numbers come out as they were written, as plain text."""
    found = number(ANYTHING.decode(text.encode()), "p")
    assert found == text
    assert type(found) is str


@pytest.mark.parametrize("cell", [b'"1.5"', b"null", b"true", b"[1]", b'{"a":1}'])
def test_what_is_no_number_is_a_flaw(cell: bytes) -> None:
    """Strings least of all: a vendor that quotes its prices has changed its dialect."""
    with pytest.raises(Flaw, match=r"^p"):
        number(ANYTHING.decode(cell), "p")


@given(st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=6))
def test_a_hundred_shares_a_lot_exactly(lots: Decimal) -> None:
    """Multiplication is on the text and loses nothing."""
    assert Decimal(hundredfold(f"{lots:f}")) == lots * 100


@pytest.mark.parametrize(("lots", "shares"), [("0", "0"), ("3", "300"), ("1.5e3", "1.5e5"), ("5e-1", "5e1")])
def test_lots_with_an_exponent(lots: str, shares: str) -> None:
    """Also in the notation of large numbers."""
    assert hundredfold(lots) == shares


def test_an_exponent_without_end_is_a_flaw() -> None:
    """A number that would fill the memory is not computed."""
    with pytest.raises(Flaw):
        hundredfold("1e99999999999")


@pytest.mark.parametrize(
    "value", [None, True, 0, 10**14, 10**17 - 1, 2**63, NumberText("1796036818784.0"), "1796036818784"]
)
def test_only_milliseconds_and_nanoseconds_are_instants(value: object) -> None:
    """Everything else is a flaw, never an instant of 1970."""
    with pytest.raises(Flaw):
        nanos(value)


def test_symbols_are_read_once_and_must_be_spelled_as_promised() -> None:
    """Canonical as listed, or all lower case with a dash for the share class."""
    listed, small = Symbols(), Symbols(lower=True)
    assert [listed["BRK.B"], listed["BRK.B"], small["brk-b"]] == ["BRK.B"] * 3
    assert dict(small) == {"brk-b": "BRK.B"}
    for symbols, spelled in ((listed, "aapl"), (listed, "A PL"), (small, "AAPL"), (small, "")):
        with pytest.raises(Flaw):
            symbols[spelled]


def test_symbols_do_not_grow_without_end() -> None:
    """Garbage that looks like symbols is forgotten again."""
    symbols = Symbols()
    for at in range(70_000):
        symbols[f"X{at}"]
    assert len(symbols) <= 1 << 16


def test_parts_of_a_frame_are_its_own_bytes() -> None:
    """What is rejected is kept as it was sent, spaces and digits included."""
    assert list(parts(b'[ {"p": 1.50}, null ]')) == [b'{"p": 1.50}', b"null"]
    with pytest.raises(MALFORMED):
        parts(b'{"p": 1.50}')


def test_wishes_are_taken_once_each() -> None:
    """Repetitions in the settings are no second subscription."""
    wish = Subscription(Dataset.TRADES, Symbol("AAPL"))
    assert spelled_as_listed(feed("alpaca").spec, [wish, wish]) == (wish,)
