"""Coinbase's trades: found by id alone, newest first, the maker's side, the way down and up again."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError
from mdc_resources.domain.requests import HttpRequest, HttpResponse
from mdc_resources.providers.coinbase import PROVIDER
from mdc_resources.providers.coinbase.trades import nanos_of
from mdc_resources.providers.spec import Page
from mdc_resources.schema.arrow import TRADES
from tests.providers.asking import (
    RECEIVED,
    decode,
    dialect_of,
    is_canonical,
    plain,
    refusal,
    respond,
    rows,
    want,
)

MONDAY = dt.date(2024, 3, 4)
START = 1_709_510_400
DAY = 86_400
REQUEST = want(
    "coinbase", "COINBASE:BTC-USD", dataset=Dataset.TRADES, start=MONDAY, end=MONDAY, calendar="24/7"
)
DIALECT = dialect_of("coinbase", "24/7")


def stamp(second: float) -> str:
    """RFC 3339 of Monday's so many seconds, with microseconds."""
    instant = dt.datetime.fromtimestamp(START + second, dt.UTC)
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def trade(number: int = 1, second: float | None = None, **changes: Any) -> dict[str, Any]:
    """A trade in the documented shape, at so many seconds of Monday."""
    at = stamp(number if second is None else second)
    cells = {"trade_id": number, "side": "sell", "size": "0.00100000", "price": "63137.10000000", "time": at}
    return cells | changes


@dataclass
class Exchange:
    """A product's trades, answered as the vendor does: by id, newest first, a page at a time."""

    seconds: list[float]  # of the trades 1, 2, 3 ...
    asked: int = 0

    def answer(self, sent: HttpRequest) -> HttpResponse:
        """The page below ``after``, with its cursor where there are older trades."""
        self.asked += 1
        params = dict(sent.params)
        stop = min(int(params.get("after", 2**62)) - 1, len(self.seconds))
        first = max(0, stop - int(params["limit"]))
        found = [trade(at + 1, self.seconds[at]) for at in range(stop - 1, first - 1, -1)]
        answer = respond(found)
        headers = {"cb-after": str(first + 1)} if first else {}
        return HttpResponse(200, headers, answer.body, RECEIVED)

    def read(self) -> list[int]:
        """The ids that a backfill of Monday collects, in order of its pages."""
        sent: HttpRequest | None = PROVIDER.plan(REQUEST, DIALECT)
        ids: list[int] = []
        seen = set()
        while sent is not None:
            assert sent not in seen, "a page is never asked for twice"
            seen.add(sent)
            page = PROVIDER.decode(REQUEST, DIALECT, sent, self.answer(sent))
            ids += [int(row["trade_id"]) for row in rows(page, Dataset.TRADES)]
            sent = page.next
        return ids

    def expected(self) -> list[int]:
        """The ids of Monday."""
        first, stop = bisect_left(self.seconds, 0), bisect_left(self.seconds, DAY)
        return list(range(first + 1, stop + 1))


def spread(before: int, during: int, after: int) -> Exchange:
    """So many trades before Monday, on it and after it."""
    early = [-(before - at) * 1.5 for at in range(before)]
    monday = [at * (DAY - 1) / max(during, 1) for at in range(during)]
    return Exchange([*early, *monday, *(DAY + at * 2.0 for at in range(after))])


@pytest.mark.parametrize(
    ("before", "during", "after"),
    [
        (0, 5, 0),
        (0, 5, 2000),
        (5, 5, 5),
        (700, 500, 700),
        (2000, 1, 2000),
        (2000, 0, 2000),
        (1023, 1000, 3000),
        (1024, 1000, 3000),
        (4096, 2500, 4096),
        (9999, 3001, 1),
        (9999, 1500, 0),
        (0, 2500, 5000),
        (3000, 0, 0),
        (0, 0, 3000),
        (0, 0, 0),
    ],
)
def test_every_trade_of_the_day_comes_once_and_in_order(before: int, during: int, after: int) -> None:
    """Wherever the day lies among the ids."""
    exchange = spread(before, during, after)
    assert exchange.read() == exchange.expected()


@settings(max_examples=60)
@given(before=st.integers(0, 40_000), during=st.integers(0, 3000), after=st.integers(0, 20_000))
def test_no_place_among_the_ids_loses_a_trade(before: int, during: int, after: int) -> None:
    """Property of the search: whatever the counts, the day is found whole."""
    exchange = spread(before, during, after)
    assert exchange.read() == exchange.expected()


def test_the_way_down_is_short() -> None:
    """A quarter of a million trades are searched in fewer requests than the day has pages."""
    exchange = spread(200_000, 2000, 50_000)
    assert exchange.read() == exchange.expected()
    assert exchange.asked <= 1 + 9 + 4


def test_a_thin_product_needs_one_request() -> None:
    """Where the newest page reaches back behind the day."""
    exchange = spread(100, 20, 300)
    assert exchange.read() == exchange.expected()
    assert exchange.asked == 1


def read(body: object, sent: HttpRequest | None = None) -> Page:
    """Decode ``body`` as the answer to the newest page, or to ``sent``."""
    return decode(REQUEST, body, sent=sent)


