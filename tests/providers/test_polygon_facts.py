"""Polygon's splits, dividends and tickers: two lists in one chain, exact ratios, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError, UnknownSymbol
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.providers.polygon import PROVIDER
from mdc_resources.providers.spec import Page
from mdc_resources.schema.arrow import CORPORATE_ACTIONS, INSTRUMENTS
from tests.providers.asking import RECEIVED, decode, dialect_of, is_canonical, refusal, rows, want
from tests.providers.polygon_pages import dividend, listed, split

FACTS = Dataset.CORPORATE_ACTIONS
YEAR = want("polygon", "AAPL", dataset=FACTS, start=dt.date(2020, 1, 2), end=dt.date(2020, 12, 31))
TICKER = want("polygon", "AAPL", dataset=Dataset.INSTRUMENTS)
HOST = "https://api.massive.com"


def _dividends() -> HttpRequest:
    """The request that follows the last page of splits."""
    following = decode(YEAR, listed()).next
    assert following is not None
    return following


def _paid(*told: str) -> Page:
    return decode(YEAR, listed(*told), sent=_dividends())


def _described(**facts: Any) -> dict[str, Any]:
    told = {
        "ticker": "AAPL",
        "name": "Apple Inc.",
        "market": "stocks",
        "locale": "us",
        "primary_exchange": "XNAS",
        "type": "CS",
        "active": True,
        "currency_name": "usd",
        "list_date": "1980-12-12",
    }
    return {"results": {**told, **facts}, "status": "OK", "request_id": "1"}


def test_splits_are_asked_for_first_by_execution_date() -> None:
    """The range is of ex-dates and inclusive; a page is as large as the vendor allows."""
    wire = PROVIDER.plan(YEAR, dialect_of("polygon"))
    assert wire.url.endswith("/v3/reference/splits")
    assert dict(wire.params) == {
        "ticker": "AAPL",
        "execution_date.gte": "2020-01-02",
        "execution_date.lte": "2020-12-31",
        "order": "asc",
        "sort": "execution_date",
        "limit": "1000",
    }


def test_a_page_of_splits_never_passes_for_the_whole_answer() -> None:
    """With splits or without any, the dividends of the same range come next; after them nothing."""
    for body in (listed(), listed(split())):
        following = decode(YEAR, body).next
        assert following is not None
        assert following.url.endswith("/v3/reference/dividends")
        assert dict(following.params) == {
            "ticker": "AAPL",
            "ex_dividend_date.gte": "2020-01-02",
            "ex_dividend_date.lte": "2020-12-31",
            "order": "asc",
            "sort": "ex_dividend_date",
            "limit": "1000",
        }
        assert following.auth == (("Authorization: Bearer", "POLYGON_API_KEY"),)
    assert _paid(dividend()).next is None


def test_each_list_is_read_to_its_end() -> None:
    """A cursor of splits goes on with splits, one of dividends with dividends."""
    more = decode(YEAR, listed(split(), next_url=f"{HOST}/v3/reference/splits?cursor=a")).next
    assert more is not None
    assert (more.url.rpartition("/")[2], more.params) == ("splits", (("cursor", "a"),))
    after = decode(YEAR, listed(), sent=more).next
    assert after is not None
    assert after.url.endswith("/dividends")
    body = listed(dividend(), next_url=f"{HOST}/v3/reference/dividends?cursor=b")
    last = decode(YEAR, body, sent=after).next
    assert last is not None
    assert (last.url.rpartition("/")[2], last.params) == ("dividends", (("cursor", "b"),))
    assert decode(YEAR, listed(), sent=last).next is None


def test_splits_never_continue_as_dividends_by_the_vendors_word() -> None:
    """A ``next_url`` of the other list is refused."""
    body = listed(next_url=f"{HOST}/v3/reference/dividends?cursor=b")
    assert isinstance(refusal(YEAR, body), PayloadError)


def test_a_split_is_canonical() -> None:
    """Four new shares for one old one."""
    page = decode(YEAR, listed(split()))
    assert is_canonical(page.tables[FACTS], CORPORATE_ACTIONS)
    assert rows(page, FACTS) == [
        {
            "symbol": "AAPL",
            "session": dt.date(2020, 8, 31),
            "kind": "split",
            "ex_date": dt.date(2020, 8, 31),
            "ratio_to": 4,
            "ratio_from": 1,
            "amount": None,
            "currency": None,
            "successor": None,
            "basis": "raw",
            "known_at": RECEIVED,
            "exact": True,
            "source": "polygon",
        }
    ]


@pytest.mark.parametrize(
    ("to", "per", "ratio"),
    [(20, 1, (20, 1)), (1, 8, (1, 8)), (4, 3, (4, 3)), (1.5, 1, (3, 2)), (2, 2, (1, 1)), (10, 4, (5, 2))],
)
def test_ratios_are_exact_in_lowest_terms(to: float, per: float, ratio: tuple[int, int]) -> None:
    """Also where the vendor writes fractions."""
    (row,) = rows(decode(YEAR, listed(split(to=to, per=per))), FACTS)
    assert (row["ratio_to"], row["ratio_from"]) == ratio


def test_a_dividend_is_cash_as_paid() -> None:
    """Raw: a later split does not restate it."""
    (row,) = rows(_paid(dividend()), FACTS)
    assert (row["kind"], row["ex_date"], row["amount"], row["currency"], row["basis"]) == (
        "dividend",
        dt.date(2020, 8, 7),
        Decimal("0.82"),
        "USD",
        "raw",
    )


def test_payments_of_one_day_are_their_sum() -> None:
    """A regular and a special one, equal amounts included, as long as their ids differ."""
    (row,) = rows(_paid(dividend(id="E1"), dividend(id="E2", amount=0.18)), FACTS)
    assert row["amount"] == Decimal(1)
    (row,) = rows(_paid(dividend(id="E1"), dividend(id="E2", dividend_type="SC")), FACTS)
    assert row["amount"] == Decimal("1.64")


def test_one_payment_told_twice_is_one() -> None:
    """Under one id, or where there are none."""
    for told in (dividend(id="E1"), dividend()):
        (row,) = rows(_paid(told, told), FACTS)
        assert row["amount"] == Decimal("0.82")


def test_two_facts_under_one_id_are_refused() -> None:
    """The list cannot be trusted."""
    with pytest.raises(PayloadError, match="one id"):
        _paid(dividend(id="E1"), dividend(id="E1", amount=9))


def test_facts_of_another_ticker_are_refused() -> None:
    """One stranger makes the list one for all, as it is without the parameter."""
    assert isinstance(refusal(YEAR, listed(split(), split(ticker="SHOP"))), PayloadError)
    with pytest.raises(PayloadError, match="CSSEN"):
        _paid(dividend(ticker="CSSEN"))


def test_facts_outside_the_range_are_dropped_and_counted() -> None:
    """An announced split of next year is not of this one."""
    page = decode(YEAR, listed(split(), split(day="2021-02-01"), split(day="2019-12-30")))
    assert (page.tables[FACTS].num_rows, page.dropped) == (1, 2)


@pytest.mark.parametrize(
    "fact",
    [
        split(to=0),
        split(to=-4),
        split(to="4"),
        split(to=None),
        split(per=[1]),
        json.dumps({"execution_date": "2020-08-31", "ticker": "AAPL", "split_to": 4}),
        json.dumps({"execution_date": "2020-08-31", "split_to": 4, "split_from": 1}),
        split(ticker=7),
        split(ticker=None),
        split(to=1234567.25, per=7.3),
    ],
)
def test_a_split_that_cannot_be_read_is_rejected_under_its_session(fact: str) -> None:
    """The others stay."""
    page = decode(YEAR, listed(split(day="2020-06-01"), fact))
    assert page.tables[FACTS].num_rows == 1
    assert [row.session for row in page.rejected] == [dt.date(2020, 8, 31)]


@pytest.mark.parametrize("amount", ["0.82", None, True, 0.1234567891, {}])
def test_an_amount_that_is_none_is_rejected(amount: Any) -> None:
    """Quoted numbers are exact or refused."""
    page = _paid(dividend(amount=amount))
    assert (page.tables[FACTS].num_rows, len(page.rejected)) == (0, 1)


@pytest.mark.parametrize("day", [None, 20200831, "2020-08-31T00:00:00Z", "31.08.2020", ""])
def test_a_fact_without_a_date_refuses_the_list(day: Any) -> None:
    """Without it no session of the range could be called empty."""
    assert isinstance(refusal(YEAR, listed(split(day=day))), PayloadError)


@pytest.mark.parametrize("fact", ["null", "7", "[]", '"x"', "{}"])
def test_what_is_no_fact_refuses_the_list(fact: str) -> None:
    """Nobody can say what it was about."""
    assert isinstance(refusal(YEAR, listed(split(), fact)), PayloadError)


@pytest.mark.parametrize("body", ['{"status":"OK"}', '{"results":{},"status":"OK"}', "[]", '{"results":[]}'])
def test_a_list_that_is_none_is_refused(body: str) -> None:
    """An empty list is one; its absence is not."""
    assert isinstance(refusal(YEAR, body), PayloadError)


def test_an_empty_chain_proves_nothing() -> None:
    """A ticker nobody knows has no splits either."""
    assert not PROVIDER.spec.offers[FACTS].empty_is_proof


def test_a_ticker_is_asked_for_as_of_the_last_date() -> None:
    """Today a delisted one would be unknown; tomorrow is asked of nobody."""
    wire = PROVIDER.plan(TICKER, dialect_of("polygon"))
    assert wire.url.endswith("/v3/reference/tickers/AAPL")
    assert wire.params == (("date", "2024-03-08"),)


def test_a_ticker_is_one_canonical_row() -> None:
    """Lower-case type, ISO currency, MIC, New York's zone for US listings."""
    page = decode(TICKER, _described())
    assert is_canonical(page.tables[Dataset.INSTRUMENTS], INSTRUMENTS)
    assert rows(page, Dataset.INSTRUMENTS) == [
        {
            "symbol": "AAPL",
            "session": dt.date(2024, 3, 8),
            "name": "Apple Inc.",
            "instrument_type": "cs",
            "currency": "USD",
            "venue": "XNAS",
            "timezone": "America/New_York",
            "first_trade": dt.date(1980, 12, 12),
            "source": "polygon",
        }
    ]


