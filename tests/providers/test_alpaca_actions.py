"""Alpaca's corporate actions: what is asked, what each kind becomes, what is left out and said."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.providers.alpaca import PROVIDER
from mdc_resources.schema.arrow import CORPORATE_ACTIONS
from tests.providers.asking import (
    MONDAY,
    RECEIVED,
    WEEK,
    decode,
    dialect_of,
    is_canonical,
    refusal,
    rows,
    want,
)

ACTIONS = Dataset.CORPORATE_ACTIONS
DAY = WEEK[1].isoformat()


def _want(*symbols: str, **more: Any) -> Any:
    return want("alpaca", *(symbols or ("AAPL",)), dataset=ACTIONS, **more)


def _body(token: str | None = None, **groups: Any) -> dict[str, Any]:
    return {"corporate_actions": groups, "next_page_token": token}


def _dividend(rate: float = 0.24, **more: Any) -> dict[str, Any]:
    return {"id": "1", "symbol": "AAPL", "ex_date": DAY, "process_date": "2024-03-28", "rate": rate, **more}


def _split(new: float, old: float, **more: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "symbol": "AAPL",
        "ex_date": DAY,
        "process_date": DAY,
        "new_rate": new,
        "old_rate": old,
        **more,
    }


def test_the_request_reaches_beyond_the_range() -> None:
    """The vendor filters by process date, months after a dividend's ex-date."""
    wire = PROVIDER.plan(_want("AAPL", "SRE"), dialect_of("alpaca"))
    found = dict(wire.params)
    assert wire.url == "https://data.alpaca.markets/v1/corporate-actions"
    assert (found["symbols"], found["start"], found["end"]) == ("AAPL,SRE", "2024-02-26", "2024-07-06")
    assert "cash_dividend" in found["types"].split(",")
    assert [name for _, name in wire.auth] == ["ALPACA_KEY_ID", "ALPACA_SECRET_KEY"]


def test_the_request_never_reaches_beyond_the_fetch() -> None:
    """There is nothing to ask about days to come."""
    wire = PROVIDER.plan(replace(_want(), asof=dt.date(2024, 3, 20)), dialect_of("alpaca"))
    assert dict(wire.params)["end"] == "2024-03-20"


def test_an_empty_answer_is_no_proof() -> None:
    """Actions appear with delay, so silence proves nothing."""
    assert PROVIDER.spec.offers[ACTIONS].empty_is_proof is False
    page = decode(_want(), _body())
    assert rows(page, ACTIONS) == []


@pytest.mark.parametrize(
    ("group", "new", "old", "ratio"),
    [
        ("forward_splits", 2, 1, (2, 1)),
        ("reverse_splits", 1, 50, (1, 50)),
        ("forward_splits", 1.5, 1, (3, 2)),
        ("forward_splits", 10, 4, (5, 2)),
        ("forward_splits", 1.001, 1, (1001, 1000)),
    ],
)
def test_splits_are_ratios_of_integers(group: str, new: float, old: float, ratio: tuple[int, int]) -> None:
    """In lowest terms, whatever the vendor's notation."""
    (row,) = rows(decode(_want(), _body(**{group: [_split(new, old)]})), ACTIONS)
    assert (row["kind"], row["ratio_to"], row["ratio_from"]) == ("split", *ratio)


def test_a_stock_dividend_is_a_split() -> None:
    """Five new shares for a hundred are 21 for 20."""
    (row,) = rows(decode(_want(), _body(stock_dividends=[_dividend(0.05)])), ACTIONS)
    assert (row["kind"], row["ratio_to"], row["ratio_from"]) == ("split", 21, 20)


def test_a_cash_dividend_is_an_amount_as_paid() -> None:
    """Raw basis, dollars where the vendor names no currency."""
    page = decode(_want(), _body(cash_dividends=[_dividend(0.086928)]))
    assert is_canonical(page.tables[ACTIONS], CORPORATE_ACTIONS)
    (row,) = rows(page, ACTIONS)
    assert (row["amount"], row["currency"], row["basis"]) == (Decimal("0.086928"), "USD", "raw")
    assert (row["session"], row["ex_date"], row["known_at"]) == (WEEK[1], WEEK[1], RECEIVED)


def test_two_dividends_of_one_day_are_one_row_with_their_sum() -> None:
    """A regular and a special dividend lower the price together."""
    page = decode(_want(), _body(cash_dividends=[_dividend(0.24), _dividend(1.5, special=True)]))
    assert [row["amount"] for row in rows(page, ACTIONS)] == [Decimal("1.74")]


