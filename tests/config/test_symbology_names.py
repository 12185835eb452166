"""Names over time and the FIGI file: pure functions of what a home states."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.errors import ConfigError
from mdc_resources.domain.listings import Listing
from mdc_resources.domain.symbols import Symbol
from mdc_resources.symbology import FIGIS_FILE, Figi, figis_text, is_figi, lineage, name_on, read_figis

RENAMED = dt.date(2022, 6, 9)
FB, META, AAPL = Symbol("FB"), Symbol("META"), Symbol("AAPL")
BOTH = {
    FB: Listing(FB, last=RENAMED - dt.timedelta(days=1), successor=META),
    META: Listing(META, first=RENAMED, predecessor=FB),
}
APPLE = Figi(AAPL, "BBG000B9XRY4", "BBG000B9XRY4", "BBG001S5N8V8", 'Apple, "Inc."', dt.date(2026, 11, 20))
symbols = st.sampled_from([Symbol(s) for s in "ABCDE"])


@pytest.mark.parametrize("asked", [FB, META])
@pytest.mark.parametrize("told", [(FB, META), (FB,), (META,)], ids=["both", "old", "new"])
def test_a_rename_is_followed_from_either_side(asked, told):
    """Also where only one of the two tells it."""
    known = {symbol: BOTH[symbol] for symbol in told}
    names = lineage(known, asked)
    assert [listing.symbol for listing in names] == [FB, META]
    assert name_on(names, dt.date(2021, 1, 4)) == FB
    assert name_on(names, RENAMED - dt.timedelta(days=1)) == FB
    assert name_on(names, RENAMED) == META


def test_a_symbol_of_which_nothing_is_known_is_its_own_history():
    """And was always called so."""
    assert lineage({}, AAPL) == (Listing(AAPL),)
    assert name_on(lineage({}, AAPL), dt.date(1990, 1, 1)) == AAPL


def test_there_may_be_no_name_on_a_date():
    """Before the first one, after the last one."""
    names = lineage({AAPL: Listing(AAPL, dt.date(1980, 12, 12), dt.date(2000, 1, 3))}, AAPL)
    assert name_on(names, dt.date(1980, 12, 11)) is None
    assert name_on(names, dt.date(2000, 1, 4)) is None


@given(st.dictionaries(symbols, st.tuples(st.none() | symbols, st.none() | symbols)), symbols)
def test_circles_and_forks_end(told, asked):
    """Whatever a file says: every name once, the one asked for among them."""
    known = {s: Listing(s, predecessor=before, successor=after) for s, (before, after) in told.items()}
    names = [listing.symbol for listing in lineage(known, asked)]
    assert asked in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("real", ["BBG000BLNNH6", "BBG001S5S399", "BBG000B9XRY4", "BBG001S5N8V8"])
def test_the_check_digit_of_real_figis(real):
    """And of none that differs in one digit of it."""
    assert is_figi(real)
    assert not is_figi(real[:-1] + str((int(real[-1]) + 1) % 10))
    assert not is_figi(real.lower())
    assert not is_figi(f"{real}\n")


def test_figis_are_read_back_as_written(tmp_path):
    """Names with commas and quotes included; a home without the file has none."""
    assert read_figis(tmp_path) == {}
    (tmp_path / FIGIS_FILE).write_text(figis_text({AAPL: APPLE}))
    assert read_figis(tmp_path) == {AAPL: APPLE}
    assert figis_text(read_figis(tmp_path)) == (tmp_path / FIGIS_FILE).read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("symbol\nAAPL\n", "does not begin"),
        ("{head}=cmd(),,,,,2026-11-20\n", "line 2"),
        ("{head}AAPL,,,,,tomorrow\n", "line 2"),
        ("{head}AAPL,BBG000B9XRY5,,,,2026-11-20\n", "not a FIGI"),
        ("{head}AAPL\n", "line 2"),
        ('{head}"AAPL\n', "not a CSV"),
    ],
    ids=["columns", "formula", "date", "check-digit", "short", "quote"],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(tmp_path, text, said):
    """Never half of it."""
    (tmp_path / FIGIS_FILE).write_text(text.replace("{head}", figis_text({})))
    with pytest.raises(ConfigError, match=said):
        read_figis(tmp_path)
