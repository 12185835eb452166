"""Plans: the union of the ranges is exactly what is missing, in the fewest requests."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.calendars import get_calendar
from mdc_resources.config import Limits
from mdc_resources.domain.datasets import Basis, Dataset, NumberEncoding
from mdc_resources.domain.intervals import Intervals
from mdc_resources.domain.symbols import Symbol
from mdc_resources.ingest.planner import ANSWER_ROWS, Holes, pages, plan, reachable
from mdc_resources.ingest.preview import seconds_at_limits
from mdc_resources.providers.spec import Offer, ProviderSpec

XNYS = get_calendar("XNYS")
BASE = XNYS.ordinal(dt.date(2024, 1, 2))
ASOF = dt.date(2024, 12, 31)
OFFER = Offer(market="us-consolidated", basis=Basis.RAW, encoding=NumberEncoding.DECIMAL)

MISSING = st.dictionaries(
    st.sampled_from([Symbol(s) for s in ("AAPL", "BRK.B", "IBM", "MSFT", "ZM")]),
    st.sets(st.integers(BASE, BASE + 40), min_size=1).map(Intervals.of),
)
OFFERS = st.builds(
    lambda symbols, sessions: replace(OFFER, max_symbols=symbols, max_sessions=sessions),
    st.integers(1, 4),
    st.none() | st.integers(1, 12),
)


def spec_of(offer: Offer) -> ProviderSpec:
    """A provider with one offer."""
    return ProviderSpec("vendor", "Vendor", "http://vendor", 1, Limits(), {Dataset.BARS_1D: offer})


@given(MISSING, OFFERS)
def test_union_of_ranges_is_the_missing_set(missing: dict[Symbol, Intervals], offer: Offer) -> None:
    """Nothing is left out, nothing is asked twice, every range is within the limits."""
    asked: list[tuple[Symbol, int]] = []
    for request in plan(spec_of(offer), Dataset.BARS_1D, Holes(XNYS, missing), asof=ASOF):
        sessions = XNYS.sessions(request.start, request.end)
        assert len(request.symbols) <= offer.max_symbols
        assert offer.max_sessions is None or len(sessions) <= offer.max_sessions
        assert list(request.symbols) == sorted(request.symbols)
        asked += [(symbol, XNYS.ordinal(session)) for symbol in request.symbols for session in sessions]
    assert len(asked) == len(set(asked))
    assert set(asked) == {(symbol, ordinal) for symbol, runs in missing.items() for ordinal in runs}


@given(MISSING, OFFERS, st.randoms())
def test_the_order_of_symbols_does_not_matter(
    missing: dict[Symbol, Intervals], offer: Offer, random: object
) -> None:
    """The same holes give the same plan, however they were collected."""
    shuffled = list(missing.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    plans = [
        plan(spec_of(offer), Dataset.BARS_1D, Holes(XNYS, m), asof=ASOF) for m in (missing, dict(shuffled))
    ]
    assert plans[0] == plans[1]


def test_nothing_missing_is_no_request() -> None:
    """A plan after the fill is empty."""
    assert plan(spec_of(OFFER), Dataset.BARS_1D, Holes(XNYS, {}), asof=ASOF) == []
    assert plan(spec_of(OFFER), Dataset.BARS_1D, Holes(XNYS, {Symbol("IBM"): Intervals()}), asof=ASOF) == []


def test_holidays_do_not_cut_a_range() -> None:
    """A year without data is one request, not one a week."""
    year = Intervals(((BASE, BASE + 252),))
    requests = plan(spec_of(OFFER), Dataset.BARS_1D, Holes(XNYS, {Symbol("IBM"): year}), asof=ASOF)
    assert [(r.start, r.end) for r in requests] == [(dt.date(2024, 1, 2), dt.date(2024, 12, 31))]


def test_symbols_with_the_same_hole_share_a_request() -> None:
    """Where the provider takes several symbols."""
    hole = Intervals(((BASE, BASE + 5),))
    missing = {Symbol(s): hole for s in ("MSFT", "AAPL", "IBM")} | {
        Symbol("ZM"): Intervals(((BASE, BASE + 6),))
    }
    requests = plan(spec_of(replace(OFFER, max_symbols=10)), Dataset.BARS_1D, Holes(XNYS, missing), asof=ASOF)
    assert [r.symbols for r in requests] == [("AAPL", "IBM", "MSFT"), ("ZM",)]


def test_a_paged_answer_is_bounded_at_the_cost_of_no_page() -> None:
    """Ten years of minutes of forty symbols are many requests that fit memory, in full pages."""
    decade = Intervals(((BASE - 2520, BASE),))
    missing = {Symbol(f"S{n:02d}"): decade for n in range(40)}
    minutes = replace(OFFER, max_symbols=100, page_rows=10_000)
    spec = ProviderSpec("vendor", "Vendor", "http://vendor", 1, Limits(), {Dataset.BARS_1M: minutes})
    requests = plan(spec, Dataset.BARS_1M, Holes(XNYS, missing), asof=ASOF)
    sizes = [(len(r.symbols), len(XNYS.sessions(r.start, r.end))) for r in requests]
    assert max(symbols * sessions * 390 for symbols, sessions in sizes) <= ANSWER_ROWS
    sent = sum(pages(minutes, rows=n * m * 390) for n, m in sizes)
    assert sent <= 1.05 * 40 * 2520 * 390 / 10_000


@pytest.mark.parametrize(
    ("rows", "symbols", "sessions", "wanted"),
    [(None, 5, 9999, 1), (10_000, 1, 252, 1), (10_000, 40, 252, 2), (1000, 4, 250, 1)],
)
def test_pages_hold_the_rows(rows: int | None, symbols: int, sessions: int, wanted: int) -> None:
    """The page limit counts rows of all symbols together."""
    offer = replace(OFFER, page_rows=rows)
    assert pages(offer, rows=symbols * sessions) == wanted


def test_history_depth_limits_what_is_asked() -> None:
    """Sessions before a provider's history go to the next one, not into a request."""
    month = Intervals(((BASE, BASE + 21),))
    offer = replace(OFFER, history_days=10)
    left = reachable(offer, XNYS, month, asof=dt.date(2024, 1, 25))
    assert XNYS.session_at(left.hull()[0]) == dt.date(2024, 1, 16)
    assert reachable(OFFER, XNYS, month, asof=ASOF) == month


@pytest.mark.parametrize(
    ("limits", "requests", "seconds"),
    [
        (Limits(), 1000, 0),
        (Limits(minute=5), 5, 0),
        (Limits(minute=5), 6, 60),
        (Limits(minute=100, day=250), 600, 2 * 86400),
        (Limits(minute=5), 0, 0),
    ],
)
def test_time_at_the_rate_limit(limits: Limits, requests: int, seconds: float) -> None:
    """The slowest window decides; the first allowance is free."""
    assert seconds_at_limits(limits, requests) == seconds


def test_events_are_asked_for_a_session_at_a_time() -> None:
    """One request is one symbol and one session, whatever the provider could take: its pages are streamed."""
    missing = {Symbol(name): Intervals.from_runs([(BASE, BASE + 3)]) for name in ("AAPL", "IBM")}
    offer = replace(OFFER, max_symbols=50, page_rows=10_000)
    spec = replace(spec_of(offer), offers={Dataset.TRADES: offer})
    requests = plan(spec, Dataset.TRADES, Holes(XNYS, missing), asof=ASOF)
    assert len(requests) == len({(r.symbols, r.start) for r in requests}) == 6
    assert all(len(r.symbols) == 1 and r.start == r.end for r in requests)
