"""Coinbase's candles, products and errors: newest first, spans of time, silent intervals, float noise."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import Any

import pytest

from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import PayloadError, RateLimited, UnknownSymbol
from mdc_resources.domain.requests import FetchRequest, HttpRequest
from mdc_resources.providers.coinbase import PROVIDER, USER_AGENT
from mdc_resources.schema.arrow import BARS
from tests.providers.asking import (
    RECEIVED,
    decode,
    dialect_of,
    is_canonical,
    prices,
    refusal,
    respond,
    rows,
    same,
    want,
)  # fmt: skip

SYMBOL = "COINBASE:BTC-USD"
MONDAY, SUNDAY = dt.date(2024, 3, 4), dt.date(2024, 3, 10)
START = 1_709_510_400  # Monday, seconds
DAY, MINUTE = 86_400, 60
TODAY = RECEIVED.date()
NOW = int(RECEIVED.timestamp())
DIALECT = dialect_of("coinbase", "24/7")


def ask(
    dataset: Dataset = Dataset.BARS_1D, start: dt.date = MONDAY, end: dt.date = SUNDAY, symbol: str = SYMBOL
) -> FetchRequest:
    """A week, Sunday included."""
    return want("coinbase", symbol, dataset=dataset, start=start, end=end, calendar="24/7")


def candle(at: int = START, **changes: Any) -> list[Any]:
    """A candle in the documented order: time, low, high, open, close, volume."""
    cells = {"t": at, "l": 90.5, "h": 110.25, "o": 100, "c": 105.01, "v": 12.5}
    return list((cells | changes).values())


def test_a_day_is_read_in_the_vendor_s_own_order_of_cells() -> None:
    """Low and high come before open and close; no count, no VWAP."""
    page = decode(ask(), [candle()])
    (row,) = rows(page)
    assert is_canonical(page.tables[Dataset.BARS_1D], BARS)
    assert [prices(page, name)[0] for name in ("open", "high", "low", "close", "volume")] == [
        "100", "110.25", "90.5", "105.01", "12.5",
    ]  # fmt: skip
    assert (row["session"], row["trade_count"], row["vwap"], row["exact"]) == (MONDAY, None, None, True)


def test_newest_first_and_oldest_first_are_one_answer() -> None:
    """Rows come out in order, whatever the order they came in."""
    found = [candle(START + at * DAY, c=100 + at) for at in range(7)]
    newest, oldest = decode(ask(), found[::-1]), decode(ask(), found)
    assert same(newest, oldest)
    assert [row["session"].day for row in rows(newest)] == [4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("text", "price"),
    [("1e-06", "0.000001"), ("1E-6", "0.000001"), ("63776.05", "63776.05"), ("0.000000001", "0.000000001"),
     ("100.10", "100.1")],
)  # fmt: skip
def test_numbers_are_read_as_they_are_written(text: str, price: str) -> None:
    """Never through a float."""
    page = decode(ask(), f"[[{START},{text},{text},{text},{text},1]]")
    assert prices(page) == [price]


def test_a_volume_with_a_float_s_tail_is_rounded_and_flagged() -> None:
    """Sums made in floats have digits that no trade had."""
    page = decode(ask(), f"[[{START},1,1,1,1,38293.742149810029]]")
    assert prices(page, "volume") == ["38293.74214981"]
    assert (rows(page)[0]["exact"], page.rounded) == (False, 1)


def test_a_price_with_too_many_decimals_is_rejected() -> None:
    """Prices are quoted, not computed: nothing is rounded there."""
    page = decode(ask(), f"[[{START},1,1,1,1.0000000001,1]]")
    assert (rows(page), len(page.rejected)) == ([], 1)


def test_the_running_candle_is_never_stored() -> None:
    """Today's is left out and named."""
    today = NOW // DAY * DAY
    page = decode(ask(start=TODAY - dt.timedelta(days=1), end=TODAY), [candle(today), candle(today - DAY)])
    assert [row["session"] for row in rows(page)] == [TODAY - dt.timedelta(days=1)]
    assert page.incomplete == ((SYMBOL, TODAY),)


