"""``mdc symbols`` and ``mdc universe``: membership changes on purpose, whole or not at all."""

from __future__ import annotations

import tomllib

import pytest

HOSTILE = [
    "../../etc", "..", "/etc/passwd", "C:\\x", "A%2FB", "%2e%2e%2f", "ＡＡＰＬ", "ß", "A\x1b[31mB", "A B", "",
    "X" * 300, "=1+1", "A\nB", "' OR 1=1--", "BTC/USD", "__HIVE_DEFAULT_PARTITION__", "A|B",
]  # fmt: skip


def symbols_of(mdc, *words):
    """Symbols as `symbols list` tells them."""
    return [row["symbol"] for row in mdc("symbols", "list", *words, "--json").json]


def test_list_names_shard_and_calendar(mdc):
    """A person finds the asset and the calendar of each symbol."""
    mdc("symbols", "add", "--universe", "us", "brk.b", "AAPL")
    rows = mdc("symbols", "list", "--json").json
    assert rows[0] == {
        "symbol": "BRK.B", "universe": "us", "shard": "us_00", "calendar": "XNYS", "active": True,
    }  # fmt: skip
    table = mdc("symbols", "list").out
    assert "us_00" in table
    assert "XNYS" in table


@pytest.mark.parametrize("name", ["TRUE", "NULL", "NAN", "NA", "INF", "ON", "NO", "1E5", "007", "CON", "NUL"])
def test_tickers_that_look_like_values_stay_text(mdc, name):
    """Added, listed, exported and queried under their own name."""
    assert mdc("symbols", "add", "--universe", "us", name).code == 0
    assert symbols_of(mdc) == [name]
    assert mdc("symbols", "export", "--universe", "us").out.splitlines()[1] == f"{name},true"


def test_case_does_not_matter(mdc):
    """aapl and AAPL are one symbol."""
    mdc("symbols", "add", "--universe", "us", "aapl", "AAPL")
    assert symbols_of(mdc) == ["AAPL"]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_symbols_are_refused_and_nothing_is_added(mdc, text):
    """Exit 2, one printable line, no member; a good symbol beside it is not added either."""
    ran = mdc("symbols", "add", "--universe", "us", "--", "MSFT", text or " , ")
    if text:
        assert ran.code == 2
        assert all(line.isprintable() for line in ran.err.splitlines())
        assert symbols_of(mdc) == []


def test_an_option_lookalike_is_a_usage_error(mdc):
    """-rf is no symbol."""
    assert mdc("symbols", "add", "--universe", "us", "-rf").code == 2


def test_removing_keeps_the_place(mdc):
    """Removed means inactive: listed with --all, and back in its seat when added again."""
    mdc("symbols", "add", "--universe", "us", "AAPL", "MSFT", "KO")
    assert mdc("symbols", "remove", "--universe", "us", "MSFT").code == 0
    assert symbols_of(mdc) == ["AAPL", "KO"]
    assert symbols_of(mdc, "--all") == ["AAPL", "MSFT", "KO"]
    mdc("symbols", "add", "--universe", "us", "MSFT")
    assert symbols_of(mdc) == ["AAPL", "MSFT", "KO"]


def test_removing_a_stranger_is_an_error_and_removes_nobody(mdc):
    """All or none."""
    mdc("symbols", "add", "--universe", "us", "AAPL")
    ran = mdc("symbols", "remove", "--universe", "us", "AAPL", "ZZZZ")
    assert ran.code == 2
    assert "ZZZZ" in ran.err
    assert symbols_of(mdc) == ["AAPL"]


@pytest.mark.parametrize("verb", ["add", "remove"])
def test_dry_run_changes_nothing(mdc, verb):
    """Says what would happen."""
    mdc("symbols", "add", "--universe", "us", "AAPL")
    ran = mdc("symbols", verb, "--universe", "us", "AAPL" if verb == "remove" else "MSFT", "--dry-run")
    assert ran.code == 0
    assert "nothing was changed" in ran.err
    assert symbols_of(mdc) == ["AAPL"]


def test_a_dry_run_refuses_what_the_real_one_would(mdc):
    """Too many symbols are an error before anything is added."""
    many = [f"S{n}" for n in range(41)]
    dry = mdc("symbols", "add", "--universe", "us", "--dry-run", *many)
    real = mdc("symbols", "add", "--universe", "us", *many)
    assert dry.code == real.code == 2
    assert "universe grow" in dry.err
    assert "universe grow" in real.err
    assert symbols_of(mdc) == []


def test_an_unknown_universe_names_the_nearest(mdc):
    """A typo is answered with the right name."""
    ran = mdc("symbols", "add", "--universe", "uss", "AAPL")
    assert ran.code == 2
    assert "'us'" in ran.err


def test_grow_changes_one_number_and_keeps_the_comments(mdc):
    """The edited file differs from the old one in exactly that line."""
    before = mdc.toml.read_text()
    ran = mdc("universe", "grow", "us", "--shards", "3", "--json")
    assert ran.json == {"universe": "us", "before": 1, "after": 3, "dry_run": False}
    after = mdc.toml.read_text()
    changed = [(a, b) for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]
    assert len(changed) == 1
    assert tomllib.loads(after)["universes"]["us"]["shards"] == 3
    assert mdc("universe", "list", "--json").json[0]["capacity"] == 120


def test_grow_makes_room(mdc):
    """What was refused before fits afterwards."""
    many = [f"S{n}" for n in range(41)]
    assert mdc("symbols", "add", "--universe", "us", *many).code == 2
    mdc("universe", "grow", "us")
    assert mdc("symbols", "add", "--universe", "us", *many).code == 0
    assert mdc("symbols", "list", "--json").json[40]["shard"] == "us_01"


def test_grow_dry_run_leaves_the_file(mdc):
    """Not a byte."""
    before = mdc.toml.read_bytes()
    assert mdc("universe", "grow", "us", "--shards", "9", "--dry-run").code == 0
    assert mdc.toml.read_bytes() == before


@pytest.mark.parametrize("shards", ["0", "1", "501", "-3"])
def test_grow_refuses_to_shrink_or_to_overflow(mdc, shards):
    """A shard is an asset with a history: it never goes away."""
    assert mdc("universe", "grow", "us", "--shards", shards).code == 2


def test_grow_writes_a_section_where_the_defaults_rule(mdc):
    """A universe that exists by default only gets its own section, and nothing else changes."""
    text = mdc.toml.read_text()
    start, end = text.index("[universes.us]"), text.index("[datasets.bars_1d]")
    mdc.toml.write_text(text[:start] + text[end:])
    assert mdc("universe", "grow", "us").code == 0
    assert mdc("universe", "list", "--json").json[0]["shards"] == 2


def test_grow_refuses_what_the_environment_sets(mdc, monkeypatch):
    """Editing the file would change nothing."""
    monkeypatch.setenv("MDC__UNIVERSES__US__SHARDS", "2")
    ran = mdc("universe", "grow", "us", "--shards", "3")
    assert ran.code == 2
    assert "environment" in ran.err


def test_grow_refuses_a_file_it_cannot_edit_safely(mdc):
    """An inline table is left alone, and the message says what to write."""
    text = mdc.toml.read_text()
    start, end = text.index("[universes.us]"), text.index("[datasets.bars_1d]")
    mdc.toml.write_text("universes = { us = { shards = 1 } }\n" + text[:start] + text[end:])
    before = mdc.toml.read_bytes()
    ran = mdc("universe", "grow", "us")
    assert ran.code in (2, 70)
    assert mdc.toml.read_bytes() == before
