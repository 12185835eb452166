"""Alpha Vantage's splits, dividends and overviews."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import PayloadError, ProviderError
from mdc_resources.providers.alphavantage import PROVIDER
from mdc_resources.providers.spec import Page
from mdc_resources.schema.arrow import CORPORATE_ACTIONS, INSTRUMENTS
from tests.providers.asking import RECEIVED, decode, dialect_of, is_canonical, refusal, respond, rows, want

FACTS = Dataset.CORPORATE_ACTIONS
REQUEST = want("alphavantage", "IBM", dataset=FACTS, start=dt.date(1999, 1, 4), end=dt.date(1999, 12, 31))
WHO = want("alphavantage", "IBM", dataset=Dataset.INSTRUMENTS)
SPLIT = {"effective_date": "1999-05-27", "split_factor": "2.0000"}
PAID = {
    "ex_dividend_date": "1999-02-08", "declaration_date": "None", "record_date": "None",
    "payment_date": "None", "amount": "0.22",
}  # fmt: skip
OVERVIEW = {
    "Symbol": "IBM", "AssetType": "Common Stock", "Name": "International Business Machines",
    "Exchange": "NYSE", "Currency": "USD",
}  # fmt: skip


def told(*facts: Any, symbol: Any = "IBM") -> dict[str, Any]:
    """A document of splits or dividends."""
    return {"symbol": symbol, "data": list(facts)}


def dividends(body: Any) -> Page:
    """The page that the second request's answer becomes."""
    dialect = dialect_of("alphavantage")
    second = PROVIDER.decode(REQUEST, dialect, PROVIDER.plan(REQUEST, dialect), respond(told())).next
    assert second is not None
    return PROVIDER.decode(REQUEST, dialect, second, respond(body))


def test_actions_are_asked_for_in_two_requests() -> None:
    """Splits, then dividends with the same key, then no more."""
    dialect = dialect_of("alphavantage")
    first = PROVIDER.plan(REQUEST, dialect)
    page = PROVIDER.decode(REQUEST, dialect, first, respond(told(SPLIT)))
    assert page.next is not None
    assert dict(page.next.params) == {"function": "DIVIDENDS", "symbol": "IBM"}
    assert page.next.query_auth == first.query_auth
    assert dividends(told(PAID)).next is None


def test_a_split_factor_is_new_shares_per_old_one() -> None:
    """2.0000 is 2:1, known since it was received."""
    page = decode(REQUEST, told(SPLIT))
    assert is_canonical(page.tables[FACTS], CORPORATE_ACTIONS)
    (row,) = rows(page, FACTS)
    assert (row["kind"], row["ratio_to"], row["ratio_from"], row["basis"]) == ("split", 2, 1, Basis.RAW)
    assert (row["ex_date"], row["known_at"]) == (dt.date(1999, 5, 27), RECEIVED)


def test_a_rounded_reverse_split_is_its_ratio() -> None:
    """0.0333 is one for thirty, and no 333 for 10,000."""
    (row,) = rows(decode(REQUEST, told({**SPLIT, "split_factor": "0.0333"})), FACTS)
    assert (row["ratio_to"], row["ratio_from"]) == (1, 30)


@pytest.mark.parametrize("factor", ["1.0460", "0", "-2", "NaN", "None", "", "0.0067", None, 2.0, True])
def test_a_factor_that_is_no_ratio_costs_its_session(factor: Any) -> None:
    """1.0460 is how the vendor writes a spin-off: stored as a split it would bend every price before it."""
    page = decode(REQUEST, told({**SPLIT, "split_factor": factor}))
    assert rows(page, FACTS) == []
    assert [(bad.symbol, bad.session) for bad in page.rejected] == [("IBM", dt.date(1999, 5, 27))]


def test_everything_ever_is_cut_to_the_range() -> None:
    """What lies outside is dropped and counted, readable or not."""
    spin_off = {"effective_date": "2021-11-04", "split_factor": "1.0460"}
    page = decode(REQUEST, told(spin_off, SPLIT, {"effective_date": "1997-05-28", "split_factor": "2.0"}))
    assert (len(rows(page, FACTS)), page.dropped, page.rejected) == (1, 2, ())