def test_a_trade_is_read_exactly() -> None:
    """Price and size from their text, the id as text, six decimals of a second."""
    page = read([trade(2**53 + 1, 1.481712)])
    (row,) = rows(page, Dataset.TRADES)
    assert is_canonical(page.tables[Dataset.TRADES], TRADES)
    assert (plain(row["price"]), plain(row["size"]), row["source"]) == ("63137.1", "0.001", "coinbase")
    assert (row["trade_id"], row["ts_event"]) == ("9007199254740993", START * 10**9 + 1_481_712_000)


@pytest.mark.parametrize(("maker", "taker"), [("sell", "buy"), ("buy", "sell")])
def test_the_vendor_names_the_maker_s_side(maker: str, taker: str) -> None:
    """An offer that was taken was sold by the maker, and bought by the taker."""
    assert [row["side"] for row in rows(read([trade(side=maker)]), Dataset.TRADES)] == [taker]


def test_newest_first_becomes_oldest_first() -> None:
    """The ordinal counts from the oldest; ties keep the order of their ids."""
    page = read([trade(3, 7), trade(2, 7), trade(1, 7)])
    assert [(row["trade_id"], row["ordinal"]) for row in rows(page, Dataset.TRADES)] == [
        ("1", 0),
        ("2", 1),
        ("3", 2),
    ]


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("2024-03-04T00:00:00Z", 0),
        ("2024-03-04T00:00:00.5Z", 500_000_000),
        ("2024-03-04T00:00:00.481712Z", 481_712_000),
        ("2024-03-04T00:00:00.123456789Z", 123_456_789),
        ("2024-03-04T01:00:00.000001+01:00", 1_000),
    ],
)
def test_times_have_up_to_nine_decimals(text: str, nanos: int) -> None:
    """Read from the digits."""
    assert nanos_of(text) == START * 10**9 + nanos


@pytest.mark.parametrize(
    "time",
    [
        "2024-03-04T00:00:00",
        "2024-03-04T00:00:00.Z",
        "2024-03-04T00:00:00.1234567891Z",
        "soon",
        "",
        None,
        7,
        [],
    ],
)
def test_a_time_that_is_none_costs_its_row_and_the_session(time: object) -> None:
    """It may belong to any session that was asked for."""
    page = read([trade(2), trade(1, time=time)])
    assert len(rows(page, Dataset.TRADES)) == 1
    assert len(page.rejected) == 1
    assert page.incomplete == (("COINBASE:BTC-USD", MONDAY),)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"side": "BUY"}, "side"),
        ({"side": None}, "side"),
        ({"price": 63137.1}, "price"),
        ({"price": "NaN"}, "price"),
        ({"size": None}, "size is missing"),
        ({"size": "1e999"}, "size"),
    ],
    ids=str,
)
def test_a_bad_cell_costs_its_row(change: dict[str, Any], reason: str) -> None:
    """With the name of its column and its partition."""
    page = read([trade(2), trade(1, **change)])
    assert len(rows(page, Dataset.TRADES)) == 1
    assert page.rejected[0].reason.startswith(reason)
    assert page.rejected[0].session == MONDAY


def test_the_same_trade_twice_is_once_and_a_contradiction_is_none() -> None:
    """By its id."""
    assert len(rows(read([trade(), trade()]), Dataset.TRADES)) == 1
    page = read([trade(), trade(size="7.0")])
    assert (rows(page, Dataset.TRADES), len(page.rejected)) == ([], 2)


def test_the_newest_page_is_asked_for_first() -> None:
    """Nothing asks by time."""
    wire = PROVIDER.plan(REQUEST, DIALECT)
    assert wire.url.endswith("/products/BTC-USD/trades")
    assert wire.params == (("limit", "1000"),)


def test_an_answer_from_above_the_cursor_is_refused() -> None:
    """Its ids were not asked for: the vendor's cursor does not mean what it is said to mean."""
    probe = HttpRequest("https://x/trades", params=(("limit", "1"), ("after", "513")))
    assert isinstance(refusal_of([trade(600)], probe), PayloadError)
    page = HttpRequest("https://x/trades", params=(("limit", "1000"), ("after", "1001")))
    assert isinstance(refusal_of([trade(1001)], page), PayloadError)


def refusal_of(body: object, sent: HttpRequest) -> PayloadError | None:
    """The error of an answer to ``sent``."""
    try:
        read(body, sent=sent)
    except PayloadError as error:
        return error
    return None


@pytest.mark.parametrize("body", [{}, {"trades": []}, "null", [None], [[1, 2]], [7]])
def test_what_is_no_list_of_trades_is_refused(body: object) -> None:
    """A page of which nothing can be read is no page."""
    assert isinstance(refusal(REQUEST, body), PayloadError)


def test_a_gap_in_the_ids_is_not_the_present() -> None:
    """Where trades go on far above, a page without any of its own leaves the session incomplete."""
    probe = HttpRequest("https://x/trades", params=(("limit", "2"), ("after", str(5001 + (1 << 45)))))
    assert read([trade(9000, DAY + 5.0)], sent=probe).incomplete == (("COINBASE:BTC-USD", MONDAY),)
    assert read([trade(4999, 5.0)], sent=probe).incomplete == ()
    assert read([], sent=probe).next is None


def test_the_present_is_asked_for_where_no_later_trade_is_seen() -> None:
    """One question more, and only there."""
    quiet, busy = spread(5000, 1500, 0), spread(5000, 1500, 3000)
    assert quiet.read() == quiet.expected()
    assert busy.read() == busy.expected()
    assert quiet.asked > busy.asked
