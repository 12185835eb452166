"""Numbers are read exactly, or their row says why not."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mdc_resources.domain.datasets import NumberEncoding
from mdc_resources.providers.decoding.numbers import Numbers, read_floats, read_one, read_texts, shortest
from mdc_resources.schema.arrow import PRICE, SIZE

FLOAT32, FLOAT64 = NumberEncoding.FLOAT32, NumberEncoding.FLOAT64


def _read(*texts: str | None, kind: pa.Decimal128Type = PRICE, derived: bool = False) -> Numbers:
    return read_texts(pa.array(texts, pa.string()), kind, derived=derived)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("34.1", "34.1"),
        ("-0.5", "-0.5"),
        ("+7", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e-9", "0.000000001"),
        ("6.3896155e+07", "63896155"),
        ("1.5E3", "1500"),
        ("0", "0"),
        ("-0", "0"),
        ("0e999", "0"),
        ("1.1000000000000", "1.1"),
        ("999999999.999999999", "999999999.999999999"),
        ("000000000000000000012.5", "12.5"),
    ],
)
def test_text_is_taken_exactly(text: str, value: str) -> None:
    """The text is the number, in plain or scientific notation."""
    found = _read(text)
    assert found.errors == {}
    assert found.values[0].as_py() == Decimal(value)
    assert not found.rounded


@pytest.mark.parametrize(
    "text",
    [
        "", " 1", "1 ", "1,5", "1.234,50", "1_0", "0x10", "NaN", "nan", "Infinity", "-inf", "١٢", "1.2.3",
        "e5", "1e", "--1", "=1+1", "1" * 101,
    ],
)  # fmt: skip
@pytest.mark.parametrize("derived", [False, True], ids=["quoted", "derived"])
def test_what_is_no_plain_number_is_an_error_of_its_row(text: str, derived: bool) -> None:
    """Separators, NaN, other scripts and formulas are refused, quoted or derived."""
    found = _read("1.5", text, "2.5", derived=derived)
    assert list(found.errors) == [1]
    assert found.values.to_pylist() == [Decimal("1.5"), None, Decimal("2.5")]


def test_a_missing_number_is_null_and_no_error() -> None:
    """Null stays null, whether or not another row needs the slow reader."""
    assert _read(None, "1").values.to_pylist() == [None, Decimal(1)]
    assert _read(None, "x").values.to_pylist() == [None, None]
    assert _read(None, "x").errors.keys() == {1}


@pytest.mark.parametrize("text", ["1.1234567891", "1e-10", "0.0000000005"])
def test_a_quoted_number_with_a_tenth_decimal_is_refused(text: str) -> None:
    """Quoted prices are never rounded."""
    assert "more than 9 decimals" in _read(text).errors[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.1234567891", "1.123456789"),
        ("0.0000000005", "0"),
        ("0.0000000015", "0.000000002"),
        ("0.0000000025", "0.000000002"),
        ("-2.0000000015", "-2.000000002"),
        ("1e-99999", "0"),
    ],
)
def test_a_derived_number_is_rounded_half_even_and_flagged(text: str, value: str) -> None:
    """Vendor-computed numbers lose what does not fit, and say so."""
    found = _read("1", text, derived=True)
    assert found.values.to_pylist() == [Decimal(1), Decimal(value)]
    assert found.rounded == {1}


@pytest.mark.parametrize("text", ["1000000000", "1e400", "-1e18", "1" * 40, "999999999.9999999999"])
@pytest.mark.parametrize("derived", [False, True], ids=["quoted", "derived"])
def test_a_number_too_large_for_its_column_is_refused(text: str, derived: bool) -> None:
    """Overflow is an error even for derived numbers: there is nothing to round to."""
    assert list(_read(text, derived=derived).errors) == [0]


def test_sizes_have_eight_decimals_and_twenty_digits() -> None:
    """Volumes of coins and adjusted shares keep their fractions."""
    found = _read("9100614.97149370", "12345678901234567890.12345678", kind=SIZE)
    assert found.values.to_pylist() == [Decimal("9100614.9714937"), Decimal("12345678901234567890.12345678")]
    assert _read("0.000000001", kind=SIZE).errors


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-999999999, max_value=999999999)
)
def test_any_price_that_fits_round_trips(value: Decimal) -> None:
    """Reading the text of a decimal gives that decimal."""
    assert _read(str(value)).values[0].as_py() == value


@given(st.text(alphabet="0123456789.+-eE _,nN", max_size=24))
@example("1e-400")
@example("9" * 24)
def test_the_fast_and_the_slow_reader_agree(text: str) -> None:
    """A number reads the same alone and beside a row that forces one-by-one reading."""
    alone, beside = _read(text), _read(text, "not a number")
    assert alone.values[0].as_py() == beside.values[0].as_py()
    assert alone.errors.get(0) == beside.errors.get(0)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**8), max_value=10**8))
def test_rounding_is_pythons_half_even(value: Decimal) -> None:
    """Derived numbers agree with decimal.quantize."""
    fitted, rounded = read_one(f"{value:f}"[:99], PRICE, derived=True)
    exact = Decimal(f"{value:f}"[:99])
    assert fitted == exact.quantize(Decimal("1e-9"), rounding=ROUND_HALF_EVEN)
    assert rounded == (fitted != exact)


@pytest.mark.parametrize(
    ("double", "text"),
    [
        (34.099998474121094, "34.1"),
        (166.69000244140625, "166.69"),
        (0.09883400052785873, "0.098834"),
        (13.2034912109375, "13.203491"),
        (1505.0, "1505"),
        (100000.0, "100000"),
    ],
)
def test_a_widened_single_reads_as_its_shortest_decimal(double: float, text: str) -> None:
    """34.099998474121094 is what a JSON writer makes of the single 34.1."""
    found = read_floats(np.array([double]), PRICE, encoding=FLOAT32)
    assert found.values[0].as_py() == Decimal(text)


def test_a_double_that_is_no_widened_single_keeps_its_digits() -> None:
    """Under float32 a true double is read as a double, beside singles in the same column."""
    column = np.array([34.099998474121094, 1234567.89, 0.1])
    texts = shortest(column, encoding=FLOAT32).to_pylist()
    assert [Decimal(text) for text in texts] == [Decimal("34.1"), Decimal("1234567.89"), Decimal("0.1")]


def test_float64_is_the_shortest_double() -> None:
    """Under float64 nothing is taken for a single."""
    found = read_floats(np.array([34.099998474121094, 0.1]), SIZE, encoding=FLOAT64, derived=True)
    assert found.values.to_pylist() == [Decimal("34.09999847"), Decimal("0.1")]
    assert found.rounded == {0}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, 1e300])
@pytest.mark.parametrize("encoding", [FLOAT32, FLOAT64])
def test_floats_that_are_no_prices_are_errors_of_their_rows(value: float, encoding: NumberEncoding) -> None:
    """NaN, infinities and overflow reject a row; its neighbours stay."""
    found = read_floats(np.array([1.5, value]), PRICE, encoding=encoding, derived=True)
    assert list(found.errors) == [1]
    assert found.values[0].as_py() == Decimal("1.5")


def test_a_missing_float_is_null_whatever_fills_its_place() -> None:
    """The mask decides, not the placeholder."""
    found = read_floats(np.array([np.nan, 2.0]), PRICE, encoding=FLOAT32, missing=np.array([True, False]))
    assert found.values.to_pylist() == [None, Decimal(2)]
    assert not found.errors


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=2**-20, max_value=2**29))
def test_singles_round_trip_and_no_shorter_decimal_does(single: float) -> None:
    """The text is the one numpy, an independent implementation, prints for the single."""
    text = shortest(np.array([single]), encoding=FLOAT32)[0].as_py()
    assert np.float32(text) == np.float32(single)
    assert Decimal(text) == Decimal(str(np.float32(single)))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_round_trip_as_python_prints_them(double: float) -> None:
    """The text is the one Python's repr prints for the double."""
    text = shortest(np.array([double]), encoding=FLOAT64)[0].as_py()
    assert float(text) == double
    assert Decimal(text) == Decimal(repr(double))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=50000))
def test_a_price_in_cents_survives_a_vendors_single(price: Decimal) -> None:
    """What an exchange quoted in cents comes back exactly through float32 on the wire."""
    wire = float(np.float32(price))
    assert read_floats(np.array([wire]), PRICE, encoding=FLOAT32).values[0].as_py() == price


@pytest.mark.parametrize("text", ["1e-9999999", "1e9999999", "1E+12345", "9" * 130, "0." + "7679" * 12])
def test_what_arrow_cannot_be_asked_is_read_one_by_one(text: str) -> None:
    """Its cast ends the process on a huge exponent, and wraps around on too many digits."""
    found = read_texts(pa.array(["1.5", text, None], pa.string()), PRICE)
    assert found.values.to_pylist() == [Decimal("1.5"), None, None]
    assert list(found.errors) == [1]


def test_a_derived_number_of_many_digits_is_rounded_not_wrapped() -> None:
    """Half-even at the column's last place."""
    text = "0.7679191919191919191919191919191919191919191919"
    found = read_texts(pa.array([text], pa.string()), PRICE, derived=True)
    assert found.values.to_pylist() == [Decimal("0.767919192")]
    assert found.rounded == {0}