def test_an_interval_without_a_trade_is_absent() -> None:
    """Nothing is filled in, and nothing is wrong."""
    found = [candle(START + 5 * MINUTE), candle(START + MINUTE)]
    page = decode(ask(Dataset.BARS_1M, MONDAY, MONDAY), found)
    assert [row["ts"].minute for row in rows(page, Dataset.BARS_1M)] == [1, 5]
    assert (page.rejected, page.incomplete) == ((), ())


def test_candles_of_other_pages_are_left_to_them() -> None:
    """Some may lie before ``start``: they are dropped, not stored twice."""
    request = ask(Dataset.BARS_1M, MONDAY, MONDAY)
    first = PROVIDER.plan(request, DIALECT)
    second = PROVIDER.decode(request, DIALECT, first, respond([candle()])).next
    assert second is not None
    found = [candle(START + at * MINUTE) for at in (299, 300, 599, 600)]
    page = PROVIDER.decode(request, DIALECT, second, respond(found))
    assert [row["ts"].hour * 60 + row["ts"].minute for row in rows(page, Dataset.BARS_1M)] == [300, 599]
    assert page.dropped == 2


def _spans(request: FetchRequest, body: object = ()) -> list[tuple[str, str]]:
    """Start and end of every page of ``request``, each answered with ``body``."""
    sent: HttpRequest | None = PROVIDER.plan(request, DIALECT)
    found = []
    while sent is not None:
        asked = dict(sent.params)
        found.append((asked["start"], asked["end"]))
        sent = PROVIDER.decode(request, DIALECT, sent, respond(list(body))).next  # type: ignore[call-overload]
    return found


def test_a_day_of_minutes_is_five_spans() -> None:
    """Each of 300 candles but the last, which ends with the day; empty ones lead on just the same."""
    assert _spans(ask(Dataset.BARS_1M, MONDAY, MONDAY)) == [
        ("2024-03-04T00:00:00Z", "2024-03-04T04:59:59Z"),
        ("2024-03-04T05:00:00Z", "2024-03-04T09:59:59Z"),
        ("2024-03-04T10:00:00Z", "2024-03-04T14:59:59Z"),
        ("2024-03-04T15:00:00Z", "2024-03-04T19:59:59Z"),
        ("2024-03-04T20:00:00Z", "2024-03-04T23:59:59Z"),
    ]


