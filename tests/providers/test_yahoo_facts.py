"""What comes with Yahoo's chart besides bars: splits, dividends, the instrument."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import pytest

from mdc_resources.domain.datasets import Basis, Dataset
from mdc_resources.domain.errors import (
    PayloadError,
)
from mdc_resources.schema.arrow import CORPORATE_ACTIONS, INSTRUMENTS
from tests.providers.asking import (
    FRIDAY,
    MONDAY,
    RECEIVED,
    WEEK,
    chart,
    decode,
    is_canonical,
    opened,
    refusal,
    rows,
    want,
)

MINUTES = Dataset.BARS_1M
ACTIONS = Dataset.CORPORATE_ACTIONS


EVENTS = {
    "dividends": {str(opened(WEEK[1])): {"amount": 0.56, "date": opened(WEEK[1])}},
    "splits": {
        str(opened(WEEK[3])): {"date": opened(WEEK[3]), "numerator": 4, "denominator": 1, "splitRatio": "4:1"}
    },
}


@pytest.mark.parametrize("dataset", [Dataset.BARS_1D, ACTIONS], ids=["along with bars", "asked for"])
def test_splits_and_dividends_come_with_the_chart(dataset: Dataset) -> None:
    """Both are canonical rows on their ex-date, on the split basis."""
    page = decode(want("yahoo", "AAPL", dataset=dataset), chart(events=EVENTS))
    assert is_canonical(page.tables[ACTIONS], CORPORATE_ACTIONS)
    dividend, split = rows(page, ACTIONS)
    assert (dividend["kind"], dividend["ex_date"], dividend["amount"], dividend["currency"]) == (
        "dividend", WEEK[1], Decimal("0.56"), "USD",
    )  # fmt: skip
    assert (split["kind"], split["session"], split["ratio_to"], split["ratio_from"]) == (
        "split",
        WEEK[3],
        4,
        1,
    )
    assert {row["basis"] for row in (dividend, split)} == {Basis.SPLIT}
    assert {row["known_at"] for row in (dividend, split)} == {RECEIVED}
    assert (Dataset.BARS_1D in page.tables) == (dataset is Dataset.BARS_1D)


@pytest.mark.parametrize(
    ("numerator", "denominator", "ratio"),
    [(3, 2, (3, 2)), (1.5, 1, (3, 2)), (1, 8, (1, 8)), (10, 10, (1, 1))],
)
def test_ratios_become_two_integers_in_lowest_terms(
    numerator: float, denominator: float, ratio: tuple[int, int]
) -> None:
    """1.5:1 and 3:2 are the same split."""
    event = {"date": opened(MONDAY), "numerator": numerator, "denominator": denominator}
    (row,) = rows(
        decode(want("yahoo", "AAPL", dataset=ACTIONS), chart(events={"splits": {"1": event}})), ACTIONS
    )
    assert Fraction(row["ratio_to"], row["ratio_from"]) == Fraction(*ratio)


def test_a_restated_dividend_that_does_not_fit_is_rounded_and_flagged() -> None:
    """0.56 split many times over has more than nine decimals."""
    events = {"dividends": {"1": {"amount": 0.00123456789, "date": opened(MONDAY)}}}
    (row,) = rows(decode(want("yahoo", "AAPL", dataset=ACTIONS), chart(events=events)), ACTIONS)
    assert (row["amount"], row["exact"]) == (Decimal("0.001234568"), False)


BAD_SPLIT = {"splits": {"1": {"date": opened(MONDAY), "numerator": 0, "denominator": 1}}}


def test_an_unreadable_event_is_rejected_on_its_date() -> None:
    """Asked for events, a bad one is rejected where it happened."""
    page = decode(want("yahoo", "AAPL", dataset=ACTIONS), chart(events={**EVENTS, **BAD_SPLIT}))
    assert [(wrong.session, wrong.symbol) for wrong in page.rejected] == [(MONDAY, "AAPL")]
    assert len(rows(page, ACTIONS)) == 1


def test_an_unreadable_event_along_with_bars_leaves_the_events_out() -> None:
    """The bars stand; but no session may pass for one where nothing happened."""
    page = decode(want("yahoo", "AAPL"), chart(events={**EVENTS, **BAD_SPLIT}))
    assert len(rows(page)) == 5
    assert ACTIONS not in page.tables
    assert page.rejected == ()
    assert "one cannot be read" in page.warnings[0]


@pytest.mark.parametrize("event", [{"amount": 1, "date": "soon"}, {"amount": 1}, 5, None])
def test_an_event_without_a_date_refuses_the_answer(event: object) -> None:
    """It could belong to any session, so none can be settled."""
    error = refusal(want("yahoo", "AAPL", dataset=ACTIONS), chart(events={"dividends": {"1": event}}))
    assert isinstance(error, PayloadError)


def test_the_instrument_comes_with_the_chart() -> None:
    """What the vendor says the instrument is, under the last session asked for."""
    page = decode(want("yahoo", "AAPL"), chart())
    assert is_canonical(page.tables[Dataset.INSTRUMENTS], INSTRUMENTS)
    assert rows(page, Dataset.INSTRUMENTS) == [
        {
            "symbol": "AAPL",
            "session": FRIDAY,
            "name": "Apple Inc.",
            "instrument_type": "equity",
            "currency": "USD",
            "venue": "NMS",
            "timezone": "America/New_York",
            "first_trade": dt.date(1980, 12, 12),
            "source": "yahoo",
        }
    ]