def test_different_splits_of_one_day_are_rejected() -> None:
    """They cannot both be true."""
    page = decode(_want(), _body(forward_splits=[_split(2, 1), _split(3, 1)]))
    assert rows(page, ACTIONS) == []
    assert [(wrong.symbol, wrong.session) for wrong in page.rejected] == [("AAPL", WEEK[1])]


def test_a_rename_names_its_successor() -> None:
    """It is filed under the old symbol on the day it is processed."""
    body = _body(name_changes=[{"old_symbol": "FB", "new_symbol": "META", "process_date": DAY}])
    (row,) = rows(decode(_want("FB"), body), ACTIONS)
    assert (row["symbol"], row["kind"], row["successor"], row["ex_date"]) == ("FB", "rename", "META", WEEK[1])


def test_the_other_side_of_a_rename_is_left_out() -> None:
    """Asked about META, the fact belongs to FB."""
    body = _body(name_changes=[{"old_symbol": "FB", "new_symbol": "META", "process_date": DAY}])
    page = decode(_want("META"), body)
    assert (rows(page, ACTIONS), page.dropped) == ([], 1)


def test_a_removal_is_a_delisting() -> None:
    """Worthless shares leave on the process date."""
    (row,) = rows(
        decode(_want(), _body(worthless_removals=[{"symbol": "AAPL", "process_date": DAY}])), ACTIONS
    )
    assert (row["kind"], row["ex_date"]) == ("delisting", WEEK[1])


def test_kinds_without_a_canonical_form_are_named_in_a_warning() -> None:
    """Nothing disappears silently."""
    page = decode(_want(), _body(spin_offs=[{"ex_date": DAY}, {}], unit_splits=[]))
    assert page.warnings == ("2 of 'spin_offs' are not represented", "0 of 'unit_splits' are not represented")


def test_facts_outside_the_range_are_dropped_and_counted() -> None:
    """The wider request brings ex-dates nobody asked for."""
    page = decode(
        _want(), _body(cash_dividends=[_dividend(ex_date="2024-02-28"), _dividend(ex_date="2024-03-11")])
    )
    assert (rows(page, ACTIONS), page.dropped) == ([], 2)


def test_an_ex_date_without_a_session_belongs_to_the_next_one() -> None:
    """The price moves at the next open; the stated date is kept."""
    request = _want(start=dt.date(2024, 3, 1), end=MONDAY)
    (row,) = rows(decode(request, _body(cash_dividends=[_dividend(ex_date="2024-03-02")])), ACTIONS)
    assert (row["ex_date"], row["session"]) == (dt.date(2024, 3, 2), MONDAY)


@pytest.mark.parametrize(
    "fact",
    [
        _dividend("0.24"),  # type: ignore[arg-type]
        _dividend(ex_date="soon"),
        _dividend(symbol="A B"),
        {"symbol": "AAPL"},
        _dividend(0.12345678912),
        5,
        None,
    ],
)
def test_one_unreadable_fact_costs_one_fact(fact: Any) -> None:
    """It is rejected with its text; the others are stored."""
    page = decode(_want(), _body(cash_dividends=[fact, _dividend(0.5)]))
    assert [row["amount"] for row in rows(page, ACTIONS)] == [Decimal("0.5")]
    assert len(page.rejected) == 1


@pytest.mark.parametrize(("new", "old"), [(0, 1), (-1, 2), (1, 0), (1.0000001, 1)])
def test_a_ratio_that_is_no_split_is_rejected(new: float, old: float) -> None:
    """Zero, negative and absurdly fine ratios are nobody's announcement."""
    page = decode(_want(), _body(forward_splits=[_split(new, old)]))
    assert (rows(page, ACTIONS), len(page.rejected)) == ([], 1)


def test_pages_continue() -> None:
    """A token leads to the next page with the same question."""
    page = decode(_want(), _body("abc"))
    assert page.next is not None
    assert dict(page.next.params)["page_token"] == "abc"


@pytest.mark.parametrize(
    "body",
    ["{}", {"corporate_actions": []}, {"corporate_actions": {}, "next_page_token": 7}, "[1]", '{"corporate'],
)
def test_a_body_that_is_no_answer_is_refused(body: object) -> None:
    """The documented structure, or an error."""
    text = body if isinstance(body, str) else json.dumps(body)
    assert isinstance(refusal(_want(), text), PayloadError)
