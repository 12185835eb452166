"""Merging what sources found: one hit a symbol, ranked as the docstring says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest.hits import merged
from mdc_resources.providers.search import Found

sources = st.sampled_from(["alpaca", "finnhub", "openfigi", "polygon"])
founds = st.builds(
    Found,
    st.sampled_from([Symbol(s) for s in ("AAPL", "APLE", "AA", "MSFT", "BRK.B")]),
    st.just("x"),
    st.sampled_from(["", "Apple Inc.", "Pineapple Corp", "Microsoft", "Berkshire"]),
    figi=st.sampled_from(["", "F1", "F2"]),
    active=st.booleans(),
)
answers = st.dictionaries(sources, st.lists(founds, max_size=6))
texts = st.sampled_from(["AAPL", "aa", "apple", "brk/b", "Microsoft", "zzz"])


def found(symbol: str, name: str = "", source: str = "polygon", **more: object) -> Found:
    """One listing."""
    return Found(Symbol(symbol), source, name, **more)  # type: ignore[arg-type]


def order(text: str, *rows: Found) -> list[str]:
    """The symbols, best first, where each row is its source's only answer."""
    given: dict[str, list[Found]] = {}
    for row in rows:
        given.setdefault(row.source, []).append(row)
    return [hit.symbol for hit in merged(text, given)]


@given(answers, texts)
def test_every_symbol_is_one_hit_that_names_its_sources(told, text):
    """Nothing is lost, doubled or made up."""
    hits = merged(text, told)
    assert len({hit.symbol for hit in hits}) == len(hits)
    assert {hit.symbol for hit in hits} == {row.symbol for rows in told.values() for row in rows}
    for hit in hits:
        assert set(hit.sources) == {
            name for name, rows in told.items() for row in rows if row.symbol == hit.symbol
        }


@given(answers, texts)
def test_the_order_of_the_sources_does_not_matter(told, text):
    """Whoever answers first."""
    assert merged(text, dict(reversed(told.items()))) == merged(text, told)


@given(answers, texts)
def test_the_ticker_that_was_typed_comes_first(told, text):
    """Whatever else matches."""
    hits = merged(text, told)
    exact = text.upper().replace("/", ".")
    if any(hit.symbol == exact for hit in hits):
        assert hits[0].symbol == exact


def test_ticker_then_prefix_then_name():
    """The ladder, step by step."""
    rows = [
        found("PINE", "Pineapple"), found("WORD", "Big Apple"), found("APLE", "Apple Hospitality"),
        found("NAME", "apple"), found("APPLES", "Z"), found("APPLE", "Z"), found("NONE", "Z"),
    ]  # fmt: skip
    assert order("apple", *rows) == ["APPLE", "APPLES", "NAME", "APLE", "WORD", "PINE", "NONE"]


def test_what_more_sources_know_comes_first():
    """Among equal matches, before activity and the vendor's own order."""
    assert order("x", found("XA", "n"), found("XB", "n"), found("XB", "n", "alpaca", active=False)) == [
        "XB",
        "XA",
    ]
    assert order("x", found("XA", active=False), found("XB")) == ["XB", "XA"]
    assert order("x", found("XB"), found("XA")) == ["XB", "XA"]


def test_names_and_figis_come_from_those_that_know_them_best():
    """Polygon's name over capitals, OpenFIGI's FIGI over a copy; a difference is told."""
    hit = merged(
        "ibm",
        {
            "finnhub": [found("IBM", "INTL BUSINESS MACHINES", "finnhub", kind="Common Stock")],
            "polygon": [found("IBM", "International Business Machines", composite_figi="P")],
            "openfigi": [found("IBM", "IBM CORP", "openfigi", composite_figi="O", share_class_figi="S")],
        },
    )[0]
    assert (hit.name, hit.kind) == ("International Business Machines", "Common Stock")
    assert (hit.composite_figi, hit.share_class_figi) == ("O", "S")
    assert hit.disputed == ("composite_figi",)
    assert hit.sources == ("finnhub", "openfigi", "polygon")
