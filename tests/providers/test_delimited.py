"""CSV as columns of text: by name, without guessing, one line at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.errors import PayloadError
from mdc_resources.providers.decoding.delimited import Delimited, read_delimited

HEADER = {"Date": "date", "Px": "close", "Vol": "volume"}


def _read(text: str | bytes, **more: bool) -> Delimited:
    body = text if isinstance(text, bytes) else text.encode()
    return read_delimited(body, header=HEADER, required=("date", "close"), provider="acme", **more)


def _column(found: Delimited, name: str) -> list[str | None]:
    values: list[str | None] = found.columns[name].to_pylist()
    return values


def test_columns_are_found_by_name_in_any_order() -> None:
    """Unknown columns are named and left out."""
    found = _read("Px,Note,Date\n1.50,x,2024-03-04\n")
    assert _column(found, "close") == ["1.50"]
    assert found.ignored == ("Note",)
    assert set(found.columns) == {"date", "close"}


def test_values_stay_text() -> None:
    """Leading zeros, exponents and booleans are not interpreted."""
    assert _column(_read("Date,Px\na,007\nb,1e5\nc,true\nd,0x1F\n"), "close") == [
        "007",
        "1e5",
        "true",
        "0x1F",
    ]


def test_an_empty_field_is_null_and_a_blank_line_nothing() -> None:
    """Missing is missing."""
    found = _read("Date,Px\na,\n\nb,2\n")
    assert _column(found, "close") == [None, "2"]


@pytest.mark.parametrize("text", ["NA", "NaN", "null", "N/A", "#N/A"])
def test_no_word_means_missing(text: str) -> None:
    """What a vendor writes is shown to the number reader as it is."""
    assert _column(_read(f"Date,Px\na,{text}\n"), "close") == [text]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Date,Vol\na,1\n", "has no close"),
        ("", "has no date, close"),
        ("Date,Px,Px\n", "names a column twice"),
        ("Date;Px\na;1\n", "has no date, close"),
    ],
)
def test_a_header_that_lacks_something_refuses_the_body(text: str, says: str) -> None:
    """And the message shows what stood there."""
    with pytest.raises(PayloadError, match=says):
        _read(text)


def test_a_broken_line_costs_itself() -> None:
    """Too few or too many fields: reported with the text, the others stand."""
    found = _read("Date,Px\na,1\nb\nc,3,4\nd,5\n")
    assert _column(found, "date") == ["a", "d"]
    assert [line for _, line in found.broken] == ["b", "c,3,4"]
    assert len(found) == 2


def test_a_body_that_stops_inside_a_line_breaks_that_line() -> None:
    """Unless the writer is known to leave the last line end out."""
    assert _column(_read("Date,Px\na,1\nb,2"), "close") == ["1"]
    assert _read("Date,Px\na,1\nb,2").broken == (("the body ends inside this line", "b,2"),)
    assert _column(_read("Date,Px\na,1\nb,2", ends_with_newline=False), "close") == ["1", "2"]


def test_quotes_are_text_unless_declared() -> None:
    """A vendor that never quotes cannot hide a line end in a quote."""
    assert _column(_read('Date,Px\na,"1"\n'), "close") == ['"1"']
    assert _column(_read('Date,Px\na,"1,5"\n', quoted=True), "close") == ["1,5"]


def test_a_row_can_be_shown() -> None:
    """For the quarantine."""
    assert _read("Date,Px\na,1\n").raw(0) == '{"date": "a", "close": "1"}'


CELL = st.text(alphabet="abc019.-+ é", max_size=6)


@given(st.lists(st.tuples(CELL, CELL), max_size=20), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(lines: list[tuple[str, str]], end: str) -> None:
    """Any cells without separators come back as they were, empty ones as null."""
    found = _read("".join(f"{a},{b}{end}" for a, b in [("Date", "Px"), *lines]))
    assert _column(found, "date") == [a or None for a, _ in lines]
    assert _column(found, "close") == [b or None for _, b in lines]
