"""Alpaca's quotes: sides that are not there, lots that became shares, crossed markets."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.providers.registry import provider
from mdc_resources.schema.arrow import QUOTES
from mdc_resources.schema.checks import failures
from tests.providers.asking import decode, dialect_of, is_canonical, plain, rows, want

DAY = dt.date(2024, 3, 8)
REQUEST = want("alpaca", "AAPL", dataset=Dataset.QUOTES, start=DAY, end=DAY)


def quote(t: str = "2024-03-08T14:30:00.000000001Z", **more: Any) -> dict[str, Any]:
    """A quote in the documented shape."""
    return {
        "t": t, "ax": "N", "ap": 175.13, "as": 2, "bx": "Q", "bp": 175.1, "bs": 3, "c": ["R"], "z": "C",
        **more,
    }  # fmt: skip


def read(*quotes: object, request: Any = REQUEST) -> list[dict[str, Any]]:
    """The canonical rows, none of which may be rejected."""
    found = decode(request, {"quotes": {"AAPL": list(quotes)}, "next_page_token": None})
    assert found.rejected == ()
    table = found.tables[Dataset.QUOTES]
    assert is_canonical(table, QUOTES)
    assert failures(Dataset.QUOTES, table) == []
    return rows(found, Dataset.QUOTES)


def test_the_request_is_for_quotes() -> None:
    """The same window and paging as for trades."""
    sent = provider("alpaca").plan(REQUEST, dialect_of("alpaca", feed="iex"))
    assert sent.url.endswith("/v2/stocks/quotes")
    assert dict(sent.params)["feed"] == "iex"


def test_both_sides_arrive() -> None:
    """Prices exact, venues and conditions as sent."""
    (row,) = read(quote(c=["R", "Y"]))
    assert [plain(row[f"{side}_price"]) for side in ("bid", "ask")] == ["175.1", "175.13"]
    assert (row["bid_venue"], row["ask_venue"], row["conditions"], row["tape"]) == ("Q", "N", "R,Y", "C")
    assert row["ts_event"] % 10**9 == 1


def test_a_price_of_0_is_no_side() -> None:
    """It stays 0, as the column says; it is no error."""
    (row,) = read(quote(ap=0, **{"as": 0}))
    assert (plain(row["ask_price"]), plain(row["ask_size"])) == ("0", "0")


def test_a_crossed_market_is_a_fact() -> None:
    """Bid above ask happens; nothing is refused for it."""
    (row,) = read(quote(bp=175.2))
    assert row["bid_price"] > row["ask_price"]


@pytest.mark.parametrize(
    ("day", "size"),
    [
        pytest.param(dt.date(2024, 3, 8), "300", id="lots"),
        pytest.param(dt.date(2025, 10, 31), "300", id="the last Friday of lots"),
        pytest.param(dt.date(2025, 11, 3), "3", id="the first Monday of shares"),
        pytest.param(dt.date(2026, 3, 9), "3", id="shares"),
    ],
)
def test_sizes_are_shares_whatever_was_sent(day: dt.date, size: str) -> None:
    """Round lots of 100 until 3 November 2025."""
    request = want("alpaca", "AAPL", dataset=Dataset.QUOTES, start=day, end=day)
    for row in read(quote(t=f"{day}T18:00:00Z"), quote(t=f"{day}T18:00:01Z"), request=request):
        assert plain(row["bid_size"]) == size


def test_more_lots_than_fit_cost_their_row() -> None:
    """A size that a hundredfold does not fit its column is refused, not wrapped around."""
    body = {"quotes": {"AAPL": [quote(bs=10**17), quote(bs=1)]}, "next_page_token": None}
    found = decode(REQUEST, body)
    assert len(found.rejected) == 1
    assert [plain(row["bid_size"]) for row in rows(found, Dataset.QUOTES)] == ["100"]


@pytest.mark.parametrize(
    "wrong", [{"bp": "175.1"}, {"ap": None}, {"as": "2"}, {"bs": -(10**20)}, {"ax": 1}], ids=str
)
def test_a_wrong_cell_costs_its_row(wrong: dict[str, Any]) -> None:
    """The page's other rows are read."""
    body = {"quotes": {"AAPL": [quote(), {**quote(), **wrong}]}, "next_page_token": None}
    found = decode(REQUEST, body)
    assert (len(rows(found, Dataset.QUOTES)), len(found.rejected)) == (1, 1)


def test_equal_quotes_are_two() -> None:
    """Quotes have no identity: the same one twice was sent twice."""
    assert len(read(quote(), quote())) == 2


def test_a_page_that_goes_on_says_so() -> None:
    """With the vendor's token."""
    found = decode(REQUEST, {"quotes": {"AAPL": [quote()]}, "next_page_token": "abc"})
    assert found.next is not None
    assert ("page_token", "abc") in found.next.params