def test_dividends_are_as_paid() -> None:
    """0.22 before the 2:1 split stays 0.22; dates that are not known are the text None."""
    (row,) = rows(dividends(told(PAID)), FACTS)
    assert (row["kind"], row["amount"], row["currency"]) == ("dividend", Decimal("0.22"), "USD")
    assert (row["basis"], row["ex_date"], row["exact"]) == (Basis.RAW, dt.date(1999, 2, 8), True)


def test_two_payments_of_a_day_are_their_sum() -> None:
    """The same line twice is one of them."""
    (row,) = rows(dividends(told(PAID, {**PAID, "amount": "1"}, PAID)), FACTS)
    assert row["amount"] == Decimal("1.22")


def test_an_amount_with_too_many_digits_is_rounded_and_flagged() -> None:
    """Nine decimals are kept."""
    page = dividends(told({**PAID, "amount": "0.12345678949"}))
    assert (rows(page, FACTS)[0]["amount"], page.rounded) == (Decimal("0.123456789"), 1)


@pytest.mark.parametrize("amount", ["None", "", "a dime", None, 0.22, ["0.22"]])
def test_an_amount_that_is_none_costs_its_session(amount: Any) -> None:
    """It is shown as it came."""
    page = dividends(told({**PAID, "amount": amount}))
    assert [bad.session for bad in page.rejected] == [dt.date(1999, 2, 8)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"symbol": "IBM"},
        {"symbol": "IBM", "data": {}},
        {"data": []},
        told(SPLIT, symbol="MSFT"),
        told(SPLIT, symbol=None),
        told({"split_factor": "2"}),
        told({**SPLIT, "effective_date": "None"}),
        told(None),
        told([]),
        told(PAID),
    ],
    ids=str,
)
def test_a_document_that_is_no_list_of_splits_is_refused(body: Any) -> None:
    """Nor one of another symbol, nor one with a fact that has no date."""
    assert isinstance(refusal(REQUEST, body), PayloadError)


def test_no_facts_are_no_proof() -> None:
    """An empty list says that the vendor knows of none."""
    assert rows(decode(REQUEST, told()), FACTS) == []
    assert not PROVIDER.spec.offers[FACTS].empty_is_proof


def test_an_overview_is_one_row() -> None:
    """Under the last session asked for, the type in lower case."""
    page = decode(WHO, OVERVIEW)
    assert is_canonical(page.tables[Dataset.INSTRUMENTS], INSTRUMENTS)
    (row,) = rows(page, Dataset.INSTRUMENTS)
    assert (row["name"], row["instrument_type"]) == ("International Business Machines", "common stock")
    assert (row["currency"], row["venue"], row["session"]) == ("USD", "NYSE", WHO.end)


def test_an_empty_overview_says_nothing() -> None:
    """Funds have none, and neither has anybody while the vendor is out of order: no row, no verdict."""
    page = decode(WHO, {})
    assert (rows(page, Dataset.INSTRUMENTS), page.unknown) == ([], ())
    assert "no overview" in page.warnings[0]


@pytest.mark.parametrize("value", ["None", "-", "", None, 7])
def test_what_an_overview_does_not_know_is_null(value: Any) -> None:
    """The vendor writes that in several ways."""
    (row,) = rows(decode(WHO, {**OVERVIEW, "Currency": value, "AssetType": value}), Dataset.INSTRUMENTS)
    assert (row["currency"], row["instrument_type"]) == (None, None)


@pytest.mark.parametrize("body", [{**OVERVIEW, "Symbol": "MSFT"}, {"Name": "x"}, [], "7"], ids=str)
def test_another_companys_overview_is_refused(body: Any) -> None:
    """An overview says whose it is."""
    assert isinstance(refusal(WHO, body), PayloadError)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
KEYS = st.sampled_from(["symbol", "data", "amount", "ex_dividend_date", "split_factor"])
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=9
)


@given(ANYTHING)
def test_whatever_stands_for_dividends(document: Any) -> None:
    """A page or an error of ours, never another exception."""
    for body in (document, told(document), told({**PAID, "amount": document}), told(PAID, symbol=document)):
        try:
            page = dividends(json.dumps(body))
        except ProviderError:
            continue
        assert is_canonical(page.tables[FACTS], CORPORATE_ACTIONS)
