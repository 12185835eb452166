"""A vendor's words in a message of ours carry no key and forge no line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.providers.decoding.quoting import quoted

KEY = "c8abc123def456ghi789"


@pytest.mark.parametrize(
    "text",
    [
        f"We have detected your API key as {KEY} and our limit is 25 requests",
        f"apikey={KEY}",
        f"api_key: '{KEY}'",
        f"token={KEY}&symbol=IBM",
        f"the key {KEY} is unknown",
        f"{KEY}",
        f'{{"Information": "your API key as {KEY}',
        "your API key as SHORT1 is not valid",
        "your API key as demo",
    ],
)
def test_keys_are_cut_out(text: str) -> None:
    """Named as such, or made of letters and digits like one."""
    shown = quoted(text)
    assert not any(key in shown for key in (KEY, "SHORT1", "as demo"))
    assert "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "Invalid API call. Please retry or visit the documentation for TIME_SERIES_DAILY.",
        "API limit reached. Please try again later. Remaining Limit: 0",
        "You have exceeded your 10-minute call limit as a registered user.",
        "Invalid API key",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """The vendor's sentence is what helps to understand."""
    assert quoted(text) == ascii(text)


@given(st.text(max_size=3000))
def test_whatever_is_said_stays_on_one_short_line(text: str) -> None:
    """Escaped, ASCII, bounded."""
    shown = quoted(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 2100  # two hundred characters, each escaped at most tenfold


@pytest.mark.parametrize("value", [None, 7, ["x"], {"a": 1}])
def test_what_is_no_text_is_shown_as_one(value: object) -> None:
    """A vendor may put anything where a sentence belongs."""
    assert quoted(value) == ascii(str(value))


def test_strange_characters_do_not_make_a_message_longer() -> None:
    """Escaped first, cut then: what cannot be printed takes ten characters each."""
    assert len(quoted("\U0010ffff" * 500)) <= 204
    assert quoted("\U0010ffff" * 500).endswith("...'")
