"""``listings.toml``: what is read, what is refused and how it is named, what writing keeps."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.errors import ConfigError
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.symbology import LISTINGS_FILE, listings_text, parse_listings, read_listings

META, FB = Symbol("META"), Symbol("FB")
RENAMED = """\
[META]
first = 2022-06-09
predecessor = "FB"

[FB]
last = 2022-06-08
successor = "META"
"""


def test_a_rename_is_two_tables(tmp_path: Path) -> None:
    """Each name has its own bounds and knows the other."""
    (tmp_path / LISTINGS_FILE).write_text(RENAMED)
    assert read_listings(tmp_path) == {
        META: Listing(META, first=dt.date(2022, 6, 9), predecessor=FB, origin=LISTINGS_FILE),
        FB: Listing(FB, last=dt.date(2022, 6, 8), successor=META, origin=LISTINGS_FILE),
    }


def test_without_a_file_nothing_is_stated(tmp_path: Path) -> None:
    """A home need not have one."""
    assert read_listings(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        pytest.param("[META", "", "not valid TOML", id="toml"),
        pytest.param("[META]\nfrist = 2022-06-09\n", "META.frist", "Did you mean 'first'", id="typo"),
        pytest.param("[META]\nfoo = 1\n", "META.foo", "Known here: first, last", id="unknown key"),
        pytest.param("[BRK.B]\nfirst = 1996-05-09\n", "BRK.B", 'needs quotes: ["BRK.B"]', id="a dot"),
        pytest.param('[META]\nfirst = "2022-06-09"\n', "META.first", "without quotes", id="quoted date"),
        pytest.param("[META]\nfirst = 2022\n", "META.first", "not a date", id="a number"),
        pytest.param("[META]\nfirst = 2022-06-09T00:00:00Z\n", "META.first", "not a date", id="an instant"),
        pytest.param("[META]\npredecessor = 7\n", "META.predecessor", "not a symbol", id="number as name"),
        pytest.param('[META]\nsuccessor = "a b"\n', "META.successor", "is not a symbol", id="no symbol"),
        pytest.param('[META]\nsuccessor = "META"\n', "META", "names itself", id="itself"),
        pytest.param("[meta]\nlast = 2022-06-08\n", "meta", "Write META", id="lower case"),
        pytest.param('["../x"]\nlast = 2022-06-08\n', "../x", "is not a symbol", id="path"),
        pytest.param("META = 2022-06-08\n", "META", "is no table", id="no table"),
        pytest.param(
            "[FB]\nfirst = 2022-06-09\nlast = 2012-05-18\n", "FB.first", "used twice", id="ends first"
        ),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, key: str, says: str) -> None:
    """The file, the dotted key and what to write instead."""
    (tmp_path / LISTINGS_FILE).write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_listings(tmp_path)
    assert refused.value.key == key
    assert LISTINGS_FILE in str(refused.value)
    assert says in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """The same error, not a traceback."""
    (tmp_path / LISTINGS_FILE).write_bytes(b"[FB]\n\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_listings(tmp_path)


def test_a_folder_of_that_name_is_refused(tmp_path: Path) -> None:
    """What is there and cannot be read never means that nothing is stated."""
    (tmp_path / LISTINGS_FILE).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_listings(tmp_path)


def test_writing_keeps_what_others_typed() -> None:
    """Comments, order and other symbols stay; only the keys of the symbols named change."""
    typed = (
        '# ours\n["BRK.B"]  # Omaha\n# once listed elsewhere\nfirst = 2010-01-21\nlast = 2030-01-02\n\n'
        + RENAMED
    )
    brk = Symbol("BRK.B")
    text = listings_text([Listing(brk, first=dt.date(1996, 5, 9))], typed)
    assert text == typed.replace("first = 2010-01-21\nlast = 2030-01-02\n", "").replace(
        "# Omaha\n", "# Omaha\nfirst = 1996-05-09\n"
    )
    found = parse_listings(text, Path(LISTINGS_FILE))
    assert found[brk] == Listing(brk, first=dt.date(1996, 5, 9), origin=LISTINGS_FILE)
    assert {META, FB} < found.keys()


SYMBOLS = st.sampled_from(
    [Symbol(name) for name in ("FB", "META", "BRK.B", "COINBASE:BTC-USD", "A_B", "007")]
)
DATES = st.none() | st.dates(dt.date(1990, 1, 1), dt.date(2030, 1, 1))


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    """Any listing that the file may hold."""
    symbol, first, last = draw(SYMBOLS), draw(DATES), draw(DATES)
    others = st.none() | SYMBOLS.filter(lambda other: other != symbol)
    if first and last and first > last:
        first, last = last, first
    return Listing(symbol, first, last, draw(others), draw(others), LISTINGS_FILE)


@given(st.lists(listings(), max_size=6), st.lists(listings(), max_size=3))
def test_what_is_written_is_read(before: list[Listing], after: list[Listing]) -> None:
    """Writing twice says the same as writing once what was said last."""
    text = listings_text(after, listings_text(before))
    wanted = {listing.symbol: listing for listing in (*before, *after)}
    assert parse_listings(text, Path(LISTINGS_FILE)) == wanted