@pytest.mark.parametrize(("days", "pages"), [(1, 1), (299, 1), (300, 1), (301, 2), (600, 2), (601, 3)])
def test_days_are_cut_into_spans_of_300(days: int, pages: int) -> None:
    """Never more, or the vendor refuses; they meet without a gap."""
    spans = _spans(ask(start=dt.date(2021, 1, 1), end=dt.date(2021, 1, 1) + dt.timedelta(days=days - 1)))
    assert len(spans) == pages
    instants = [[dt.datetime.fromisoformat(text) for text in span] for span in spans]
    assert all((end - start) // dt.timedelta(days=1) < 300 for start, end in instants)
    gaps = [later[0] - earlier[1] for earlier, later in pairwise(instants)]
    assert all(gap == dt.timedelta(seconds=1) for gap in gaps)


@pytest.mark.parametrize(
    ("change", "column"),
    [({"c": "105"}, "close"), ({"h": None}, "high"), ({"l": True}, "low"), ({"o": []}, "open"),
     ({"v": "x"}, "volume")],
    ids=str,
)  # fmt: skip
def test_a_cell_that_is_no_json_number_costs_its_row(change: dict[str, Any], column: str) -> None:
    """A text is another vendor's dialect; one row is rejected, the others stand."""
    page = decode(ask(), [candle(START + DAY), candle(**change)])
    assert len(rows(page)) == 1
    assert page.rejected[0].reason.startswith(column)
    assert page.rejected[0].session == MONDAY


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_costs_its_row(text: str) -> None:
    """JSON's writers know more numbers than there are prices."""
    page = decode(ask(), f"[[{START},1,{text},1,1,1],[{START + DAY},1,1,1,1,1]]")
    assert ([row["session"].day for row in rows(page)], len(page.rejected)) == ([5], 1)


@pytest.mark.parametrize("row", [[], {}, None, "x", 7, [None] * 6, ["1709510400", 1, 1, 1, 1, 1]], ids=str)
def test_a_row_of_another_shape_proves_nothing(row: Any) -> None:
    """Its session is unknown, so none without a row may pass for empty."""
    page = decode(ask(end=MONDAY + dt.timedelta(days=1)), [candle(), row])
    assert [r["session"] for r in rows(page)] == [MONDAY]
    assert page.incomplete == ((SYMBOL, MONDAY + dt.timedelta(days=1)),)


def test_a_page_of_nothing_but_such_rows_is_refused() -> None:
    """It is no answer at all."""
    assert isinstance(refusal(ask(), [[], None]), PayloadError)


@pytest.mark.parametrize("at", [START + 1, -DAY, 2**40, 2**62])
def test_a_candle_off_its_grid_is_rejected(at: int) -> None:
    """Milliseconds, too, are no seconds."""
    page = decode(ask(), [candle(), candle(at)])
    assert ([row["session"] for row in rows(page)], len(page.rejected)) == ([MONDAY], 1)


def test_duplicates_collapse_and_contradictions_are_rejected() -> None:
    """Equal twice is once; different twice is never."""
    assert len(rows(decode(ask(), [candle(), candle()]))) == 1
    page = decode(ask(), [candle(), candle(c=91)])
    assert (rows(page), len(page.rejected)) == ([], 2)


def test_the_request_names_itself() -> None:
    """A request without a name is refused; there is no key."""
    wire = PROVIDER.plan(ask(), DIALECT)
    assert wire.url == "https://api.exchange.coinbase.com/products/BTC-USD/candles"
    assert (wire.headers, wire.auth, wire.query_auth) == (USER_AGENT, (), ())
    assert dict(wire.params)["granularity"] == "86400"


@pytest.mark.parametrize("symbol", ["BTC-USD", "KRAKEN:BTC-USD", "COINBASE:BTCUSD", "COINBASE:A-B-C"])
def test_what_is_no_product_of_this_venue_is_not_asked(symbol: str) -> None:
    """A symbol it cannot spell never reaches the network."""
    with pytest.raises(UnknownSymbol):
        PROVIDER.plan(ask(symbol=symbol), DIALECT)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "NotFound", UnknownSymbol),
        (400, "granularity too small for the requested time range", PayloadError),
        (200, "Public rate limit exceeded", RateLimited),
        (200, "something", PayloadError),
        (429, "Public rate limit exceeded", type(None)),
        (503, "Internal server error", type(None)),
        (403, "Forbidden", type(None)),
    ],
)
def test_errors_are_messages_with_a_status(status: int, message: str, kind: type) -> None:
    """429 and 5xx are the transport's, with their headers."""
    assert type(PROVIDER.classify(respond({"message": message}, status))) is kind


def test_a_web_page_with_404_is_no_word_about_the_symbol() -> None:
    """Only the vendor's own document says that it does not know a product."""
    assert not isinstance(refusal(ask(), "<html>404</html>", status=404), UnknownSymbol)


def test_an_unknown_product_is_named_as_it_was_asked_for() -> None:
    """The vendor's words do not say which: the request does."""
    error = refusal(ask(), {"message": "NotFound"}, status=404)
    assert isinstance(error, UnknownSymbol)
    assert error.symbol == SYMBOL


@pytest.mark.parametrize("body", [{}, {"candles": []}, "null", "7", '"x"'])
def test_what_is_no_list_is_refused(body: object) -> None:
    """Advanced Trade's document is another dialect."""
    assert isinstance(refusal(ask(), body), PayloadError)


def test_an_instrument_is_a_product() -> None:
    """Quote currency from the symbol, the name as displayed."""
    body = {"id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "display_name": "BTC/USD"}
    (row,) = rows(decode(ask(Dataset.INSTRUMENTS), body), Dataset.INSTRUMENTS)
    assert (row["name"], row["currency"], row["venue"], row["session"]) == (
        "BTC/USD",
        "USD",
        "coinbase",
        SUNDAY,
    )


@pytest.mark.parametrize("body", [{}, {"id": "ETH-USD"}, {"id": None}, {"product_id": "BTC-USD"}, [], "null"])
def test_facts_of_another_product_are_refused(body: object) -> None:
    """Advanced Trade's ``product_id`` is another dialect's."""
    assert isinstance(refusal(ask(Dataset.INSTRUMENTS), body), PayloadError)
