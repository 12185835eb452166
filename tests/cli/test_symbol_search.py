"""``mdc symbols search|identify|history`` against the sandbox's vendors."""

from __future__ import annotations

import pytest

from mdc_resources.sandbox.dialects.symbol_search import figi_of
from mdc_resources.symbology import FIGIS_FILE, is_figi, read_figis

KEYED = """\
ALPACA_KEY_ID=k1234567a
ALPACA_SECRET_KEY=k1234567b
POLYGON_API_KEY=k1234567c
FINNHUB_API_KEY=k1234567d
"""


@pytest.fixture
def keyed(mdc):
    """A home with the keys of all sources."""
    for name in ("polygon", "finnhub"):
        mdc.append(f'\n[providers.{name}]\nbase_url = "{mdc.server.url}/{name}"\nlimits = {{}}\n')
    dotenv = mdc.root / ".env"
    dotenv.write_text(f"DAGSTER_HOME={mdc.root}/dagster_home\n{KEYED}")
    return mdc


def targets(mdc, name):
    """Paths that vendor ``name`` was asked for."""
    return [r["path"] for r in mdc.server.requests()["requests"] if r["provider"] == name]


def symbols_of(ran):
    """The hits' symbols, best first."""
    return [hit["symbol"] for hit in ran.json["hits"]]


def test_four_sources_are_merged_and_ranked(keyed):
    """Ticker first, then names that begin so, then names that contain it; FIGIs come along."""
    ran = keyed("symbols", "search", "apple", "--json")
    assert ran.code == 0, ran.err
    assert sorted(ran.json["asked"]) == ["alpaca", "finnhub", "openfigi", "polygon"]
    assert (ran.json["errors"], ran.json["left_out"]) == ({}, {})
    assert symbols_of(ran) == ["AAPL", "APLE", "THIN"]
    first = ran.json["hits"][0]
    assert first["sources"] == ["alpaca", "finnhub", "openfigi", "polygon"]
    assert (first["name"], first["composite_figi"]) == ("Apple Inc.", figi_of("AAPL US"))
    assert first["disputed"] == []


@pytest.mark.parametrize("typed", ["brk.b", "BRK/B", " brk.b "])
def test_the_exact_ticker_is_first_however_it_is_spelt(keyed, typed):
    """BRK/B is what OpenFIGI says."""
    assert symbols_of(keyed("symbols", "search", typed, "--json"))[0] == "BRK.B"


def test_each_source_is_asked_once_and_nothing_but_raw_answers_is_stored(keyed):
    """One request each."""
    keyed.server.clear_requests()
    before = set(keyed.files())
    keyed("symbols", "search", "micro")
    assert [len(targets(keyed, name)) for name in ("alpaca", "finnhub", "polygon", "openfigi")] == [1] * 4
    assert all(name.startswith("raw/") for name in set(keyed.files()) - before)


def test_limit_and_provider_narrow_it(keyed):
    """One source, one hit."""
    ran = keyed("symbols", "search", "apple", "--limit", "1", "--provider", "finnhub", "--json")
    assert (ran.json["asked"], symbols_of(ran)) == (["finnhub"], ["AAPL"])


def test_a_source_that_fails_is_named_and_the_others_answer(keyed):
    """Exit 0; the reason is told without the key."""
    keyed.append("\n[transport]\nmax_attempts = 1\n")
    keyed.server.add_fault("polygon", "status", every=1, params={"status": 500, "body": "k1234567c"})
    keyed.server.add_fault("finnhub", "html200", every=1)
    ran = keyed("symbols", "search", "apple", "--json")
    assert ran.code == 0
    assert set(ran.json["errors"]) == {"polygon", "finnhub"}
    assert ran.json["hits"][0]["sources"] == ["alpaca", "openfigi"]
    assert "k1234567c" not in ran.out + ran.err


def test_exit_3_where_every_source_fails(keyed):
    """And no hits."""
    keyed.append("\n[transport]\nmax_attempts = 1\n")
    keyed.server.add_fault("*", "status", every=1, params={"status": 503})
    ran = keyed("symbols", "search", "apple")
    assert ran.code == 3
    assert "503" in ran.err


def test_a_source_without_its_key_is_left_out_but_openfigi_needs_none(mdc):
    """Named with what it lacks."""
    (mdc.root / ".env").write_text("")
    ran = mdc("symbols", "search", "apple", "--json")
    assert ran.json["asked"] == ["openfigi"]
    assert set(ran.json["left_out"]) == {"polygon", "alpaca", "finnhub"}
    assert "ALPACA_KEY_ID" in ran.json["left_out"]["alpaca"]


def test_a_sandbox_home_asks_nobody_outside(mdc):
    """Keys or not: what is not served locally is left out."""
    (mdc.root / ".env").write_text(KEYED)
    mdc.toml.write_text(mdc.toml.read_text().partition("[search.urls]")[0])
    ran = mdc("symbols", "search", "apple", "--json")
    assert ran.json["asked"] == ["alpaca"]
    assert "sandbox" in ran.json["left_out"]["openfigi"]


