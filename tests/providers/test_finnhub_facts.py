"""Finnhub's splits, dividends and profiles."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import PayloadError, ProviderError, UnknownSymbol
from mdc_resources.providers.finnhub import PROVIDER
from mdc_resources.providers.spec import Page
from mdc_resources.schema.arrow import CORPORATE_ACTIONS, INSTRUMENTS
from tests.providers.asking import RECEIVED, decode, dialect_of, is_canonical, refusal, respond, rows, want

FACTS = Dataset.CORPORATE_ACTIONS
REQUEST = want("finnhub", "NVDA", dataset=FACTS, start=dt.date(2024, 6, 3), end=dt.date(2024, 6, 14))
WHO = want("finnhub", "AAPL", dataset=Dataset.INSTRUMENTS)
SPLIT = {"symbol": "NVDA", "date": "2024-06-10", "fromFactor": 1, "toFactor": 10}
DIVIDEND = {
    "symbol": "NVDA", "date": "2024-06-11", "amount": 0.1, "adjustedAmount": 0.01, "payDate": "2024-06-28",
    "recordDate": "2024-06-11", "declarationDate": "2024-05-22", "currency": "USD", "freq": "2",
}  # fmt: skip
PROFILE = {
    "country": "US", "currency": "TWD", "exchange": "NEW YORK STOCK EXCHANGE, INC.", "ipo": "1997-10-08",
    "name": "Apple Inc", "ticker": "AAPL",
}  # fmt: skip


def dividends(*facts: Any) -> Page:
    """The page that the second request's answer becomes."""
    dialect = dialect_of("finnhub")
    second = PROVIDER.decode(REQUEST, dialect, PROVIDER.plan(REQUEST, dialect), respond([])).next
    assert second is not None
    return PROVIDER.decode(REQUEST, dialect, second, respond(list(facts)))


def test_actions_are_asked_for_in_two_requests() -> None:
    """Splits first, then dividends over the same dates with the same key, then no more."""
    dialect = dialect_of("finnhub")
    first = PROVIDER.plan(REQUEST, dialect)
    assert first.url == "https://finnhub.io/api/v1/stock/split"
    assert dict(first.params) == {"symbol": "NVDA", "from": "2024-06-03", "to": "2024-06-14"}
    second = PROVIDER.decode(REQUEST, dialect, first, respond([SPLIT])).next
    assert second is not None
    assert second.url == "https://finnhub.io/api/v1/stock/dividend"
    assert (second.params, second.auth) == (first.params, first.auth)
    assert PROVIDER.decode(REQUEST, dialect, second, respond([DIVIDEND])).next is None


def test_a_split_is_new_shares_for_old_ones() -> None:
    """``toFactor`` are the new ones; the fact is known since it was received."""
    page = decode(REQUEST, [SPLIT])
    assert is_canonical(page.tables[FACTS], CORPORATE_ACTIONS)
    (row,) = rows(page, FACTS)
    assert (row["kind"], row["ratio_to"], row["ratio_from"]) == ("split", 10, 1)
    assert (row["ex_date"], row["session"]) == (dt.date(2024, 6, 10), dt.date(2024, 6, 10))
    assert (row["basis"], row["known_at"]) == (Basis.RAW, RECEIVED)


@pytest.mark.parametrize(
    ("old", "new", "ratio"), [(8, 1, (1, 8)), (2, 3, (3, 2)), (1, 1.5, (3, 2)), (10, 12, (6, 5))]
)
def test_ratios_are_in_lowest_terms(old: float, new: float, ratio: tuple[int, int]) -> None:
    """Reverse splits, and factors that are no integers."""
    (row,) = rows(decode(REQUEST, [{**SPLIT, "fromFactor": old, "toFactor": new}]), FACTS)
    assert (row["ratio_to"], row["ratio_from"]) == ratio


def test_a_dividend_is_what_was_paid() -> None:
    """``amount``, not the ``adjustedAmount`` that later splits restate."""
    (row,) = rows(dividends(DIVIDEND), FACTS)
    assert (row["kind"], row["amount"], row["currency"]) == ("dividend", Decimal("0.1"), "USD")
    assert (row["basis"], row["exact"]) == (Basis.RAW, True)


def test_two_payments_of_a_day_are_their_sum() -> None:
    """A special dividend beside the regular one; the same line twice is one payment."""
    special = {**DIVIDEND, "amount": 1.25}
    (row,) = rows(dividends(DIVIDEND, special, DIVIDEND), FACTS)
    assert row["amount"] == Decimal("1.35")


def test_an_amount_with_too_many_digits_is_rounded_and_flagged() -> None:
    """Nine decimals are kept."""
    page = dividends({**DIVIDEND, "amount": 0.12345678912345})
    assert (rows(page, FACTS)[0]["exact"], page.rounded) == (False, 1)