@pytest.mark.parametrize("key", ["name", "type", "currency_name", "primary_exchange", "list_date", "locale"])
@pytest.mark.parametrize("value", [None, 7, [], ""], ids=str)
def test_a_fact_of_another_type_is_null(key: str, value: Any) -> None:
    """What an instrument is, is nobody's proof; the rest of the row stands."""
    (row,) = rows(decode(TICKER, _described(**{key: value})), Dataset.INSTRUMENTS)
    column = {"type": "instrument_type", "currency_name": "currency", "primary_exchange": "venue",
              "list_date": "first_trade", "locale": "timezone"}.get(key, key)  # fmt: skip
    assert row[column] is None


def test_no_description_is_an_unknown_ticker() -> None:
    """``results`` absent or empty."""
    for body in ('{"status":"OK"}', '{"results":null,"status":"OK"}', '{"results":{},"status":"OK"}'):
        assert isinstance(refusal(TICKER, body), UnknownSymbol)


@pytest.mark.parametrize("told", ["MSFT", "aapl", None, 7])
def test_another_tickers_description_is_refused(told: Any) -> None:
    """It names whom it describes."""
    assert isinstance(refusal(TICKER, _described(ticker=told)), PayloadError)


def test_the_recorded_dividends_are_read_exactly(payloads: Path) -> None:
    """One ticker's of the recorded list, amounts by the standard library."""
    path = payloads / "polygon/client-python-mocks/v3/reference/dividends.json"
    document = json.loads(path.read_text(), parse_float=Decimal)
    told = [fact for fact in document["results"] if fact["ticker"] == "CSSEN"]
    body = json.dumps({**document, "results": told}, default=float)
    asked = want("polygon", "CSSEN", dataset=FACTS, start=dt.date(2020, 9, 9), end=dt.date(2025, 12, 31))
    chain = decode(asked, listed()).next
    page = decode(asked, body, sent=chain)
    found = {row["ex_date"].isoformat(): row["amount"] for row in rows(page, FACTS)}
    assert found == {fact["ex_dividend_date"]: fact["cash_amount"] for fact in told}
    assert len(found) >= 5
    assert page.next is None
