"""Rows of exact JSON, a column at a time: what is no number stays none, and costs its row alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mdc_resources.domain.errors import PayloadError
from mdc_resources.providers.decoding.bodies import load_exact
from mdc_resources.providers.decoding.json_rows import JsonRows
from mdc_resources.schema.arrow import PRICE, SIZE
from tests.providers.asking import plain


def rows_of(body: str) -> JsonRows:
    """The rows of a JSON list."""
    return JsonRows(load_exact(body.encode(), provider="test"))


def test_arrays_and_objects_are_both_rows() -> None:
    """A column is a position of the one and a key of the other."""
    assert rows_of('[["a", "1.5"]]').column(1) == ["1.5"]
    assert rows_of('[{"p": "1.5"}]').column("p") == ["1.5"]
    assert rows_of('[{"q": 1}]').column("p") == [None]


@pytest.mark.parametrize("body", ["[7]", "[null]", '["x"]', "[{}]", "[[]]", "[true]"])
def test_a_row_of_another_kind_is_an_error_of_its_own(body: str) -> None:
    """Named by what came instead."""
    rows = rows_of(body)
    assert rows.column(0) == [None]
    assert list(rows.errors) == [0]


def test_the_first_thing_that_is_wrong_is_told() -> None:
    """Later columns do not hide it."""
    rows = rows_of('[{"a": "x", "b": null}]')
    rows.integers("a")
    rows.integers("b")
    assert rows.errors[0].startswith("a:")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9007199254740993", 2**53 + 1),
        ("9223372036854775807", 2**63 - 1),
        ("-7", -7),
        ("0", 0),
        ("1.7e3", 1700),
        ("5.0", 5),
    ],
)
def test_whole_numbers_are_exact(text: str, value: int) -> None:
    """To 64 bits, in any notation."""
    rows = rows_of(f"[[{text}]]")
    assert (rows.integers(0).tolist(), rows.errors) == ([value], {})


@pytest.mark.parametrize(
    "text", ["1.5", '"7"', "null", "true", "[]", "{}", "9223372036854775808", "1e400", "NaN"]
)
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    """A text, too: another dialect's."""
    rows = rows_of(f"[[{text}]]")
    rows.integers(0)
    assert list(rows.errors) == [0]


@pytest.mark.parametrize(
    ("cell", "quoted", "good"),
    [('"1.5"', True, True), ("1.5", True, False), ('"1.5"', False, False), ("1.5", False, True),
     ("true", True, False), ("true", False, False), ("[]", True, False), ("NaN", False, False)],
)  # fmt: skip
def test_decimals_are_texts_or_numbers_never_either(cell: str, quoted: bool, good: bool) -> None:
    """What a vendor quotes it always quotes."""
    found = rows_of(f"[[{cell}]]").decimals(0, PRICE, quoted=quoted)
    assert (list(found.errors) == []) is good
    assert plain(found.values[0].as_py()) == ("1.5" if good else "null")


def test_null_is_missing_and_not_wrong() -> None:
    """Whether it may be is for the caller to say."""
    found = rows_of("[[null]]").decimals(0, PRICE, quoted=True)
    assert (found.values.null_count, dict(found.errors)) == (1, {})


def test_only_derived_numbers_are_rounded() -> None:
    """And then the row is known."""
    rows = rows_of("[[0.123456785], [1]]")
    assert list(rows.decimals(0, SIZE, quoted=False).errors) == [0]
    found = rows.decimals(0, SIZE, quoted=False, derived=True)
    assert (plain(found.values[0].as_py()), found.rounded) == ("0.12345678", frozenset({0}))


@pytest.mark.parametrize(
    ("cell", "value"), [('"1.5"', 1.5), ("2", 2.0), ("null", None), ('"x"', None), ("[]", None)]
)
def test_statistics_are_doubles_or_nothing(cell: str, value: float | None) -> None:
    """A bad average costs no row."""
    rows = rows_of(f"[[{cell}]]")
    assert (rows.doubles(0), rows.errors) == ([value], {})


def test_a_page_of_which_nothing_can_be_read_is_no_page() -> None:
    """An empty one is."""
    rows = rows_of('[["x"], [null]]')
    rows.integers(0)
    with pytest.raises(PayloadError, match="2 rows of which none"):
        rows.readable("test")
    empty = rows_of("[]")
    empty.integers(0)
    assert len(empty.readable("test")) == 0


@pytest.mark.parametrize("row", [[1, "2"], {"a": None}, 7])
def test_a_row_is_shown_as_it_came(row: Any) -> None:
    """Numbers in their own characters."""
    shown = rows_of(json.dumps([row])).raw(0)
    assert len(shown) >= len(json.dumps(row)) - 1