def test_nothing_found_is_exit_1(keyed):
    """A finding, not a failure."""
    ran = keyed("symbols", "search", "zzzzzz")
    assert (ran.code, ran.out) == (1, "")
    assert "nothing was found" in ran.err


@pytest.mark.parametrize("typed", ["", "   ", "x" * 101, "a\x1b[31m", "a\nb"], ids=repr)
def test_what_cannot_be_searched_is_refused(keyed, typed):
    """Exit 2, nothing sent, nothing echoed that steers a terminal."""
    before = keyed.requests()
    ran = keyed("symbols", "search", "--", typed)
    assert ran.code == 2
    assert "\x1b" not in ran.err
    assert keyed.requests() == before


def test_an_unknown_source_is_refused(keyed):
    """Those that exist are named."""
    ran = keyed("symbols", "search", "x", "--provider", "yahoo")
    assert ran.code == 2
    assert "openfigi" in ran.err


def test_the_table_fits_a_terminal(keyed):
    """100 columns."""
    out = keyed("symbols", "search", "a").out
    assert max(map(len, out.splitlines())) <= 100


def test_identify_writes_figis_beside_the_listings(mdc):
    """One request for ten without a key; a second time there is nothing to do."""
    (mdc.root / ".env").write_text("")
    names = [f"S{n:02d}" for n in range(11)] + ["BRK.B"]
    mdc("symbols", "add", "--universe", "us", *names)
    mdc.server.clear_requests()
    ran = mdc("symbols", "identify", "--universe", "us", "--json")
    assert ran.code == 0, ran.err
    assert targets(mdc, "openfigi") == ["/v3/mapping"] * 2
    figis = read_figis(mdc.root)
    assert set(figis) == set(names)
    assert figis["BRK.B"].composite_figi == figi_of("BRK.B US")
    assert all(is_figi(figi.figi) for figi in figis.values())
    assert [row["symbol"] for row in ran.json["rows"]] == names
    assert "every symbol has its FIGI" in mdc("symbols", "identify").err
    assert len(targets(mdc, "openfigi")) == 2


def test_with_a_key_a_hundred_go_at_once(mdc):
    """The key is sent in its header, and written nowhere."""
    (mdc.root / ".env").write_text("OPENFIGI_API_KEY=SEKRET_figi_123456\n")
    assert mdc("symbols", "identify", *[f"S{n:02d}" for n in range(60)]).code == 0
    assert len(targets(mdc, "openfigi")[-1:]) == 1
    assert not [name for name, content in mdc.files().items() if name != ".env" and b"SEKRET" in content]


def test_what_has_no_figi_is_told_and_leaves_the_rest(mdc):
    """Exit 1; the warning is OpenFIGI's."""
    ran = mdc("symbols", "identify", "AAPL", "ZZTOP", "MSFT", "--json")
    assert ran.code == 1
    assert [(row["symbol"], row["status"]) for row in ran.json["rows"]] == [
        ("AAPL", "found"), ("ZZTOP", "not found"), ("MSFT", "found"),
    ]  # fmt: skip
    assert ran.json["rows"][1]["note"] == "No identifier found."
    assert set(read_figis(mdc.root)) == {"AAPL", "MSFT"}


def test_identify_dry_run_asks_nobody(mdc):
    """Nor writes."""
    before = mdc.requests()
    assert "1 symbols" in mdc("symbols", "identify", "AAPL", "--dry-run").out
    assert mdc.requests() == before
    assert not (mdc.root / FIGIS_FILE).exists()


def test_a_damaged_figi_file_is_told_before_anything_is_asked(mdc):
    """Never overwritten."""
    (mdc.root / FIGIS_FILE).write_text("mine\n")
    before = mdc.requests()
    ran = mdc("symbols", "identify", "AAPL")
    assert ran.code == 2
    assert FIGIS_FILE in ran.err
    assert ((mdc.root / FIGIS_FILE).read_text(), mdc.requests()) == ("mine\n", before)


def test_history_tells_the_name_of_a_date(mdc):
    """FB until META, from either name; with its FIGI where it is known."""
    mdc("symbols", "rename", "FB", "META", "2022-06-09")
    mdc("symbols", "identify", "META")
    for asked in ("META", "FB"):
        ran = mdc("symbols", "history", asked, "--as-of", "2021-01-04", "--json")
        assert ran.code == 0
        assert [name["symbol"] for name in ran.json["names"]] == ["FB", "META"]
        assert ran.json["ask_for"] == "FB"
    assert ran.json["names"][1]["composite_figi"] == figi_of("META US")
    assert "on 2022-06-09: ask for META" in mdc("symbols", "history", "FB", "--as-of", "2022-06-09").out
    assert mdc("symbols", "history", "KO").code == 0


def test_history_of_a_date_without_a_name_is_a_finding(mdc):
    """Exit 1."""
    mdc("symbols", "delist", "GONE", "2023-11-14")
    ran = mdc("symbols", "history", "GONE", "--as-of", "2024-01-02")
    assert ran.code == 1
    assert "not listed" in ran.out
    assert mdc("symbols", "history", "GONE", "--as-of", "soon").code == 2
