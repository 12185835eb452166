"""Splits and dividends from Tiingo's days: exact ratios, long decimals, and when silence proves nothing."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import ProviderError
from mdc_resources.providers.spec import Page
from mdc_resources.providers.tiingo import PROVIDER
from mdc_resources.schema.arrow import CORPORATE_ACTIONS
from tests.providers.asking import FRIDAY, MONDAY, RECEIVED, WEEK, decode, is_canonical, rows, want
from tests.providers.recorded.tiingo import RECORDINGS
from tests.providers.tiingo_rows import day, listed, minute, week

FACTS = Dataset.CORPORATE_ACTIONS
AAPL = want("tiingo", "AAPL")
ASKED = want("tiingo", "AAPL", dataset=FACTS)


def _facts(*told: str) -> Page:
    return decode(ASKED, listed(*told))


def _with(told: str) -> list[str]:
    """A week whose Monday is ``told``."""
    return [told, *week()[1:]]


def test_a_dividend_is_the_cash_of_its_ex_date() -> None:
    """Raw, in dollars."""
    page = _facts(*_with(day(MONDAY, cash="0.82")))
    assert is_canonical(page.tables[FACTS], CORPORATE_ACTIONS)
    assert rows(page, FACTS) == [
        {
            "symbol": "AAPL",
            "session": MONDAY,
            "kind": "dividend",
            "ex_date": MONDAY,
            "ratio_to": None,
            "ratio_from": None,
            "amount": Decimal("0.82"),
            "currency": "USD",
            "successor": None,
            "basis": "raw",
            "known_at": RECEIVED,
            "exact": True,
            "source": "tiingo",
        }
    ]


@pytest.mark.parametrize(
    ("factor", "ratio"),
    [
        ("4.0", (4, 1)),
        ("7.0", (7, 1)),
        ("0.125", (1, 8)),
        ("1.5", (3, 2)),
        ("0.3333333333333333", (1, 3)),
        ("0.14285714285714285", (1, 7)),
        ("1.3333333333", (4, 3)),
        ("0.05", (1, 20)),
    ],
)
def test_a_split_factor_is_two_integers(factor: str, ratio: tuple[int, int]) -> None:
    """However many digits the division left."""
    (row,) = rows(_facts(*_with(day(MONDAY, factor=factor))), FACTS)
    assert (row["kind"], row["ratio_to"], row["ratio_from"]) == ("split", *ratio)


@pytest.mark.parametrize("factor", ["1.046012345", "0", "-4.0", "NaN", '"4.0"', "null", ""])
def test_a_factor_that_is_no_split_is_rejected_under_its_session(factor: str) -> None:
    """A spin-off in disguise among them; the other days stay."""
    page = _facts(*_with(day(MONDAY, factor=factor, cash="1.0")), day(FRIDAY, "104.5", cash="0.0"))
    assert page.tables[FACTS].num_rows == 0
    assert {row.session for row in page.rejected} == {MONDAY}


def test_a_long_derived_amount_is_rounded_and_says_so() -> None:
    """``14.621410714285714`` has more places than a price: half-even to nine, counted, not exact."""
    page = _facts(*_with(day(MONDAY, cash="14.621410714285714")))
    (row,) = rows(page, FACTS)
    assert (row["amount"], row["exact"], page.rounded) == (Decimal("14.621410714"), False, 1)


@pytest.mark.parametrize("cash", ["-0.1", "1e999", "null", '"0.82"', "true", ""])
def test_an_amount_that_is_none_is_rejected(cash: str) -> None:
    """Never taken for no dividend."""
    page = _facts(*_with(day(MONDAY, cash=cash)))
    assert (page.tables[FACTS].num_rows, [row.session for row in page.rejected]) == (0, [MONDAY])


def test_a_split_and_a_dividend_of_one_day_are_two_facts() -> None:
    """Both from one row."""
    found = rows(_facts(*_with(day(MONDAY, cash="0.5", factor="2.0"))), FACTS)
    assert [row["kind"] for row in found] == ["dividend", "split"]


def test_a_day_told_twice_tells_its_facts_once() -> None:
    """Repetitions are not added up."""
    told = day(MONDAY, cash="0.82")
    (row,) = rows(_facts(told, *_with(told)), FACTS)
    assert row["amount"] == Decimal("0.82")


def test_two_stories_about_one_days_facts_are_rejected() -> None:
    """Not the sum of both, and not one of them."""
    page = _facts(*week(), day(MONDAY, cash="0.82"), day(FRIDAY, "104.5", cash="0.0"))
    assert page.tables[FACTS].num_rows == 0
    assert {row.session for row in page.rejected} == {MONDAY}


def test_days_with_nothing_prove_that_nothing_happened() -> None:
    """Zero cash and a factor of one were told for each session."""
    page = _facts(*week())
    assert (page.tables[FACTS].num_rows, page.incomplete) == (0, ())
    assert PROVIDER.spec.offers[FACTS].empty_is_proof


def test_a_session_without_a_row_says_nothing() -> None:
    """It is left open by name."""
    assert _facts(*week()[:2], *week()[3:]).incomplete == (("AAPL", WEEK[2]),)
    assert len(_facts().incomplete) == 5


def test_facts_outside_the_range_are_dropped() -> None:
    """A dividend of the week before belongs to no session here."""
    page = _facts(day(dt.date(2024, 2, 26), cash="1.0"), day(dt.date(2024, 2, 27), cash="null"), *week())
    assert (page.tables[FACTS].num_rows, page.dropped, page.rejected) == (0, 1, ())


def test_facts_come_along_with_the_bars() -> None:
    """One request answers for both, on one basis."""
    page = decode(AAPL, listed(*_with(day(MONDAY, cash="0.82"))))
    assert FACTS in PROVIDER.spec.offers[Dataset.BARS_1D].carries
    assert [row["amount"] for row in rows(page, FACTS)] == [Decimal("0.82")]
    assert page.warnings == ()


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(week()[1:], id="a session without a row"),
        pytest.param([day(MONDAY, cash="null"), *week()[1:]], id="an amount that is none"),
        pytest.param([day("whenever"), *week()], id="a row without a date"),
        pytest.param([*week(), day(MONDAY, cash="0.82")], id="two stories"),
    ],
)
def test_facts_that_are_not_whole_do_not_come_along(told: list[str]) -> None:
    """An absent session would pass for one where nothing happened; the bars are not held up by it."""
    page = decode(AAPL, listed(*told))
    assert FACTS not in page.tables
    assert len(page.warnings) == 1
    assert page.tables[Dataset.BARS_1D].num_rows >= 4


def test_minutes_tell_no_facts() -> None:
    """They have no such columns."""
    asked = want("tiingo", "AAPL", dataset=Dataset.BARS_1M, start=FRIDAY, end=FRIDAY)
    assert set(decode(asked, listed(minute("2024-03-08T14:30:00.000Z"))).tables) == {Dataset.BARS_1M}


def _recorded(payloads: Path, rows_expected: int) -> tuple[Any, str]:
    assert payloads.exists()
    at = next(r for r in RECORDINGS if r.dataset is Dataset.BARS_1D and r.rows == rows_expected)
    return at, at.body().decode()


@pytest.mark.parametrize("count", [2, 10])
def test_the_recorded_days_equal_their_text(payloads: Path, count: int) -> None:
    """Each raw number of the cassette, read by the standard library."""
    at, body = _recorded(payloads, count)
    page = decode(want("tiingo", "GOOGL", start=at.start, end=at.end), body)
    told = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    names = ("open", "high", "low", "close", "volume")
    assert [tuple(row[name] for name in names) for row in rows(page)] == [
        tuple(fact[name] for name in names) for fact in told
    ]
    assert [row["session"].isoformat() for row in rows(page)] == [fact["date"][:10] for fact in told]
    assert rows(page, FACTS) == []


DATASETS = {
    Dataset.BARS_1D: (AAPL, listed(*week(cash="0.82"))),
    FACTS: (ASKED, listed(*week(cash="0.82", factor="2.0"))),
    Dataset.BARS_1M: (
        want("tiingo", "AAPL", dataset=Dataset.BARS_1M, start=FRIDAY, end=FRIDAY),
        listed(minute("2024-03-08T14:30:00.000Z")),
    ),
    Dataset.INSTRUMENTS: (
        want("tiingo", "AAPL", dataset=Dataset.INSTRUMENTS),
        '{"ticker":"AAPL","startDate":"1980-12-12"}',
    ),
}
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=6),
        st.sampled_from([10**400, "NaN", "2024-03-08", "2024-03-08T14:30:00Z", -1, "\ud83d"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.parametrize("dataset", list(DATASETS), ids=str)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_part_of_another_type_is_a_page_or_an_error(dataset: Dataset, data: st.DataObject) -> None:
    """Any value in any place, and nothing untyped is raised."""
    request, body = DATASETS[dataset]
    document = json.loads(body)
    holder = document
    if isinstance(document, list) and data.draw(st.booleans()):
        holder = document[data.draw(st.integers(0, len(document) - 1))]
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    holder[data.draw(st.sampled_from(keys))] = data.draw(JSON)
    try:
        page = decode(request, json.dumps(document))
    except ProviderError:
        return
    for row in rows(page, dataset):
        assert request.start <= row["session"] <= request.end


@pytest.mark.parametrize("dataset", list(DATASETS), ids=str)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bytes_raise_anything_but_our_errors(dataset: Dataset, data: st.DataObject) -> None:
    """Cut, doubled, with bytes changed."""
    request, text = DATASETS[dataset]
    body = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        body = body or bytearray(b"x")
    try:
        decode(request, bytes(body))
    except ProviderError:
        return
