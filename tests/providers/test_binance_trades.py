"""Binance's aggregate trades: ids beyond a double, who took, units, and following the ids."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import HttpRequest
from mdc_resources.providers.binance import PROVIDER
from mdc_resources.providers.spec import Page
from mdc_resources.schema.arrow import TRADES
from tests.providers.asking import decode, dialect_of, is_canonical, plain, refusal, respond, rows, want

MONDAY = dt.date(2024, 3, 4)
START = 1_709_510_400_000
HOUR, DAY = 3_600_000, 86_400_000
BEYOND = 2**53 + 1  # no double holds it
REQUEST = want(
    "binance", "BINANCE:BTC-USDT", dataset=Dataset.TRADES, start=MONDAY, end=MONDAY, calendar="24/7"
)
DIALECT = dialect_of("binance", "24/7")


def trade(number: int = 0, at: int | None = None, **changes: Any) -> dict[str, Any]:
    """An aggregate trade in the documented shape, a second after the one before."""
    told = START + number * 1000 if at is None else at
    cells = {"a": BEYOND + number, "p": "63113.97000000", "q": "0.00841000", "f": 1, "l": 2, "T": told}
    return {**cells, "m": False, "M": True} | changes


def read(body: object, sent: HttpRequest | None = None) -> Page:
    """Decode ``body`` as the answer to the first page, or to ``sent``."""
    return decode(REQUEST, body, sent=sent)


def params(page: Page) -> dict[str, str]:
    """What the next page asks for."""
    assert page.next is not None
    return dict(page.next.params)


def test_a_trade_is_read_exactly() -> None:
    """Price, size and id from their own characters; milliseconds become nanoseconds."""
    page = read([trade()])
    (row,) = rows(page, Dataset.TRADES)
    assert is_canonical(page.tables[Dataset.TRADES], TRADES)
    assert (plain(row["price"]), plain(row["size"])) == ("63113.97", "0.00841")
    assert (row["trade_id"], row["ts_event"]) == ("9007199254740993", START * 10**6)
    assert (row["source"], row["session"], row["ordinal"]) == ("binance", MONDAY, 0)


def test_ids_beyond_a_double_stay_apart() -> None:
    """2^53 and 2^53 + 1 are one number to JavaScript, and two trades here."""
    page = read([trade(a=2**53), trade(a=2**53 + 1), trade(a=2**63 - 1)])
    found = {row["trade_id"] for row in rows(page, Dataset.TRADES)}
    assert found == {"9007199254740992", "9007199254740993", "9223372036854775807"}


@pytest.mark.parametrize(("maker", "side"), [(True, "sell"), (False, "buy")])
def test_m_is_about_the_buyer_as_maker(maker: bool, side: str) -> None:
    """If the buyer was the maker, the taker sold."""
    assert [row["side"] for row in rows(read([trade(m=maker)]), Dataset.TRADES)] == [side]


@pytest.mark.parametrize("maker", [None, 1, "true", "x"])
def test_a_side_that_is_neither_costs_its_row(maker: object) -> None:
    """It is never guessed."""
    page = read([trade(m=maker), trade(1)])
    assert len(rows(page, Dataset.TRADES)) == 1
    assert page.rejected[0].reason.startswith("m:")


def test_microseconds_are_told_by_their_size() -> None:
    """With a header that asks for them the stamps grow by a thousand."""
    page = read([trade(at=START * 1000 + 123456)])
    assert rows(page, Dataset.TRADES)[0]["ts_event"] == START * 10**6 + 123_456_000


def test_a_mix_of_units_is_refused() -> None:
    """One of two stamps would be wrong by a factor of a thousand."""
    assert isinstance(refusal(REQUEST, [trade(), trade(1, at=START * 1000)]), PayloadError)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"p": "NaN"}, "price"),
        ({"p": 63113.97}, "price"),
        ({"q": None}, "size is missing"),
        ({"q": "1e999"}, "size"),
    ],
)
def test_a_bad_number_costs_its_row(change: dict[str, Any], reason: str) -> None:
    """With the name of its column and its partition."""
    page = read([trade(**change), trade(1)])
    assert len(rows(page, Dataset.TRADES)) == 1
    assert page.rejected[0].reason.startswith(reason)
    assert page.rejected[0].session == MONDAY


@pytest.mark.parametrize("change", [{"a": "7"}, {"a": 1.5}, {"T": None}, {"T": "x"}, {"a": 2**64}])
def test_a_trade_without_id_or_time_leaves_the_session_incomplete(change: dict[str, Any]) -> None:
    """It may belong to any session that was asked for."""
    page = read([trade(**change), trade(1)])
    assert len(rows(page, Dataset.TRADES)) == 1
    assert page.incomplete == (("BINANCE:BTC-USDT", MONDAY),)


def test_the_same_trade_twice_is_once_and_a_contradiction_is_none() -> None:
    """By its id."""
    assert len(rows(read([trade(), trade()]), Dataset.TRADES)) == 1
    page = read([trade(), trade(q="5.00000000")])
    assert (rows(page, Dataset.TRADES), len(page.rejected)) == ([], 2)


def test_trades_of_one_millisecond_keep_their_order() -> None:
    """Ties stay as they were sent."""
    page = read([trade(at=START), trade(1, at=START), trade(2, at=START)])
    found = [(row["trade_id"], row["ordinal"]) for row in rows(page, Dataset.TRADES)]
    assert found == [(str(BEYOND + n), n) for n in range(3)]


def test_a_day_is_from_midnight_to_midnight() -> None:
    """Its last millisecond belongs to it, the next one does not."""
    page = read([trade(at=START - 1), trade(1), trade(2, at=START + DAY - 1), trade(3, at=START + DAY)])
    assert [row["trade_id"] for row in rows(page, Dataset.TRADES)] == [str(BEYOND + 1), str(BEYOND + 2)]
    assert page.dropped == 2


def test_the_first_hour_is_asked_for() -> None:
    """The two times are less than an hour apart, both inclusive."""
    wire = PROVIDER.plan(REQUEST, DIALECT)
    assert wire.url.endswith("/api/v3/aggTrades")
    asked = dict(wire.params)
    assert (asked["startTime"], asked["endTime"]) == (str(START), str(START + HOUR - 1))
    assert asked["limit"] == "1000"


def test_an_hour_without_a_trade_leads_to_the_next() -> None:
    """Until the day is over: twenty-four questions, no more."""
    sent: HttpRequest | None = PROVIDER.plan(REQUEST, DIALECT)
    starts = []
    while sent is not None:
        starts.append(int(dict(sent.params)["startTime"]))
        sent = PROVIDER.decode(REQUEST, DIALECT, sent, respond([])).next
    assert starts == [START + n * HOUR for n in range(24)]


def test_from_the_first_trade_on_ids_are_followed() -> None:
    """One behind the last, without times; also after a short page."""
    asked = params(read([trade(), trade(1)]))
    assert asked == {"symbol": "BTCUSDT", "fromId": str(BEYOND + 2), "limit": "1000"}


def test_a_trade_of_the_next_day_ends_it() -> None:
    """So does a page without any."""
    assert read([trade(), trade(1, at=START + DAY)]).next is None
    following = read([trade()]).next
    assert following is not None
    assert read([], sent=following).next is None


def test_a_page_from_before_is_a_loop() -> None:
    """Ids below the one that was asked for would go round for ever."""
    following = read([trade(5)]).next
    assert following is not None
    with pytest.raises(PayloadError, match="loop"):
        read([trade(3)], sent=following)


@pytest.mark.parametrize("body", [{}, "null", '"x"', [None], [[1, 2]], [7]])
def test_what_is_no_list_of_trades_is_refused(body: object) -> None:
    """A page of which nothing can be read is no page."""
    assert isinstance(refusal(REQUEST, body), PayloadError)


def test_an_empty_page_has_no_rows_and_no_errors() -> None:
    """An hour without a trade is an answer."""
    page = read([])
    assert is_canonical(page.tables[Dataset.TRADES], TRADES)
    assert (rows(page, Dataset.TRADES), page.rejected, page.incomplete) == ([], (), ())