def test_facts_outside_the_range_are_dropped() -> None:
    """Also those that could not have been read."""
    page = decode(
        REQUEST, [SPLIT, {**SPLIT, "date": "2021-07-20"}, {**SPLIT, "date": "1999-01-04", "toFactor": 0}]
    )
    assert (len(rows(page, FACTS)), page.dropped, page.rejected) == (1, 2, ())


@pytest.mark.parametrize(
    "fact",
    [
        {**SPLIT, "toFactor": 0},
        {**SPLIT, "toFactor": -1},
        {**SPLIT, "toFactor": "10"},
        {**SPLIT, "toFactor": None},
        {**SPLIT, "fromFactor": 1.2345678},
        {key: value for key, value in SPLIT.items() if key != "toFactor"},
    ],
    ids=str,
)
def test_a_fact_that_cannot_be_read_costs_its_session(fact: Any) -> None:
    """It is kept out with its date, and the rest stays."""
    other = {**SPLIT, "date": "2024-06-12"}
    page = decode(REQUEST, [fact, other])
    assert [row["ex_date"] for row in rows(page, FACTS)] == [dt.date(2024, 6, 12)]
    assert [(bad.symbol, bad.session) for bad in page.rejected] == [("NVDA", dt.date(2024, 6, 10))]


@pytest.mark.parametrize(
    "body",
    [
        {},
        "null",
        [1],
        [{**SPLIT, "date": "soon"}],
        [{**SPLIT, "date": None}],
        [{**SPLIT, "symbol": "AMD"}],
        [{}],
    ],
    ids=str,
)
def test_facts_without_a_date_or_of_another_symbol_are_refused(body: Any) -> None:
    """Otherwise every other session would pass for one where nothing happened."""
    assert isinstance(refusal(REQUEST, body), PayloadError)


def test_no_facts_are_no_proof() -> None:
    """An empty list is also what an unknown symbol gets."""
    assert rows(decode(REQUEST, []), FACTS) == []
    assert not PROVIDER.spec.offers[FACTS].empty_is_proof


def test_a_profile_is_one_row_without_the_currency_of_its_filings() -> None:
    """TWD is what the company reports in, not what its shares trade in."""
    page = decode(WHO, PROFILE)
    assert is_canonical(page.tables[Dataset.INSTRUMENTS], INSTRUMENTS)
    (row,) = rows(page, Dataset.INSTRUMENTS)
    assert (row["name"], row["venue"]) == ("Apple Inc", "NEW YORK STOCK EXCHANGE, INC.")
    assert (row["first_trade"], row["currency"]) == (dt.date(1997, 10, 8), None)
    assert row["session"] == WHO.end


def test_an_empty_profile_is_an_unknown_symbol() -> None:
    """``{}`` with status 200."""
    error = refusal(WHO, {})
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == "AAPL"


@pytest.mark.parametrize("ipo", ["", None, "soon", 1997])
def test_a_profile_without_a_date_has_none(ipo: Any) -> None:
    """What cannot be read is not known."""
    (row,) = rows(decode(WHO, {**PROFILE, "ipo": ipo}), Dataset.INSTRUMENTS)
    assert row["first_trade"] is None


@pytest.mark.parametrize("ticker", ["MSFT", None, 7, ""])
def test_another_companys_profile_is_refused(ticker: Any) -> None:
    """A profile says whose it is."""
    assert isinstance(refusal(WHO, {**PROFILE, "ticker": ticker}), PayloadError)


def test_a_profile_may_name_the_other_share_class() -> None:
    """A company has one profile, under one of its tickers."""
    request = want("finnhub", "BRK.B", dataset=Dataset.INSTRUMENTS)
    assert len(rows(decode(request, {**PROFILE, "ticker": "BRK.A"}), Dataset.INSTRUMENTS)) == 1


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
KEYS = st.sampled_from(["symbol", "date", "amount", "currency", "toFactor"])
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=9,
)


@given(ANYTHING)
def test_whatever_stands_for_dividends(document: Any) -> None:
    """A page or an error of ours, never another exception."""
    dialect = dialect_of("finnhub")
    second = PROVIDER.decode(REQUEST, dialect, PROVIDER.plan(REQUEST, dialect), respond([])).next
    assert second is not None
    for body in (
        document,
        [document],
        [{**DIVIDEND, "amount": document}],
        [{**DIVIDEND, "currency": document}],
    ):
        try:
            page = PROVIDER.decode(REQUEST, dialect, second, respond(json.dumps(body).encode()))
        except ProviderError:
            continue
        assert is_canonical(page.tables[FACTS], CORPORATE_ACTIONS)
